"""Look things up through the layers, publish them into the top one."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from model_zoo.cache.layout import Layer
from model_zoo.cache.manifest import M, Stored, is_whole, read_manifest, write_manifest
from model_zoo.cache.notes import Notes, alias_names, ir_manifests
from model_zoo.cache.proof import Proofs, fault_of
from model_zoo.cache.usage_lock import UsageLock
from model_zoo.errors import CacheDamagedError, CacheError, CacheReadOnlyError
from model_zoo.files import (
    READ_ONLY,
    as_cache_error,
    has_digest,
    remove_tree,
    set_mode,
)
from model_zoo.files.tree import directories, regular_files
from model_zoo.schema import FileEntry, FilesManifest, IrManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from model_zoo.schema import Artifact

T = TypeVar("T")
_log = logging.getLogger(__name__)
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EACCES, errno.EPERM}
"""Errors of a rename onto something else: the first three of POSIX, the others of Windows."""


class Cache:
    """One writable layer on top, or none, and any number of read-only ones below.

    A look-up locks nothing, hashes nothing, and writes nothing but, once a day, the time of an entry's last
    use: a published name is whole by construction, and sizes are compared with the manifest. ``verify``
    hashes everything again. What a layer below holds was made elsewhere: its blobs are hashed before they are
    used, and its directories where ``proofs`` is asked.

    What writes raises a CacheError where the writable layer cannot be written, or there is none.
    """

    def __init__(self, top: Path | None, below: Sequence[Path] = ()) -> None:
        self.top = Layer(top.absolute()) if top is not None else None
        self.below = tuple(Layer(root.absolute()) for root in below)
        self.layers = (*([self.top] if self.top else []), *self.below)  # in the order of look-up

    @cached_property
    def _notes(self) -> tuple[Notes, ...]:
        return tuple(Notes(layer, writable=layer is self.top) for layer in self.layers)

    @cached_property
    def proofs(self) -> Proofs:
        """What was found out about bytes that were not made here."""
        return Proofs(self.top, self.layers, self.staging)

    @property
    def writable(self) -> Layer:
        """The top layer, prepared for writing."""
        if self.top is None:
            what = "no writable cache layer: this account has no home directory, and no cache was named"
            raise CacheReadOnlyError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
        self.top.prepare()
        return self.top

    # --- users, or one process alone

    @cached_property
    def _usage_lock(self) -> UsageLock:
        return UsageLock(self.writable)

    def use(
        self, on_wait: Callable[[str], None] | None = None, *, timeout: float = 3600.0
    ) -> AbstractContextManager[bool]:
        """Keep ``gc``, ``rm`` and ``repair`` from removing anything while something is made available.

        Any number of processes and threads may be inside at once; it may be entered again from inside. A
        look-up does not need it. Yields False where nothing is kept out: there is no writable layer, it
        cannot be written, or its file system has no locks. LockTimeoutError where an exclusive process does
        not finish in time, CacheDamagedError where a symlink stands in for the lock files.
        """
        try:
            return self._usage_lock.use(timeout, on_wait)
        except CacheDamagedError:
            raise
        except CacheError:  # the next write reports what is wrong
            return contextlib.nullcontext(enter_result=False)

    def exclusive(
        self, on_wait: Callable[[str], None] | None = None, *, timeout: float = 3600.0
    ) -> AbstractContextManager[bool]:
        """Wait until no process is inside ``use``, and let none in; not to be called from inside ``use``.

        Yields False where the file system has no locks: other processes may go on. LockTimeoutError where a
        user does not finish in time.
        """
        return self._usage_lock.exclusive(timeout, on_wait)

    # --- blobs

    def find_blob(self, artifact: Artifact) -> Path | None:
        """Return the blob of an artifact, by its digest or by what was noted when it arrived.

        A layer below is believed neither that a blob has the digest it is stored under, nor that it has
        another one: the blob is hashed.
        """
        for sha256, noted_here in self._names_of(artifact):
            for layer in self.layers:
                path = layer.blob(sha256)
                size = _blob_size(layer, path)
                if size is None or artifact.size not in {None, size}:
                    continue
                if (layer is self.top and noted_here) or self.proofs.has(path, sha256, artifact.digests):
                    return path
        return None

    def sha256_of(self, artifact: Artifact) -> str | None:
        """Return the sha256 an artifact has: declared, or noted when it arrived."""
        return next((sha256 for sha256, _ in self._names_of(artifact)), None)

    def _names_of(self, artifact: Artifact) -> Iterator[tuple[str, bool]]:
        """Yield the sha256 that an artifact may have, and whether the entry or a note of ours says so."""
        if artifact.sha256:
            yield artifact.sha256, True
            return
        for kind, digest in alias_names(artifact):
            for notes in self._notes:
                if (sha256 := notes.alias(kind, digest)) is not None:
                    yield sha256, notes.writable

    def publish_blob(self, staged: Path, sha256: str, artifact: Artifact) -> Path:
        """Move verified, flushed bytes into the writable layer and note their other names.

        An existing blob stays, as other files may share it, unless it turns out to be damaged. Where it
        fails, ``staged`` is left where it is.
        """
        layer = self.writable
        target = layer.check_own(layer.blob(sha256))
        self.note_aliases(artifact, sha256)
        with as_cache_error(target, left="the verified partial is kept"):
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                system.flush_directory(target.parent.parent)
            if _blob_size(layer, target) == staged.stat().st_size and has_digest(target, sha256):
                system.unlink(staged)
                return target
            set_mode(staged, READ_ONLY)
            system.replace(staged, target)
            system.flush_directory(target.parent)
        return target

    def note_adopted(self, sha256: str, origin: Path) -> None:
        """Note which file of another program a blob was copied from."""
        self._notes[0].note_adopted(sha256, str(origin))

    def adopted_from(self, artifact: Artifact) -> str | None:
        """Return the file of another program that an artifact's blob was adopted from, if it was."""
        sha256 = self.sha256_of(artifact)
        return self._first(lambda notes: notes.adopted(sha256)) if sha256 else None

    def note_aliases(self, artifact: Artifact, sha256: str) -> None:
        """Note the other digests, or the address, that the blob is looked up by."""
        for kind, digest in alias_names(artifact):
            with as_cache_error(self.writable.alias(kind, digest)):
                self._notes[0].note_alias(kind, digest, sha256)

    # --- files of models, and IRs

    def find_files(self, model: str, digest: str) -> tuple[Path, FilesManifest] | None:
        """Return the directory of a model's files and its manifest, if it is whole in some layer."""
        name = f"{model}@{digest}"
        return self._find("files", name, lambda layer: layer.files(model, digest), FilesManifest)

    def find_ir(self, key: str) -> tuple[Path, IrManifest] | None:
        """Return the directory of an IR and its manifest, if it is whole in some layer."""
        return self._find("ir", key, lambda layer: layer.ir(key), IrManifest)

    def _find(
        self, kind: str, name: str, where: Callable[[Layer], Path], manifest: type[M]
    ) -> tuple[Path, M] | None:
        for layer in self.layers:
            directory = where(layer)
            if (stored := _whole(layer, directory, manifest)) is not None:
                _log.debug("hit: %s", directory)
                if layer is self.top:
                    layer.note_use(kind, name, stored.published)
                return directory, stored.manifest
        _log.debug("miss: %s %s", kind, name)
        return None

    def find_requested(self, request: str) -> list[tuple[Path, IrManifest]]:
        """Return every IR that answers a request, whatever versions of the tools made it; newest last."""
        keys: dict[str, float] = {}
        for notes in self._notes:
            for key, made in notes.requested(request).items():
                keys[key] = max(made, keys.get(key, 0.0))
        found = (self.find_ir(key) for key in sorted(keys, key=lambda key: (keys[key], key)))
        return [ir for ir in found if ir is not None]

    def find_irs_of(self, model: str) -> list[tuple[Path, IrManifest]]:
        """Return every whole IR made from a model of that name; walks all manifests."""
        return [
            (directory, stored.manifest)
            for layer in self.layers
            for directory, stored in ir_manifests(layer)
            if stored.manifest.model == model and _whole(layer, directory, IrManifest) is not None
        ]

    def ir_manifests(self) -> Iterator[IrManifest]:
        """Yield the manifest of every IR, layer by layer."""
        return (stored.manifest for layer in self.layers for _, stored in ir_manifests(layer))

    def find_inputs(self, declaration: str) -> tuple[FileEntry, ...] | None:
        """Return the content that a declaration was once found to have."""
        return self._first(lambda notes: notes.inputs(declaration))

    def find_resolution(self, declared: str) -> list[Any] | None:
        """Return, as plain data, the artifacts that floating ones were once found to mean."""
        return self._first(lambda notes: notes.resolution(declared))

    def _first(self, ask: Callable[[Notes], T | None]) -> T | None:
        """Return what the notes of the topmost layer that has any say."""
        return next((found for notes in self._notes if (found := ask(notes)) is not None), None)

    def note_resolution(self, declared: str, artifacts: Sequence[object]) -> None:
        """Note what floating artifacts mean, so that no later run has to ask again."""
        with as_cache_error(self.writable.resolution(declared)):
            self._notes[0].note_resolution(declared, artifacts)

    # --- publishing directories

    @contextlib.contextmanager
    def staging(self, purpose: str) -> Iterator[Path]:
        """Give an empty directory on the writable layer's file system; it is removed afterwards."""
        layer = self.writable
        name = f"stage-{purpose}-{os.getpid()}-{os.urandom(6).hex()}"
        directory = layer.check_own(layer.partials) / name
        with as_cache_error(directory):
            directory.mkdir(parents=True)
        try:
            yield directory
        finally:
            remove_tree(directory, ignore_errors=True)

    def publish_directory(self, staged: Path, target: Path, manifest: FilesManifest | IrManifest) -> None:
        """Write the manifest, flush everything, and rename a staged directory to its final name.

        The caller holds the lock of ``target``. A target that is already there and whole stays: where locks
        do not work, another process may have been faster. One that is not whole is moved aside and removed.
        """
        layer = self.writable
        layer.check_own(target.parent)
        with as_cache_error(target):
            write_manifest(staged, manifest)
            _flush(staged)
            self._notes[0].note_manifest(manifest)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _rename(staged, target) and _whole(layer, target, type(manifest)) is None:
                with self.staging("old") as aside:
                    system.rename(target, aside / "damaged")
                    if not _rename(staged, target):
                        raise FileExistsError(errno.EEXIST, "another process is writing it", str(target))
            system.flush_directory(target.parent)
        _log.debug("published %s", target)


