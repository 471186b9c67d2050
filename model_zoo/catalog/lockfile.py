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

from model_zoo.errors import IntegrityError, UsageError
from model_zoo.schema import Artifact, FileEntry, Model, Struct, check_unique_paths
from model_zoo.schema.base import Sha256
from model_zoo.sources import floating_sources, source_hook
from model_zoo.text import brief, plain_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

_FACTS = ("size", "sha256", "sha384", "sha512")
LOCK_AGAIN = "if the change is intended, lock again with 'model-zoo lock'"


class LockedIr(Struct, frozen=True, kw_only=True):
    """One IR: its key, everything that determines the key, and the files it consists of."""

    key: Sha256
    outputs: tuple[FileEntry, ...]
    parts: dict[str, Any]

    def __post_init__(self) -> None:
        """Check the parts that are read before the IR is made again."""
        msgspec.convert(self.parts.get("inputs"), tuple[tuple[str, Sha256], ...])
        msgspec.convert(self.parts.get("versions"), dict[str, str | None])


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

    def __post_init__(self) -> None:
        """Check that no file is locked twice."""
        check_unique_paths([artifact.path for artifact in self.artifacts if artifact.path != "."])


class LockfileContent(Struct, frozen=True, kw_only=True):
    """What the file contains: models by name, or by URI."""

    schema: Literal[1] = 1
    models: dict[str, LockedModel]


class Lockfile:
    """A lockfile as read, which requests must comply with.

    What it does not lock is a UsageError, what it contradicts an IntegrityError that says where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._models = _read(path).models

    def model(self, reference: str) -> LockedModel:
        """Return what is locked for a name or a URI."""
        found = self._models.get(reference)
        if found is None:
            what = f"{self.path} does not lock {reference}"
            hint = f"run 'model-zoo lock {reference} …' with this and all its other references"
            raise UsageError(what, found=", ".join(sorted(self._models)), hint=hint)
        for artifact in found.artifacts:
            if artifact.sha256 is None:
                what = f"{self.path} locks {artifact.path} of {reference} without a sha256"
                raise IntegrityError(what, left="nothing was fetched", hint=LOCK_AGAIN)
        return found

    def model_of_uri(self, uri: str) -> Model:
        """Return the model that a URI meant when it was locked; no server is asked."""
        locked = self.model(uri)
        data = {**(locked.entry or {}), "artifacts": msgspec.to_builtins(locked.artifacts)}
        try:
            return msgspec.convert(data, Model, dec_hook=source_hook)
        except (ValueError, RecursionError) as error:
            what = f"{self.path}: what it locks for {uri} is not a model: {error}"
            raise UsageError(what, hint=LOCK_AGAIN) from error

    def apply(self, model: Model, precision: str | None) -> Model:
        """Return a catalog's model with what the lock adds: digests, and the addresses of what floats."""
        locked = self.model(model.name)
        lines = changes(model, locked, precision)
        pins = {artifact.path: artifact for artifact in locked.artifacts}
        names = {artifact.path for artifact in model.artifacts}
        needed = {artifact.path for artifact in model.files_of(precision)}
        artifacts: list[Artifact] = []
        for declared in model.artifacts:
            several = any(source.several for source in declared.sources)
            below = "" if declared.path == "." else f"{declared.path}/"
            found = [p for p in pins if several and p not in names and p.startswith(below)]
            ours = [p for p in pins if p == declared.path or p in found]
            if not ours and declared.path in needed:
                lines.append(f"{declared.path} is not in the lock")
            for path in ours:
                pin = pins.pop(path)
                artifacts.append(_pinned(declared, pin))
                lines += _contradictions(declared, pin)
        lines += [f"{path} is locked, but not in the entry" for path in pins]
        if lines:
            what = f"{model.name}: the catalog entry differs from {self.path}"
            differing = "; ".join(dict.fromkeys(lines))
            raise IntegrityError(what, found=differing, left="nothing was fetched", hint=LOCK_AGAIN)
        return msgspec.structs.replace(model, artifacts=tuple(artifacts))


def _pinned(declared: Artifact, pin: Artifact) -> Artifact:
    """Return an artifact as declared, with what the lock says where the declaration says nothing."""
    added = {
        name: ours if (ours := getattr(declared, name)) is not None else getattr(pin, name) for name in _FACTS
    }
    sources = pin.sources if floating_sources(declared) else declared.sources
    return msgspec.structs.replace(declared, path=pin.path, sources=sources, **added)


def _contradictions(declared: Artifact, pin: Artifact) -> list[str]:
    """Return, one line each, what the lock and the entry both say of a file, differently."""
    pairs = ((name, getattr(declared, name), getattr(pin, name)) for name in (*_FACTS, "unpack"))
    return [
        f"{pin.path}: {name}: locked {brief(msgspec.to_builtins(theirs))}, "
        f"in the entry {brief(msgspec.to_builtins(ours))}"
        for name, ours, theirs in pairs
        if theirs not in {None, ours} and (ours is not None or name == "unpack")
    ]


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

    Only the files of ``precision`` count, if one is given.
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
        f"{path}: {field}: locked {brief(then.get(field))}, now {brief(now.get(field))}"
        for field in sorted({*now, *then})
        if now.get(field) != then.get(field)
    ]


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
