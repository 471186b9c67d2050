"""Inputs and outputs of a network in the worker: find, name, describe, choose and cut at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import openvino as ov

from model_zoo.errors import ConversionError
from model_zoo.formats.ports import port_name
from model_zoo.text import near_names

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
    return select(job, model)


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


_SHOWN = 10
"""How many names an error shows."""


NamedOutput = tuple[str, ov.Output]
"""The output of a node, and the name that the recipe gives it."""


def is_needed(job: Job) -> bool:
    """Whether the recipe chooses outputs or cuts."""
    return bool(job.recipe.get("outputs") or job.cut_outputs or job.cut_inputs)


def select(job: Job, model: ov.Model) -> ov.Model:
    """Keep the outputs and make the cuts that the recipe asks for; the model itself if it asks for none."""
    if not is_needed(job):
        return model
    chosen = job.recipe.get("outputs") or ()
    outputs = [(name, find_tensor(model, name, "recipe.outputs")) for name in chosen]
    outputs += [(name, find_tensor(model, name, "recipe.cut.outputs")) for name in job.cut_outputs]
    inputs = [(name, find_tensor(model, name, "recipe.cut.inputs")) for name in job.cut_inputs]
    return rebuild(model, outputs=outputs or None, inputs=inputs)


def find_tensor(model: ov.Model, name: str, field: str) -> ov.Output:
    """Return the node output that a name means: a tensor's name, or a node's friendly name (first output).

    ``node:2`` means output 2 of a node, ``0:node`` the tensor at its input 0. ``field`` is the recipe's, for
    the message.
    """
    for output in model.outputs:  # first, as an interior tensor of a traced network may have the same name
        if name in output.get_names():
            return output.get_node().input_value(0)
    by_node = by_port = None
    known: set[str] = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Result":
            continue
        for output in node.outputs():
            if name in output.get_names():
                return output
            known |= output.get_names()
        friendly = node.get_friendly_name()
        known.add(friendly)
        if friendly == name:
            by_node = node.output(0)
        else:
            by_port = by_port or _at_port(node, friendly, name)
    found = by_node or by_port
    if found is not None:
        return found
    near = near_names(name, known, count=_SHOWN, cutoff=0.4)
    shown = ", ".join([*near, *sorted(known.difference(near))][:_SHOWN])
    more = len(known) - _SHOWN
    what = f"{field}: the model has no tensor or node named {name!r}"
    raise ConversionError(
        what,
        found=f"{shown}, and {more} more" if more > 0 else shown,
        hint=f"correct {field}: give the name of a tensor, or the friendly name of a node",
    )


def _at_port(node: ov.Node, friendly: str, name: str) -> ov.Output | None:
    """Return the output that ``node:2`` or ``0:node`` means, if this is the node."""
    before, _, after = name.rpartition(":")
    if friendly == before and after.isdigit() and int(after) < node.get_output_size():
        return node.output(int(after))
    before, _, after = name.partition(":")
    if friendly == after and before.isdigit() and int(before) < node.get_input_size():
        return node.input_value(int(before))
    return None


def rebuild(
    model: ov.Model, *, outputs: list[NamedOutput] | None = None, inputs: list[NamedOutput] | None = None
) -> ov.Model:
    """Return a model of the same nodes with the given outputs and inputs, and no run-time information.

    Inputs that no output depends on any more are dropped; so are states that need them.

    The model itself must not be used afterwards. ``outputs`` has the name and node output of each result, in
    order (None keeps the model's), ``inputs`` those of each tensor that becomes a parameter.
    """
    cut = [_parameter(name, tensor) for name, tensor in inputs or ()]
    if outputs is None:
        results = model.get_results()
        for result in results:
            _name_result(result, port_name(result.output(0)))
    else:
        results = [_result(*pair) for pair in outputs]
    parameters, sinks = model.get_parameters(), model.get_sinks()
    if outputs is not None or cut:
        reached = _ancestors(results)
        unused = [port_name(p.output(0)) for p in cut if p.get_name() not in reached]
        if unused:
            what = f"recipe.cut.inputs: no output depends on {', '.join(unused)}"
            raise ConversionError(what, hint="cut at tensors between the inputs and the outputs")
        every = {p.get_name(): p for p in [*parameters, *cut] if p.get_name() in reached}
        parameters = list(every.values())
        sinks = [
            sink
            for sink in sinks
            if all(
                n in every for n, node in _ancestors([sink]).items() if node.get_type_name() == "Parameter"
            )
        ]
    if sinks:
        return ov.Model(results, sinks, parameters, "model")
    return ov.Model(results, parameters, "model")


def _result(name: str, tensor: ov.Output) -> ov.Node:
    if name not in tensor.get_names():
        tensor.add_names({name})
    result = ov.opset13.result(tensor)
    _name_result(result, name)
    return result


def _name_result(result: ov.Node, name: str) -> None:
    """Name a result after its tensor: compiled models add tensor names, and this shows which one is meant."""
    result.set_friendly_name(f"{name}/sink_port_0")


def _parameter(name: str, tensor: ov.Output) -> ov.Node:
    if tensor.get_node().get_type_name() == "Parameter":
        return tensor.get_node()
    parameter = ov.opset13.parameter(tensor.get_partial_shape(), tensor.get_element_type(), name)
    for target in tensor.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    parameter.output(0).set_names({name})
    return parameter


def _ancestors(nodes: list[ov.Node]) -> dict[str, ov.Node]:
    """Return these nodes and all that they depend on, by unique name."""
    seen: dict[str, ov.Node] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.get_name() not in seen:
            seen[node.get_name()] = node
            waiting += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return seen
