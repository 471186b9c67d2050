"""Outputs of a network: class scores with labels, boxes and masks in pixels of the image, or a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.formats.ports import Array

_SSD_FIELDS = 7  # image, class, score, x0, y0, x1, y1: OpenVINO's DetectionOutput


class TensorSummary(TypedDict, total=False):
    """What an output tensor looks like; the last three only if it has values."""

    name: str
    shape: list[int]
    type: str
    min: float
    mean: float
    max: float


class TopClass(TypedDict, total=False):
    """One of the most likely classes; its label only if it is known."""

    index: int
    score: float
    label: str


def summarize(name: str, value: Array) -> TensorSummary:
    """Return name, shape, type, and the smallest, mean and largest value if there are any."""
    entry: TensorSummary = {"name": name, "shape": list(value.shape), "type": str(value.dtype)}
    if value.size and value.dtype.kind in "fiub":
        wide = value.astype(np.float64)
        entry |= {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}
    return entry


def labels_of(info: Mapping[str, str]) -> list[str]:
    """Return ``model_info``'s labels."""
    return info.get("labels", "").split()


def class_scores(outputs: Mapping[str, Array], info: Mapping[str, str]) -> Array | None:
    """Return the class probabilities if there is an output of a classifier; else None.

    That is an output with one value per label. Without labels, it is the only output, if ``model_type`` is
    Classification or its values are probabilities with a sum of one.
    """
    labels = labels_of(info)
    vectors = [v for v in outputs.values() if v.dtype.kind == "f" and v.size == max(v.shape, default=0) > 1]
    flat = [value.reshape(-1) for value in vectors]
    if labels:
        return next(
            (probabilities(scores) for scores in flat if len(scores) in {len(labels), len(labels) + 1}), None
        )
    if len(outputs) != 1 or not flat:
        return None
    declared = info.get("model_type", "").lower() == "classification"
    return probabilities(flat[0]) if declared or _sums_to_one(flat[0]) else None


def _sums_to_one(scores: Array) -> bool:
    return bool(scores.min() >= 0 and abs(float(scores.astype(np.float64).sum()) - 1) < 1e-2)  # noqa: PLR2004 - FP16


def probabilities(scores: Array) -> Array:
    """Return the softmax of the scores, unless they already are probabilities."""
    if _sums_to_one(scores):
        return scores
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(powers / powers.sum())


def top_classes(scores: Array, count: int, labels: list[str]) -> list[TopClass]:
    """Return the ``count`` most likely classes, best first.

    If there is one class more than labels, the first class is the background.
    """
    offset = 1 if labels and len(scores) == len(labels) + 1 else 0
    best = np.argsort(-scores, kind="stable")[:count]
    entries = []
    for index in best:
        entry: TopClass = {"index": int(index), "score": float(scores[index])}
        if labels:
            entry["label"] = "background" if index < offset else labels[index - offset]
        entries.append(entry)
    return entries


class Box(TypedDict):
    """A detected object; ``box`` is x0, y0, x1, y1 in pixels of the image."""

    index: int
    label: str
    score: float
    box: list[float]


def find_boxes(
    outputs: Mapping[str, Array], info: Mapping[str, str], *, image: tuple[int, int], network: tuple[int, int]
) -> list[Box] | None:
    """Return the boxes that a detection network found, best first.

    ``info`` is ``model_info``: ``model_type`` says how to read the outputs, ``confidence_threshold`` (0.5)
    and ``iou_threshold`` (0.5) which boxes to keep, ``resize_type`` how the image was resized. ``image`` and
    ``network`` are width and height of the image and of the network's input. None if ``model_type`` is
    neither ssd nor yolo, or the outputs do not look like it.
    """
    kind = info.get("model_type", "").lower()
    threshold = float(info.get("confidence_threshold") or 0.5)
    if kind == "ssd":
        found = _ssd(outputs, network)
    elif kind.startswith("yolo"):
        found = _yolo(outputs)
    else:
        return None
    if found is None:
        return None
    found = found[found[:, 1] >= threshold]
    if kind.startswith("yolo"):
        found = _non_maximum_suppression(found, float(info.get("iou_threshold") or 0.5))
    found = found[np.argsort(-found[:, 1], kind="stable")]
    corners = _to_image(found[:, 2:], info.get("resize_type") or "standard", image, network)
    labels = labels_of(info)
    return [
        {
            "index": int(row[0]),
            "label": labels[int(row[0])] if 0 <= row[0] < len(labels) else f"#{int(row[0])}",
            "score": float(row[1]),
            "box": [round(float(value), 1) for value in box],
        }
        for row, box in zip(found, corners, strict=True)
    ]


