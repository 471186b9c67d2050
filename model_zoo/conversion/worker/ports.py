"""Inputs and outputs of a network in the worker: find, name, describe and trace them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import openvino as ov

from model_zoo.conversion.worker import cut
from model_zoo.errors import ConversionError
from model_zoo.formats.ports import port_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.conversion.worker.job import Dims, Job


class PortDescription(TypedDict):
    """One input or output as the manifest describes it; ``shape`` in the terms of a recipe."""

    name: str
    shape: Dims | None
    type: str


class ModelPorts(TypedDict):
    """The inputs and outputs of one IR."""

    inputs: list[PortDescription]
    outputs: list[PortDescription]


def describe_ports(model: ov.Model) -> ModelPorts:
    """Return name, shape and element type of all inputs and outputs."""
    return {
        "inputs": [_describe(port) for port in model.inputs],
        "outputs": [_describe(port) for port in model.outputs],
    }


def _describe(port: ov.Output) -> PortDescription:
    shape, type_name = port.get_partial_shape(), port.get_element_type().get_type_name()
    return {"name": port_name(port), "shape": plain_shape(shape), "type": type_name}


def plain_shape(shape: ov.PartialShape) -> Dims | None:
    """Return a shape as a recipe would state it; None if not even the rank is known."""
    return None if shape.rank.is_dynamic else [_plain_dimension(dim) for dim in shape]


def _plain_dimension(dim: ov.Dimension) -> int | str:
    if dim.is_static:
        return int(dim.get_length())
    low, high = dim.get_min_length(), dim.get_max_length()
    if low <= 0 and high < 0:
        return -1
    return f"{low or ''}..{'' if high < 0 else high}"


def find_input(model: ov.Model, name: str | None) -> ov.Output:
    """Return the input of that name; the only one if the recipe gives no name."""
    if name is None and len(model.inputs) == 1:
        return model.inputs[0]
    for port in model.inputs:
        if _has_name(port, name):
            return port
    known = ", ".join(port_name(port) for port in model.inputs)
    if name is None:
        what = f"recipe.inputs names no input, but the model has {len(model.inputs)}"
        raise ConversionError(what, found=known, hint="give each entry of recipe.inputs its name")
    what = f"recipe.inputs: the model has no input {name!r}"
    raise ConversionError(
        what, expected=f"{known} (the model's inputs)", found=name, hint="correct the name in recipe.inputs"
    )


def shape_error(shapes: Mapping[str, ov.PartialShape | None], found: str) -> ConversionError:
    """Return the error for shapes of ``recipe.inputs`` that a network does not accept."""
    return ConversionError(
        "recipe.inputs: the network does not accept these shapes",
        expected=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
        found=found,
        hint="correct the shapes in recipe.inputs",
    )


def convert_traced(job: Job, network: object, **options: object) -> ov.Model:
    """Convert a framework's object, whose ports get the recipe's names; keep the outputs it chooses.

    ``network`` and ``options`` are what ``openvino.convert_model`` takes.
    """
    model = ov.convert_model(network, extension=job.extensions or None, **options)
    name_ports(job, model)
    return cut.select(job, model)


def name_ports(job: Job, model: ov.Model) -> None:
    """Give a traced network's inputs and outputs the recipe's names, by position where they do not match."""
    inputs = [spec.name for spec in job.inputs if spec.name is not None and spec.name not in job.cut_inputs]
    if inputs and not all(any(_has_name(port, name) for port in model.inputs) for name in inputs):
        if len(inputs) != len(model.inputs):
            what = f"recipe.inputs names {len(inputs)} inputs, but the network has {len(model.inputs)}"
            raise ConversionError(what, expected=", ".join(inputs), hint="name each input, in order")
        for name, port in zip(inputs, model.inputs, strict=True):
            port.set_names({name})
            port.get_node().set_friendly_name(name)
    outputs = job.recipe.get("outputs") or ()
    if len(outputs) == len(model.outputs) and _are_free(outputs, model.outputs):
        for name, port in zip(outputs, model.outputs, strict=True):
            port.get_node().input_value(0).set_names({name})
            port.set_names({name})


def _are_free(names: Sequence[str], ports: Sequence[ov.Output]) -> bool:
    """Whether no port has a name that the recipe gives to another one."""
    return all(
        _has_name(port, name) or not any(_has_name(other, name) for other in ports)
        for name, port in zip(names, ports, strict=True)
    )


def _has_name(port: ov.Output, name: str | None) -> bool:
    return name in port.get_names() or name == port.get_node().get_friendly_name()
