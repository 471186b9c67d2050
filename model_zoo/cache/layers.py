"""Look things up through the layers, publish them into the top one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.cache.layout import Layer
from model_zoo.errors import CacheReadOnlyError
from model_zoo.files import as_cache_error, fsync_file, fsync_folder, set_mode, write_file
from model_zoo.spec import MANIFEST_NAME, Digest, FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from model_zoo.spec import Artifact, Model

READ_ONLY = 0o444
IR_MANIFEST = "manifest.json"


class Cache:
    """One writable layer on top, or none, and any number of read-only ones below.

    A look-up writes nothing, locks nothing and hashes nothing: a published name is whole by
    construction, and sizes are compared with the manifest. ``verify`` is what re-hashes.
    """

    def __init__(self, top: Path | None, below: Sequence[Path] = ()) -> None:
        self.top = Layer(top.absolute()) if top is not None else None
        self.below = tuple(Layer(root.absolute()) for root in below)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers in the order of look-up."""
        return ((self.top,) if self.top else ()) + self.below

    @property
    def writable(self) -> Layer:
        """The top layer, prepared for writing.

        Raises:
            CacheError: there is none, or it cannot be written.
        """
        if self.top is None:
            what = "there is no writable cache layer, and something would have to be written"
            raise CacheReadOnlyError(what, hint="set MODEL_ZOO_CACHE or pass --cache DIR")
        self.top.prepare()
        return self.top

    # --- blobs

    def find_blob(self, artifact: Artifact) -> Path | None:
        """Return the blob of an artifact, by its digest or by what was noted on its arrival."""
        sha256 = self.sha256_of(artifact)
        for layer in self.layers if sha256 else ():
            path = layer.blob(str(sha256))
            size = _file_size(path)
            if size is not None and artifact.size in {None, size}:
                return path
        return None

    def sha256_of(self, artifact: Artifact) -> str | None:
        """Return the sha256 an artifact has: declared, or noted when it arrived."""
        if artifact.sha256:
            return artifact.sha256
        for kind, digest in alias_names(artifact):
            for layer in self.layers:
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    text = layer.alias(kind, digest).read_text(encoding="ascii").strip()
                    if len(text) == 64:  # noqa: PLR2004 - hex digits of sha256
                        return text
        return None

    def publish_blob(self, staged: Path, sha256: str, artifact: Artifact) -> Path:
        """Move verified, flushed bytes into the writable layer and note what else they are known as.

        Raises:
            CacheError: the layer cannot be written; ``staged`` is left where it is.
        """
        layer = self.writable
        target = layer.blob(sha256)
        with as_cache_error(target, left="the verified partial is kept"):
            target.parent.mkdir(parents=True, exist_ok=True)
            set_mode(staged, READ_ONLY)
            staged.replace(target)
            fsync_folder(target.parent)
        self.note_aliases(artifact, sha256)
        return target

    def note_aliases(self, artifact: Artifact, sha256: str) -> None:
        """Note under which other digests, or which address, the blob is looked up."""
        for kind, digest in alias_names(artifact):
            path = self.writable.alias(kind, digest)
            with as_cache_error(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, f"{sha256}\n".encode("ascii"))

    # --- materialised folders

    def find_files(self, model: str, digest: str) -> tuple[Path, dict[str, Any]] | None:
        """Return the folder of a model's files and its manifest, if it is whole in some layer."""
        for layer in self.layers:
            folder = layer.files(model, digest)
            manifest = read_manifest(folder / MANIFEST_NAME)
            if manifest is not None and _is_whole(folder, manifest.get("files", [])):
                return folder, manifest
        return None

    # --- IRs

    def find_ir(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Return the folder of an IR and its manifest, if it is whole in some layer."""
        for layer in self.layers:
            folder = layer.ir(key)
            manifest = read_manifest(folder / IR_MANIFEST)
            if manifest is not None and _is_whole(folder, manifest.get("outputs", [])):
                return folder, manifest
        return None

    def find_requested(self, request: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return every IR that answers a request, whatever versions of the tools made it; newest last."""
        keys: list[tuple[float, str]] = []
        for layer in self.layers:
            with contextlib.suppress(OSError), os.scandir(layer.request(request)) as entries:
                keys += [(entry.stat().st_mtime, entry.name) for entry in entries]
        found = (self.find_ir(key) for _, key in sorted(set(keys)))
        return [ir for ir in found if ir is not None]

    def find_irs_of(self, model: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return every whole IR made from a model of that name; walks all manifests."""
        found = []
        for layer in self.layers:
            with contextlib.suppress(OSError):
                for folder in sorted((layer.root / "ir-v1").iterdir()):
                    manifest = read_manifest(folder / IR_MANIFEST)
                    if manifest is not None and manifest.get("model") == model:
                        found.append((folder, manifest))
        return found

    def note_request(self, request: str, key: str) -> None:
        """Note that the IR with ``key`` answers ``request``."""
        path = self.writable.request(request) / key
        with as_cache_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def find_inputs(self, declaration: str) -> tuple[FileEntry, ...] | None:
        """Return the content that a declaration was once found to have."""
        for layer in self.layers:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                return msgspec.json.decode(layer.inputs(declaration).read_bytes(), type=tuple[FileEntry, ...])
        return None

    def note_inputs(self, declaration: str, entries: Sequence[FileEntry]) -> None:
        """Note the content of a declaration, so that its IR is found where its files are not."""
        path = self.writable.inputs(declaration)
        with as_cache_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, msgspec.json.encode(list(entries)))

    # --- publishing folders

    @contextlib.contextmanager
    def staging(self, purpose: str) -> Iterator[Path]:
        """Give an empty folder on the writable layer's file system; what is left in it is removed.

        Raises:
            CacheError: it cannot be created.
        """
        root = self.writable.partials
        folder = root / f"stage-{purpose}-{os.getpid()}-{os.urandom(6).hex()}"
        with as_cache_error(folder):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish_folder(self, staged: Path, target: Path, manifest: Mapping[str, Any], name: str) -> None:
        """Write the manifest, flush everything, and rename a staged folder to its final name.

        The caller holds the lock of ``target``. A folder already there is not whole (it was looked up
        before), so it is moved aside and removed.

        Raises:
            CacheError: the layer cannot be written.
        """
        with as_cache_error(target):
            write_file(staged / name, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
            set_mode(staged / name, READ_ONLY)
            for folder, _, files in os.walk(staged):
                here = staged / folder
                for file in files:
                    if not (here / file).is_symlink():
                        fsync_file(here / file)
                fsync_folder(here)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() or target.is_symlink():
                with self.staging("old") as aside:
                    target.rename(aside / "damaged")
            staged.rename(target)
            fsync_folder(target.parent)


def alias_names(artifact: Artifact) -> list[tuple[str, str]]:
    """Return the names, beside sha256, that an artifact's blob is noted under: ``(kind, hex)``."""
    names: list[tuple[str, str]] = [(d.algorithm, d.hex) for d in artifact.digests if d.algorithm != "sha256"]
    if not artifact.digests:
        names.append(("source", address_digest(artifact).hex))
    return names


def address_digest(artifact: Artifact) -> Digest:
    """Return the digest of where an undigested artifact comes from: its identity until it is locked."""
    return Digest.of_json([msgspec.to_builtins(source) for source in artifact.sources])


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return a manifest, or None where it is absent or not one."""
    try:
        data = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return data if isinstance(data, dict) else None


def _is_whole(folder: Path, entries: Sequence[Mapping[str, Any]]) -> bool:
    return bool(entries) and all(_file_size(folder / e["path"]) == e["size"] for e in entries)


def _file_size(path: Path) -> int | None:
    """Return the size of a regular file (following links), None for anything else."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def declaration_of(model: Model, artifacts: Sequence[Artifact]) -> str:
    """Return the digest (hex) of what a model declares its files to be, which names their folder.

    Addresses count only where no digest is declared: the same bytes from elsewhere are the same files.
    """
    declared = [
        {
            "path": artifact.path,
            "digests": [str(digest) for digest in artifact.digests] or [str(address_digest(artifact))],
            "unpack": msgspec.to_builtins(artifact.unpack) if artifact.unpack else None,
        }
        for artifact in sorted(artifacts, key=lambda artifact: artifact.path)
    ]
    edits = [msgspec.to_builtins(edit) for edit in model.replace]
    return Digest.of_json({"artifacts": declared, "replace": edits}).hex
