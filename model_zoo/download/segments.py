"""The parts of a large file that are still to be fetched, shared by several connections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SMALLEST = 4 << 20
LARGEST = 64 << 20
_PER_CONNECTION = 4


def segment_size(size: int, connections: int) -> int:
    """Return how large the parts are: several per connection, so that a slow one holds up little."""
    return max(SMALLEST, min(LARGEST, size // (connections * _PER_CONNECTION)))


class Segments:
    """A queue of parts ``[first, end)``, earliest first so that hashing can follow.

    ``fatal`` ends the work of everybody; ``reason`` is why the last one gave up.
    """

    def __init__(self, gaps: Iterable[tuple[int, int]], size: int) -> None:
        self._guard = threading.Lock()
        self._open = [
            (start, min(start + size, end)) for first, end in gaps for start in range(first, end, size)
        ]
        self.fatal: BaseException | None = None
        self.reason: Exception | None = None

    def __len__(self) -> int:
        """Return how many parts nobody works on."""
        return len(self._open)

    def claim(self) -> tuple[int, int] | None:
        """Take the earliest part."""
        with self._guard:
            return self._open.pop(0) if self._open and self.fatal is None else None

    def claim_at(self, first: int) -> int | None:
        """Take the part that starts right there and return its end; None when somebody else has it."""
        with self._guard:
            for index, (start, end) in enumerate(self._open):
                if start == first and self.fatal is None:
                    del self._open[index]
                    return end
        return None

    def give_back(self, gaps: Iterable[tuple[int, int]]) -> None:
        """Return what is missing of a part."""
        with self._guard:
            self._open = sorted([*self._open, *gaps])