def _ssd(outputs: Mapping[str, Array], network: tuple[int, int]) -> Array | None:
    """Return rows of class, score, x0, y0, x1, y1 in pixels of the network's input."""
    width, height = network
    for value in outputs.values():
        if value.ndim >= 2 and value.shape[-1] == _SSD_FIELDS:  # noqa: PLR2004 - rows of fields
            rows = value.reshape(-1, _SSD_FIELDS).astype(np.float64)
            rows = rows[np.cumprod(rows[:, 0] >= 0).astype(bool)]  # a negative image number ends the list
            return np.concatenate([rows[:, 1:3], rows[:, 3:] * [width, height, width, height]], axis=1)
    corners = next((v for v in outputs.values() if v.ndim in {2, 3} and v.shape[-1] in {4, 5}), None)
    classes = next((v for v in outputs.values() if v.ndim in {1, 2} and v.dtype.kind in "iu"), None)
    if corners is None or classes is None:
        return None
    rows = corners.reshape(-1, corners.shape[-1]).astype(np.float64)
    if rows.shape[1] == 5:  # noqa: PLR2004 - the fifth is the score
        scores = rows[:, 4]
    else:
        separate = next(
            (v for v in outputs.values() if v.ndim in {1, 2} and v.dtype.kind == "f" and v.size == len(rows)),
            None,
        )
        scores = np.ones(len(rows)) if separate is None else separate.reshape(-1).astype(np.float64)
    scale = [width, height, width, height] if rows[:, :4].max(initial=0) <= 2 else [1, 1, 1, 1]  # noqa: PLR2004
    return np.column_stack([classes.reshape(-1)[: len(rows)], scores, rows[:, :4] * scale])


def _yolo(outputs: Mapping[str, Array]) -> Array | None:
    """Return rows of class, score, x0, y0, x1, y1 from one tensor of centres, sizes and class scores.

    YOLOv8 and later have a column per box; YOLOv5 a row, with the objectness before the class scores.
    """
    value = next((v for v in outputs.values() if v.ndim == 3 and v.shape[0] == 1), None)  # noqa: PLR2004
    if value is None:
        return None
    later = value.shape[1] < value.shape[2]
    rows = (value[0].T if later else value[0]).astype(np.float64)
    scores = rows[:, 4:] if later else rows[:, 4:5] * rows[:, 5:]
    if not scores.shape[1]:
        return None
    classes = scores.argmax(axis=1)
    half = rows[:, 2:4] / 2
    return np.column_stack([classes, scores.max(axis=1), rows[:, :2] - half, rows[:, :2] + half])


def _non_maximum_suppression(rows: Array, limit: float) -> Array:
    """Drop boxes that overlap a better one of their class by more than ``limit``."""
    rows = rows[np.argsort(-rows[:, 1], kind="stable")]
    kept: list[int] = []
    for index, row in enumerate(rows):
        better = rows[[k for k in kept if rows[k, 0] == row[0]]]
        if not len(better) or _intersection_over_union(row[2:], better[:, 2:]).max() <= limit:
            kept.append(index)
    return rows[kept]


def _intersection_over_union(box: Array, others: Array) -> Array:
    """Return intersection over union of a box and each of the others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    intersection = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(intersection / np.maximum(areas - intersection, 1e-9))


def _to_image(corners: Array, kind: str, image: tuple[int, int], network: tuple[int, int]) -> Array:
    """Undo the resizing of the image to the network's input."""
    size, inner = np.array(image, np.float64), np.array(network, np.float64)
    if kind == "standard":
        scale, offset = size / inner, np.zeros(2)
    elif kind == "crop":
        ratio = float((size / inner).min())
        scale, offset = np.full(2, ratio), (size - inner * ratio) / 2
    else:
        ratio = float((inner / size).min())
        scale = np.full(2, 1 / ratio)
        offset = (size - inner / ratio) / 2 if kind == "fit_to_window_letterbox" else np.zeros(2)
    moved = corners.reshape(-1, 2, 2) * scale + offset
    return np.asarray(np.clip(moved, 0, size).reshape(-1, 4))


def segmentation_mask(outputs: Mapping[str, Array], info: Mapping[str, str]) -> Array | None:
    """Return the class of every pixel (height x width) if ``model_type`` is Segmentation; else None."""
    if info.get("model_type", "").lower() != "segmentation":
        return None
    value = next((v for v in outputs.values() if v.ndim >= 3), None)  # noqa: PLR2004 - an image at least
    if value is None:
        return None
    value = value[0] if value.ndim == 4 else value  # noqa: PLR2004 - the batch
    if value.shape[0] > 1:
        return np.asarray(value.argmax(axis=0))
    flat = value[0]
    return np.asarray(flat > 0.5) * 1 if flat.dtype.kind == "f" else np.asarray(flat)  # noqa: PLR2004 - a probability


def colours(count: int) -> Sequence[tuple[int, int, int]]:
    """Return that many distinct colours, the same every time."""
    import colorsys

    hues = [(index * 0.618034) % 1.0 for index in range(count)]  # the golden ratio spreads any number evenly
    return [tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.85, 0.95)) for hue in hues]  # type: ignore[misc]
