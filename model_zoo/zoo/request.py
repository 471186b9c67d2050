"""Requests: which model, in which precision, converted how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.catalog.lockfile import LockedModel
    from model_zoo.events import Progress
    from model_zoo.schema import Artifact, Model


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


@dataclass(frozen=True)
class Conversion:
    """How to convert, beyond the model's own recipe; the fields are those of ``ConvertOptions``."""

    trust_code: bool = False
    python: str | None = None
    calibration: str | Path | None = None
    isolate: bool | None = None
