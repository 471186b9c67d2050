"""Lockfiles: exactly which bytes a set of models consists of, and which IR they became.

JSON with sorted keys and one field a line: any tool reads it, and a difference shows what moved. A catalog's
model keeps its entry's sources if their addresses are fixed, and the lockfile has the digests. If the entry
floats (a branch, a pattern), and for URIs, the lockfile has the addresses too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from model_zoo.catalog.reader import source_hook
from model_zoo.errors import IntegrityError, UsageError
from model_zoo.schema import Artifact, FileEntry, Model, Struct
from model_zoo.sources import LocatedSource
from model_zoo.text import plain_reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOCK_AGAIN = "if the change is intended, lock again with 'model-zoo lock'"


class LockedIr(Struct, frozen=True, kw_only=True):
    """One IR: its key, everything that determines the key, and the files it consists of."""

    key: str
    outputs: tuple[FileEntry, ...]
    parts: dict[str, Any]


class LockedModel(Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        artifacts: every file with its size and sha256, and with sources if the entry's may not be used.
        declared: by path, what the entry declared of each artifact when it was locked.
        replace: the entry's edits, as plain data.
        entry: for a URI, the rest of the model it meant, as plain data.
        ir: by precision.
    """

    artifacts: tuple[Artifact, ...]
    declared: dict[str, dict[str, Any]]
    replace: tuple[dict[str, Any], ...] = ()
    entry: dict[str, Any] | None = None
    ir: dict[str, LockedIr] = msgspec.field(default_factory=dict)


class LockfileContent(Struct, frozen=True, kw_only=True):
    """What the file contains: models by name, or by URI."""

    schema: Literal[1] = 1
    models: dict[str, LockedModel]


