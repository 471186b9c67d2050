"""Proof: a directory holds what its declaration pins, whoever made it.

The digest of a declaration names the directory, and the manifest repeats the declaration. Comparing both
needs no catalog: what a manifest states of its artifacts is either what the entry declares or it is refused.
What is in the writable layer was proven when it came in; a layer below may come from anywhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

import msgspec

from model_zoo.cache.materialise import materialise
from model_zoo.cache.notes import address_digest, alias_names
from model_zoo.errors import CacheError, ModelZooError
from model_zoo.files import exists, has_digest, hash_file, is_file
from model_zoo.schema import Artifact, Digest, FilesManifest, License, Model, Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.schema import ArtifactRecord, IrManifest, Unpack

_log = logging.getLogger(__name__)


def declaration_of(model: Model, artifacts: Sequence[Artifact]) -> str:
    """Return the digest (hex) of the declaration of a model's files, which names their directory.

    Addresses count only where no digest is declared: the same bytes from elsewhere are the same files.
    """
    declared = [
        (a.path, [str(digest) for digest in a.digests] or [str(address_digest(a))], a.unpack)
        for a in artifacts
    ]
    return _digest(declared, [msgspec.to_builtins(edit) for edit in model.replace])


def _digest(declared: Iterable[tuple[str, list[str], Unpack | None]], edits: Sequence[object]) -> str:
    artifacts = [
        {"path": path, "digests": digests, "unpack": msgspec.to_builtins(unpack) if unpack else None}
        for path, digests, unpack in sorted(declared, key=lambda one: one[0])
    ]
    return Digest.of_json({"artifacts": artifacts, "replace": edits}).hex


def fault_of(
    directory: Path, manifest: FilesManifest, blob: Callable[[str], Path | None] = lambda _: None
) -> str | None:
    """Return why a manifest of files is not one of the directory's name; None if it is.

    ``blob`` says where the blob of a sha256 is, if known, to compute its declared digests of other kinds.
    """
    if (manifest.model, manifest.declaration) != (directory.parent.name, directory.name):
        return "its manifest is that of another directory"
    declared = [(record.path, _pins(record), record.unpack) for record in manifest.artifacts]
    if _digest(declared, manifest.replace) != manifest.declaration:
        paths = ", ".join(sorted(record.path for record in manifest.artifacts))
        return f"its declaration does not pin what its manifest says of {paths}"
    faults = (_fault_of_blob(record, blob) for record in manifest.artifacts)
    return next(filter(None, faults), None) or _fault_of_files(manifest)


def _pins(record: ArtifactRecord) -> list[str]:
    """Return what an artifact's declaration consists of: its digests, or the digest of its address."""
    names = record.names or ()
    return list(record.digests or ()) or [
        name.replace("source:", "sha256:", 1) for name in names if name.startswith("source:")
    ]


def _fault_of_blob(record: ArtifactRecord, blob: Callable[[str], Path | None]) -> str | None:
    digests = record.digests or ()
    if digests and not set(record.names or ()) <= set(digests):
        return f"{record.path} has a name that its declaration does not give it"
    for digest in digests:
        algorithm, _, digits = digest.partition(":")
        found: str | None = record.sha256 if algorithm == "sha256" else None
        if found is None and (path := blob(record.sha256)) is not None:
            with contextlib.suppress(OSError):  # a missing or unreadable blob is a fault of its own
                found = hash_file(path, [algorithm])[algorithm].hex
        if found not in {None, digits}:
            return f"{record.path} does not have the {algorithm} that its declaration pins"
    return None


def _fault_of_files(manifest: FilesManifest) -> str | None:
    """Return which file is not the artifact it should be, or of no artifact; edits and trees are left out."""
    files = {entry.path: entry.sha256 for entry in manifest.files}
    edited = {str(edit.get("file")) for edit in manifest.replace}
    allowed = edited | {f"{path}.orig" for path in edited}
    for record in manifest.artifacts:
        if record.unpack is None and record.path not in edited and files.get(record.path) != record.sha256:
            return f"{record.path} is not the artifact that its declaration pins"
    if all(record.unpack is None for record in manifest.artifacts):
        extra = sorted(files.keys() - {record.path for record in manifest.artifacts} - allowed)
        return f"{extra[0]} is not of its declaration" if extra else None
    return None


def is_derived(manifest: FilesManifest) -> bool:
    """Whether some of the files are unpacked or edited, so that their bytes follow from those of blobs."""
    return bool(manifest.replace) or any(record.unpack for record in manifest.artifacts)


