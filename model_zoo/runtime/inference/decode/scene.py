"""What a decoder knows besides the outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_zoo.formats.ports import Fit
    from model_zoo.runtime.inference.prediction import Prediction

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Scene:
    """What a decoder knows besides the outputs.

    Attributes:
        fit: where the picture lies in the network's input; None where the input was none.
        labels: the names of the classes, points or characters, in the network's order.
        output_labels: by the name of an output, where several have classes of their own.
        parameters: those of ``decode`` in the catalog entry.
        threshold: what the caller wants instead of the entry's.
        top: how many classes to return.
    """

    fit: Fit | None = None
    labels: tuple[str, ...] = ()
    output_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    top: int = 5

    def least(self, name: str, default: float) -> float:
        """Return the score from which something counts: the caller's, the entry's, or the default."""
        if self.threshold is not None:
            return self.threshold
        return float(self.parameters.get(name, default))

    def name(self, index: int, default: str = "") -> str:
        """Return the name of a class or point."""
        return self.labels[index] if 0 <= index < len(self.labels) else default or f"#{index}"

    def inner(self) -> tuple[int, int]:
        """Return width and height of the network's input.

        Raises:
            ValueError: the input was no picture.
        """
        return self._fit().inner

    def to_picture(self, points: Array) -> Array:
        """Return points (..., 2) in pixels of the network's input as pixels of the picture.

        Raises:
            ValueError: the input was no picture.
        """
        return self._fit().to_picture(points)

    def _fit(self) -> Fit:
        if self.fit is None:
            raise ValueError("its places are in a picture, but the input was none")
        return self.fit


Decoder: TypeAlias = "Callable[[Mapping[str, Array], Scene], Prediction]"
"""Turns outputs into answers.

Raises ``ValueError`` where the outputs are not what the catalog entry says.
"""


def softmax(scores: Array, axis: int = -1) -> Array:
    """Return probabilities, unless the scores are some already."""
    wide = scores.astype(np.float64)
    sums = wide.sum(axis=axis)
    if wide.size and wide.min() >= 0 and np.allclose(sums, 1, atol=1e-2):  # as FP16 rounds
        return wide
    powers = np.exp(wide - wide.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def sigmoid(values: Array) -> Array:
    """Return the logistic function of each value."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values.astype(np.float64), -100, 100))))
