"""Types, layouts, mean, scale and channel order become steps in the graph, or stay declared.

The order is that of Open Model Zoo: reverse the channels, subtract the mean, divide by the scale. Mean and
scale are in the channel order that the network sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openvino as ov
from openvino.preprocess import PrePostProcessor

from model_zoo.conversion.worker.explain import last_line
from model_zoo.conversion.worker.job import InputSpec, element_type
from model_zoo.conversion.worker.ports import find_input
from model_zoo.errors import ConversionError
from model_zoo.formats.ports import guess_layout, port_name, port_sizes
from model_zoo.text import counted

if TYPE_CHECKING:
    from openvino.preprocess import InputInfo

    from model_zoo.conversion.worker.job import Job

_COLOUR_CHANNELS = 3
"""Channels of an image if the network does not show their number."""


def apply(model: ov.Model, inputs: list[InputSpec], *, embed: bool) -> ov.Model:
    """Put the recipe's types and layouts on the inputs, and its normalisation into the graph.

    With ``embed``, mean, scale and reversal become part of the graph.
    """
    changed = [spec for spec in inputs if spec.type or spec.layout or (embed and spec.normalises)]
    if not changed:
        return model
    try:
        steps = PrePostProcessor(model)
        for spec in changed:
            port = find_input(model, spec.name)
            _add_steps(steps.input(model.inputs.index(port)), port, spec, embed=embed)
        return steps.build()
    except RuntimeError as error:
        what = "recipe.inputs: OpenVINO does not accept this preprocessing"
        hint = "check layout, type, mean and scale of recipe.inputs"
        raise ConversionError(what, found=last_line(error), hint=hint) from error


def _add_steps(step: InputInfo, port: ov.Output, spec: InputSpec, *, embed: bool) -> None:
    by_channel = spec.reverse_channels or isinstance(spec.mean, list) or isinstance(spec.scale, list)
    outside, inside = _layouts(spec, port, required=embed and by_channel)
    own_type = port.get_element_type()
    if spec.type and element_type(spec.type) != own_type:
        step.tensor().set_element_type(element_type(spec.type))
    if inside:
        step.model().set_layout(ov.Layout(inside))
        step.tensor().set_layout(ov.Layout(outside))
    if not (embed and spec.normalises):
        return
    _check_channels(spec, port)
    work = step.preprocess()
    if not own_type.is_real():
        name, kind = port_name(port), own_type.get_type_name()
        what = f"recipe.inputs: {name} has type {kind}, which cannot be normalised"
        raise ConversionError(
            what, hint="use mean, scale and reverse_channels only for inputs of real numbers"
        )
    work.convert_element_type(own_type)
    if spec.reverse_channels:
        work.reverse_channels()
    if spec.mean is not None:
        work.mean(spec.mean)
    if spec.scale is not None:
        work.scale(spec.scale)


def _layouts(spec: InputSpec, port: ov.Output, *, required: bool) -> tuple[str, str]:
    """Return the layout outside and inside the network; ``A->B`` in the recipe means inside A, outside B."""
    shape = port.get_partial_shape()
    if spec.layout:
        inside, _, outside = (part.strip() for part in spec.layout.partition("->"))
        for text in filter(None, (inside, outside)):
            if (
                "." not in text
                and shape.rank.is_static
                and len(text.strip("[]").replace(",", "")) != len(shape)
            ):
                what = f"recipe.inputs: layout {text!r} does not fit {port_name(port)}"
                hint = "give one letter per dimension, such as NCHW for four"
                raise ConversionError(what, found=f"shape {shape}", hint=hint)
        return outside or inside, inside
    if not required:
        return "", ""
    guess = _guess_layout(port)
    if guess is None:
        what = f"recipe.inputs: {port_name(port)} needs a layout, which tells where the channels are"
        hint = "add layout, such as NCHW or NHWC, to this input in recipe.inputs"
        raise ConversionError(what, found=f"shape {shape}", hint=hint)
    return guess, guess


def _guess_layout(port: ov.Output) -> str | None:
    return None if port.get_partial_shape().rank.is_dynamic else guess_layout(port_sizes(port))


def _check_channels(spec: InputSpec, port: ov.Output) -> None:
    channels = _channels(spec, port)
    for field, values in (("mean", spec.mean), ("scale", spec.scale)):
        if isinstance(values, list) and channels and len(values) not in {1, channels}:
            sizes = f"{counted(len(values), 'value')} for {counted(channels, 'channel')}"
            raise ConversionError(
                f"recipe.inputs: {field} has {sizes}",
                found=f"{port_name(port)} {port.get_partial_shape()}",
                hint="give one value for all channels, or one per channel",
            )


def declared(model: ov.Model, inputs: list[InputSpec]) -> dict[str, bool | list[float]]:
    """Return the ``model_info`` entries that describe the normalisation of the first input that has one.

    Readers of ``model_info`` expect one value per channel, even if the recipe has one for all.
    """
    for spec in inputs:
        if spec.normalises:
            channels = _channels(spec, find_input(model, spec.name)) or _COLOUR_CHANNELS
            entries: dict[str, bool | list[float]] = {}
            if spec.reverse_channels:
                entries["reverse_input_channels"] = True
            for name, values in (("mean_values", spec.mean), ("scale_values", spec.scale)):
                if values is not None:
                    entries[name] = values if isinstance(values, list) else [values] * channels
            return entries
    return {}


def _channels(spec: InputSpec, port: ov.Output) -> int | None:
    """Return how many channels an input has, if its layout and shape show it."""
    _, inside = _layouts(spec, port, required=False)
    inside = inside or _guess_layout(port) or ""
    if "C" not in inside or "." in inside:
        return None
    dim = port.get_partial_shape()[inside.strip("[]").replace(",", "").index("C")]
    return int(dim.get_length()) if dim.is_static else None


_NORMALISING = ("mean_values", "scale_values", "reverse_input_channels")


def text(value: object) -> str:
    """Return a value as rt_info has it: items of lists separated by spaces, booleans as True and False."""
    if isinstance(value, (list, tuple)):
        return " ".join(text(item) for item in value)
    return str(value)


def label_text(labels: list[str]) -> str:
    """Return labels separated by spaces; a space inside a label becomes an underscore."""
    return " ".join("_".join(label.split()) or "_" for label in labels)


def model_info(job: Job, model: ov.Model) -> dict[str, str]:
    """Return everything to be written under ``model_info``."""
    info: dict[str, Any] = dict(job.model_info)
    if job.recipe.get("preprocess", "embed") == "declare":
        info = {**declared(model, job.inputs), **info}
    else:
        embedded = declared(model, job.inputs)
        twice = sorted(embedded.keys() & {name for name in _NORMALISING if info.get(name)})
        if twice:
            what = f"model_info declares {', '.join(twice)}, but the recipe embeds the same in the graph"
            hint = "remove it from model_info, or set recipe.preprocess: declare; otherwise it is done twice"
            raise ConversionError(what, hint=hint)
        if embedded.get("reverse_input_channels"):
            info.setdefault("color_order", "BGR")  # what the graph now takes; other readers ignore it
    if job.labels is not None and "labels" not in info:
        info["labels"] = label_text(job.labels)
    return {key: text(value) for key, value in info.items()}
