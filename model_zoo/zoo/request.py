"""What is asked for: a model, a precision, and how to convert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.catalog.lockfile import LockedModel
    from model_zoo.errors import ModelZooError
    from model_zoo.schema import Artifact, ConvertedModel, FetchedModel, Model


@dataclass(frozen=True)
class Request:
    """One model in one precision; ``precision`` is None where all of its files are meant.

    Attributes:
        places: folders whose files are taken, after a check, before anything is transferred.
        reference: what to type for this model, where that is not its name.
        resolution: where some artifacts floated: what their meaning is noted under, and that meaning.
        locked: what it must be.
    """

    model: Model
    precision: str | None = None
    places: tuple[Path, ...] = ()
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
    """How to convert, as far as it is not the model's own recipe.

    Attributes:
        trust_code: a recipe may run Python code that is not an installed package.
        python: another interpreter to convert in.
        calibration: data for quantisation: a folder of images, ``.npy``, ``.npz``, or ``random``.
        isolate: convert in an environment built for the stack; None as the settings say. ``python`` wins.
        environment: the interpreter of that environment, once it is known to be there.
    """

    trust_code: bool = False
    python: str | None = None
    calibration: str | Path | None = None
    isolate: bool | None = None
    environment: str | None = None


@dataclass(frozen=True)
class Fetched:
    """How fetching one of several models ended: with a result or with an error."""

    request: Request
    result: FetchedModel | None = None
    error: ModelZooError | None = None


@dataclass(frozen=True)
class Converted:
    """How converting one of several models ended: with a result or with an error."""

    request: Request
    result: ConvertedModel | None = None
    error: ModelZooError | None = None
