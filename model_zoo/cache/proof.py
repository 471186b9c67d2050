"""Proof: a directory holds what its declaration pins, whoever made it.

The digest of a declaration names the directory, and the manifest repeats the declaration. Comparing both
needs no catalog: what a manifest states of its artifacts is either what the entry declares or it is refused.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from model_zoo.cache.materialise import materialise
from model_zoo.cache.notes import address_digest
from model_zoo.errors import ModelZooError
from model_zoo.files import hash_file
from model_zoo.schema import Artifact, Digest, FilesManifest, Model, Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from model_zoo.schema import ArtifactRecord, Unpack


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

    Args:
        manifest: one that ``fault_of`` finds no fault with.
        blob: where the blob of a sha256 is; their bytes are what they should be.
        staging: a new directory to work in.
        own: the root of the writable layer.
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
            license="",
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
