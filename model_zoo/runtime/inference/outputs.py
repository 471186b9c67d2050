"""Outputs of a network: class scores with labels, or a summary of the tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]


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
    flat = [value.reshape(-1) for value in outputs.values() if _is_vector(value)]
    if labels:
        return next(
            (probabilities(scores) for scores in flat if len(scores) in {len(labels), len(labels) + 1}), None
        )
    if len(outputs) != 1 or not flat:
        return None
    declared = info.get("model_type", "").lower() == "classification"
    return probabilities(flat[0]) if declared or _sums_to_one(flat[0]) else None


def _is_vector(value: Array) -> bool:
    """Whether all dimensions but one are 1."""
    return value.dtype.kind == "f" and value.size > 1 and max(value.shape, default=0) == value.size


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
