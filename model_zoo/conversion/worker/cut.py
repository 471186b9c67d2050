"""Choose outputs and cut at interior tensors: a new model from existing nodes. Runs in the worker."""

from __future__ import annotations

import difflib
from typing import Any

import openvino as ov

from model_zoo.conversion.worker.job import name_of
from model_zoo.errors import ConversionError


def find_tensor(model: ov.Model, name: str, where: str) -> Any:  # noqa: ANN401 - openvino has no types here
    """Return the node output that a name means: a tensor's name, or a node's friendly name (first output).

    Args:
        model: where to look.
        name: the name; ``node:2`` means output 2 of a node, ``0:node`` what enters its input 0.
        where: the field of the recipe, for the message.

    Raises:
        ConversionError: nothing has that name; close names are offered.
    """
    for output in model.outputs:  # a traced variable inside may be called as the recipe calls an output
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
    near = difflib.get_close_matches(name, sorted(known), n=5, cutoff=0.4)
    what = f"{where}: the model has nothing called {name!r}"
    raise ConversionError(
        what,
        found=f"close names: {', '.join(near)}" if near else f"{len(known)} other names",
        hint=f"correct {where}; a name is a tensor's, or a node's friendly name",
    )


def _at_port(node: Any, friendly: str, name: str) -> Any:  # noqa: ANN401
    """Return the output that ``node:2`` or ``0:node`` means, if this is the node."""
    before, _, after = name.rpartition(":")
    if friendly == before and after.isdigit() and int(after) < node.get_output_size():
        return node.output(int(after))
    before, _, after = name.partition(":")
    if friendly == after and before.isdigit() and int(before) < node.get_input_size():
        return node.input_value(int(before))
    return None


def rebuild(
    model: ov.Model,
    *,
    outputs: list[tuple[str, Any]] | None = None,
    inputs: list[tuple[str, Any]] | None = None,
) -> ov.Model:
    """Return a model of the same nodes with the given outputs and inputs, and no run-time information.

    Inputs that no output needs any more go away; so do states that need them.

    Args:
        model: the model; it must not be used afterwards.
        outputs: name and node output of each result, in order; None keeps what there is.
        inputs: name and node output of each tensor that becomes a parameter.

    Raises:
        ConversionError: no output depends on one of the new inputs.
    """
    cut = [_parameter(name, tensor) for name, tensor in inputs or ()]
    if outputs is None:
        results = model.get_results()
        for result in results:
            _name_result(result, name_of(result.output(0)))
    else:
        results = [_result(*pair) for pair in outputs]
    parameters, sinks = model.get_parameters(), model.get_sinks()
    if outputs is not None or cut:
        reached = _reachable(results)
        unused = [name_of(p.output(0)) for p in cut if p.get_name() not in reached]
        if unused:
            what = f"recipe.cut.inputs: no output depends on {', '.join(unused)}"
            raise ConversionError(what, hint="cut at tensors between the inputs and the outputs")
        every = {p.get_name(): p for p in [*parameters, *cut] if p.get_name() in reached}
        parameters = list(every.values())
        sinks = [sink for sink in sinks if _parameters_of(sink) <= every.keys()]
    if sinks:
        return ov.Model(results, sinks, parameters, "model")
    return ov.Model(results, parameters, "model")


def _result(name: str, tensor: Any) -> Any:  # noqa: ANN401
    if name not in tensor.get_names():
        tensor.add_names({name})
    result = ov.opset13.result(tensor)
    _name_result(result, name)
    return result


def _name_result(result: Any, name: str) -> None:  # noqa: ANN401
    """Call a result after its tensor: compiled models add tensor names, and this tells which one is meant."""
    result.set_friendly_name(f"{name}/sink_port_0")


def _parameter(name: str, tensor: Any) -> Any:  # noqa: ANN401
    if tensor.get_node().get_type_name() == "Parameter":
        return tensor.get_node()
    parameter = ov.opset13.parameter(tensor.get_partial_shape(), tensor.get_element_type(), name)
    for target in tensor.get_target_inputs():
        target.replace_source_output(parameter.output(0))
    parameter.output(0).set_names({name})
    return parameter


def _ancestors(nodes: list[Any]) -> dict[str, Any]:
    """Return all nodes that these depend on, and themselves, by unique name."""
    seen: dict[str, Any] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.get_name() not in seen:
            seen[node.get_name()] = node
            waiting += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return seen


def _reachable(nodes: list[Any]) -> set[str]:
    return set(_ancestors(nodes))


def _parameters_of(node: Any) -> set[str]:  # noqa: ANN401
    return {name for name, one in _ancestors([node]).items() if one.get_type_name() == "Parameter"}
