"""What the request asks for, in the terms of OpenVINO. Runs in the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openvino as ov

from model_zoo.errors import ConversionError

Dims = list[Any]


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
        """The shape in OpenVINO's terms; None when the recipe leaves it to the model."""
        return None if self.shape is None else partial_shape(self.shape)

    @property
    def normalises(self) -> bool:
        """Whether values change on their way into the network."""
        return self.reverse_channels or self.mean is not None or self.scale is not None


@dataclass(frozen=True)
class Job:
    """One conversion: the files, the recipe, and where the result goes.

    ``keep`` holds objects whose memory the network shares until it is saved.
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
        """Build it from plain JSON data."""
        paths = {name: Path(request[name]) for name in ("files", "staging", "source") if request.get(name)}
        return cls(**{**request, **paths})

    @property
    def network(self) -> Path:
        """The file or folder to read; only asked for where there is one."""
        assert self.source is not None  # noqa: S101 - the parent chose it
        return self.source

    @property
    def inputs(self) -> list[InputSpec]:
        """The recipe's inputs."""
        return [InputSpec(**fields) for fields in self.recipe.get("inputs", ())]

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
        """Libraries with custom operations: files of the model."""
        return [str(self.file(name, "recipe.extensions")) for name in self.recipe.get("extensions", ())]

    def file(self, name: str, where: str) -> Path:
        """Return a file or folder of the model.

        Raises:
            ConversionError: the model has no such file.
        """
        path = self.files / name
        if not path.exists():
            what = f"{where}: the model has no file {name!r}"
            raise ConversionError(what, found=", ".join(sorted(self.artifacts)), hint=f"correct {where}")
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


def plain_shape(shape: ov.PartialShape) -> Dims | None:
    """Return a shape as JSON data the recipe would understand; None when not even the rank is known."""
    if shape.rank.is_dynamic:
        return None
    return [_plain_dimension(dim) for dim in shape]


def _plain_dimension(dim: ov.Dimension) -> int | str:
    if dim.is_static:
        return int(dim.get_length())
    low, high = dim.get_min_length(), dim.get_max_length()
    if low <= 0 and high < 0:
        return -1
    return f"{low or ''}..{'' if high < 0 else high}"


def element_type(name: str) -> ov.Type:
    """Return OpenVINO's type of that name."""
    return getattr(ov.Type, name)


def describe_ports(ports: list[Any]) -> list[dict[str, Any]]:
    """Return name, shape and element type of inputs or outputs as JSON data."""
    return [
        {
            "name": name_of(port),
            "shape": plain_shape(port.get_partial_shape()),
            "type": port.get_element_type().get_type_name(),
        }
        for port in ports
    ]


def name_of(port: Any) -> str:  # noqa: ANN401 - openvino has no types here
    """Return the name people know a port by: its tensor's, else its node's.

    Of several names that of the result itself comes first, where a converter called it after one.
    """
    names, own = port.get_names(), port.get_node().get_friendly_name()
    for known in (own, own.rpartition("/")[0]):
        if known in names:
            return str(known)
    return str(min(names, default=own))


def find_input(model: ov.Model, name: str | None) -> Any:  # noqa: ANN401
    """Return the input of that name; the only one when the recipe names none.

    Raises:
        ConversionError: there is none, or several and no name.
    """
    if name is None and len(model.inputs) == 1:
        return model.inputs[0]
    for port in model.inputs:
        if name in port.get_names() or name == port.get_node().get_friendly_name():
            return port
    known = ", ".join(name_of(port) for port in model.inputs)
    if name is None:
        what = f"recipe.inputs names no input, and the model has {len(model.inputs)}"
        raise ConversionError(what, found=known, hint="give each entry of recipe.inputs its name")
    what = f"recipe.inputs: the model has no input {name!r}"
    raise ConversionError(
        what, expected=name, found=f"inputs {known}", hint="correct the name in recipe.inputs"
    )
