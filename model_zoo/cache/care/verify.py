"""Verify: read everything again and report what does not match its manifest, its name or its notes.

It works offline and writes nothing. Bytes that several names share are read once.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from model_zoo.cache.care.state import compiled_faults, state_faults
from model_zoo.cache.environments import KIND, environments, faults_of
from model_zoo.cache.layout import TAG_NAME, Layer
from model_zoo.cache.manifest import Stored, is_inside, is_named, link_target, read_manifest
from model_zoo.cache.proof import fault_of, fault_of_derived
from model_zoo.events import Event
from model_zoo.files import hash_file, is_file
from model_zoo.files.read import is_link
from model_zoo.files.tree import scan, walk
from model_zoo.schema import FilesManifest, IrManifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_zoo.cache.care.scan import Inode
    from model_zoo.events import Report
    from model_zoo.schema import FileEntry

_log = logging.getLogger(__name__)
Subject = Literal["blob", "files", "ir", "env", "compiled", "foreign", "state"]
_KNOWN = re.compile(r"[a-z]+-v\d+")  # directories of other versions of the format are not foreign
_HEX = re.compile(r"[0-9a-f]{64}")
_BLOB_DIRECTORY = re.compile(r"[0-9a-f]{2}")
_SYSTEM = ("lost+found", ".nfs")  # a file system's own


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        subject: what has to be made again, or moved away.
        cause: in words.
        model: whose it is; several are joined by commas.
        file: its name in the model, or what else people know it by.
        name: of the subject: a sha256, ``model/declaration``, or an IR key.
        precision: of an IR, or of the files that were fetched for it.
        spare: a good copy of a blob's bytes.
    """

    subject: Subject
    layer: Layer
    path: Path
    cause: str
    model: str | None = None
    file: str | None = None
    name: str = ""
    precision: str | None = None
    spare: Path | None = None


class _Owner(NamedTuple):
    """What a problem says about whose it is."""

    model: str | None = None
    name: str = ""
    precision: str | None = None


