"""Drawing boxes and masks on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.files import replacing
from model_zoo.formats.images import open_image
from model_zoo.runtime.inference.outputs import colours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import PIL.Image

    from model_zoo.formats.images import Array
    from model_zoo.runtime.inference.outputs import Box


def draw_boxes(source: Path, boxes: Sequence[Box], target: Path) -> None:
    """Write the image with each box, its label and its score."""
    from PIL import ImageDraw

    with open_image(source) as opened:
        image = opened.convert("RGB")
    canvas = ImageDraw.Draw(image)
    palette = colours(1 + max((box["index"] for box in boxes), default=0))
    thickness = max(2, round(max(image.size) / 300))
    for box in reversed(boxes):
        colour = palette[max(0, box["index"])]
        x0, y0, x1, y1 = box["box"]
        canvas.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=thickness)
        text = f"{box['label']} {box['score']:.2f}"
        left, upper, right, lower = canvas.textbbox((x0, max(0, y0 - 12)), text)
        canvas.rectangle((left - 1, upper - 1, right + 1, lower + 1), fill=colour)
        canvas.text((x0, max(0, y0 - 12)), text, fill=(0, 0, 0))
    _save(image, target)


def draw_mask(source: Path, mask: Array, target: Path) -> None:
    """Write the image with each class in a colour of its own, the first (the background) excepted."""
    from PIL import Image

    with open_image(source) as opened:
        image = opened.convert("RGB")
    palette = np.array([(0, 0, 0), *colours(int(mask.max(initial=0)))], np.uint8)
    layer = Image.fromarray(palette[mask]).resize(image.size, Image.Resampling.NEAREST)
    shape = Image.fromarray(np.where(mask > 0, 140, 0).astype(np.uint8))
    image.paste(layer, (0, 0), shape.resize(image.size, Image.Resampling.NEAREST))
    _save(image, target)


def _save(image: PIL.Image.Image, target: Path) -> None:
    """Write an image whole or not at all; a link in its place is replaced, not followed."""
    from PIL import Image

    kind = Image.registered_extensions().get(target.suffix.lower())
    with replacing(target) as staged, staged.open("wb") as stream:
        image.save(stream, format=kind)
