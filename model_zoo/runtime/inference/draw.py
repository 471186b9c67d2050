"""A picture with what the network found on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.runtime.inference.boxes import colours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def draw_boxes(source: Path, boxes: Sequence[dict[str, Any]], target: Path) -> None:
    """Write the picture with each box, its label and its score."""
    from PIL import Image, ImageDraw

    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    pen = ImageDraw.Draw(picture)
    palette = colours(1 + max((box["index"] for box in boxes), default=0))
    thickness = max(2, round(max(picture.size) / 300))
    for box in reversed(boxes):
        colour = palette[max(0, box["index"])]
        x0, y0, x1, y1 = box["box"]
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=thickness)
        text = f"{box['label']} {box['score']:.2f}"
        left, upper, right, lower = pen.textbbox((x0, max(0, y0 - 12)), text)
        pen.rectangle((left - 1, upper - 1, right + 1, lower + 1), fill=colour)
        pen.text((x0, max(0, y0 - 12)), text, fill=(0, 0, 0))
    picture.save(target)


def draw_mask(source: Path, mask: np.ndarray[Any, Any], target: Path) -> None:
    """Write the picture with each class but the first (the background) in a colour of its own."""
    from PIL import Image

    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    palette = np.array([(0, 0, 0), *colours(int(mask.max(initial=0)))], np.uint8)
    layer = Image.fromarray(palette[mask]).resize(picture.size, Image.Resampling.NEAREST)
    shape = Image.fromarray(np.where(mask > 0, 140, 0).astype(np.uint8))
    picture.paste(layer, (0, 0), shape.resize(picture.size, Image.Resampling.NEAREST))
    picture.save(target)