@dataclass
class Verified:
    """What was read and what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    blobs: int = 0
    models: int = 0
    irs: int = 0
    environments: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _Use:
    """A blob as a manifest lists it."""

    size: int | None
    model: str
    file: str
    precision: str | None


def verify(layers: Iterable[Layer], report: Report, *, own: Layer | None = None) -> Verified:
    """Read every blob, directory, IR and note of the layers again; derive files anew that are not ``own``."""
    verified, everything = Verified(), tuple(layers)
    for layer in everything:
        _LayerCheck(layer, everything, verified, report, own).run()
    return verified


class _LayerCheck:
    """The state of verifying one layer."""

    def __init__(
        self, layer: Layer, layers: tuple[Layer, ...], verified: Verified, report: Report, own: Layer | None
    ) -> None:
        self.layer = layer
        self.own = own
        self.others = [other for other in layers if other != layer]
        self.verified = verified
        self.report = report
        self.root = str(layer.root)
        self.uses: dict[str, list[_Use]] = {}
        self.read: dict[Inode, tuple[str, int]] = {}  # digest and size, by the file the bytes are in
        self.spares: dict[str, Path] = {}

    def run(self) -> None:
        self._check_root()
        directories = [*self._directories(self.layer.models, depth=2)]
        irs = [*self._directories(self.layer.irs, depth=1)]
        manifests = [(path, read_manifest(path, FilesManifest, check=True)) for path in directories]
        for directory, stored in manifests:
            if stored is not None:
                self._note_uses(directory, stored.manifest)
        blobs = self._blobs()
        self._read([*blobs.values()])
        for directory, stored in manifests:
            self._check_model(directory, stored)
        for directory in irs:
            self._check_ir(directory)
        self._check_environments()
        self._check_compiled()
        self._check_blobs(blobs)
        faults = {fault[0]: fault for fault in [*state_faults(self.layer)][::-1]}  # the first of each file
        for path, cause, name in [*faults.values()][::-1]:
            self._add("state", path, cause, name)
        self.verified.blobs += len(blobs)
        self.verified.models += len({directory.parent for directory in directories})
        self.verified.irs += len(irs)
        self.verified.bytes += sum(size for _, size in self.read.values())

    def _add(
        self,
        subject: Subject,
        path: Path,
        cause: str,
        file: str,
        owner: _Owner = _Owner(),  # noqa: B008 - immutable
        spare: Path | None = None,
    ) -> None:
        _log.debug("%s: %s", path, cause)
        model, name, precision = owner
        problem = Problem(subject, self.layer, path, cause, model, file, name, precision, spare)
        self.verified.problems.append(problem)

    def _foreign(self, path: Path, *, link: bool = False) -> None:
        if not path.name.startswith(_SYSTEM):
            self._add("foreign", path, "unexpected symlink" if link else "not part of the cache", path.name)

    # --- what is there

    def _check_root(self) -> None:
        for entry in scan(self.layer.root):
            directory = entry.is_dir(follow_symlinks=False)
            tag = entry.name == TAG_NAME and entry.is_file(follow_symlinks=False)
            if not (directory and _KNOWN.fullmatch(entry.name)) and not tag:
                self._foreign(self.layer.root / entry.name, link=entry.is_symlink())
        for root in (self.layer.state, self.layer.locks, self.layer.pins):
            self._links_in(walk(root))
        if self.layer.owns(self.layer.partials):  # what is staged there may have links
            self._links_in(scan(self.layer.partials))
        for entry in scan(self.layer.blobs.parent):
            if entry.name != "sha256" or not entry.is_dir(follow_symlinks=False):
                self._foreign(self.layer.blobs.parent / entry.name, link=entry.is_symlink())

    def _links_in(self, entries: Iterable[os.DirEntry[str]]) -> None:
        for entry in entries:
            if entry.is_symlink():
                self._foreign(Path(entry.path), link=True)

    def _directories(self, root: Path, *, depth: int) -> Iterable[Path]:
        """Yield the directories that many levels below ``root``; whatever else is above them is foreign."""
        if self.layer.owns(root):
            for entry in scan(root):
                path = root / entry.name
                if not entry.is_dir(follow_symlinks=False):
                    self._foreign(path, link=entry.is_symlink())
                elif depth == 1:
                    yield path
                else:
                    yield from self._directories(path, depth=depth - 1)

    def _blobs(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for directory in self._directories(self.layer.blobs, depth=1):
            if not _BLOB_DIRECTORY.fullmatch(directory.name):
                self._foreign(directory)
                continue
            for entry in scan(directory):
                good = _HEX.fullmatch(entry.name) and entry.name.startswith(directory.name)
                if good and entry.is_file(follow_symlinks=False):
                    found[entry.name] = directory / entry.name
                else:
                    self._foreign(directory / entry.name, link=entry.is_symlink())
        return found

    def _note_uses(self, directory: Path, manifest: FilesManifest) -> None:
        for artifact in manifest.artifacts:
            if _HEX.fullmatch(artifact.sha256):
                use = _Use(artifact.size, directory.parent.name, artifact.path, manifest.precision)
                self.uses.setdefault(artifact.sha256, []).append(use)

    # --- reading

    def _read(self, paths: list[Path]) -> None:
        """Hash files, as many at once as there are processors; hashing releases the GIL."""
        sizes = [_size(path) for path in paths]
        done, total = 0, sum(sizes)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, size, _ in zip(paths, sizes, pool.map(self._digest, paths), strict=True):
                done += size
                self.report(Event(event="verify", file=path.name, bytes=done, total=total))

    def _digest(self, path: Path) -> str:
        """Return the sha256 of a file, or why it cannot be read."""
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                return "cannot be read: it is not a regular file"
            inode = (found.st_dev, found.st_ino)
            if found.st_ino == 0 or inode not in self.read:
                self.read[inode] = hash_file(path)["sha256"].hex, found.st_size
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return self.read[inode][0]

    def _check_blobs(self, blobs: Mapping[str, Path]) -> None:
        for sha256, path in blobs.items():
            digest = self._digest(path)
            if digest != sha256:
                size = next((use.size for use in self.uses.get(sha256, ())), None)
                self._bad_blob(sha256, path, _cause(digest, _size(path), size))
        for sha256 in sorted(self.uses.keys() - blobs.keys()):
            if not any(is_file(other.blob(sha256)) for other in self.others):  # a layer may rely on another
                self._bad_blob(sha256, self.layer.blob(sha256), "deleted: the file is missing")

    def _bad_blob(self, sha256: str, path: Path, cause: str) -> None:
        uses = self.uses.get(sha256, [])
        models = ", ".join(sorted({use.model for use in uses})) or None
        file, precision = (uses[0].file, uses[0].precision) if uses else (sha256, None)
        self._add("blob", path, cause, file, _Owner(models, sha256, precision), self.spares.get(sha256))

    # --- directories

    def _check_model(self, directory: Path, stored: Stored[FilesManifest] | None) -> None:
        model = directory.parent.name
        precision = stored.manifest.precision if stored is not None and stored.sealed else None
        owner = _Owner(model, f"{model}/{directory.name}", precision)
        self._check_directory("files", directory, stored, FilesManifest, owner)
        if stored is None or not stored.sealed:
            return
        fault = fault_of(directory, stored.manifest, self._sound_blob)
        if fault is None and self.layer != self.own:
            fault = self._derived_fault(stored.manifest)
        if fault is not None:
            self._add("files", directory / FilesManifest.FILE_NAME, fault, FilesManifest.FILE_NAME, owner)

    def _derived_fault(self, manifest: FilesManifest) -> str | None:
        """Derive the files anew; a missing blob is a problem of its own."""
        blobs = {sha256: self._sound_blob(sha256) for sha256 in manifest.blobs}
        if None in blobs.values():
            return None
        with tempfile.TemporaryDirectory(prefix="model-zoo-") as folder:
            return fault_of_derived(manifest, blobs.get, Path(folder) / "tree", Path(folder))

    def _sound_blob(self, sha256: str) -> Path | None:
        paths = (layer.blob(sha256) for layer in (self.layer, *self.others))
        return next((path for path in paths if is_file(path) and self._digest(path) == sha256), None)

    def _check_ir(self, directory: Path) -> None:
        stored = read_manifest(directory, IrManifest, check=True)
        model, precision = (stored.manifest.model, stored.manifest.precision) if stored else (None, None)
        owner = _Owner(model, directory.name, precision)
        self._check_directory("ir", directory, stored, IrManifest, owner)

    def _check_environments(self) -> None:
        for _ in self._directories(self.layer.envs, depth=1):  # anything else there is foreign
            self.verified.environments += 1
        for environment in environments(self.layer):
            self.verified.bytes += environment.manifest.size
            owner = _Owner(f"{KIND}:{environment.stack}", environment.digest)
            for path, cause in faults_of(environment):
                self._add("env", path, cause, path.name, owner)

    def _check_compiled(self) -> None:
        for directory in self._directories(self.layer.compiled, depth=1):
            self._links_in(walk(directory))
            for path, cause in compiled_faults(directory):
                self._add("compiled", path, cause, path.name)

    def _check_directory(
        self,
        subject: Subject,
        directory: Path,
        stored: Stored[FilesManifest] | Stored[IrManifest] | None,
        kind: type[FilesManifest | IrManifest],
        owner: _Owner,
    ) -> None:
        """Compare a directory with its manifest: every file that is listed, and any that is not."""
        name = kind.FILE_NAME
        if stored is None or not stored.sealed:
            cause = "its manifest is damaged" if is_file(directory / name) else "its manifest is missing"
            self._add(subject, directory / name, cause, name, owner)
            return
        if not is_named(directory, stored.manifest):
            cause = "the directory's name is not the key of what its manifest says"
            self._add(subject, directory, cause, name, owner)
        listed = {name}
        for entry in stored.manifest.entries:
            if not is_inside(entry.path):
                cause = f"its manifest lists {entry.path!r}, which is not a path inside its directory"
                self._add(subject, directory / name, cause, name, owner)
                continue
            listed.add(entry.path)
            fault = self._file_cause(directory, entry)
            if fault and not (subject == "files" and self._is_the_blob(directory, entry)):
                self._add(subject, directory / entry.path, fault, entry.path, owner)
        for found in walk(directory):
            if os.path.relpath(found.path, directory).replace(os.sep, "/") not in listed:
                self._foreign(Path(found.path), link=found.is_symlink())

    def _file_cause(self, directory: Path, entry: FileEntry) -> str | None:
        """Return what is wrong with a file that a manifest lists."""
        path = directory / entry.path
        try:
            found = path.lstat()
        except OSError:
            return "deleted: the file is missing"
        if is_link(found):
            target = link_target(self.root, str(path))
            if target is None:
                return "its symlink leads out of the cache"
            if not os.path.isfile(target):  # noqa: PTH113
                return "its symlink is broken"
            return None if os.path.basename(target) == entry.sha256 else "its symlink leads to other content"  # noqa: PTH119
        digest = self._digest(path)
        if digest == entry.sha256:
            self.spares.setdefault(entry.sha256, path)
            return None
        return _cause(digest, found.st_size, entry.size)

    def _is_the_blob(self, directory: Path, entry: FileEntry) -> bool:
        """Whether a file is the blob itself under another name: then the problem is reported for the blob."""
        if not _HEX.fullmatch(entry.sha256):
            return False
        try:
            return os.path.samestat((directory / entry.path).lstat(), self.layer.blob(entry.sha256).lstat())
        except OSError:
            return False


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _cause(digest: str, size: int, expected: int | None) -> str:
    if digest.startswith("cannot"):
        return digest
    if expected is not None and size < expected:
        return f"truncated: {size} of {expected} bytes"
    if expected is not None and size > expected:
        return f"too long: {size} bytes instead of {expected}"
    return f"damaged: its content changed (sha256 {digest[:16]}…)"
