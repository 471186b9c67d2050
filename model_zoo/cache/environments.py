"""Converter environments on disk: found, listed, published, verified.

An environment is a directory ``envs-v1/<digest>`` that counts only with its manifest. It is disposable, and
the only thing in the cache with links that lead out of it: to its base interpreter.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.cache.manifest import read_manifest, write_manifest
from model_zoo.files import as_cache_error, hash_file, remove_tree
from model_zoo.files.tree import directory_names, measure
from model_zoo.schema import EnvironmentManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

KIND = "env"
_STAGING = re.compile(r"stage-env-(\d+)-[0-9a-f]+")
_CLAIM = "builds"
"""The file in a staging directory that says which environment is being built in it."""
_UNKNOWN = EnvironmentManifest(
    schema=1, digest="", stack="unknown", requirements=(), packages={}, modules={}, python="", size=0, files=0
)


@dataclass(frozen=True)
class Environment:
    """One environment of a layer, and when it was published and last used, in seconds since 1970.

    A manifest that is missing or damaged says nothing.
    """

    layer: Layer
    digest: str
    manifest: EnvironmentManifest = field(default=_UNKNOWN, compare=False)
    published: float = 0.0
    used: float = field(default=0.0, compare=False)

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.layer.envs / self.digest

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return system.python_of(self.directory)

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return self.manifest.stack

    @property
    def pinned_versions(self) -> dict[str, str]:
        """The versions of the required packages in it, by canonical name."""
        names = (re.split(r"[=\[;]", line)[0].strip() for line in self.manifest.requirements)
        canonical = [re.sub(r"[-_.]+", "-", name).lower() for name in names]
        packages = self.manifest.packages
        return {name: packages[name] for name in canonical if name in packages}

    @property
    def fault(self) -> str | None:
        """Why it cannot be used, as far as that shows without starting anything."""
        if self.manifest is _UNKNOWN:
            return "its manifest is missing or damaged"
        if not os.path.exists(self.python):  # noqa: PTH110 - pathlib's raises PermissionError
            return f"its base interpreter {os.path.realpath(self.python)} no longer exists"
        return None


def environments(layer: Layer) -> list[Environment]:
    """Return every environment of a layer, usable or not, by name of stack."""
    found = (_read(layer, digest) for digest in directory_names(layer.envs)) if layer.owns(layer.envs) else ()
    return sorted(found, key=lambda environment: (environment.stack, environment.digest))


def find_environment(cache: Cache, digest: str) -> Environment | None:
    """Return the environment with that digest, if it can be used.

    Only the top layer is searched: an environment is a program, and a layer's is somebody else's.
    """
    if cache.top is None or not cache.top.owns(cache.top.envs / digest):
        return None
    found = _read(cache.top, digest)
    return found if found.fault is None else None


def note_use(cache: Cache, environment: Environment) -> None:
    """Note that something is converted in an environment, at most once a day."""
    if environment.layer is cache.top:
        environment.layer.note_use(KIND, environment.digest, environment.published)


def _read(layer: Layer, digest: str) -> Environment:
    directory = layer.envs / digest
    stored = read_manifest(directory, EnvironmentManifest)
    if stored is None:
        changed = 0.0
        with contextlib.suppress(OSError):
            changed = directory.lstat().st_mtime
        return Environment(layer, digest, published=changed, used=changed)
    used = stored.published
    with contextlib.suppress(OSError):
        used = max(used, layer.used(KIND, digest).lstat().st_mtime)
    return Environment(layer, digest, stored.manifest, stored.published, used)


def publish_environment(cache: Cache, staged: Path, manifest: EnvironmentManifest) -> None:
    """Write the manifest, flush everything, and rename a staged environment to its final name.

    The caller holds its lock. An environment that has the name already is unusable, and is removed.
    """
    layer = cache.writable
    target = layer.check_own(layer.envs) / manifest.digest
    with as_cache_error(target):
        system.flush_tree(staged)
        system.flush_file(write_manifest(staged, manifest))
        system.flush_directory(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        with cache.staging("old") as aside:
            if os.path.lexists(target):
                system.rename(target, aside / "unusable")
            system.rename(staged, target)
        system.flush_directory(target.parent)


def claim(staging: Path, digest: str) -> None:
    """Note in a staging directory which environment is being built in it."""
    with as_cache_error(staging):
        (staging / _CLAIM).write_text(digest, encoding="ascii")


def sweep_unfinished(cache: Cache, digest: str) -> None:
    """Remove what killed builds of an environment left behind; the caller holds its lock."""
    partials = cache.writable.partials
    for name in directory_names(partials):
        match = _STAGING.fullmatch(name)
        if match is None:
            continue
        try:
            abandoned = (partials / name / _CLAIM).read_text(encoding="ascii") == digest
        except (OSError, UnicodeDecodeError):  # killed before it noted what it builds
            abandoned = not system.is_alive(int(match[1]))
        if abandoned:
            remove_tree(partials / name, ignore_errors=True)


def faults_of(environment: Environment) -> Iterator[tuple[Path, str]]:
    """Yield each file of an environment that is not as it was published, and why.

    What pip wrote from wheels is compared with the digests in their RECORDs, the rest by number and size.
    """
    directory = environment.directory
    path = directory / EnvironmentManifest.FILE_NAME
    stored = read_manifest(directory, EnvironmentManifest, check=True)
    if stored is None or not stored.sealed:
        yield path, "its manifest is missing or damaged"
        return
    if environment.fault is not None:
        yield environment.python, environment.fault
    from concurrent.futures import ThreadPoolExecutor

    recorded = _recorded(directory)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        causes = zip(recorded, pool.map(lambda file: _cause(file, recorded[file]), recorded), strict=True)
        damaged = [(file, cause) for file, cause in causes if cause is not None]
    yield from damaged
    size, count = measure(directory)
    size, count = size - path.lstat().st_size, count - 1
    listed = stored.manifest
    if not damaged and (count, size) != (listed.files, listed.size):
        yield directory, f"it holds {count} files of {size} bytes instead of {listed.files} of {listed.size}"


def _recorded(directory: Path) -> dict[Path, set[str]]:
    """Return what the packages' RECORDs say of their files (wheel format: ``path,sha256=<base64>,size``).

    Two packages may contain the same file, and the one installed last wins. RECORDs of vendored packages are
    skipped: they list files that are not there.
    """
    found: dict[Path, set[str]] = {}
    roots = [directory / "Lib" / "site-packages", *directory.glob("lib/*/site-packages")]
    for record in sorted(path for root in roots for path in root.glob("*.dist-info/RECORD")):
        with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error):
            for name, digest, *_ in csv.reader(record.read_text(encoding="utf-8").splitlines()):
                if digest.startswith("sha256=") and not name.startswith(("..", "/")):  # scripts, bytecode
                    found.setdefault(record.parent.parent / name, set()).add(digest)
    return found


def _cause(path: Path, digests: set[str]) -> str | None:
    try:
        digest = hash_file(path)["sha256"].hex
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    raw = base64.urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()
    return None if f"sha256={raw}" in digests else f"damaged: its content changed (sha256 {digest[:16]}…)"