def _whole(layer: Layer, directory: Path, kind: type[M]) -> Stored[M] | None:
    """Return the manifest of a directory that holds all it should; None for one that does not."""
    if not layer.owns(directory / kind.FILE_NAME):
        return None
    stored = read_manifest(directory, kind)
    if stored is None or not is_whole(str(layer.root), str(directory), stored.manifest.entries):
        return None
    if isinstance(stored.manifest, FilesManifest) and (fault := fault_of(directory, stored.manifest)):
        _log.info("%s is not used: %s", directory, fault)
        return None
    return stored


def _rename(staged: Path, target: Path) -> bool:
    """Rename a directory; False where the name is taken."""
    try:
        system.rename(staged, target)
    except OSError as error:
        if error.errno in _TAKEN and (target.is_symlink() or target.exists()):
            return False
        raise
    return True


def _flush(staged: Path) -> None:
    """Flush a staged tree, but for hard links: these were flushed when they were published."""
    for directory in directories(staged):
        for entry, found in regular_files(directory):
            if found.st_nlink == 1:
                system.flush_file(Path(entry.path))
        system.flush_directory(Path(directory))


def _blob_size(layer: Layer, path: Path) -> int | None:
    """Return the size of a blob that is a file of the layer itself, None for anything else."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) and layer.owns(path.parent) else None