class Lockfile:
    """A lockfile as read, which requests must comply with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._models = _read(path).models

    def model(self, reference: str) -> LockedModel:
        """Return what is locked for a name or a URI.

        Raises:
            UsageError: nothing is locked for it.
        """
        found = self._models.get(reference)
        if found is None:
            what = f"{self.path} does not lock {reference}"
            hint = f"run 'model-zoo lock {reference} …' with this and all its other references"
            raise UsageError(what, found=", ".join(sorted(self._models)), hint=hint)
        return found

    def model_of_uri(self, uri: str) -> Model:
        """Return the model that a URI meant when it was locked; no server is asked.

        Raises:
            UsageError: it is not locked.
        """
        locked = self.model(uri)
        data = {**(locked.entry or {}), "artifacts": msgspec.to_builtins(locked.artifacts)}
        return msgspec.convert(data, Model, dec_hook=source_hook)

    def apply(self, model: Model, precision: str | None) -> Model:
        """Return a catalog's model with the locked digests, and the locked addresses if its own float.

        Raises:
            UsageError: the model is not locked.
            IntegrityError: the entry changed since it was locked; the message says how.
        """
        locked = self.model(model.name)
        lines = changes(model, locked, precision)
        if lines:
            what = f"{model.name}: the catalog entry differs from {self.path}"
            raise IntegrityError(what, found="; ".join(lines), left="nothing was fetched", hint=_LOCK_AGAIN)
        pinned = {artifact.path: artifact for artifact in locked.artifacts}
        artifacts = [
            msgspec.structs.replace(artifact, size=pin.size, sha256=pin.sha256)
            for artifact in model.artifacts
            if not _is_floating(artifact) and (pin := pinned.pop(artifact.path, None))
        ]
        return msgspec.structs.replace(model, artifacts=(*artifacts, *pinned.values()))


def _is_floating(artifact: Artifact) -> bool:
    """Whether a server has to be asked what the artifact means."""
    return any(isinstance(source, LocatedSource) and source.floating for source in artifact.sources)


def identity(artifact: Artifact) -> dict[str, object]:
    """Return the part of an artifact's declaration that must not change: digests, or else the addresses.

    Only the name of a local file counts: a checkout may be anywhere.
    """
    facts: dict[str, object] = {digest.algorithm: digest.hex for digest in artifact.digests}
    if not facts:
        facts["sources"] = [_address(source) for source in artifact.sources]
    if artifact.size is not None:
        facts["size"] = artifact.size
    if artifact.unpack is not None:
        facts["unpack"] = msgspec.to_builtins(artifact.unpack)
    return facts


def _address(source: object) -> dict[str, Any]:
    address: dict[str, Any] = msgspec.to_builtins(source)
    if set(address) == {"file"}:
        address["file"] = Path(address["file"]).name
    return address


def changes(model: Model, locked: LockedModel, precision: str | None) -> list[str]:
    """Return, one line each, how a catalog entry changed since it was locked.

    Args:
        model: as the catalog has it now.
        locked: as it was.
        precision: consider only the files of this one; None for all.
    """
    now = {a.path: identity(a) for a in model.files_of(precision)}
    paths = {a.path for a in model.artifacts}
    lines = [f"{path} is not in the lock" for path in now if path not in locked.declared]
    lines += [
        f"{path} is locked, but no longer in the entry" for path in locked.declared if path not in paths
    ]
    for path in sorted(now.keys() & locked.declared.keys()):
        lines += _differences(path, now[path], locked.declared[path])
    edits = {"replace": [msgspec.to_builtins(edit) for edit in model.replace]}
    return lines + _differences(model.name, edits, {"replace": list(locked.replace)})


def _differences(path: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    return [
        f"{path}: {field}: locked {_shorten(then.get(field))}, now {_shorten(now.get(field))}"
        for field in sorted({*now, *then})
        if now.get(field) != then.get(field)
    ]


def _shorten(value: object) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}…"  # noqa: PLR2004


def refuse_other_parts(name: str, lines: Sequence[str]) -> None:
    """Refuse a conversion that would not reproduce the locked IR.

    Args:
        name: the model.
        lines: how its inputs differ from the locked ones.

    Raises:
        IntegrityError: they differ.
    """
    if lines:
        what = f"{name}: converting it now would not reproduce the locked IR"
        hint = f"use the locked versions and recipe; {_LOCK_AGAIN}"
        raise IntegrityError(what, found="; ".join(lines), left="nothing was published", hint=hint)


def refuse_other_outputs(name: str, outputs: Sequence[FileEntry], locked: LockedIr) -> None:
    """Refuse an IR whose files are not the locked ones.

    Raises:
        IntegrityError: names the first file that differs.
    """
    made = {entry.path: entry.sha256 for entry in outputs}
    for entry in locked.outputs:
        if made.get(entry.path) != entry.sha256:
            raise IntegrityError(
                f"{name}: {entry.path} of the IR differs from the locked one",
                expected=f"sha256 {entry.sha256}",
                found=f"sha256 {made.get(entry.path)}",
                left="nothing was published",
                hint=f"equal inputs should give equal bytes; {_LOCK_AGAIN}",
            )


def lockfile_text(models: Mapping[str, LockedModel]) -> str:
    """Return the text of a lockfile, always the same for the same models."""
    data = msgspec.to_builtins(LockfileContent(models=dict(models)))
    data["schema"] = 1  # a default, which the struct would leave out
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> LockfileContent:
    try:
        return msgspec.convert(json.loads(path.read_text("utf-8")), LockfileContent, dec_hook=source_hook)
    except OSError as error:
        what = f"cannot read the lockfile {path}: {error.strerror}"
        raise UsageError(what, hint="write one with 'model-zoo lock REF…'") from error
    except (ValueError, RecursionError) as error:
        is_json = isinstance(error, msgspec.ValidationError)
        what = f"{path} is not a lockfile: {plain_reason(error) if is_json else 'not JSON'}"
        raise UsageError(what, hint="write a new one with 'model-zoo lock REF…'") from error