def fault_of_derived(
    manifest: FilesManifest, blob: Callable[[str], Path | None], staging: Path, own: Path
) -> str | None:
    """Unpack and edit once more, and return which file came out otherwise than a manifest says; else None.

    ``fault_of`` found no fault with the manifest, and the blobs' bytes are what they should be.
    """
    if not is_derived(manifest):
        return None
    records = manifest.artifacts
    files = {entry.path: entry for entry in manifest.files}
    try:
        edits = msgspec.convert(manifest.replace, tuple[Replacement, ...])
        model = Model(
            schema=1,
            name=manifest.model,
            task="",
            framework="onnx",
            license=License(),
            description="",
            artifacts=tuple(Artifact(path=record.path, unpack=record.unpack) for record in records),
            replace=tuple(edit for edit in edits if edit.file in files),  # others wait for their precision
        )
        blobs = {record.path: path for record in records if (path := blob(record.sha256)) is not None}
        if len(blobs) < len(records):
            return "a blob that it follows from is missing"
        staging.mkdir(parents=True)
        made = materialise(model, model.artifacts, blobs, staging, own)
    except (ModelZooError, ValueError) as error:
        return f"what its declaration pins cannot be materialised: {error}"
    wrong = {entry.path for entry in made} ^ files.keys()
    wrong |= {entry.path for entry in made if files.get(entry.path) != entry}
    return f"{min(wrong)} does not follow from what its declaration pins" if wrong else None


class Proofs:
    """What was found out about the bytes of a cache's lower layers, and of local files.

    ``top`` is the writable one of its ``layers``; ``staging`` gives an empty directory there.
    """

    def __init__(
        self,
        top: Layer | None,
        layers: Sequence[Layer],
        staging: Callable[[str], AbstractContextManager[Path]],
    ) -> None:
        self._top = top
        self._layers = layers
        self._staging = staging
        self._hashed: dict[tuple[Path, str], str] = {}
        self._proven: dict[str, bool] = {}

    def has(self, path: Path, sha256: str, digests: Iterable[Digest] = ()) -> bool:
        """Whether a blob has a sha256 and other digests; each is computed once."""
        wanted = {"sha256": sha256, **{digest.algorithm: digest.hex for digest in digests}}
        unknown = [algorithm for algorithm in wanted if (path, algorithm) not in self._hashed]
        with contextlib.suppress(OSError):
            for algorithm, digest in (hash_file(path, unknown) if unknown else {}).items():
                self._hashed[path, algorithm] = digest.hex
        good = all(self._hashed.get((path, algorithm)) == digits for algorithm, digits in wanted.items())
        if not good:
            _log.info("%s is not what it is stored or noted as; it is not used", path)
        return good

    def is_proven(self, directory: Path, manifest: FilesManifest | IrManifest) -> bool:
        """Whether the bytes of a directory are those that its manifest, and what it declares, fix.

        A directory of a layer below is read before its first use, and again after a change of any of its
        files' sizes, times or inodes. Where nothing can be written, this could not be remembered: sizes and
        digests as recorded count there.
        """
        root = directory.parents[2 if isinstance(manifest, FilesManifest) else 1]
        if self._top is None or root == self._top.root:
            return True
        try:
            found = [(directory / entry.path).stat() for entry in manifest.entries]
            # what changes when a file is written to or replaced
            stamps = [[one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino] for one in found]
            proof = Digest.of_json([str(directory), manifest.to_json(), stamps]).hex
            self._top.prepare()
            note = self._top.check_own(self._top.proven(proof))
            note.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, CacheError):
            return True
        if not exists(note) and not os.access(note.parent, os.W_OK):
            return True
        if proof not in self._proven:
            self._proven[proof] = exists(note) or self._prove(directory, manifest)
            if self._proven[proof]:
                with contextlib.suppress(OSError):
                    note.touch()
        return self._proven[proof]

    def _prove(self, directory: Path, manifest: FilesManifest | IrManifest) -> bool:
        """Read a directory that was made elsewhere, and the blobs that its files follow from."""
        _log.info("reading %s, which was not made here", directory)
        files = {entry.sha256: directory / entry.path for entry in manifest.entries}

        def blob(sha256: str) -> Path | None:
            stored = (layer.blob(sha256) for layer in self._layers)
            return next((path for path in stored if is_file(path) and self.has(path, sha256)), None)

        wrong = next((e.path for e in manifest.entries if not has_digest(directory / e.path, e.sha256)), None)
        if wrong is None and isinstance(manifest, FilesManifest):
            wrong = fault_of(directory, manifest, lambda sha256: files.get(sha256) or blob(sha256))
            if wrong is None and is_derived(manifest):
                with self._staging("proof") as staging:
                    wrong = fault_of_derived(manifest, blob, staging / "tree", staging)
        if wrong is not None:
            _log.info("%s is not what its manifest says and is not used: %s", directory, wrong)
        return wrong is None

    def digest_of_local(self, artifact: Artifact, path: Path, first: str) -> str | None:
        """Return the sha256 of the local file that an artifact without digests is read from; None without it.

        It is hashed only if it was written to since ``first``, its sha256 at first use, was noted.
        """
        (alias,) = alias_names(artifact)
        note = self._top.alias(*alias) if self._top is not None else None
        try:
            found = path.stat()
            if note is not None:
                with contextlib.suppress(OSError):
                    if max(found.st_mtime_ns, found.st_ctime_ns) < note.stat().st_mtime_ns:
                        return first
            now = hash_file(path)["sha256"].hex
        except OSError:
            return None
        if now == first and note is not None and self._top is not None:
            with contextlib.suppress(OSError, CacheError):
                self._top.check_own(note).touch()
        return now
