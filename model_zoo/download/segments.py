"""The parts of a large file that are still to be fetched, shared by several connections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_SIZE = 4 << 20
_MAX_SIZE = 64 << 20
_PER_CONNECTION = 4


def segment_size(size: int, connections: int) -> int:
    """Return how large the segments are: several per connection, so that a slow one holds up little."""
    return max(MIN_SIZE, min(_MAX_SIZE, size // (connections * _PER_CONNECTION)))


class SegmentQueue:
    """A queue of segments ``[first, end)``, earliest first so that hashing can follow.

    ``fatal`` ends the work on all of them; ``last_error`` is why a connection gave up.
    """

    def __init__(self, gaps: Iterable[tuple[int, int]], size: int) -> None:
        self._guard = threading.Lock()
        self._open = [
            (start, min(start + size, end)) for first, end in gaps for start in range(first, end, size)
        ]
        self.fatal: BaseException | None = None
        self.last_error: Exception | None = None

    def __len__(self) -> int:
        """Return how many segments nobody works on."""
        return len(self._open)

    def claim(self) -> tuple[int, int] | None:
        """Take the earliest segment."""
        with self._guard:
            return self._open.pop(0) if self._open and self.fatal is None else None

    def claim_at(self, first: int) -> int | None:
        """Take the segment that starts exactly there and return its end; None if it is taken."""
        with self._guard:
            for index, (start, end) in enumerate(self._open):
                if start == first and self.fatal is None:
                    del self._open[index]
                    return end
        return None

    def put_back(self, gaps: Iterable[tuple[int, int]]) -> None:
        """Return what is missing of a segment."""
        with self._guard:
            self._open = sorted([*self._open, *gaps])
