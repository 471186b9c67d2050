"""Two models in a row: the second answers each thing that the first has found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from model_zoo.errors import InputError
from model_zoo.runtime.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from model_zoo.runtime.inference.decode.scene import Array
    from model_zoo.runtime.inference.items import Input, Item
    from model_zoo.runtime.inference.parts import Box, Keypoint
    from model_zoo.runtime.inference.prediction import Prediction
    from model_zoo.schema.chain import Chain

_TALL = 1.5
"""How many times as high as wide a line of text is that runs from top to bottom."""


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle at any angle: its upper left corner, and its upper and left side as vectors, in pixels."""

    corner: Array
    right: Array
    down: Array

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return max(1, round(float(np.linalg.norm(self.right)))), max(
            1, round(float(np.linalg.norm(self.down)))
        )

    def cut(self, picture: Array) -> Array:
        """Return what a picture shows there, upright; black where it ends."""
        from PIL import Image

        width, height = self.size
        along, across = self.right / width, self.down / height
        matrix = (along[0], across[0], self.corner[0], along[1], across[1], self.corner[1])
        image = Image.fromarray(picture)
        cut = image.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        return np.asarray(cut)

    def to_picture(self, point: Keypoint) -> Keypoint:
        """Return a point of what was cut out as a point of the picture."""
        width, height = self.size
        x, y = self.corner + self.right * (point.x / width) + self.down * (point.y / height)
        return replace(point, x=float(x), y=float(y))


def region_of(box: Box, rules: Chain) -> Region:
    """Return what the second model gets of a box."""
    if rules.cut == "outline" and box.outline:
        corners = np.array(box.outline)
        corner, right, down = corners[0], corners[1] - corners[0], corners[3] - corners[0]
        if np.linalg.norm(down) > _TALL * np.linalg.norm(right):  # what runs down runs to the right then
            corner, right, down = corner + right, down, -right
    else:
        corner = np.array([box.x0, box.y0])
        right, down = np.array([box.x1 - box.x0, 0.0]), np.array([0.0, box.y1 - box.y0])
    middle, width, height = corner + (right + down) / 2, np.linalg.norm(right), np.linalg.norm(down)
    if rules.level is not None and max(rules.level) < len(box.keypoints):
        first, second = (box.keypoints[index] for index in rules.level)
        right = np.array([second.x - first.x, second.y - first.y])
        down = np.array([-right[1], right[0]])
    if rules.square:
        width = height = max(width, height)
    grow = 1 + 2 * rules.margin
    right = right / max(float(np.linalg.norm(right)), 1e-9) * max(width * grow, 1.0)
    down = down / max(float(np.linalg.norm(down)), 1e-9) * max(height * grow, 1.0)
    return Region(middle - (right + down) / 2, right, down)


class ChainedPredictor(Predictor):
    """Asks the second model about each box that the first has found.

    A text becomes the box's and a line of the whole one; points become the box's; a class becomes its label.
    """

    def __init__(self, name: str, first: Predictor, second: Predictor, rules: Chain) -> None:
        super().__init__(name, first.compiled, first.task)
        self.first = first
        self.second = second
        self.rules = rules

    def stream(self, sources: Iterable[Input | Item | None]) -> Iterator[Prediction]:
        """Yield one prediction for each input, in order; see ``Predictor.stream``."""
        for found in self.first.stream(sources):
            yield self._followed(found)

    def _followed(self, found: Prediction) -> Prediction:
        picture = found.picture
        if picture is None:
            if found.source == "zeros":
                return found
            what = f"{found.source} is no picture, which {self.name} takes"
            raise InputError(what, hint="give a picture")
        regions = [region_of(box, self.rules) for box in found.boxes]
        answers = list(self.second.stream(region.cut(picture) for region in regions))
        boxes = [
            _answered(box, region, answer)
            for box, region, answer in zip(found.boxes, regions, answers, strict=True)
        ]
        seconds = found.seconds + sum(answer.seconds for answer in answers)
        result = replace(found, boxes=boxes, seconds=seconds)
        if found.found != "text":
            return replace(result, keypoints=[point for box in boxes for point in box.keypoints])
        read = [box for box in boxes if box.text]
        score = float(np.mean([box.score for box in read])) if read else 0.0
        return replace(result, boxes=read, text="\n".join(str(box.text) for box in read), score=score)


def _answered(box: Box, region: Region, answer: Prediction) -> Box:
    if answer.text is not None:
        return replace(box, text=answer.text, score=answer.score or 0.0)
    if answer.keypoints:
        return replace(box, keypoints=tuple(region.to_picture(point) for point in answer.keypoints))
    if answer.labels:
        best = answer.labels[0]
        return replace(box, label=best.name, id=best.id, score=best.score)
    return box
