"""Fetch the segments of one large file over several connections, as many as the server grants."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from model_zoo.download.failures import (
    AttemptError,
    CancelledError,
    ContentChangedError,
    RangeError,
    TransientError,
    backoff,
)
from model_zoo.download.response import Body, DecodedBody, RangeRequest
from model_zoo.errors import ModelZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from model_zoo.download.exchange import Exchange

MIN_SIZE = 4 << 20
_MAX_SIZE = 64 << 20
_PER_CONNECTION = 4
_MAX_FRUITLESS = 2
"""How often in a row a connection may bring nothing before the others go on without it."""


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


class OpenSegment(NamedTuple):
    """A segment whose response is already open; ``head`` is what has been read of it."""

    body: Body | DecodedBody
    head: bytes
    first: int
    end: int


@dataclass
class ParallelTransfer:
    """The segments of one transfer, and the connections that work on them.

    ``write`` is ``BodyWriter.write``; ``budget`` limits the connections beyond the first, over all files.
    """

    exchange: Exchange
    write: Callable[[Body | DecodedBody, bytes, int, int, SegmentQueue], int]
    segments: SegmentQueue
    budget: threading.BoundedSemaphore
    stop: threading.Event

    def run(self, opened: OpenSegment) -> None:
        """Fetch every segment, starting with the one that is open; raise why one is missing in the end."""
        segments, threads = self.segments, []
        for _ in range(min(self.exchange.candidate.connections - 1, len(segments))):
            if not self.budget.acquire(blocking=False):
                break
            thread = threading.Thread(target=self._help, name="model-zoo-part", daemon=True)
            thread.start()
            threads.append(thread)
        try:
            self._work(opened)
        except BaseException as error:
            segments.fatal = segments.fatal or error
            raise
        finally:
            for thread in threads:
                thread.join()
        if segments.fatal is not None:
            raise segments.fatal
        if len(segments):  # all gave up; the next attempt's first request tells whether for good
            if isinstance(segments.last_error, TransientError):
                raise segments.last_error
            raise TransientError(str(segments.last_error)) from segments.last_error

    def _help(self) -> None:
        try:
            self._work(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.segments.fatal = self.segments.fatal or error
        finally:
            self.budget.release()

    def _work(self, opened: OpenSegment | None) -> None:
        """Fetch segments until none are left, or until this connection is not welcome."""
        segments, fruitless = self.segments, 0
        while True:
            segment = (opened.first, opened.end) if opened else segments.claim()
            if segment is None:
                return
            before = self._missing(*segment)
            try:
                self._fetch(*segment, opened)
                fruitless = 0
                continue
            except (CancelledError, ContentChangedError, ModelZooError) as error:
                segments.fatal = segments.fatal or error
                return
            except AttemptError as error:
                missing = self._missing(*segment)
                segments.last_error = error
                segments.put_back(missing)
                fruitless = fruitless + 1 if missing == before else 1
                refused = not isinstance(error, TransientError) or error.retry_after is not None
            finally:
                opened = None
            if refused or fruitless >= _MAX_FRUITLESS:
                self.exchange.candidate.connections = max(1, self.exchange.candidate.connections - 1)
                return
            if self.stop.wait(backoff(fruitless, None)):
                raise CancelledError

    def _missing(self, first: int, end: int) -> list[tuple[int, int]]:
        gaps = self.exchange.partial.gaps(end)
        return [(max(start, first), stop) for start, stop in gaps if stop > first]

    def _fetch(self, first: int, end: int, opened: OpenSegment | None) -> None:
        body, head, *_ = opened or OpenSegment(self._request(first, end), b"", first, end)
        try:
            self.write(body, head, first, end, self.segments)
        except BaseException:
            body.close()
            raise
        if isinstance(body, Body) and body.at_end:
            body.read(1)  # which releases the connection
        else:
            body.close()  # somebody else fetches the rest

    def _request(self, first: int, end: int) -> Body:
        """Request one segment; return the body of the response."""
        exchange = self.exchange
        request = RangeRequest(first, end, ranged=True, condition=exchange.condition())
        response = exchange.send(request)
        try:
            if not response.whole:
                exchange.accept_part(response)
                return response.body
            if exchange.verifiable and request.condition and response.validator != request.condition:
                self.exchange.candidate.unconditional = True
                raise TransientError(f"{exchange.name}: ETag changed")  # noqa: TRY301
            raise RangeError(f"{exchange.name} answered a range request with the whole file")  # noqa: TRY301
        except BaseException:
            response.body.close()
            raise
