"""Drawing what was found on a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import PIL.Image

    from model_zoo.formats.ports import Array
    from model_zoo.runtime.inference.parts import Box, Keypoint, Mask

Colour = tuple[int, int, int]


def draw(
    picture: Array, boxes: Sequence[Box] = (), masks: Sequence[Mask] = (), keypoints: Sequence[Keypoint] = ()
) -> PIL.Image.Image:
    """Return the picture, (height, width, 3) RGB, with masks, boxes and points on it."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    palette = _colours(1 + max([mask.id for mask in masks] + [box.id for box in boxes], default=0))
    for mask in masks:
        _draw_mask(image, mask, palette[max(0, mask.id)])
    canvas = ImageDraw.Draw(image)
    thickness = max(2, round(max(image.size) / 300))
    for box in reversed(boxes):
        _draw_box(canvas, box, palette[max(0, box.id)], thickness)
    _draw_points(canvas, keypoints, thickness)
    return image


def _draw_box(canvas: Any, box: Box, colour: Colour, thickness: int) -> None:  # noqa: ANN401 - of pillow
    if box.outline:
        canvas.polygon(box.outline, outline=colour, width=thickness)
    else:
        canvas.rectangle(
            (box.x0, box.y0, max(box.x0, box.x1), max(box.y0, box.y1)), outline=colour, width=thickness
        )
    text = f"{box.label if box.text is None else box.text} {box.score:.2f}"
    size = 5 * thickness + 2
    corner = (box.x0, max(0, box.y0 - size))
    left, upper, right, lower = canvas.textbbox(corner, text, font_size=size)
    canvas.rectangle((left - 1, upper - 1, right + 1, lower + 1), fill=colour)
    canvas.text(corner, text, fill=(0, 0, 0), font_size=size)


def _draw_points(canvas: Any, points: Sequence[Keypoint], size: int) -> None:  # noqa: ANN401 - of pillow
    radius = max(1, size // (2 if len(points) > 100 else 1))  # noqa: PLR2004 - a mesh, not a few joints
    for point in points:
        corners = (point.x - radius, point.y - radius, point.x + radius, point.y + radius)
        canvas.ellipse(corners, fill=(255, 214, 10), outline=(0, 0, 0))


def _draw_mask(image: PIL.Image.Image, mask: Mask, colour: Colour) -> None:
    from PIL import Image

    shape = Image.fromarray(np.where(mask.pixels, 140, 0).astype(np.uint8))
    image.paste(Image.new("RGB", image.size, colour), (0, 0), shape)


def _colours(count: int) -> list[Colour]:
    """Return that many distinct colours, the same every time."""
    import colorsys

    hues = [(index * 0.618034) % 1.0 for index in range(count)]  # the golden ratio spreads any number evenly
    parts = [colorsys.hsv_to_rgb(hue, 0.85, 0.95) for hue in hues]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in parts]
