"""Notes: an index of the manifests, one small file each, so that a look-up need not read every manifest.

A note says one fact, as ``Layer`` lists them. Nothing here is the only copy of anything: where notes are
missing or damaged they are derived again from the manifests, in memory for a read-only layer, and on disk for
a writable one. Beside them are marks of the last use, and remarks on where a blob was adopted from.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.cache.layout import NOTES
from model_zoo.cache.manifest import M, Stored, read_manifest
from model_zoo.errors import CacheError
from model_zoo.files import exists, is_file, make_directory, read_sealed, sealed_json, write_file
from model_zoo.files.lock import lock
from model_zoo.files.read import UNREADABLE, read_bounded
from model_zoo.files.tree import directory_names, regular_files
from model_zoo.schema import Digest, FileEntry, FilesManifest, IrManifest, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.schema import Artifact

_log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"(sha384|sha512|source):([0-9a-f]{64,128})")
_Inputs = tuple[FileEntry, ...]


def alias_names(artifact: Artifact) -> list[tuple[str, str]]:
    """Return the names, other than its sha256, that an artifact's blob is noted under: ``(kind, hex)``."""
    if not artifact.digests:
        return [("source", address_digest(artifact).hex)]
    return [(digest.algorithm, digest.hex) for digest in artifact.digests if digest.algorithm != "sha256"]


def address_digest(artifact: Artifact) -> Digest:
    """Return the digest of where an undigested artifact comes from: its identity until it is locked."""
    return Digest.of_json([msgspec.to_builtins(source) for source in artifact.sources])


@dataclass
class Derived:
    """All notes that follow from a set of manifests; two of them may have resolved the same differently."""

    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: dict[str, dict[str, float]] = field(default_factory=dict)
    inputs: dict[str, _Inputs] = field(default_factory=dict)
    resolutions: dict[str, list[list[Any]]] = field(default_factory=dict)

    def add_files(self, manifest: FilesManifest) -> None:
        """Add what the manifest of a model's files says."""
        for artifact in manifest.artifacts:
            for name in artifact.names or artifact.digests or ():
                match = _NAME.fullmatch(name)
                if match and _is_sha256(artifact.sha256):
                    self.aliases[match[1], match[2]] = artifact.sha256
        self._add_inputs(manifest.declaration, manifest.files)
        self._add_resolution(manifest.resolution)

    def add_ir(self, key: str, manifest: IrManifest, published: float) -> None:
        """Add what the manifest of an IR says; ``published`` is in seconds since 1970."""
        if _is_sha256(manifest.request):
            self.requests.setdefault(str(manifest.request), {})[key] = published
        self._add_inputs(manifest.declaration, manifest.inputs)
        self._add_resolution(manifest.resolution)

    def _add_resolution(self, resolution: Resolution | None) -> None:
        if resolution is not None and _is_sha256(resolution.of):
            self.resolutions.setdefault(resolution.of, []).append(list(resolution.artifacts))

    def _add_inputs(self, declaration: str | None, entries: _Inputs) -> None:
        if _is_sha256(declaration) and entries:
            self.inputs.setdefault(str(declaration), entries)


