"""Lockfile files: exactly which bytes a set of models consists of, and which IR they became.

JSON with sorted keys and one field a line: any tool reads it, and a difference shows what moved. A catalog's
model keeps its entry's sources where the addresses stay; the lock says the digests. Where the entry floats
(a branch, a pattern), and for URIs, the lock says the addresses too.
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_NAME = "model-zoo.lock"
_AGAIN = "if the change is meant, lock again with 'model-zoo lock'"


class LockedIr(Struct, frozen=True, kw_only=True):
    """One IR: its key, everything that determines the key, and the files it consists of."""

    key: str
    outputs: tuple[FileEntry, ...]
    parts: dict[str, Any]


class LockedModel(Struct, frozen=True, kw_only=True):
    """One model.

    Attributes:
        artifacts: every file with its size and sha256; with sources where the entry's may not be used.
        declared: by path, what the entry said of each artifact when it was locked.
        replace: the entry's edits, as plain data.
        entry: for a URI, the rest of the model it stood for, as plain data.
        ir: by precision.
    """

    artifacts: tuple[Artifact, ...]
    declared: dict[str, dict[str, Any]]
    replace: tuple[dict[str, Any], ...] = ()
    entry: dict[str, Any] | None = None
    ir: dict[str, LockedIr] = msgspec.field(default_factory=dict)


class LockfileContent(Struct, frozen=True, kw_only=True):
    """A lock: models by name, or by URI."""

    schema: Literal[1] = 1
    models: dict[str, LockedModel]


class Lockfile:
    """A lock file as read, to hold requests to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._models = _read(path).models

    def model(self, reference: str) -> LockedModel:
        """Return what is locked for a name or a URI.

        Raises:
            UsageError: nothing is.
        """
        found = self._models.get(reference)
        if found is None:
            what = f"{self.path} does not lock {reference}"
            hint = f"add it with 'model-zoo lock {reference} …' and all other references of that lock"
            raise UsageError(what, found=", ".join(sorted(self._models)), hint=hint)
        return found

    def model_of_uri(self, uri: str) -> Model:
        """Return the model a URI stood for when it was locked; no place is asked.

        Raises:
            UsageError: it is not locked.
        """
        locked = self.model(uri)
        return model_from_lock({**(locked.entry or {}), "artifacts": msgspec.to_builtins(locked.artifacts)})

    def hold(self, model: Model, precision: str | None) -> Model:
        """Return a catalog's model with the locked digests, and the locked addresses where its own float.

        Raises:
            UsageError: the model is not locked.
            IntegrityError: the entry says something else than when it was locked; the message says what.
        """
        locked = self.model(model.name)
        lines = drift(model, locked, precision)
        if lines:
            what = f"{model.name}: the catalog entry is not what {self.path} locks"
            raise IntegrityError(what, found="; ".join(lines), left="nothing was fetched", hint=_AGAIN)
        files = {artifact.path: artifact for artifact in locked.artifacts}
        plain = [a for a in model.artifacts if not floats(a) and a.path in files]
        kept = [
            msgspec.structs.replace(a, size=files[a.path].size, sha256=files[a.path].sha256) for a in plain
        ]
        taken = {artifact.path for artifact in plain}
        added = [artifact for path, artifact in files.items() if path not in taken]
        return msgspec.structs.replace(model, artifacts=(*kept, *added))


def model_from_lock(data: Mapping[str, Any]) -> Model:
    """Build a model from a lock's plain data."""
    return msgspec.convert(data, Model, dec_hook=source_hook)


def floats(artifact: Artifact) -> bool:
    """Whether a place has to be asked what the artifact means."""
    return any(isinstance(source, LocatedSource) and source.floating for source in artifact.sources)


def identity(artifact: Artifact) -> dict[str, Any]:
    """Return what must not change of an artifact's declaration: digests, or else the addresses.

    Of a local file only the name counts: a checkout may lie anywhere.
    """
    facts: dict[str, Any] = {digest.algorithm: digest.hex for digest in artifact.digests}
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


def drift(model: Model, locked: LockedModel, precision: str | None) -> list[str]:
    """Say, one line each, what a catalog entry declares differently from when it was locked.

    Args:
        model: as the catalog has it now.
        locked: as it was.
        precision: only the files of this one count; None for all.
    """
    now = {a.path: identity(a) for a in model.files_of(precision)}
    every = {a.path for a in model.artifacts}
    lines = [f"{path} is not in the lock" for path in now if path not in locked.declared]
    lines += [
        f"{path} is locked, and not in the entry any more" for path in locked.declared if path not in every
    ]
    for path in sorted(now.keys() & locked.declared.keys()):
        lines += _differences(path, now[path], locked.declared[path])
    edits = {"replace": [msgspec.to_builtins(edit) for edit in model.replace]}
    return lines + _differences(model.name, edits, {"replace": list(locked.replace)})


def _differences(path: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    return [
        f"{path}: {field}: locked {_brief(then.get(field))}, now {_brief(now.get(field))}"
        for field in sorted({*now, *then})
        if now.get(field) != then.get(field)
    ]


def _brief(value: object) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}…"  # noqa: PLR2004


def refuse_other_parts(name: str, lines: Sequence[str]) -> None:
    """Refuse a conversion whose ingredients are not the locked ones.

    Raises:
        IntegrityError: there are such lines.
    """
    if lines:
        what = f"{name}: converting it now would not make the IR that the lock has"
        hint = f"use the locked versions and recipe; {_AGAIN}"
        raise IntegrityError(what, found="; ".join(lines), left="nothing was published", hint=hint)


def refuse_other_outputs(name: str, outputs: Sequence[Mapping[str, Any]], locked: LockedIr) -> None:
    """Refuse an IR whose files are not the locked ones.

    Raises:
        IntegrityError: names the first file that differs.
    """
    made = {entry["path"]: entry["sha256"] for entry in outputs}
    for entry in locked.outputs:
        if made.get(entry.path) != entry.sha256:
            raise IntegrityError(
                f"{name}: {entry.path} of the IR is not the locked one",
                expected=f"sha256 {entry.sha256}",
                found=f"sha256 {made.get(entry.path)}",
                left="nothing was published",
                hint=f"the same parts should make the same bytes; {_AGAIN}",
            )


def lockfile_text(models: Mapping[str, LockedModel]) -> str:
    """Return the text of a lock file: always the same for the same models."""
    data = msgspec.to_builtins(LockfileContent(models=dict(models)))
    data["schema"] = 1  # a default, which the struct would leave out
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> LockfileContent:
    try:
        return msgspec.convert(json.loads(path.read_text("utf-8")), LockfileContent, dec_hook=source_hook)
    except OSError as error:
        what = f"the lock {path} cannot be read: {error.strerror}"
        raise UsageError(what, hint="write one with 'model-zoo lock REF…'") from error
    except (ValueError, RecursionError) as error:
        what = f"{path} is not a lock file: {error}"
        raise UsageError(what, hint="write it anew with 'model-zoo lock REF…'") from error
