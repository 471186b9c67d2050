"""From what people give to the arrays of an inference: pictures by rules, sound in windows, plain arrays."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from model_zoo.errors import InputError
from model_zoo.formats.ports import Fit, image_tensor
from model_zoo.runtime.inference.audio import resample
from model_zoo.runtime.inference.items import Audio, Picture, Raw, Tensors, as_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.runtime.inference.items import Item
    from model_zoo.runtime.inference.ports import InputPort
    from model_zoo.schema import Model, ModelInput

Array: TypeAlias = np.ndarray[Any, Any]
_RESIZE = {
    "stretch": "standard",
    "crop": "crop",
    "fit": "fit_to_window",
    "letterbox": "fit_to_window_letterbox",
}
_BLOCK = 4096
"""Bytes at either end of a file that are looked at."""
_INTERPOLATION = {"bilinear": "LINEAR", "bicubic": "CUBIC"}


@dataclass(frozen=True, eq=False)
class Feed:
    """The arrays of one or several inferences, by input name, and where a picture lies in them."""

    windows: list[dict[str, Array]]
    fit: Fit | None = None


def make_feed(
    item: Item | None, ports: Sequence[InputPort], info: Mapping[str, str], entry: Model | None
) -> Feed:
    """Return what to run for one input; None is zeros.

    Raises:
        InputError: the input does not fit the network, or nothing says how to make it fit.
    """
    if item is None:
        return Feed([{port.name: np.zeros(port.example_shape, port.dtype) for port in ports}])
    try:
        feed = _feed(item, ports, info, entry)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{item.name} does not fit the inputs of this network",
            expected="; ".join(str(port) for port in ports),
            found=str(error),
            hint="give an input that fits one of these",
        ) from error
    return Feed([_completed(window, ports, item.name) for window in feed.windows], feed.fit)


def _feed(item: Item, ports: Sequence[InputPort], info: Mapping[str, str], entry: Model | None) -> Feed:
    if isinstance(item, Picture):
        return _picture(item, ports, info, entry)
    if isinstance(item, Audio):
        return Feed(_sound(item.samples, item.rate, ports, info))
    if isinstance(item, Raw):
        raw = _file_ends if ports[0].kind == "file" else _raw
        return Feed([raw(item.data, ports[0])])
    return _tensors(item, ports, info)


def _completed(arrays: dict[str, Array], ports: Sequence[InputPort], name: str) -> dict[str, Array]:
    """Return the arrays with zeros for states, which are nothing before the first inference."""
    missing = [port for port in ports if port.name not in arrays]
    needed = [str(port) for port in missing if not port.is_state]
    if needed:
        what = f"{name} leaves an input without values: {', '.join(needed)}"
        hint = "give a dict or an .npz file with an array for each input"
        raise InputError(what, expected="; ".join(str(port) for port in ports), hint=hint)
    batch = next((len(array) for array in arrays.values() if array.ndim), 1)
    zeros = {}
    for port in missing:
        shape = [batch if size is None else size for size in port.shape]
        zeros[port.name] = np.zeros(shape if None in port.shape else port.example_shape, port.dtype)
    return arrays | zeros


def _picture(item: Picture, ports: Sequence[InputPort], info: Mapping[str, str], entry: Model | None) -> Feed:
    from PIL import Image

    port = next((port for port in ports if port.takes_picture), None)
    if port is None or port.layout is None:
        plain = next((port for port in ports if port.accepts(item.pixels.shape)), None)
        if plain is None:
            raise ValueError("a picture, but no input of the network takes one")
        return Feed([{plain.name: plain.fitted(item.pixels)}])
    rules = picture_rules(port, info, entry)
    layout = port.layout if "C" in port.layout else f"{port.layout}C"
    shape = port.shape if "C" in port.layout else (*port.shape, 1)
    tensor, fit = image_tensor(Image.fromarray(item.pixels), shape, layout, port.dtype, rules)
    return Feed([{port.name: tensor.reshape(tensor.shape[: len(port.shape)])}], fit)


def picture_rules(port: InputPort, info: Mapping[str, str], entry: Model | None) -> dict[str, str]:
    """Return how a picture becomes this input, in the words of ``model_info``.

    Raises:
        InputError: nothing says which numbers the network wants for black and white.
    """
    rules = dict(info)
    if port.declared is not None:
        rules |= _declared_rules(port.declared, info)
    spec = entry.recipe if entry is not None else None
    embeds = spec is not None and spec.preprocess == "embed" and any(i.mean or i.scale for i in spec.inputs)
    says = ("range", "mean_values", "scale_values", "model_type", "embedded_processing")
    if embeds or port.dtype == np.uint8 or any(rules.get(name) for name in says):
        return rules
    what = f"nothing says which numbers the picture input {port.name} takes: 0..255, 0..1 or others"
    example = f"inputs: [{{name: {port.name}, kind: image, color: RGB, range: [0, 255]}}]"
    raise InputError(what, hint=f"state it in the catalog entry, for example '{example}', or give an array")


def _declared_rules(declared: ModelInput, info: Mapping[str, str]) -> dict[str, str]:
    rules: dict[str, object] = {
        "resize_type": declared.resize and _RESIZE[declared.resize],
        "crop_fraction": declared.crop_fraction,
        "interpolation_mode": declared.interpolation
        and _INTERPOLATION.get(declared.interpolation, declared.interpolation.upper()),
        "pad_value": declared.pad_value,
        "color_order": declared.color if declared.color in {"RGB", "BGR"} else None,
        "range": declared.range and f"{declared.range[0]} {declared.range[1]}",
    }
    for name, values in (("mean_values", declared.mean), ("scale_values", declared.scale)):
        if name not in info and values is not None:
            rules[name] = " ".join(map(str, values)) if isinstance(values, tuple) else values
    return {name: str(value) for name, value in rules.items() if value is not None}


def _tensors(item: Tensors, ports: Sequence[InputPort], info: Mapping[str, str]) -> Feed:
    by_name: dict[str | None, InputPort] = {port.name: port for port in ports}
    by_name[None] = ports[0]
    unknown = sorted(str(name) for name in item.arrays if name not in by_name)
    if unknown:
        raise ValueError(f"it has arrays for {', '.join(unknown)}")
    only = item.arrays.get(None)
    if only is not None and only.ndim == 1 and ports[0].kind == "audio":
        return Feed(_sound(as_samples(only), None, ports, info))
    return Feed([{by_name[name].name: by_name[name].fitted(array) for name, array in item.arrays.items()}])


def _sound(
    samples: Array, rate: int | None, ports: Sequence[InputPort], info: Mapping[str, str]
) -> list[dict[str, Array]]:
    """Return sound, at the rate that the network wants, in windows of the length that it takes."""
    port = next((port for port in ports if port.kind == "audio"), ports[0])
    if port.dtype.kind != "f" or port.kind not in {None, "audio"}:
        raise ValueError(f"sound, which is real numbers, but {port} takes none")
    if not len(samples):
        raise ValueError("sound without a single sample")
    wanted = sample_rate(port, info)
    if rate is not None and wanted is not None:
        samples = resample(samples, rate, wanted)
    axis = _time_axis(port)
    length = port.shape[axis] or len(samples)
    shape = [length if index == axis else 1 for index in range(len(port.shape))]
    if not port.accepts(shape):
        raise ValueError(f"sound of {len(samples)} samples")
    count = -(-len(samples) // length)
    padded = np.zeros(count * length, port.dtype)
    padded[: len(samples)] = samples
    return [{port.name: window.reshape(shape)} for window in padded.reshape(count, length)]


def sample_rate(port: InputPort, info: Mapping[str, str]) -> int | None:
    """Return the samples a second that an input wants, if that is known."""
    if port.declared is not None and port.declared.rate:
        return port.declared.rate
    return int(info["sample_rate"]) if info.get("sample_rate", "").isdecimal() else None


def _time_axis(port: InputPort) -> int:
    """Return the dimension for the samples of sound: a dynamic one or the longest, the batch excepted."""
    axes = range(1 if len(port.shape) > 1 else 0, len(port.shape))
    return max(axes, key=lambda axis: port.shape[axis] or sys.maxsize)


def _file_ends(data: bytes, port: InputPort) -> dict[str, Array]:
    """Return the two ends of a file, one number a byte, as Magika takes them.

    The first half is filled up at its end, the last at its beginning, with 256. White space around the
    content is left out, of as much as is looked at.
    """
    half = (port.shape[-1] or port.example_shape[-1]) // 2
    values = np.full(2 * half, 256)
    begin, end = data[:_BLOCK].lstrip()[:half], data[-_BLOCK:].rstrip()[-half:]
    values[: len(begin)] = np.frombuffer(begin, np.uint8)
    values[2 * half - len(end) :] = np.frombuffer(end, np.uint8)
    return {port.name: values[None].astype(port.dtype)}


def _raw(data: bytes, port: InputPort) -> dict[str, Array]:
    """Return a file's bytes as the first input, of which at most one dimension may be dynamic."""
    if len(data) % port.dtype.itemsize:
        raise ValueError(f"{len(data)} bytes, which is not a whole number of {port.dtype} values")
    values = np.frombuffer(data, port.dtype)
    shape = [1 if size is None and axis == 0 else size for axis, size in enumerate(port.shape)]
    try:
        return {port.name: values.reshape([-1 if size is None else size for size in shape])}
    except ValueError as error:
        raise ValueError(f"{len(data)} bytes, {len(values)} values of {port.dtype}") from error
