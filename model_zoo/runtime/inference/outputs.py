"""What a network said, for people: labels with scores, boxes, or what the tensors look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]


def summary(name: str, value: Array) -> dict[str, Any]:
    """Return name, shape, type, and the smallest, mean and largest value where there are any."""
    entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "type": str(value.dtype)}
    if value.size and value.dtype.kind in "fiub":
        wide = value.astype(np.float64)
        entry |= {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}
    return entry


def labels_of(info: Mapping[str, str]) -> list[str]:
    """Return ``model_info``'s labels."""
    return info.get("labels", "").split()


def scores_of(outputs: Mapping[str, Array], info: Mapping[str, str]) -> Array | None:
    """Return the class probabilities, if an output looks like a classification; else None.

    One does that has a value for each label; or, without labels, the only output where ``model_type`` is
    Classification or its values are probabilities that sum up to one.
    """
    labels = labels_of(info)
    flat = [value.reshape(-1) for value in outputs.values() if _is_vector(value)]
    if labels:
        return next((probabilities(one) for one in flat if len(one) in {len(labels), len(labels) + 1}), None)
    if len(outputs) != 1 or not flat:
        return None
    said = info.get("model_type", "").lower() == "classification"
    return probabilities(flat[0]) if said or _sums_to_one(flat[0]) else None


def _is_vector(value: Array) -> bool:
    """Whether all dimensions but one are 1."""
    return value.dtype.kind == "f" and value.size > 1 and max(value.shape, default=0) == value.size


def _sums_to_one(scores: Array) -> bool:
    return bool(scores.min() >= 0 and abs(float(scores.astype(np.float64).sum()) - 1) < 1e-2)  # noqa: PLR2004 - FP16


def probabilities(scores: Array) -> Array:
    """Return the softmax of the scores, unless they are probabilities already."""
    if _sums_to_one(scores):
        return scores
    grown = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(grown / grown.sum())


def top(scores: Array, count: int, labels: list[str]) -> list[dict[str, Any]]:
    """Return the ``count`` most likely classes: index, label (when known) and score.

    With one class more than labels, the first is the background.
    """
    offset = 1 if labels and len(scores) == len(labels) + 1 else 0
    best = np.argsort(-scores, kind="stable")[:count]
    entries = []
    for index in best:
        entry: dict[str, Any] = {"index": int(index), "score": float(scores[index])}
        if labels:
            entry["label"] = "background" if index < offset else labels[index - offset]
        entries.append(entry)
    return entries
