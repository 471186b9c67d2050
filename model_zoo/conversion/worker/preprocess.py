"""Types, layouts, mean, scale and channel order become steps in the graph, or stay declared.

The order is that of the recipes this grew out of: reverse the channels, subtract the mean, divide by the
scale. Mean and scale are in the channel order the network sees. Runs in the worker.
"""

from __future__ import annotations

from typing import Any

import openvino as ov
from openvino.preprocess import PrePostProcessor

from model_zoo.conversion.worker.job import InputSpec, element_type, find_input, name_of
from model_zoo.errors import ConversionError
from model_zoo.formats.images import guess_layout

_COLOURS = 3
"""Channels of a picture where the network does not say."""


def apply(model: ov.Model, inputs: list[InputSpec], *, embed: bool) -> ov.Model:
    """Put the recipe's types and layouts on the inputs, and its normalisation into the graph.

    Args:
        model: the model, its input shapes already set.
        inputs: the recipe's inputs.
        embed: whether mean, scale and reversal become part of the graph.

    Raises:
        ConversionError: an input does not exist, a layout does not fit its shape, or the channels that
            mean, scale or reversal need are not known.
    """
    wanted = [spec for spec in inputs if spec.type or spec.layout or (embed and spec.normalises)]
    if not wanted:
        return model
    try:
        steps = PrePostProcessor(model)
        for spec in wanted:
            port = find_input(model, spec.name)
            _steps_of(steps.input(model.inputs.index(port)), port, spec, embed=embed)
        return steps.build()
    except RuntimeError as error:
        what = "recipe.inputs: OpenVINO refuses this preprocessing"
        raise ConversionError(
            what, found=_last_line(error), hint="check layout, type, mean and scale of recipe.inputs"
        ) from error


def _steps_of(step: Any, port: Any, spec: InputSpec, *, embed: bool) -> None:  # noqa: ANN401
    outside, inside = _layouts(spec, port, required=embed and _needs_channels(spec))
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
        what = f"recipe.inputs: {name_of(port)} holds {own_type.get_type_name()}, which cannot be normalised"
        raise ConversionError(what, hint="mean, scale and reverse_channels are for inputs of real numbers")
    work.convert_element_type(own_type)
    if spec.reverse_channels:
        work.reverse_channels()
    if spec.mean is not None:
        work.mean(spec.mean)
    if spec.scale is not None:
        work.scale(spec.scale)


def _needs_channels(spec: InputSpec) -> bool:
    return spec.reverse_channels or isinstance(spec.mean, list) or isinstance(spec.scale, list)


def _layouts(spec: InputSpec, port: Any, *, required: bool) -> tuple[str, str]:  # noqa: ANN401
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
                what = f"recipe.inputs: layout {text!r} does not fit {name_of(port)}"
                raise ConversionError(what, found=f"shape {shape}", hint="one letter a dimension, as in NCHW")
        return outside or inside, inside
    if not required:
        return "", ""
    sizes = [] if shape.rank.is_dynamic else [d.get_length() if d.is_static else None for d in shape]
    guess = guess_layout(sizes)
    if guess is None:
        what = f"recipe.inputs: the layout of {name_of(port)} is needed to know its channels"
        raise ConversionError(
            what, found=f"shape {shape}", hint="add layout: NCHW (or NHWC) to the recipe's input"
        )
    return guess, guess


def _check_channels(spec: InputSpec, port: Any) -> None:  # noqa: ANN401
    channels = _channels(spec, port)
    for what, values in (("mean", spec.mean), ("scale", spec.scale)):
        if isinstance(values, list) and channels and len(values) not in {1, channels}:
            raise ConversionError(
                f"recipe.inputs: {what} has {len(values)} values for {channels} channels",
                found=f"{name_of(port)} {port.get_partial_shape()}",
                hint="one value for all, or one a channel",
            )


def declared(model: ov.Model, inputs: list[InputSpec]) -> dict[str, Any]:
    """Return the ``model_info`` entries that say what the first input with a normalisation needs.

    Its readers want one value a channel, also where the recipe has one for all.
    """
    for spec in inputs:
        if spec.normalises:
            channels = _channels(spec, find_input(model, spec.name)) or _COLOURS
            entries: dict[str, Any] = {}
            if spec.reverse_channels:
                entries["reverse_input_channels"] = True
            for name, values in (("mean_values", spec.mean), ("scale_values", spec.scale)):
                if values is not None:
                    entries[name] = values if isinstance(values, list) else [values] * channels
            return entries
    return {}


def _channels(spec: InputSpec, port: Any) -> int | None:  # noqa: ANN401
    """Return how many channels an input has, where its layout and shape tell."""
    _, inside = _layouts(spec, port, required=False)
    shape = port.get_partial_shape()
    if not inside and shape.rank.is_static:
        inside = guess_layout([d.get_length() if d.is_static else None for d in shape]) or ""
    if "C" not in inside or "." in inside:
        return None
    dim = shape[inside.strip("[]").replace(",", "").index("C")]
    return int(dim.get_length()) if dim.is_static else None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
