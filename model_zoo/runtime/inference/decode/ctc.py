"""Text from the scores of characters at each step (connectionist temporal classification)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.decode.scene import softmax
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.runtime.inference.decode.scene import Array, Scene


def decode_ctc(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the text of one line: the best character of each step, repetitions and blanks left out.

    Raises:
        ValueError: no output has scores by step, or their number is not that of the characters.
    """
    value = next((v for v in outputs.values() if v.dtype.kind == "f" and np.squeeze(v).ndim == 2), None)  # noqa: PLR2004
    if value is None:
        raise ValueError("no output has the scores of characters for each step of one line")
    scores = softmax(np.squeeze(value))
    blank = int(scene.parameters.get("blank", 0)) % scores.shape[1]
    characters = _classes(scene.labels, scores.shape[1], blank)
    best = scores.argmax(axis=1)
    # A class counts where it starts; the blank stands between two equal characters.
    kept = np.flatnonzero((best != np.append(blank, best[:-1])) & (best != blank))
    score = float(scores[kept, best[kept]].mean()) if len(kept) else 0.0
    return Prediction(text="".join(characters[best[step]] for step in kept), score=score, found="text")


def _classes(labels: Sequence[str], count: int, blank: int) -> list[str]:
    """Return the character of each class; of those unnamed one is the blank, another at the end the space."""
    missing = count - len(labels)
    if missing == 0:
        return list(labels)
    if missing == 1:
        return [*labels[:blank], "", *labels[blank:]]
    if missing == 2 and blank == 0:  # noqa: PLR2004 - as PP-OCR has it
        return ["", *labels, " "]
    raise ValueError(f"the network tells {count} characters apart, but {len(labels)} are known")
