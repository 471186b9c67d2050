"""Points: as coordinates, or as a map of each point's likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_zoo.runtime.inference.parts import Keypoint
from model_zoo.runtime.inference.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.runtime.inference.decode.scene import Array, Scene

_MAPS = 4  # dimensions of (batch, points, rows, columns)


def decode_keypoints(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the points of the largest output: x, y and, in models that have it, z of each.

    They are parts of the network's input, or ``pixels`` of it. The labels say how many there are; otherwise
    there are three numbers a point where that divides evenly, else two.

    Raises:
        ValueError: the number of points does not fit the output.
    """
    value = max(outputs.values(), key=lambda value: value.size)
    flat = value.reshape(-1).astype(np.float64)
    count = len(scene.labels)
    columns = flat.size // count if count else 3 if flat.size % 3 == 0 else 2
    if columns < 2 or flat.size % columns:  # noqa: PLR2004 - x and y
        raise ValueError(f"{flat.size} numbers are not the coordinates of {count or 'several'} points")
    rows = flat.reshape(-1, columns)
    unit = np.ones(2) if scene.parameters.get("pixels") else np.array(scene.inner(), np.float64)
    places = scene.to_picture(rows[:, :2] * unit)
    depth = rows[:, 2] * unit[0] / scene.fit.scale[0] if columns > 2 and scene.fit else None  # noqa: PLR2004
    return Prediction(
        keypoints=[
            Keypoint(x, y, None if depth is None else float(depth[i]), name=scene.name(i, " ").strip())
            for i, (x, y) in enumerate(places.tolist())
        ],
        found="points",
    )


def decode_keypoint_maps(outputs: Mapping[str, Array], scene: Scene) -> Prediction:
    """Return the likeliest place of each point, by maps of it, if above ``threshold``.

    Raises:
        ValueError: no output has maps.
    """
    maps = next((v for v in outputs.values() if v.ndim == _MAPS and v.dtype.kind == "f"), None)
    if maps is None:
        raise ValueError("no output has a map for each point")
    rows, columns = maps.shape[2:]
    unit = np.array(scene.inner(), np.float64) / (columns, rows)
    least = scene.least("threshold", 0.1)
    points = []
    for index, likelihood in enumerate(maps[0]):
        row, column = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
        score = float(likelihood[row, column])
        if score >= least:
            x, y = scene.to_picture((np.array([column, row]) + 0.5) * unit).tolist()
            points.append(Keypoint(x, y, score=score, name=scene.name(index, " ").strip()))
    return Prediction(keypoints=points, found="points")