class Notes:
    """The notes of one layer; derived ones are written down where that layer is ``writable``.

    What writes raises OSError where the layer cannot be written, CacheDamagedError where a symlink is in
    the way.
    """

    def __init__(self, layer: Layer, *, writable: bool = False) -> None:
        self.layer = layer
        self.writable = writable
        self._derived: Derived | None = None

    # --- reading

    def alias(self, kind: str, digest: str) -> str | None:
        """Return the sha256 that another name of a blob stands for."""
        path = self.layer.alias(kind, digest)
        if (sha256 := read_alias(path)) is not None:
            return sha256
        derived = self._derive("aliases", damaged=is_file(path))
        return derived.aliases.get((kind, digest)) if derived else None

    def requested(self, request: str) -> dict[str, float]:
        """Return the keys of the IRs that answer a request, with the times they were published."""
        found: dict[str, float] = {}
        with contextlib.suppress(OSError), os.scandir(self.layer.request(request)) as entries:
            found = {e.name: e.stat(follow_symlinks=False).st_mtime for e in entries if e.name[0] != "."}
        if not found and (derived := self._derive("requests")):
            return derived.requests.get(request, {})
        return found

    def inputs(self, declaration: str) -> _Inputs | None:
        """Return the content that a declaration was found to have."""
        path = self.layer.inputs(declaration)
        if (stored := read_sealed(path, _Inputs)) is not None:
            return stored
        derived = self._derive("inputs", damaged=is_file(path))
        return derived.inputs.get(declaration) if derived else None

    def resolution(self, declared: str) -> list[Any] | None:
        """Return, as plain data, the artifacts that floating ones were found to mean."""
        path = self.layer.resolution(declared)
        if (stored := read_sealed(path, list[Any])) is not None:
            return stored
        derived = self._derive("resolutions", damaged=is_file(path))
        return derived.resolutions.get(declared, [None])[0] if derived else None

    def adopted(self, sha256: str) -> str | None:
        """Return where a blob was adopted from, if it was."""
        with contextlib.suppress(OSError):
            return self.layer.adopted(sha256).read_text(encoding="utf-8", errors="replace")
        return None

    # --- writing

    def note_alias(self, kind: str, digest: str, sha256: str) -> None:
        """Note another name of a blob."""
        self._write(self.layer.alias(kind, digest), f"{sha256}\n".encode("ascii"))

    def note_request(self, request: str, key: str, made: float | None = None) -> None:
        """Note that the IR with ``key`` answers ``request``."""
        path = self.layer.check_own(self.layer.request(request) / key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if made is not None:
            os.utime(path, (made, made))

    def note_inputs(self, declaration: str, entries: _Inputs) -> None:
        """Note the content of a declaration."""
        self._write(self.layer.inputs(declaration), sealed_json(entries))

    def note_resolution(self, declared: str, artifacts: Sequence[object]) -> None:
        """Note what floating artifacts were found to mean."""
        self._write(self.layer.resolution(declared), sealed_json(artifacts))

    def note_adopted(self, sha256: str, origin: str) -> None:
        """Note where a blob was adopted from, if that can be written."""
        with contextlib.suppress(OSError, CacheError):
            self._write(self.layer.adopted(sha256), origin.encode("utf-8", "replace"))

    def note_manifest(self, manifest: FilesManifest | IrManifest) -> None:
        """Note all that a manifest about to be published says.

        Before and not after publishing: a note of something that was never published does no harm, something
        published that is not found does.
        """
        derived = Derived()
        if isinstance(manifest, IrManifest):
            derived.add_ir(manifest.key, manifest, time.time())
        else:
            derived.add_files(manifest)
        self.write_all(derived)

    def _write(self, path: Path, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if path.read_bytes() == data and not path.is_symlink():
                return
        self.layer.check_own(path.parent).mkdir(parents=True, exist_ok=True)
        write_file(path, data, durable=False)

    def write_all(self, derived: Derived) -> None:
        """Write notes that are not there yet."""
        for (kind, digest), sha256 in derived.aliases.items():
            self.note_alias(kind, digest, sha256)
        for request, keys in derived.requests.items():
            for key, made in keys.items():
                self.note_request(request, key, made)
        for declaration, entries in derived.inputs.items():
            self.note_inputs(declaration, entries)
        for declared, alternatives in derived.resolutions.items():
            self.note_resolution(declared, alternatives[0])

    # --- deriving

    def derive(self) -> Derived:
        """Read every manifest of the layer and return the notes they stand for."""
        derived = Derived()
        for _, stored in files_manifests(self.layer):
            derived.add_files(stored.manifest)
        for directory, ir in ir_manifests(self.layer):
            derived.add_ir(directory.name, ir.manifest, ir.published)
        return derived

    def write(self, derived: Derived) -> None:
        """Write all notes of the layer, with the marks that they are complete.

        CacheError where that is not possible, or another process is doing it.
        """
        with lock(self.layer.check_own(self.layer.locks) / "state.lock", timeout=0):
            try:
                self.write_all(derived)
                write_twins(self.layer)
                for mark in map(self.layer.complete, NOTES):
                    make_directory(mark.parent)
                    mark.touch()
            except OSError as error:
                what = f"cannot write the notes in {self.layer.state}: {error.strerror}"
                raise CacheError(what, hint="check the disk and the path") from error

    def _derive(self, notes: str, *, damaged: bool = False) -> Derived | None:
        """Return derived notes where those on disk are damaged or not known to be complete."""
        if not (exists(self.layer.models) or exists(self.layer.irs)):
            return None
        if self._derived is None and (damaged or not exists(self.layer.complete(notes))):
            _log.debug("deriving the notes of %s from its manifests", self.layer.root)
            self._derived = self.derive()
            if self.writable:
                with contextlib.suppress(CacheError):
                    self.write(self._derived)
        return self._derived


def write_twins(layer: Layer) -> None:
    """Give every pin its twin where the directory of these is gone; OSError where that cannot be written.

    Where it is there, a pin without a twin is a fault, and a twin without a pin stands for a lost one.
    """
    pins = [] if exists(layer.pin_twins) else [entry.name for entry, _ in regular_files(layer.pins)]
    for name in pins:
        path = layer.check_own(layer.pin_twins) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def files_manifests(layer: Layer) -> Iterator[tuple[Path, Stored[FilesManifest]]]:
    """Yield the directory and the manifest of every model's files."""
    for model in directory_names(layer.models):
        yield from _manifests(layer.models / model, FilesManifest)


def ir_manifests(layer: Layer) -> Iterator[tuple[Path, Stored[IrManifest]]]:
    """Yield the directory and the manifest of every IR."""
    return _manifests(layer.irs, IrManifest)


def _manifests(root: Path, kind: type[M]) -> Iterator[tuple[Path, Stored[M]]]:
    for name in directory_names(root):
        if (stored := read_manifest(root / name, kind)) is not None:
            yield root / name, stored


def read_alias(path: Path) -> str | None:
    """Return the sha256 that the note of an alias says; None where it is missing or damaged."""
    try:
        text = read_bounded(path)[0].decode("ascii").removesuffix("\n")
    except UNREADABLE:
        return None
    return text if _is_sha256(text) else None


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
