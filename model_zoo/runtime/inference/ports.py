"""The inputs of a network: what each takes by its graph and its entry, and shapes for what is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from model_zoo.errors import UsageError
from model_zoo.formats.ports import choose_shape, image_layout, port_name, port_sizes
from model_zoo.runtime.core import reason
from model_zoo.text import near_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import openvino

    from model_zoo.schema import Model, ModelInput

Array: TypeAlias = np.ndarray[Any, Any]
Shapes: TypeAlias = "Mapping[str, Sequence[int]]"


@dataclass(frozen=True)
class InputPort:
    """One input of a network.

    Attributes:
        name: of its tensor.
        shape: its sizes; None for a dynamic one.
        example_shape: a shape that it accepts.
        dtype: its element type.
        layout: of a picture, such as NCHW; None if it takes none.
        declared: what the catalog entry says of it.
        is_state: whether the network also returns it, for the next inference; zeros at first.
    """

    name: str
    shape: tuple[int | None, ...]
    example_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: str | None
    declared: ModelInput | None = None
    is_state: bool = False

    @property
    def kind(self) -> str | None:
        """What it takes, if the catalog entry says so."""
        return self.declared.kind if self.declared is not None else None

    @property
    def takes_picture(self) -> bool:
        """Whether a picture fits."""
        is_image = self.layout is not None and {"H", "W"} <= set(self.layout)
        return is_image and self.kind in {None, "image"}

    @property
    def is_grey(self) -> bool:
        """Whether it takes a picture of one channel."""
        return self.takes_picture and dict(zip(self.layout or "", self.shape, strict=True)).get("C") == 1

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            expected in {None, size} for expected, size in zip(self.shape, shape, strict=True)
        )

    def fitted(self, array: Array) -> Array:
        """Return the array in the port's type; a missing batch of one is added.

        Raises:
            ValueError: its shape does not fit, or it is not of numbers.
        """
        if not self.accepts(array.shape) and self.accepts((1, *array.shape)):
            array = array[None]
        if not self.accepts(array.shape):
            raise ValueError(f"an array of shape {list(array.shape)} for {self.name}")
        return np.asarray(array, dtype=self.dtype, order="C")  # a scalar stays one

    def __str__(self) -> str:
        """Return name, shape and type for messages."""
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} [{sizes}] {self.dtype}"


def input_ports(
    model: openvino.Model, entry: Model | None = None, given: Shapes | None = None
) -> list[InputPort]:
    """Return the inputs of a model.

    Args:
        model: the network.
        entry: its catalog entry, for what the graph does not say.
        given: shapes that the caller wants for some of them.

    Raises:
        UsageError: a shape is for no input, or does not fit.
    """
    examples = example_shapes(model, given or {})
    declared = {one.name: one for one in entry.inputs} if entry is not None else {}
    ports = []
    for port in model.inputs:
        name = port_name(port)
        known = next(
            (declared[n] for n in (name, *sorted(port.get_names())) if n in declared), declared.get(None)
        )
        layout = image_layout(port)
        if known is not None and known.layout and len(known.layout) == len(port.get_partial_shape()):
            layout = known.layout
        ports.append(
            InputPort(
                name=name,
                shape=port_sizes(port),
                example_shape=examples[name],
                dtype=np.dtype(port.get_element_type().to_dtype()),
                layout=layout,
                declared=known,
                is_state=_returned(port, model) is not None
                and len(model.inputs) > 1
                and port != model.inputs[0],
            )
        )
    return ports


def reshape(model: openvino.Model, shapes: Shapes) -> None:
    """Give some inputs of a network the shapes that a caller wants.

    Raises:
        UsageError: a shape is for no input, or does not fit.
    """
    by_name = {name: port for port in model.inputs for name in (*port.get_names(), port_name(port))}
    for name in shapes:
        if name not in by_name:
            near = near_names(name, by_name)
            raise UsageError(
                f"there is no input {name!r} to give a shape",
                expected=", ".join(f"{port_name(port)} {port.get_partial_shape()}" for port in model.inputs),
                hint=f"did you mean {near[0]}?" if near else "name one of these inputs",
            )
    if not shapes:
        return
    try:
        model.reshape({by_name[name]: [int(size) for size in shape] for name, shape in shapes.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        wanted = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        what = f"the network cannot take the shape {wanted}"
        accepted = ", ".join(f"{port_name(port)} {port.get_partial_shape()}" for port in model.inputs)
        raise UsageError(
            what, expected=accepted, found=reason(error), hint="choose sizes that fit"
        ) from error


def example_shapes(model: openvino.Model, given: Shapes) -> dict[str, tuple[int, ...]]:
    """Return a shape for every input: what is open gets a sensible size.

    The batch is the same everywhere: what the caller wants for one input, else 1. A state has the size with
    which the network returns it. Other dimensions become 32.

    Raises:
        UsageError: a shape is for no input, or does not fit.
    """
    if not given and not any(port.get_partial_shape().is_dynamic for port in model.inputs):
        return {port_name(port): choose_shape(port.get_partial_shape()) for port in model.inputs}
    work = model.clone()
    batches = [
        shape[0]
        for port in model.inputs
        if (shape := given.get(port_name(port))) and port_sizes(port)[:1] == (None,)
    ]
    reshape(work, given)
    batch = int(batches[0]) if batches else 1
    shapes: dict[str, tuple[int, ...]] = {}
    for index, port in enumerate(work.inputs):
        partial, name = port.get_partial_shape(), port_name(port)
        returned = _returned(port, work) if index else None
        if partial.is_dynamic and returned is not None:
            sizes = zip(port_sizes(port), port_sizes(returned), strict=True)
            shapes[name] = tuple(own or back or batch for own, back in sizes)
        else:
            shape = choose_shape(partial)
            shapes[name] = (batch, *shape[1:]) if port_sizes(port)[:1] == (None,) and batches else shape
        if partial.is_dynamic:
            try:
                work.reshape({port: list(shapes[name])})
            except RuntimeError:
                work = model.clone()  # sizes that depend on each other in a way that only the caller knows
    return shapes


def _returned(port: openvino.Output, model: openvino.Model) -> openvino.Output | None:
    """Return the output that gives an input's next value: alike in shape and element type, and in name."""
    sizes, name = port_sizes(port), port_name(port)
    if len(sizes) < 2:  # noqa: PLR2004 - a vector may be anything
        return None
    for output in model.outputs:
        back = port_sizes(output)
        alike = len(back) == len(sizes) and all(
            own == other or None in {own, other} for own, other in zip(sizes, back, strict=True)
        )
        same_type = output.get_element_type() == port.get_element_type()
        if alike and same_type and _akin(name, port_name(output)):
            return output
    return None


def _akin(name: str, other: str) -> bool:
    """Whether two names begin alike, as ``state`` and ``stateN`` do, or end alike, as ``h`` and ``new_h``."""
    first, second = name.casefold(), other.casefold()
    return second.startswith(first) or second.endswith(first)
