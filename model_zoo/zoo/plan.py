"""Requests, and the plans they come to: decided once, by look-ups alone, before anything is done.

What only looks (``info``, ``path``, ``why``, ``list --cached``) reads a plan; what does, carries one out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_zoo.catalog.lockfile import LockedModel
    from model_zoo.conversion.stacks import Stack
    from model_zoo.events import Progress
    from model_zoo.schema import (
        Artifact,
        ConvertedModel,
        FetchedModel,
        FileEntry,
        IrManifest,
        KeyParts,
        Model,
    )


class ConvertOptions(TypedDict, total=False):
    """The keywords that ``convert``, ``read`` and ``load`` share.

    precision: instead of the reference's; default: the first the model offers.
    offline: open no socket; default: as the zoo was made.
    progress: called with an ``Event`` for everything that happens.
    trust_code: let the recipe run Python code that is not ours.
    python: another interpreter to convert in.
    calibration: data for quantisation: a directory of images, ``.npy``, ``.npz``, or ``random``.
    isolate: convert in an environment built once for the model's framework; default: ``MODEL_ZOO_ISOLATE``.
        ``python`` wins.
    """

    precision: str | None
    offline: bool | None
    progress: Progress
    trust_code: bool
    python: str | None
    calibration: str | Path | None
    isolate: bool | None


@dataclass(frozen=True)
class Request:
    """One model in one precision; ``precision`` is None where all of its files are meant.

    Attributes:
        adopt_from: directories whose files are taken, after a check, before anything is transferred.
        reference: what to type for this model, where that is not its name.
        resolution: where some artifacts float: the digest their meaning is noted under, and that meaning.
        locked: what the lock file says of it, if there is one.
    """

    model: Model
    precision: str | None = None
    adopt_from: tuple[Path, ...] = ()
    reference: str | None = None
    resolution: tuple[str, tuple[Artifact, ...]] | None = None
    locked: LockedModel | None = None

    @property
    def name(self) -> str:
        """What to type for this model."""
        return self.reference or self.model.name

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts this needs."""
        return self.model.files_of(self.precision)


def single(request: Request) -> Request:
    """Return a request of one model.

    Raises:
        UsageError: it is for a composite.
    """
    if request.model.stages:
        what = f"{request.model.name} consists of several models"
        raise UsageError(what, hint=f"name one of its stages: {', '.join(request.model.stages)}")
    return request


@dataclass(frozen=True)
class Conversion:
    """How to convert, beyond the model's own recipe; the fields are those of ``ConvertOptions``."""

    trust_code: bool = False
    python: str | None = None
    calibration: str | Path | None = None
    isolate: bool | None = None


@dataclass(frozen=True)
class FilesPlan:
    """Where a model's files are, or would be.

    Attributes:
        request: as asked, with addresses in place of what floats where they are known.
        key: what their directory is stored under; None where a source was never asked what it means.
        cached: the files, if all of them are in the cache.
    """

    request: Request
    key: str | None = None
    cached: FetchedModel | None = None


@dataclass(frozen=True)
class Tools:
    """What a conversion would run with.

    Attributes:
        versions: of the packages it uses; None for one that is not installed.
        stack: the packages of its environment; None where it runs in an interpreter that is there.
        is_built: whether that environment is there; until then ``versions`` are those the stack pins.
    """

    versions: Mapping[str, str | None]
    stack: Stack | None = None
    is_built: bool = False


@dataclass(frozen=True)
class Plan:
    """One conversion: what goes in, with which tools, under which key, and whether its IR is there already.

    Attributes:
        request: as asked, with its precision named and addresses in place of what floats where known.
        conversion: how to convert.
        tools: what it runs with.
        inputs: the model's files after unpacking and edits; None where only fetching can tell.
        parts: everything that determines the IR; None like ``inputs``.
        key: the IR key, the digest of ``parts``; None like ``inputs``.
        cached: the IR, if it is in the cache.
    """

    request: Request
    conversion: Conversion
    tools: Tools
    inputs: tuple[FileEntry, ...] | None = None
    parts: KeyParts | None = None
    key: str | None = None
    cached: ConvertedModel | None = None

    @property
    def precision(self) -> str:
        """The precision to convert to."""
        return str(self.request.precision)

    @property
    def label(self) -> str:
        """What messages call it: ``name@FP16``."""
        return f"{self.request.model.name}@{self.precision}"

    def with_inputs(self, inputs: Sequence[FileEntry], tools: Tools | None = None) -> Plan:
        """Return the plan completed: with its key, and nothing looked up under it yet.

        Raises:
            UsageError: the calibration data does not exist.
        """
        tools = tools or self.tools
        same = _digests(self.inputs) == _digests(inputs) and self.tools.versions == tools.versions
        if same and self.parts is not None:
            return replace(self, tools=tools)
        from model_zoo.conversion import ir_key  # names are listed without the later stages

        inputs = tuple(inputs)
        parts = self._parts(inputs, tools.versions)
        return replace(self, inputs=inputs, tools=tools, parts=parts, key=ir_key(parts), cached=None)

    @cached_property
    def request_key(self) -> str:
        """The digest of what was asked for, whatever versions of the tools answer it."""
        from model_zoo.conversion import ir_key

        assert self.inputs is not None  # noqa: S101 - asked of complete plans only
        return ir_key(self._parts(self.inputs, {}))

    def _parts(self, inputs: tuple[FileEntry, ...], versions: Mapping[str, str | None]) -> KeyParts:
        from model_zoo.conversion import key_parts

        calibration = self.conversion.calibration
        return key_parts(self.request.model, self.precision, inputs, versions, calibration=calibration)

    def explain(self, others: Sequence[tuple[Path, IrManifest]]) -> list[str]:
        """Say which parts of the key differ between the IR this plan makes and the cached ones.

        ``others`` are directory and manifest of every IR of the model in the cache. The first line says
        whether the planned IR is there.
        """
        from model_zoo.conversion import differences

        if self.parts is None:
            name = self.request.model.name
            return [f"{name}: its files were never fetched, so their digests are not known yet"]
        if self.cached is not None:
            same = (
                "nothing differs" if self.cached.key == self.key else "made with the versions its stack pins"
            )
            return [f"{self.label}: the IR {self.cached.key} is in the cache; {same}", *self._environment()]
        lines = [f"{self.label}: the IR {self.key} is not in the cache"]
        for directory, manifest in others:
            lines.append(f"{directory.name} ({manifest.precision}) differs:")
            lines += [f"  {line}" for line in differences(self.parts, manifest.parts)]
        if not others:
            lines.append("no other IR of this model is cached")
        return [*lines, *self._environment()]

    def _environment(self) -> list[str]:
        """Return a line about the environment it would run in; none where there is none."""
        if self.tools.stack is None:
            return []
        state = "is built" if self.tools.is_built else "is not built yet"
        versions = ", ".join(f"{name} {version}" for name, version in self.tools.versions.items())
        return [f"its converter environment {self.tools.stack.name!r} {state}: {versions}"]


def _digests(inputs: Sequence[FileEntry] | None) -> set[tuple[str, str]]:
    """Return what of the inputs counts for the key: the size of one may not be known before it is there."""
    return {(entry.path, entry.sha256) for entry in inputs or ()}
