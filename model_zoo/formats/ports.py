"""Inputs and outputs of networks: their names, shapes without unknown sizes, and images as tensors.

Inference needs this, and so does calibration in the conversion worker: numpy and pillow only.

Channel order: an image is RGB, unless ``color_order`` says that the graph takes BGR (and reverses it).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

Array = np.ndarray[Any, Any]
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What such files may hold. Pillow goes by the content, and for PostScript starts another program."""
_WHITE = 255
_STRIDE = 32
"""Dynamic sides are rounded to multiples of this, by which fully convolutional networks divide."""
_LARGEST = 1280
"""The longest side in pixels, if both are dynamic."""


def open_image(file: Path | IO[bytes]) -> Image:
    """Open an image of one of the formats that the suffixes stand for.

    Raises:
        OSError: it is none.
        ImportError: pillow is not installed.
    """
    from PIL import Image

    return Image.open(file, formats=_FORMATS)


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


class Fit(NamedTuple):
    """Where a picture lies in the tensor that was made of it: a point of it is at ``point * scale + offset``.

    Everything is x before y, in pixels: ``size`` of the picture, ``inner`` of the tensor.
    """

    size: tuple[int, int]
    inner: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)

    def to_picture(self, points: Array) -> Array:
        """Return points (..., 2) of the tensor as points of the picture, inside it."""
        moved = (np.asarray(points, np.float64) - self.offset) / self.scale
        return np.asarray(np.clip(moved, 0, self.size))

    def of_part(self, whole: tuple[int, int]) -> Fit:
        """Return the same for the picture of whose middle this one was cut out."""
        left, top = ((outer - own) // 2 for outer, own in zip(whole, self.size, strict=True))
        offset = (self.offset[0] - left * self.scale[0], self.offset[1] - top * self.scale[1])
        return self._replace(size=whole, offset=offset)


def cut_middle(image: Image, fraction: float) -> Image:
    """Return a part of each side of a picture, around its middle."""
    width, height = (max(1, round(side * fraction)) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def image_tensor(
    image: Image, shape: Sequence[int | None], layout: str, dtype: np.dtype[Any], info: Mapping[str, str]
) -> tuple[Array, Fit]:
    """Return a picture as the input of a network, and where it lies in there.

    Args:
        image: the picture.
        shape: the input's shape; None for a dynamic size.
        layout: one letter per dimension, with H, W and C, such as NCHW.
        dtype: the input's element type.
        info: ``model_info`` as text: resize_type, pad_value, interpolation_mode, mean_values, scale_values,
            embedded_processing, color_order; and of our own ``range``, the lowest and the highest value, and
            ``crop_fraction``, the part of each side around the middle that is kept at all.

    Returns:
        An array of that layout. One dynamic size follows from the other and the picture's shape; two are the
        picture's own, rounded to multiples of 32.

    Raises:
        OSError: pillow cannot read it.
        ValueError: the layout or model_info does not fit.
    """
    sizes = dict(zip(layout, shape, strict=True))
    image = image.convert({1: "L", 4: "RGBA"}.get(sizes.get("C") or 3, "RGB"))
    whole = image.size
    image = cut_middle(image, float(info.get("crop_fraction") or 1))
    resized, fit = _resize(image, _target_size(image, sizes.get("W"), sizes.get("H")), info)
    fit = fit.of_part(whole)
    pixels = np.asarray(resized)
    if pixels.ndim == 2:  # noqa: PLR2004 - a grey image has no channel dimension
        pixels = pixels[:, :, None]
    if info.get("color_order", "RGB").upper() == "BGR":
        pixels = pixels[:, :, ::-1]
    return arrange(normalise(_in_range(pixels, info), info), layout, dtype), fit


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


def _in_range(pixels: Array, info: Mapping[str, str]) -> Array:
    """Return pixels of 0..255 between the lowest and the highest value of ``range``."""
    low, high = (float(text) for text in info.get("range", "0 255").split())
    if (low, high) == (0, _WHITE):
        return pixels
    return np.asarray(pixels.astype(np.float32) * ((high - low) / _WHITE) + low, np.float32)


def _target_size(image: Image, width: int | None, height: int | None) -> tuple[int, int]:
    """Return width and height of the tensor; what is open follows from the picture's shape."""
    if width and height:
        return width, height
    if height:
        return max(1, round(image.width * height / image.height)), height
    if width:
        return width, max(1, round(image.height * width / image.width))
    shrink = min(1.0, _LARGEST / max(image.size))
    own_width, own_height = (max(_STRIDE, round(side * shrink / _STRIDE) * _STRIDE) for side in image.size)
    return own_width, own_height


def _resize(image: Image, size: tuple[int, int], info: Mapping[str, str]) -> tuple[Image, Fit]:
    """Resize as the resize types of openvino-model-api do."""
    from PIL import Image

    kind = info.get("resize_type") or "standard"
    modes = {"LINEAR": "BILINEAR", "CUBIC": "BICUBIC", "AREA": "BOX"}
    mode = info.get("interpolation_mode", "LINEAR").upper()
    method = Image.Resampling[modes.get(mode, mode)]
    own_width, own_height = image.size
    width, height = size
    if kind == "standard":
        return image.resize(size, method), Fit(image.size, size, (width / own_width, height / own_height))
    if kind == "crop":
        ratio = max(width / own_width, height / own_height)
        whole = image.resize((round(own_width * ratio), round(own_height * ratio)), method)
        left, top = (whole.width - width) // 2, (whole.height - height) // 2
        fit = Fit(image.size, size, (whole.width / own_width, whole.height / own_height), (-left, -top))
        return whole.crop((left, top, left + width, top + height)), fit
    if kind not in {"fit_to_window", "fit_to_window_letterbox"}:
        msg = f"resize_type {kind!r} is not standard, crop, fit_to_window or fit_to_window_letterbox"
        raise ValueError(msg)
    ratio = min(width / own_width, height / own_height)
    inner = (max(1, round(own_width * ratio)), max(1, round(own_height * ratio)))
    pad = int(info.get("pad_value") or 0)
    canvas = Image.new(image.mode, size, (pad,) * len(image.getbands()) if image.mode != "L" else pad)
    middle = kind == "fit_to_window_letterbox"
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2) if middle else (0, 0)
    canvas.paste(image.resize(inner, method), corner)
    return canvas, Fit(image.size, size, (inner[0] / own_width, inner[1] / own_height), corner)


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
