"""Converter environments on disk: found, listed, published, examined.

An environment is a folder ``envs-v1/<digest>`` that counts only with its manifest. It is disposable, and the
only thing in the cache that holds links out of it: to the Python it was made with.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_zoo.cache.care.usage import names
from model_zoo.cache.manifest import encode, read_manifest
from model_zoo.cache.notes import Notes
from model_zoo.cache.usage_lock import is_alive
from model_zoo.files import as_cache_error, fsync_file, fsync_folder, hash_file, set_mode
from model_zoo.files.tree import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

ENV_MANIFEST = "environment.json"
KIND = "env"
READ_ONLY = 0o444
_STAGING = re.compile(r"stage-env-(\d+)-[0-9a-f]+")
_CLAIM = "builds"
"""The file in a staging folder that says which environment is being built in it."""


@dataclass(frozen=True)
class Environment:
    """One environment of a layer.

    Attributes:
        layer: where.
        digest: its name.
        data: its manifest; empty where that is missing or damaged.
        made: when it was published, seconds since 1970.
        used: when it was last noted to be used.
    """

    layer: Layer
    digest: str
    data: dict[str, Any] = field(compare=False, hash=False)
    made: float = 0.0
    used: float = field(default=0.0, compare=False)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.layer.envs / self.digest

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "Scripts" / "python.exe" if os.name == "nt" else self.folder / "bin" / "python"

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return str(self.data.get("stack") or "unknown")

    @property
    def requirements(self) -> list[str]:
        """What pip was asked for."""
        return [str(line) for line in self.data.get("requirements") or ()]

    @property
    def pinned(self) -> list[str]:
        """The canonical names of the packages that were asked for."""
        names = (re.split(r"[=\[;]", line)[0].strip() for line in self.requirements)
        return [re.sub(r"[-_.]+", "-", name).lower() for name in names]

    @property
    def packages(self) -> dict[str, str]:
        """The version of every package in it, by canonical name."""
        return dict(self.data.get("packages") or {})

    @property
    def modules(self) -> dict[str, str]:
        """The package that each top-level module in it belongs to."""
        return dict(self.data.get("modules") or {})

    @property
    def size(self) -> int:
        """Its bytes."""
        size = self.data.get("size")
        return size if isinstance(size, int) else 0

    @property
    def fault(self) -> str | None:
        """Why nobody can use it, as far as that shows without starting anything."""
        if not self.data:
            return "its manifest is missing or damaged"
        if not os.path.exists(self.python):  # noqa: PTH110 - pathlib's raises PermissionError
            return f"the Python it stands on, {os.path.realpath(self.python)}, is gone"
        return None


def environments(layer: Layer) -> list[Environment]:
    """Return every environment of a layer, usable or not, by name of stack."""
    found = [_read(layer, digest) for digest in names(layer.envs)] if layer.owns(layer.envs) else []
    return sorted(found, key=lambda one: (one.stack, one.digest))


def find_environment(cache: Cache, digest: str) -> Environment | None:
    """Return the environment with that digest, if some layer has one that can be used."""
    for layer in cache.layers:
        if not layer.owns(layer.envs / digest):
            continue
        found = _read(layer, digest)
        if found.fault is None:
            return found
    return None


def note_use(cache: Cache, environment: Environment) -> None:
    """Note that something is converted in an environment, at most once a day."""
    if environment.layer is cache.top:
        Notes(environment.layer, writable=True).note_use(KIND, environment.digest, environment.made)


def _read(layer: Layer, digest: str) -> Environment:
    folder = layer.envs / digest
    manifest = read_manifest(folder / ENV_MANIFEST)
    if manifest is None:
        changed = 0.0
        with contextlib.suppress(OSError):
            changed = folder.lstat().st_mtime
        return Environment(layer, digest, {}, changed, changed)
    used = manifest.made
    with contextlib.suppress(OSError):
        used = max(used, layer.used(KIND, digest).lstat().st_mtime)
    return Environment(layer, digest, manifest.data, manifest.made, used)


def publish_environment(cache: Cache, staged: Path, digest: str, data: Mapping[str, Any]) -> None:
    """Write the manifest, flush everything, and rename a staged environment to its final name.

    The caller holds its lock. What has the name already cannot be used, and goes.

    Raises:
        CacheError: the layer cannot be written.
    """
    layer = cache.writable
    target = layer.check_own(layer.envs) / digest
    with as_cache_error(target):
        _flush(staged)
        manifest = staged / ENV_MANIFEST
        manifest.write_bytes(encode({"schema": 1, "digest": digest, **data}))
        set_mode(manifest, READ_ONLY)
        fsync_file(manifest)
        fsync_folder(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        with cache.staging("old") as aside:
            if os.path.lexists(target):
                target.rename(aside / "unusable")
            staged.rename(target)
        fsync_folder(target.parent)


def claim(staging: Path, digest: str) -> None:
    """Note in a staging folder which environment is being built in it."""
    with as_cache_error(staging):
        (staging / _CLAIM).write_text(digest, encoding="ascii")


def sweep_unfinished(cache: Cache, digest: str) -> None:
    """Remove what killed builds of an environment left behind; the caller holds its lock."""
    partials = cache.writable.partials
    for name in names(partials):
        match = _STAGING.fullmatch(name)
        if match is None:
            continue
        try:
            left = (partials / name / _CLAIM).read_text(encoding="ascii") == digest
        except (OSError, UnicodeDecodeError):  # killed before it said what it builds
            left = not is_alive(int(match[1]))
        if left:
            shutil.rmtree(partials / name, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Flush a tree of tens of thousands of files: the whole file system at once, where the system can."""
    if sys.platform.startswith("linux"):
        import ctypes  # not at every start

        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) == 0:
                return
        except AttributeError:  # a C library without it
            pass
        finally:
            os.close(descriptor)
    if hasattr(os, "sync"):
        os.sync()


def faults_of(environment: Environment) -> Iterator[tuple[Path, str]]:
    """Yield each file of an environment that is not as it was put there, and why.

    What pip wrote from wheels is compared with the digests these bring along, the rest by number and size.
    """
    folder = environment.folder
    manifest = read_manifest(folder / ENV_MANIFEST, check=True)
    if manifest is None or not manifest.sealed:
        yield folder / ENV_MANIFEST, "its manifest is missing or damaged"
        return
    if environment.fault is not None:
        yield environment.python, environment.fault
    from concurrent.futures import ThreadPoolExecutor

    recorded = _recorded(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        causes = zip(recorded, pool.map(lambda path: _cause(path, recorded[path]), recorded), strict=True)
        damaged = [(path, cause) for path, cause in causes if cause is not None]
    yield from damaged
    size, count = measure(folder)
    size, count = size - (folder / ENV_MANIFEST).lstat().st_size, count - 1
    said, of = manifest.data.get("files"), manifest.data.get("size")
    if not damaged and (count, size) != (said, of):
        yield folder, f"it holds {count} files of {size} bytes instead of {said} of {of}"


def _recorded(folder: Path) -> dict[Path, set[str]]:
    """Return what the packages' RECORDs say of their files (wheel format: ``path,sha256=<base64>,size``).

    Two packages may bring the same file, and the later one's is there. Records of packages that others have
    vendored are not looked at: they list what is not there.
    """
    found: dict[Path, set[str]] = {}
    places = [folder / "Lib" / "site-packages", *folder.glob("lib/*/site-packages")]
    for record in sorted(one for top in places for one in top.glob("*.dist-info/RECORD")):
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
    return None if f"sha256={raw}" in digests else f"damaged: its bytes have changed (sha256 {digest[:16]}…)"
