"""Boxes: overlaps, and outputs that are corners, classes and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.parts import make_box
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.runtime.inference.decode.scene import Array, Scene

_CORNERS = 4


def decode_boxes(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the boxes of outputs whose names contain ``boxes``, ``labels`` (or ``classes``) and ``scores``.

    A fifth column of the boxes is the score, where that has no output of its own.

    Raises:
        ValueError: there are no such outputs.
    """
    corners = _named(outputs, "box")
    classes, scores = _named(outputs, "label", "class"), _named(outputs, "score", "conf")
    if corners is None or corners.shape[-1] not in {_CORNERS, _CORNERS + 1}:
        raise ValueError("no output has boxes of four corners")
    rows = corners.reshape(-1, corners.shape[-1]).astype(np.float64)
    if scores is None:
        if rows.shape[1] == _CORNERS:
            raise ValueError("no output has the scores of the boxes")
        scores = rows[:, _CORNERS]
    flat = scores.reshape(len(rows), -1).astype(np.float64)
    ids = flat.argmax(axis=1) if classes is None else classes.reshape(-1).astype(np.int64)
    best = flat.max(axis=1)
    unit = (1, 1) if scene.parameters.get("pixels") else scene.inner()
    least = scene.least("confidence_threshold", 0.5)
    order = [index for index in np.argsort(-best, kind="stable") if best[index] >= least]
    points = scene.to_picture(rows[:, :_CORNERS].reshape(-1, 2, 2) * unit).reshape(-1, _CORNERS)
    return Prediction(
        boxes=[make_box(points[i], best[i], scene.name(int(ids[i])), ids[i]) for i in order],
        found="objects",
    )


def _named(outputs: Mapping[str, Array], *words: str) -> Array | None:
    return next((v for name, v in outputs.items() if any(word in name.lower() for word in words)), None)


def merge_overlapping(rows: Array, scores: Array, limit: float) -> list[tuple[Array, float]]:
    """Return one row for each group of overlapping boxes, their mean weighted by score, best first.

    Args:
        rows: (n, 4 or more): x0, y0, x1, y1 and what else is to be averaged.
        scores: of each row.
        limit: intersection over union from which two boxes are one.
    """
    left = np.argsort(-scores, kind="stable")
    groups = []
    while len(left):
        same = intersection_over_union(rows[left[0]], rows[left]) > limit
        same[0] = True
        group = left[same]
        weights = scores[group] / scores[group].sum()
        groups.append((np.asarray(weights @ rows[group]), float(scores[left[0]])))
        left = left[~same]
    return groups


def intersection_over_union(box: Array, others: Array) -> Array:
    """Return intersection over union of a box and each of the others, all (x0, y0, x1, y1, …)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:4], others[:, 2:4])
    intersection = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:4] - others[:, :2], axis=1) + np.prod(box[2:4] - box[:2])
    return np.asarray(intersection / np.maximum(areas - intersection, 1e-9))
