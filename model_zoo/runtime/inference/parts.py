"""What can be found: classes, points, boxes, masks, spans of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.formats.ports import Array


@dataclass(frozen=True)
class Label:
    """A class, with the model's number for it; ``score`` is a probability where the model gives one."""

    id: int
    name: str
    score: float


@dataclass(frozen=True)
class Keypoint:
    """A point in pixels of the input; ``z``, where there is one, is in the same unit."""

    x: float
    y: float
    z: float | None = None
    score: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Box:
    """An object: its rectangle in pixels of the input, its class, and what belongs to it.

    ``outline`` are the four corners of something that lies at an angle, clockwise from its own upper left;
    ``text`` is what was read there.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    label: str
    id: int = 0
    keypoints: tuple[Keypoint, ...] = ()
    outline: tuple[tuple[float, float], ...] = ()
    text: str | None = None


def make_box(corners: Iterable[float], score: float, label: str, id: int, **more: Any) -> Box:  # noqa: A002, ANN401
    """Return a box from its four corners, as a row of an array has them."""
    x0, y0, x1, y1 = (float(part) for part in corners)
    return Box(x0, y0, x1, y1, float(score), label, int(id), **more)


@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of an object or a class: ``pixels`` is (height, width), boolean, as large as the input."""

    id: int
    label: str
    pixels: Array
    score: float | None = None


@dataclass(frozen=True)
class Segment:
    """A span of time, from ``start`` to ``end`` in seconds."""

    start: float
    end: float
    label: str
    score: float
