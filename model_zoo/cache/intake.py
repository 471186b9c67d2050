"""Importing: what another cache exported, or a registry keeps, becomes part of the writable layer.

What is imported is a set of files under the names of a layer (``blobs-v1/…``, ``files-v1/…``, ``ir-v1/…``),
or an IR in any directory: ``manifest.json`` beside ``model.xml`` and ``model.bin``, or beside the files of a
folder model. Nothing in it is trusted: every digest is computed again, and only when all of them are right is
anything published.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.cache.layout import NOTES, TAG_NAME
from model_zoo.cache.manifest import M, encode, read_manifest
from model_zoo.cache.proof import fault_of, fault_of_derived
from model_zoo.cache.unpack import MAX_MEMBERS, MAX_RATIO, SLACK
from model_zoo.errors import CacheFullError, IntegrityError
from model_zoo.files import CHUNK, READ_ONLY, as_cache_error, hash_file, link_file, set_mode
from model_zoo.files.lock import lock
from model_zoo.files.tar import Member, read_tar, refused
from model_zoo.schema import EXPORTED, NAME, Artifact, Digest, FilesManifest, IrManifest, check_relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from model_zoo.cache.store import Cache
    from model_zoo.schema import ArtifactRecord, FileEntry

XML, BIN = "model.xml", "model.bin"
_NOTHING, _AGAIN = "nothing of it was published", "get a new copy from its publisher"
SEED_NOTE = "seed.json"
_BLOB = re.compile(r"blobs-v1/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_FILES = re.compile(r"files-v1/([0-9A-Za-z._-]+)/([0-9a-f]{64})/(.+)")
_FOLDERS = ("openvino", *EXPORTED)
"""Converters that make folder models."""
_NOTE = re.compile(rf"{TAG_NAME}|state-v1/({'|'.join(NOTES)})/.+|state-v1/{SEED_NOTE}")


def ir_members(directory: Path, manifest: IrManifest, prefix: str) -> list[Member]:
    """Return the files of an IR of the cache, to be written below ``prefix``; the manifest comes first."""
    files = [
        Member(f"{prefix}/{entry.path}", directory / entry.path, entry.size, sha256=entry.sha256)
        for entry in manifest.outputs
    ]
    return [Member(f"{prefix}/{manifest.FILE_NAME}", encode(manifest.portable())), *files]


@dataclass
class Imported:
    """What was imported: IR keys, ``(model, declaration)`` of files, sha256 of blobs."""

    irs: list[str] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Staged:
    path: Path
    size: int
    sha256: str


class LayerImport:
    """One import into the writable layer: files are staged, verified together, and then published.

    ``staging`` is an empty directory from ``cache.staging``; ``name`` is what errors call the import.
    """

    def __init__(self, cache: Cache, staging: Path, name: str) -> None:
        self.cache = cache
        self.name = name
        self._tree = staging / "tree"
        self._staged: dict[str, _Staged] = {}
        self._irs: dict[str, tuple[str, IrManifest]] = {}
        self._files: dict[tuple[str, str], FilesManifest] = {}
        self._blobs: dict[str, str] = {}

    # --- staging

    def add_tar(self, path: Path) -> None:
        """Stage everything in a tar file; IntegrityError where something in it is no part of a cache."""
        with as_cache_error(path):
            budget = path.stat().st_size * MAX_RATIO + SLACK
            for found in read_tar(path, self.name):
                budget -= found.size
                if budget < 0:
                    raise refused(self.name, "far more than an archive of its size should", found.path)
                if found.link is not None:
                    self._link(found.path, found.link)
                else:
                    self._write(found.path, found.size, found.chunks())

    def add_file(self, path: str, source: Path) -> None:
        """Stage one file under a path of the layer; raises as ``add_tar``."""
        with as_cache_error(source), source.open("rb") as stream:
            self._write(path, source.stat().st_size, iter(lambda: stream.read(CHUNK), b""))

    def _target(self, path: str) -> Path:
        known = _BLOB.fullmatch(path) or _FILES.fullmatch(path) or _NOTE.fullmatch(path)
        if not known and not _may_be_of_ir(path):
            raise refused(self.name, "an entry that is not part of a cache", path)
        if path in self._staged or len(self._staged) >= MAX_MEMBERS:
            raise refused(self.name, "a path twice, or too many of them", path)
        target = self._tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _write(self, path: str, size: int, chunks: Iterator[bytes]) -> None:
        target = self._target(path)
        if shutil.disk_usage(target.parent).free < size:
            what = f"{self.name}: not enough space to import {path}"
            raise CacheFullError(what, expected=f"{size} bytes free", hint="free space and run again")
        digest = hashlib.sha256()
        with target.open("xb") as out:
            for data in chunks:
                digest.update(data)
                out.write(data)
        self._staged[path] = _Staged(target, size, digest.hexdigest())

    def _link(self, path: str, earlier: str) -> None:
        target, staged = self._target(path), self._staged[earlier]
        link_file(staged.path, target, symlink=False)
        self._staged[path] = _Staged(target, staged.size, staged.sha256)

    # --- verifying

    def verify(self) -> None:
        """Compare everything that is staged with its name and its manifest, or raise an IntegrityError."""
        for path, staged in self._staged.items():
            if match := _BLOB.fullmatch(path):
                self._compare(path, staged, match[2])
                self._blobs[match[2]] = path
        for path in self._staged:
            match = _FILES.fullmatch(path)
            if match and match[3] == FilesManifest.FILE_NAME:
                self._verify_files(match[1], match[2], path.rpartition("/")[0])
        for directory in self._ir_directories():
            self._verify_ir(directory)
        self._verify_nothing_else()

    def _ir_directories(self) -> list[str]:
        """Return the directories with an IR's manifest; one below another is a file of that one's."""
        found: list[str] = []
        for path in sorted(self._staged, key=lambda path: path.count("/")):
            directory, _, name = path.rpartition("/")
            in_layer = _FILES.fullmatch(path) or _NOTE.fullmatch(path)
            is_ir = name == IrManifest.FILE_NAME and directory and not in_layer
            if is_ir and not any(f"{directory}/".startswith(f"{above}/") for above in found):
                found.append(directory)
        return found

    def _compare(self, path: str, staged: _Staged, sha256: str, size: int | None = None) -> None:
        if staged.sha256 != sha256 or (size is not None and size != staged.size):
            raise IntegrityError(
                f"{self.name}: {path} does not match its digest",
                expected=f"sha256 {sha256}",
                found=f"sha256 {staged.sha256}, {staged.size} bytes",
                left=_NOTHING,
                hint=_AGAIN,
            )

    def _manifest(self, directory: str, kind: type[M]) -> M:
        """Return a staged manifest, after comparing every file of the directory with it."""
        path = f"{directory}/{kind.FILE_NAME}"
        stored = read_manifest(self._staged[path].path.parent, kind, check=True)
        if stored is None or not stored.sealed:
            raise refused(self.name, "a manifest that was damaged or changed", path)
        below = f"{directory}/"
        present = {p.removeprefix(below): s for p, s in self._staged.items() if p.startswith(below)}
        del present[kind.FILE_NAME]
        for entry in stored.manifest.entries:
            staged = present.pop(entry.path, None)
            if staged is None:
                raise refused(self.name, "less than its manifest lists", f"{directory}/{entry.path}")
            self._compare(f"{directory}/{entry.path}", staged, entry.sha256, entry.size)
        if present:
            raise refused(self.name, "more than its manifest lists", f"{directory}/{min(present)}")
        return stored.manifest

    def _verify_ir(self, directory: str) -> None:
        manifest = self._manifest(directory, IrManifest)
        key, parts = manifest.key, manifest.parts
        named = directory.rpartition("/")[2] if directory.startswith("ir-v1/") else key
        if key != Digest.of_json(parts).hex or named != key:
            raise refused(self.name, "an IR whose key does not follow from its parts", directory)
        bare = {**parts, "versions": {}}
        requests = {Digest.of_json(bare).hex}
        bare.pop("calibration", None)
        if manifest.request not in {*requests, Digest.of_json(bare).hex}:
            raise refused(self.name, "an IR that claims to answer another request", directory)
        is_folder = manifest.is_folder and parts.get("converter") in _FOLDERS
        if not is_folder and [entry.path for entry in manifest.outputs] != [XML, BIN]:
            raise refused(self.name, "an IR of other files", directory)
        self._verify_inputs(directory, str(manifest.declaration), manifest.inputs)
        self._irs[key] = (directory, manifest)

    def _verify_files(self, model: str, digest: str, directory: str) -> None:
        manifest = self._manifest(directory, FilesManifest)
        if not NAME.fullmatch(model) or (manifest.model, manifest.declaration) != (model, digest):
            raise refused(self.name, "a directory under another name", directory)
        for artifact in manifest.artifacts:
            self._verify_names(artifact, directory)
        folder = self._tree / directory
        fault = fault_of(folder, manifest)
        if fault is None:
            fault = fault_of_derived(manifest, self._blob, self._tree.with_name("derived") / digest, folder)
        if fault is not None:
            raise IntegrityError(f"{self.name}: {directory}: {fault}", left=_NOTHING, hint=_AGAIN)
        self._verify_inputs(directory, digest, manifest.files)
        self._files[model, digest] = manifest

    def _blob(self, sha256: str) -> Path:
        return self._staged[self._blobs[sha256]].path

    def _verify_names(self, artifact: ArtifactRecord, directory: str) -> None:
        """Verify the other digests that a blob is going to be looked up under."""
        blob = self._blobs.get(artifact.sha256)
        if blob is None:
            raise refused(self.name, "an artifact without the blob", f"{directory}: {artifact.path}")
        for name in (*(artifact.names or ()), *(artifact.digests or ())):
            algorithm, _, digits = name.partition(":")
            if algorithm in {"sha384", "sha512"}:
                found = hash_file(self._staged[blob].path, [algorithm])[algorithm]
                if found.hex != digits:
                    raise refused(self.name, "a blob under a wrong digest", f"{directory}: {name}")

    def _verify_inputs(self, directory: str, declaration: str, entries: Sequence[FileEntry]) -> None:
        """Refuse what contradicts what this cache itself found a declaration to contain."""
        known = self.cache.find_inputs(declaration)
        if known is not None and {(e.path, e.sha256) for e in entries} != {(e.path, e.sha256) for e in known}:
            raise refused(self.name, "other files of a model than were fetched here", directory)

    def _verify_nothing_else(self) -> None:
        directories = tuple(f"{directory}/" for directory, _ in self._irs.values())
        for path in self._staged:
            if match := _FILES.fullmatch(path):
                covered = (match[1], match[2]) in self._files
            else:
                covered = bool(_BLOB.fullmatch(path) or _NOTE.fullmatch(path)) or path.startswith(directories)
            if not covered:
                raise refused(self.name, "a file without its manifest", path)
        if not (self._irs or self._files):
            what = f"{self.name} contains no complete model"
            raise IntegrityError(what, left=_NOTHING, hint="the file may be cut short; copy it again")

    # --- publishing

    def publish(self, timeout: float) -> Imported:
        """Publish what was verified, under the cache's locks; what is there already stays."""
        layer = self.cache.writable
        for sha256, path in self._blobs.items():
            staged = self._staged[path].path
            keep = staged.with_name("kept")  # the directories below still need the bytes
            link_file(staged, keep, symlink=False)
            self.cache.publish_blob(keep, sha256, Artifact(path="blob", sha256=sha256))
        for (model, digest), manifest in self._files.items():
            directory = self._tree / "files-v1" / model / digest
            with lock(layer.locks / f"files-{model}-{digest[:16]}.lock", timeout=timeout):
                self._share_blobs(directory, manifest)
                self._publish(directory, layer.files(model, digest), manifest)
        for key, (path, ir) in self._irs.items():
            with lock(layer.locks / f"ir-{key[:32]}.lock", timeout=timeout):
                self._publish(self._tree / path, layer.ir(key), ir)
        return Imported([*self._irs], [*self._files], [*self._blobs])

    def _share_blobs(self, directory: Path, manifest: FilesManifest) -> None:
        """Replace a staged file by a link to the published blob that has the same bytes."""
        for entry in manifest.files:
            blob = self.cache.writable.blob(entry.sha256)
            if entry.sha256 in self._blobs and blob.is_file():
                (directory / entry.path).unlink()
                link_file(blob, directory / entry.path)

    def _publish(self, directory: Path, target: Path, manifest: FilesManifest | IrManifest) -> None:
        with as_cache_error(target):
            (directory / manifest.FILE_NAME).unlink()
            for path in (directory / entry.path for entry in manifest.entries):
                if not path.is_symlink():
                    set_mode(path, READ_ONLY)
        self.cache.publish_directory(directory, target, manifest)


def _may_be_of_ir(path: str) -> bool:
    """Whether a path is in a directory and leads nowhere else; which files an IR has, its manifest says."""
    try:
        check_relative_path(path)
    except ValueError:
        return False
    return "/" in path


def import_layer(cache: Cache, sources: Mapping[str, Path], name: str, *, timeout: float) -> Imported:
    """Import models that come in one or several files; errors call the import ``name``.

    ``sources`` are files by their path in a layer; the path of a tar is empty or ends in a slash.

    Raises:
        IntegrityError: something in it is wrong; nothing was published.
        CacheError: the writable layer cannot be written, or a lock was not free in time.
    """
    with cache.use(timeout=timeout), cache.staging("import") as staging:
        importing = LayerImport(cache, staging, name)
        for path, source in sources.items():
            if path.endswith("/") or not path:
                importing.add_tar(source)
            else:
                importing.add_file(path, source)
        importing.verify()
        return importing.publish(timeout)
