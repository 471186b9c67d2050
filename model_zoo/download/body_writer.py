"""Write response bodies into a partial, and notice one that is too long or too slow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.download.failures import CancelledError, TransientError
from model_zoo.download.response import PIECE
from model_zoo.files import cache_error

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from model_zoo.download.exchange import Exchange
    from model_zoo.download.hasher import StreamHasher
    from model_zoo.download.parallel import SegmentQueue
    from model_zoo.download.response import Body, DecodedBody

_MIN_RATE = 1024
"""Bytes a second below which another candidate is tried, if there is one."""


@dataclass
class BodyWriter:
    """Writes every body of one attempt; ``has_alternatives``: whether there is another candidate to try."""

    exchange: Exchange
    hasher: StreamHasher
    stop: threading.Event
    stall_timeout: float
    has_alternatives: Callable[[], bool]

    def write(
        self,
        body: Body | DecodedBody,
        head: bytes,
        position: int,
        end: int | None,
        segments: SegmentQueue | None = None,
    ) -> int:
        """Write a body, whose ``head`` was read already, from ``position`` on; return where it ended.

        With ``segments``, ``end`` is where a segment of a longer body ends: the segments that follow are
        taken along as long as nobody else has them. Without, a byte beyond ``end`` is one too many.

        Raises:
            AttemptError: the connection was lost, or is too slow.
            SizeMismatchError: the body is too long.
            CacheError: the bytes cannot be written.
        """
        window_end, in_window = time.monotonic() + self.stall_timeout, 0
        while end is None or position < end:
            data = head or body.read(PIECE)
            head = b""
            if not data:
                return position
            if end is not None and position + len(data) > end:
                if segments is None:
                    raise self.exchange.wrong_size(f"more than {end}")
                end = _extend(segments, end, position + len(data))
                data = data[: end - position]
            self._write_piece(data, position)
            position, in_window = position + len(data), in_window + len(data)
            if segments is not None:
                if segments.fatal is not None:
                    raise CancelledError
                if position == end and not body.at_end:
                    end = segments.claim_at(position) or end
            if (now := time.monotonic()) > window_end:
                self._check_rate(in_window)
                window_end, in_window = now + self.stall_timeout, 0
        return position

    def _write_piece(self, data: bytes, position: int) -> None:
        if self.stop.is_set():
            raise CancelledError
        partial = self.exchange.partial
        try:
            partial.write(data, position)
        except OSError as error:
            raise cache_error(error, partial.path) from error
        self.hasher.advance()
        self.exchange.progress.update(partial.most_bytes)

    def _check_rate(self, received: int) -> None:
        if received < _MIN_RATE * self.stall_timeout and self.has_alternatives():
            what = f"{self.exchange.name} is too slow: {received} bytes in {self.stall_timeout:.0f} s"
            raise TransientError(what, unresponsive=True)


def _extend(segments: SegmentQueue, end: int, reached: int) -> int:
    """Claim the segments that follow as far as the bytes reach; return the new end."""
    while end < reached and (later := segments.claim_at(end)):
        end = later
    return end
