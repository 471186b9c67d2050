"""Write the body of an answer into a partial, and notice when it is too long or too slow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from model_zoo.download.failures import Interrupted, Stopped
from model_zoo.download.response import Body, Unpacked
from model_zoo.files import cache_error

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from model_zoo.download.hasher import Follower
    from model_zoo.download.partial import Partial
    from model_zoo.download.progress import Tally
    from model_zoo.download.segments import Segments
    from model_zoo.errors import SizeMismatchError

PIECE = 256 << 10
SLOWEST = 1024
"""Bytes a second below which another source is tried, if there is one."""


class Opened(NamedTuple):
    """An answer whose body is about to be read: its first bytes may have been read already."""

    body: Body | Unpacked
    head: bytes
    first: int
    end: int


@dataclass
class Pouring:
    """What every body of one transfer is poured into, and by which rules.

    Attributes:
        name: of the place.
        others: says whether there is another place to try.
        wrong_size: makes the error for a body that goes on for too long.
    """

    name: str
    partial: Partial
    follower: Follower
    tally: Tally
    stop: threading.Event
    stall_timeout: float
    others: Callable[[], bool]
    wrong_size: Callable[[object], SizeMismatchError]

    def pour(
        self,
        body: Body | Unpacked,
        head: bytes,
        position: int,
        end: int | None,
        segments: Segments | None = None,
    ) -> int:
        """Write a body from ``position`` on, up to ``end``; return where it ended.

        With ``segments``, ``end`` is where a part of a longer body ends: the parts that follow are taken
        along as long as nobody else has them. Without, a byte beyond ``end`` is one too many.

        Raises:
            AttemptError: the body broke off, or is too slow.
            SizeMismatchError: it is too long.
            CacheError: the disk does not take the bytes.
        """
        try:
            position = self._pour(body, head, position, end, segments)
        except BaseException:
            body.close()
            raise
        if segments is not None:
            _finish(body)
        return position

    def _pour(
        self,
        body: Body | Unpacked,
        head: bytes,
        position: int,
        end: int | None,
        segments: Segments | None,
    ) -> int:
        window, counted = time.monotonic() + self.stall_timeout, 0
        while end is None or position < end:
            data = head or body.read(PIECE)
            head = b""
            if not data:
                return position
            if end is not None and position + len(data) > end:
                end, data = self._beyond(segments, end, position, data)
            self._write(data, position)
            position, counted = position + len(data), counted + len(data)
            if segments is not None:
                if segments.fatal is not None:
                    raise Stopped
                if position == end and not body.at_end:
                    end = segments.claim_at(position) or end
            if (now := time.monotonic()) > window:
                self._check_pace(counted)
                window, counted = now + self.stall_timeout, 0
        return position

    def _beyond(self, segments: Segments | None, end: int, position: int, data: bytes) -> tuple[int, bytes]:
        if segments is None:
            raise self.wrong_size(f"more than {end}")
        while position + len(data) > end and (more := segments.claim_at(end)):
            end = more
        return end, data[: end - position]

    def _write(self, data: bytes, position: int) -> None:
        if self.stop.is_set():
            raise Stopped
        try:
            self.partial.write(data, position)
        except OSError as error:
            raise cache_error(error, self.partial.path) from error
        self.follower.follow()
        self.tally.at(self.partial.most)

    def _check_pace(self, counted: int) -> None:
        if counted < SLOWEST * self.stall_timeout and self.others():
            what = f"{self.name} sent only {counted} bytes in {self.stall_timeout:.0f} s"
            raise Interrupted(what, dead=True)


def _finish(body: Body | Unpacked) -> None:
    """Give the connection back if the body is at its end, else give it up: the rest comes elsewhere."""
    if isinstance(body, Body) and body.at_end:
        body.read(1)
    else:
        body.close()
