"""Choose outputs and cut at interior tensors: a new model is made of existing nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov

from model_zoo.errors import ConversionError
from model_zoo.formats.ports import port_name
from model_zoo.text import near_names

_SHOWN = 10
"""How many names an error shows."""

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job

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
