"""Chains: composite models whose second stage answers what the first has found."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from model_zoo.schema.base import Struct


class Chain(Struct, frozen=True, kw_only=True):
    """What of a picture the second stage gets, for each box of the first.

    Attributes:
        cut: ``outline`` is the box's four corners, turned upright; ``box`` its rectangle.
        square: make the shorter side as long as the longer.
        margin: what is added on each side, as a part of that side.
        level: two of the box's points, by number, whose line is to be horizontal, the first on the left.
    """

    cut: Literal["outline", "box"] = "box"
    square: bool = False
    margin: Annotated[float, Meta(ge=0)] = 0.0
    level: tuple[int, int] | None = None
