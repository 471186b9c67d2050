"""Names for the ports of networks that have none of their own. Runs in the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import openvino as ov

    from model_zoo.conversion.worker.job import Job


def name_ports(job: Job, model: ov.Model) -> None:
    """Give a traced network's inputs and outputs the recipe's names, by position where they do not match.

    Raises:
        ConversionError: the recipe names another number of inputs than the network has.
    """
    inputs = [spec.name for spec in job.inputs if spec.name is not None and spec.name not in job.cut_inputs]
    if inputs and not all(_has(model.inputs, name) for name in inputs):
        if len(inputs) != len(model.inputs):
            what = f"recipe.inputs names {len(inputs)} inputs, and the network has {len(model.inputs)}"
            raise ConversionError(what, expected=", ".join(inputs), hint="name each input, in order")
        for name, port in zip(inputs, model.inputs, strict=True):
            port.set_names({name})
            port.get_node().set_friendly_name(name)
    outputs = job.recipe.get("outputs") or ()
    if len(outputs) == len(model.outputs) and _none_elsewhere(model.outputs, outputs):
        for name, port in zip(outputs, model.outputs, strict=True):
            port.get_node().input_value(0).set_names({name})
            port.set_names({name})


def _none_elsewhere(ports: list[Any], names: Sequence[str]) -> bool:
    """Whether no port has a name that the recipe gives to another; a traced variable may have the same."""
    pairs = zip(names, ports, strict=True)
    return all(_has([port], name) or not _has(ports, name) for name, port in pairs)


def _has(ports: list[Any], name: str) -> bool:
    return any(name in port.get_names() or name == port.get_node().get_friendly_name() for port in ports)
