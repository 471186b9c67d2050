"""Vectors that describe an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.runtime.inference.decode.scene import Array, Scene

_TOKENS = 3  # dimensions of (batch, tokens, features)


def decode_embedding(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the first output as a vector: its tokens pooled, of length one unless ``normalize`` is false.

    Raises:
        ValueError: there is no output of real numbers.
    """
    value = next((value for value in outputs.values() if value.dtype.kind == "f" and value.size > 1), None)
    if value is None:
        raise ValueError("no output is a vector of real numbers")
    pooling = scene.parameters.get("pooling", "none")
    vector = value[0].astype(np.float64)
    if pooling != "none" and value.ndim == _TOKENS:
        vector = {"mean": vector.mean(axis=0), "cls": vector[0], "last": vector[-1]}[str(pooling)]
    vector = vector.reshape(-1)
    if scene.parameters.get("normalize", True):
        vector /= max(float(np.linalg.norm(vector)), 1e-12)
    return Prediction(embedding=np.asarray(vector, np.float32), found="vector")
