"""MediaPipe's detectors: a score, a box and a few points for each anchor of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.decode.boxes import merge_overlapping
from model_zoo.runtime.inference.decode.scene import sigmoid
from model_zoo.runtime.inference.parts import Box, Keypoint
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.runtime.inference.decode.scene import Array, Scene

_BOX = 4  # x and y of the middle, width, height


def decode_ssd_anchors(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the boxes and points of a detector of MediaPipe.

    Each anchor has a score before the sigmoid, and in pixels of the network's input, from the anchor: the
    middle of the box, its size, then the points. Overlapping boxes become one, their mean weighted by score.

    Raises:
        ValueError: the outputs are not those of the grids that ``strides`` and ``anchors_per_cell`` describe.
    """
    points = int(scene.parameters.get("keypoints", 0))
    width, height = scene.inner()
    anchors = anchor_points(
        (width, height), scene.parameters.get("strides", ()), scene.parameters.get("anchors_per_cell", ())
    )
    columns = _BOX + 2 * points
    raw = _of_width(outputs, len(anchors), columns)
    scores = sigmoid(_of_width(outputs, len(anchors), 1)[:, 0])
    kept = np.flatnonzero(scores >= scene.least("confidence_threshold", 0.5))
    raw, anchors, scores = raw[kept].astype(np.float64), anchors[kept], scores[kept]
    middle, half = raw[:, :2] + anchors, raw[:, 2:4] / 2
    rest = (raw[:, _BOX:].reshape(-1, points, 2) + anchors[:, None]).reshape(len(raw), 2 * points)
    rows = np.concatenate([middle - half, middle + half, rest], axis=1)
    boxes = [
        _box(scene.to_picture(row.reshape(-1, 2)), score, scene)
        for row, score in merge_overlapping(rows, scores, float(scene.parameters.get("iou_threshold", 0.3)))
    ]
    return Prediction(boxes=boxes, keypoints=[p for box in boxes for p in box.keypoints], found="objects")


def anchor_points(size: tuple[int, int], strides: Sequence[int], per_cell: Sequence[int]) -> Array:
    """Return the middle of every anchor's cell, (n, 2), x before y, in pixels of the network's input."""
    if len(strides) != len(per_cell) or not strides:
        raise ValueError("strides and anchors_per_cell must be lists of the same length")
    grids = []
    for stride, count in zip(strides, per_cell, strict=True):
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2) + 0.5
        grids.append(np.repeat(cells * (size[0] / columns, size[1] / rows), count, axis=0))
    return np.concatenate(grids)


def _of_width(outputs: Mapping[str, Array], rows: int, columns: int) -> Array:
    for value in outputs.values():
        if value.size == rows * columns and value.shape[-1] == columns:
            return value.reshape(rows, columns)
    raise ValueError(f"no output has {columns} numbers for each of {rows} anchors")


def _box(points: Array, score: float, scene: Scene) -> Box:
    (x0, y0), (x1, y1), *rest = points.tolist()
    names = scene.labels[1:]
    marks = [Keypoint(x, y, name=names[i] if i < len(names) else "") for i, (x, y) in enumerate(rest)]
    return Box(x0, y0, x1, y1, score=score, label=scene.name(0, "object"), keypoints=tuple(marks))
