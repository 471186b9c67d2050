"""Inputs and outputs of networks: their names, shapes without unknown sizes, and images as tensors.

Inference needs this, and so does calibration in the conversion worker: numpy and pillow only.

Channel order: an image is RGB, unless ``color_order`` says that the graph takes BGR (and reverses it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

Array = np.ndarray[Any, Any]
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What such files may hold. Pillow goes by the content, and for PostScript starts another program."""
_STRIDE = 32
"""Dynamic sides are rounded to multiples of this, by which fully convolutional networks divide."""
_LARGEST = 1280
"""The longest side in pixels, if both are dynamic."""


def open_image(path: Path) -> Image:
    """Open an image of one of the formats that the suffixes stand for.

    Raises:
        OSError: it is none.
        ImportError: pillow is not installed.
    """
    from PIL import Image

    return Image.open(path, formats=_FORMATS)


def guess_layout(shape: Sequence[int | None]) -> str | None:
    """Return NCHW or NHWC if four sizes, None where dynamic, clearly show which one is the channels."""
    if len(shape) != 4:  # noqa: PLR2004 - batch, channels, height, width
        return None
    for channels in ({1, 3}, {4}):  # grey and colour are what most networks take
        first, last = shape[1] in channels, shape[3] in channels
        if first != last:
            return "NCHW" if first else "NHWC"
        if first:
            return None
    return None


def image_tensor(
    path: Path, shape: Sequence[int | None], layout: str, dtype: np.dtype[Any], info: Mapping[str, str]
) -> Array:
    """Return an image as the input of a network.

    ``shape`` has None for a dynamic size, which becomes the image's own, rounded to a multiple of 32.
    ``layout`` has one letter per dimension, with H, W and C, such as NCHW. ``info`` is ``model_info`` as
    text: resize_type, pad_value, reverse_input_channels, mean_values, scale_values, embedded_processing,
    color_order.

    Raises:
        OSError: pillow cannot read it.
        ValueError: the layout or model_info does not fit.
    """
    sizes = dict(zip(layout, shape, strict=True))
    mode = {1: "L", 4: "RGBA"}.get(sizes.get("C") or 3, "RGB")
    with open_image(path) as opened:
        image = opened.convert(mode)
    height, width = _target_size(image, sizes.get("H"), sizes.get("W"))
    kind = info.get("resize_type") or "standard"
    pixels = np.asarray(_resize(image, height, width, kind, int(info.get("pad_value") or 0)))
    if pixels.ndim == 2:  # noqa: PLR2004 - a grey image has no channel dimension
        pixels = pixels[:, :, None]
    if info.get("color_order", "RGB").upper() == "BGR":
        pixels = pixels[:, :, ::-1]
    return arrange(normalise(pixels, info), layout, dtype)


def arrange(pixels: Array, layout: str, dtype: np.dtype[Any]) -> Array:
    """Return pixels (height x width x channels) in another layout, with a batch of one if it has N."""
    order = [("HWC").index(letter) for letter in layout if letter in "HWC"]
    tensor = np.transpose(pixels, order)
    for axis, letter in enumerate(layout):
        if letter not in "HWC":
            tensor = np.expand_dims(tensor, axis)
    return np.ascontiguousarray(tensor, dtype=dtype)


def normalise(pixels: Array, info: Mapping[str, str]) -> Array:
    """Do what ``model_info`` leaves to the caller: subtract the mean, divide by the scale.

    A declared ``reverse_input_channels`` means that callers have BGR and the network wants RGB. Images are
    RGB here, so there is nothing to reverse.

    Raises:
        ValueError: a value is not a number, or there is neither one for all channels nor one per channel.
    """
    if info.get("embedded_processing") == "True":
        return pixels
    for name, sign in (("mean_values", -1), ("scale_values", 1)):
        values = [float(text) for text in info.get(name, "").split()]
        if not values:
            continue
        if len(values) not in {1, pixels.shape[-1]}:
            raise ValueError(f"{name} has {len(values)} values, the image {pixels.shape[-1]} channels")
        numbers = np.asarray(values, np.float32)
        pixels = pixels.astype(np.float32) - numbers if sign < 0 else pixels.astype(np.float32) / numbers
    return pixels


def _target_size(image: Image, height: int | None, width: int | None) -> tuple[int, int]:
    if height and width:
        return height, width
    shrink = min(1.0, _LARGEST / max(image.size))
    own_width, own_height = (max(_STRIDE, round(side * shrink / _STRIDE) * _STRIDE) for side in image.size)
    return height or own_height, width or own_width


def _resize(image: Image, height: int, width: int, kind: str, pad: int) -> Image:
    """Resize as the resize types of openvino-model-api do."""
    from PIL import Image, ImageOps

    size, method = (width, height), Image.Resampling.BILINEAR
    if kind == "standard":
        return image.resize(size, method)
    if kind == "crop":
        return ImageOps.fit(image, size, method)
    if kind not in {"fit_to_window", "fit_to_window_letterbox"}:
        msg = f"resize_type {kind!r} is not standard, crop, fit_to_window or fit_to_window_letterbox"
        raise ValueError(msg)
    ratio = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    canvas = Image.new(image.mode, size, (pad,) * len(image.getbands()) if image.mode != "L" else pad)
    free = (width - inner[0], height - inner[1])
    corner = (free[0] // 2, free[1] // 2) if kind == "fit_to_window_letterbox" else (0, 0)
    canvas.paste(image.resize(inner, method), corner)
    return canvas


if TYPE_CHECKING:
    from typing import TypeAlias

    import openvino as ov

    Port: TypeAlias = ov.Output | ov.ConstOutput


def port_name(port: Port) -> str:
    """Return the name people know a port by: its tensor's, else its node's.

    A tensor may have several names, and a device may add some when it compiles. Then the one after which the
    converter named the result itself comes first.
    """
    names, own = port.get_names(), port.get_node().get_friendly_name()
    for known in (own, own.rpartition("/")[0]):
        if known in names:
            return str(known)
    return str(min(names, default=own))


def port_sizes(port: Port) -> tuple[int | None, ...]:
    """Return the sizes of a port's dimensions; None for one that is dynamic."""
    return tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())


def image_layout(port: Port) -> str | None:
    """Return the declared layout of a port, else the one its shape suggests, such as NCHW."""
    sizes = port_sizes(port)
    layout = port.get_node().layout.to_string().strip("[]").replace(",", "")
    complete = len(layout) == len(sizes) and {"H", "W"} <= set(layout)  # "[...]" means unknown
    return layout if complete else guess_layout(sizes)


def choose_shape(shape: ov.PartialShape, size: int = 32) -> tuple[int, ...]:
    """Return a shape within the bounds of a dynamic one: 1 for the batch, else ``size`` where that fits."""
    return tuple(_choose_size(dim, size if axis else 1) for axis, dim in enumerate(shape))


def _choose_size(dim: ov.Dimension, preferred: int) -> int:
    if dim.is_static:
        return int(dim.get_length())
    low, high = dim.get_min_length(), dim.get_max_length()
    size = max(preferred, low)
    return int(size if high < 0 else min(size, high))
