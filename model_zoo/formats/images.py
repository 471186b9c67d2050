"""Pictures to tensors, the way a model's ``model_info`` asks for them.

Used wherever a picture meets a network: inference, and calibration in the conversion worker. So it needs
numpy and pillow, nothing else of this package.

Channel order: a picture is RGB, unless the network's input was made to take BGR, which
``reverse_input_channels`` (still to be done here) and ``color_order`` (already in the graph) say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_GRAIN = 32
"""Sides that the network leaves open are rounded to this: what fully convolutional networks divide by."""
_LARGEST = 1280


def guess_layout(shape: Sequence[int | None]) -> str | None:
    """Return NCHW or NHWC where a shape of four leaves no doubt which dimension is the channels.

    Args:
        shape: sizes; None for any.
    """
    if len(shape) != 4:  # noqa: PLR2004 - batch, channels, height, width
        return None
    for channels in ({1, 3}, {4}):  # grey and colour are what most networks take
        first, last = shape[1] in channels, shape[3] in channels
        if first != last:
            return "NCHW" if first else "NHWC"
        if first:
            return None
    return None


def picture_tensor(
    path: Path, shape: Sequence[int | None], layout: str, dtype: np.dtype[Any], info: Mapping[str, str]
) -> np.ndarray[Any, Any]:
    """Return a picture as the input of a network.

    Args:
        path: the picture.
        shape: the input's shape; None for a size it leaves open.
        layout: one letter a dimension, with H, W and C, such as NCHW.
        dtype: the input's element type.
        info: ``model_info`` as text: resize_type, pad_value, reverse_input_channels, mean_values,
            scale_values, embedded_processing, color_order.

    Returns:
        An array of that layout; sizes left open are the picture's own, rounded to multiples of 32.

    Raises:
        OSError: it is not a picture that pillow reads.
        ValueError: the layout or model_info does not fit.
    """
    from PIL import Image

    sizes = dict(zip(layout, shape, strict=True))
    mode = {1: "L", 4: "RGBA"}.get(sizes.get("C") or 3, "RGB")
    with Image.open(path) as opened:
        picture = opened.convert(mode)
    height, width = _target(picture, sizes.get("H"), sizes.get("W"))
    kind = info.get("resize_type") or "standard"
    pixels = np.asarray(_resize(picture, height, width, kind, int(info.get("pad_value") or 0)))
    if pixels.ndim == 2:  # noqa: PLR2004 - a grey picture has no channel dimension
        pixels = pixels[:, :, None]
    if info.get("color_order", "RGB").upper() == "BGR":
        pixels = pixels[:, :, ::-1]
    return lay_out(normalise(pixels, info), layout, dtype)


def lay_out(pixels: np.ndarray[Any, Any], layout: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return height, width, channels in the network's layout and type, with a batch of one if it has N."""
    order = [("HWC").index(letter) for letter in layout if letter in "HWC"]
    tensor = np.transpose(pixels, order)
    for axis, letter in enumerate(layout):
        if letter not in "HWC":
            tensor = np.expand_dims(tensor, axis)
    return np.ascontiguousarray(tensor, dtype=dtype)


def normalise(pixels: np.ndarray[Any, Any], info: Mapping[str, str]) -> np.ndarray[Any, Any]:
    """Do what ``model_info`` leaves to the caller: mean, then scale, in the order the network sees.

    A declared reversal means that callers have BGR and the network wants RGB. A picture is RGB here, so
    there is nothing to reverse.

    Raises:
        ValueError: a value is not a number, or there are neither one nor one a channel.
    """
    if info.get("embedded_processing") == "True":
        return pixels
    for name, sign in (("mean_values", -1), ("scale_values", 1)):
        values = [float(text) for text in info.get(name, "").split()]
        if not values:
            continue
        if len(values) not in {1, pixels.shape[-1]}:
            msg = f"{name} has {len(values)} values for {pixels.shape[-1]} channels"
            raise ValueError(msg)
        numbers = np.asarray(values, np.float32)
        pixels = pixels.astype(np.float32) - numbers if sign < 0 else pixels.astype(np.float32) / numbers
    return pixels


def _target(picture: Image, height: int | None, width: int | None) -> tuple[int, int]:
    if height and width:
        return height, width
    shrink = min(1.0, _LARGEST / max(picture.size))
    own_width, own_height = (max(_GRAIN, round(side * shrink / _GRAIN) * _GRAIN) for side in picture.size)
    return height or own_height, width or own_width


def _resize(picture: Image, height: int, width: int, kind: str, pad: int) -> Image:
    """Resize as openvino-model-api's resize types do."""
    from PIL import Image, ImageOps

    size, method = (width, height), Image.Resampling.BILINEAR
    if kind == "standard":
        return picture.resize(size, method)
    if kind == "crop":
        return ImageOps.fit(picture, size, method)
    if kind not in {"fit_to_window", "fit_to_window_letterbox"}:
        msg = f"resize_type {kind!r} is not standard, crop, fit_to_window or fit_to_window_letterbox"
        raise ValueError(msg)
    ratio = min(width / picture.width, height / picture.height)
    inner = (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))
    canvas = Image.new(picture.mode, size, (pad,) * len(picture.getbands()) if picture.mode != "L" else pad)
    free = (width - inner[0], height - inner[1])
    corner = (free[0] // 2, free[1] // 2) if kind == "fit_to_window_letterbox" else (0, 0)
    canvas.paste(picture.resize(inner, method), corner)
    return canvas
