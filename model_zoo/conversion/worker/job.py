"""The conversion that a request asks for, in terms of OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openvino as ov

from model_zoo.errors import ConversionError, UntrustedCodeError

Dims = list[int | str]
"""A shape as a recipe states it."""


@dataclass(frozen=True)
class InputSpec:
    """One input of the recipe; see ``model_zoo.schema.Input``."""

    name: str | None = None
    shape: Dims | None = None
    type: str | None = None
    layout: str | None = None
    mean: float | list[float] | None = None
    scale: float | list[float] | None = None
    reverse_channels: bool = False

    @property
    def partial_shape(self) -> ov.PartialShape | None:
        """The shape as OpenVINO has it; None if the recipe leaves it to the model."""
        return None if self.shape is None else partial_shape(self.shape)

    @property
    def normalises(self) -> bool:
        """Whether the values are changed on their way into the network."""
        return self.reverse_channels or self.mean is not None or self.scale is not None


@dataclass(frozen=True)
class Job:
    """One conversion.

    Attributes:
        source: the file or directory to read; None for a builder or a folder model.
        artifacts: the declared files, relative to ``files``.
        recipe: of the catalog entry, as plain data.
        model_info: of the catalog entry.
        labels: class names.
        ready: the files already are an IR of that precision.
        folder: the model becomes a folder of IRs.
        trust_code: code that comes with the model may run.
        calibration: calibration data named by the caller: a path, ``random`` or ``auto``.
        keep: objects whose memory the network shares until it is saved.
    """

    framework: str
    files: Path
    staging: Path
    precision: str
    source: Path | None = None
    artifacts: list[str] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    model_info: dict[str, Any] = field(default_factory=dict)
    labels: list[str] | None = None
    ready: bool = False
    folder: bool = False
    trust_code: bool = False
    calibration: str | None = None
    keep: list[Any] = field(default_factory=list)

    @classmethod
    def from_request(cls, request: dict[str, Any]) -> Job:
        """Return the job of a request, which is plain JSON data."""
        paths = {name: Path(request[name]) for name in ("files", "staging", "source") if request.get(name)}
        return cls(**{**request, **paths})

    @property
    def network(self) -> Path:
        """The file or directory to read."""
        assert self.source is not None  # noqa: S101 - the parent chose it
        return self.source

    @property
    def inputs(self) -> list[InputSpec]:
        """The recipe's inputs."""
        return [InputSpec(**fields) for fields in self.recipe.get("inputs", ())]

    @property
    def shapes(self) -> list[ov.PartialShape] | None:
        """The shapes that the recipe gives its inputs, in order; None if it gives none."""
        return [spec.partial_shape for spec in self.inputs if spec.partial_shape is not None] or None

    @property
    def cut_inputs(self) -> list[str]:
        """Interior names that become inputs."""
        return list((self.recipe.get("cut") or {}).get("inputs", ()))

    @property
    def cut_outputs(self) -> list[str]:
        """Interior names that become outputs."""
        return list((self.recipe.get("cut") or {}).get("outputs", ()))

    @property
    def extensions(self) -> list[str]:
        """Libraries with custom operations: files of the model.

        Raises:
            UntrustedCodeError: loading them runs their code, which is not trusted.
        """
        if self.recipe.get("extensions") and not self.trust_code:
            raise UntrustedCodeError(
                "recipe.extensions are libraries, whose code runs when they are loaded, which is not trusted",
                found=", ".join(self.recipe["extensions"]),
                hint="if you trust them, run again with --trust-code (trust_code=True in Python)",
            )
        return [str(self.file(name, "recipe.extensions")) for name in self.recipe.get("extensions", ())]

    def file(self, name: str, field: str) -> Path:
        """Return a file or directory of the model.

        ``field`` is the recipe's field that names it, for messages.

        Raises:
            ConversionError: the model has no such file, or the path leaves the model's directory.
        """
        path = self.files / name
        if not path.is_relative_to(self.files) or ".." in Path(name).parts:
            what = f"{field}: {name!r} is not below the model's directory"
            raise ConversionError(what, hint=f"correct {field}")
        if not path.exists():
            what = f"{field}: the model has no file {name!r}"
            raise ConversionError(what, found=", ".join(sorted(self.artifacts)), hint=f"correct {field}")
        return path


def partial_shape(dims: Dims) -> ov.PartialShape:
    """Read dims that are an int, -1 or ``?`` for any, or ``lo..hi`` with either side possibly empty."""
    return ov.PartialShape([_dimension(dim) for dim in dims])


def _dimension(dim: int | str) -> ov.Dimension:
    if isinstance(dim, int) or dim.isdigit():
        return ov.Dimension(int(dim))
    if dim == "?":
        return ov.Dimension(-1)
    low, _, high = dim.partition("..")
    return ov.Dimension(int(low or 0), int(high or -1))


def element_type(name: str) -> ov.Type:
    """Return OpenVINO's type of that name."""
    return getattr(ov.Type, name)
