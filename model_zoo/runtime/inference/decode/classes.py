"""Class scores: several classes at once, or the one of a vector of scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.decode.scene import sigmoid, softmax
from model_zoo.runtime.inference.parts import Label
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.runtime.inference.decode.scene import Array, Scene


def decode_tags(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the best classes of the first output that has one score for each.

    Scores of several windows of a sound are averaged. With a ``threshold``, classes below it are left out.

    Raises:
        ValueError: no output has as many scores as there are labels.
    """
    value = score_vector(outputs, len(scene.labels))
    if value is None:
        raise ValueError(f"no output has {len(scene.labels) or 'a vector of'} scores, one for each label")
    activation = scene.parameters.get("activation", "none")
    scores = (
        sigmoid(value) if activation == "sigmoid" else softmax(value) if activation == "softmax" else value
    )
    return Prediction(labels=best_labels(scores.mean(axis=0), scene), found="classes")


def decode_classes(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the best of exclusive classes; of several outputs with labels of their own, the best of each.

    Raises:
        ValueError: an output has not one score for each of its labels.
    """
    own = {name: labels for name, labels in scene.output_labels.items() if name in outputs}
    if not own:
        return Prediction(labels=best_labels(_probabilities(outputs, scene), scene), found="classes")
    parts = [
        best_labels(_probabilities({name: outputs[name]}, part), part)
        for name, labels in own.items()
        for part in (replace(scene, labels=labels, top=1),)
    ]
    best = sorted((label for part in parts for label in part), key=lambda label: -label.score)
    return Prediction(labels=best, found="classes")


def _probabilities(outputs: Mapping[str, Array], scene: Scene) -> Array:
    value = score_vector(outputs, len(scene.labels))
    if value is None:
        raise ValueError(f"no output has {len(scene.labels)} scores, one for each label")
    activation = scene.parameters.get("activation", "softmax")
    scores = sigmoid(value) if activation == "sigmoid" else value if activation == "none" else softmax(value)
    return np.asarray(scores.mean(axis=0))


def score_vector(outputs: Mapping[str, Array], count: int) -> Array | None:
    """Return the first output with ``count`` scores, or any if 0, as (windows, scores)."""
    for value in outputs.values():
        sizes = [size for size in value.shape[1:] if size != 1]
        several = len(sizes) == 1 and (sizes[0] == count or (not count and sizes[0] > 1))
        if value.dtype.kind == "f" and value.ndim and several:
            return value.reshape(len(value), -1)
    return None


def best_labels(scores: Array, scene: Scene) -> list[Label]:
    """Return the classes with the highest scores, best first, those below the threshold left out."""
    least = scene.least("threshold", -np.inf)
    best = np.argsort(-scores, kind="stable")[: scene.top]
    return [Label(int(i), scene.name(int(i)), float(scores[i])) for i in best if scores[i] >= least]
