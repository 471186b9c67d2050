"""Lines of text from a map of where text is (differentiable binarisation, as PP-OCR's detectors have it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.parts import Box
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.runtime.inference.decode.scene import Array, Scene

_SMALLEST = 3  # pixels of the map: what is thinner is no line of text
_MAP = 4  # dimensions of (batch, 1, rows, columns)


def decode_text_boxes(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the lines of text in reading order, each with its four corners.

    Pixels above ``threshold`` (0.3) that touch are the core of a line; its outline lies further out by
    ``unclip_ratio`` (1.6) times area over circumference. Lines whose mean is below ``box_threshold`` (0.5) do
    not count.

    Raises:
        ValueError: no output is such a map.
    """
    value = next((v for v in outputs.values() if v.ndim == _MAP and v.shape[1] == 1), None)
    if value is None:
        raise ValueError("no output is a map of one value a pixel")
    text = value[0, 0]
    unit = np.array(scene.inner(), np.float64) / text.shape[::-1]
    least = scene.least("box_threshold", 0.5)
    grow = float(scene.parameters.get("unclip_ratio", 1.6))
    boxes = []
    for runs in connected_runs(text > float(scene.parameters.get("threshold", 0.3))):
        score = float(np.mean(np.concatenate([text[row, start:end] for row, start, end in runs])))
        if score < least:
            continue
        middle, axes, half = smallest_rectangle(_hull(_corners(runs)))
        if 2 * half.min() < _SMALLEST:
            continue
        half = half + half.prod() * 2 * grow / (2 * half.sum())  # distance: area * ratio / circumference
        signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        outline = scene.to_picture((middle + (signs * half) @ axes) * unit)
        (x0, y0), (x1, y1) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
        corners = tuple((float(x), float(y)) for x, y in outline)
        boxes.append(Box(x0, y0, x1, y1, score=score, label="text", outline=corners))
    return Prediction(boxes=_in_reading_order(boxes), found="text")


def connected_runs(mask: Array) -> Iterator[list[tuple[int, int, int]]]:
    """Yield each connected area of a mask as runs of (row, first column, column after the last)."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    pitch = mask.shape[1] + 2  # so that a run of one row cannot touch one of another, all keys being in order
    first = np.searchsorted(rows * pitch + ends, (rows + 1) * pitch + starts)
    last = np.searchsorted(rows * pitch + starts, (rows + 1) * pitch + ends, side="right")
    parent = list(range(len(rows)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index in range(len(rows)):
        for below in range(first[index], last[index]):
            parent[root(below)] = root(index)
    areas: dict[int, list[tuple[int, int, int]]] = {}
    for index, run in enumerate(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)):
        areas.setdefault(root(index), []).append(run)
    yield from areas.values()


def _corners(runs: list[tuple[int, int, int]]) -> Array:
    """Return the corners of all runs, (n, 2), x before y."""
    rows, starts, ends = np.array(runs, np.float64).T
    sides = [np.stack([x, y], axis=1) for x in (starts, ends) for y in (rows, rows + 1)]
    return np.concatenate(sides)


def _hull(points: Array) -> Array:
    """Return the convex hull of points, by Andrew's monotone chain."""
    ordered = np.unique(points, axis=0).tolist()

    def half(chain: list[list[float]]) -> list[list[float]]:
        kept: list[list[float]] = []
        for x, y in chain:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append([x, y])
        return kept[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def smallest_rectangle(hull: Array) -> tuple[Array, Array, Array]:
    """Return the smallest rectangle round a convex hull: one of its sides lies on one of the hull's.

    Returns:
        Its middle; its two axes as rows, the first pointing right, the second down; half its size along them.
    """
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2)
    angles = np.where(angles > np.pi / 4, angles - np.pi / 2, angles)  # the first axis is the flatter one
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    down = np.stack([-right[:, 1], right[:, 0]], axis=1)
    along, across = hull @ right.T, hull @ down.T
    low, high = np.stack([along.min(0), across.min(0)]), np.stack([along.max(0), across.max(0)])
    best = int(np.prod(high - low, axis=0).argmin())
    axes = np.stack([right[best], down[best]])
    return ((low + high)[:, best] / 2) @ axes, axes, (high - low)[:, best] / 2


def _in_reading_order(boxes: list[Box]) -> list[Box]:
    """Return boxes from top to bottom, those of one line from left to right."""
    lines: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box.y0 + box.y1):
        line = lines[-1] if lines else []
        middle = (box.y0 + box.y1) / 2
        if line and min(one.y0 for one in line) < middle < max(one.y1 for one in line[-1:]):
            line.append(box)
        else:
            lines.append([box])
    return [box for line in lines for box in sorted(line, key=lambda box: box.x0)]
