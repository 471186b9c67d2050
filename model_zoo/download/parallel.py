"""Fetch the parts of one large file over several connections, as many as the place grants."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from model_zoo.download.failures import AttemptError, Changed, Interrupted, NoRanges, Stopped, delay
from model_zoo.download.response import Ask
from model_zoo.errors import ModelZooError

if TYPE_CHECKING:
    from model_zoo.download.body_writer import Opened
    from model_zoo.download.segments import Segments
    from model_zoo.download.transfer import Transfer

_FRUITLESS = 2
"""How often in a row a connection may bring nothing before the others go on without it."""


class Parts:
    """The parts of one transfer, and the connections that work on them."""

    def __init__(self, transfer: Transfer, segments: Segments) -> None:
        self._transfer = transfer
        self._segments = segments
        self._candidate = transfer.candidate

    def fetch(self, first: Opened) -> None:
        """Fetch every part, the one whose answer is already open first.

        Raises:
            AttemptError: parts are missing, and why.
            IntegrityError: the place has something else than what is declared.
            CacheError: the disk does not take the bytes.
        """
        segments, threads = self._segments, []
        for _ in range(min(self._candidate.connections - 1, len(segments))):
            if not self._transfer.budget.acquire(blocking=False):
                break
            thread = threading.Thread(target=self._help, name="model-zoo-part", daemon=True)
            thread.start()
            threads.append(thread)
        try:
            self._work(first)
        except BaseException as error:
            segments.fatal = segments.fatal or error
            raise
        finally:
            for thread in threads:
                thread.join()
        if segments.fatal is not None:
            raise segments.fatal
        if len(segments):  # everybody gave up; whether it is for good, the next attempt's first request tells
            if isinstance(segments.reason, Interrupted):
                raise segments.reason
            raise Interrupted(str(segments.reason)) from segments.reason

    def _help(self) -> None:
        try:
            self._work(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._segments.fatal = self._segments.fatal or error
        finally:
            self._transfer.budget.release()

    def _work(self, opened: Opened | None) -> None:
        """Fetch parts until none are left, or until this connection is not wanted."""
        segments, fruitless = self._segments, 0
        while True:
            part = (opened.first, opened.end) if opened else segments.claim()
            if part is None:
                return
            before = self._missing(*part)
            try:
                self._fetch(part, opened)
                fruitless = 0
                continue
            except (Stopped, Changed, ModelZooError) as error:
                segments.fatal = segments.fatal or error
                return
            except AttemptError as error:
                missing = self._missing(*part)
                segments.reason = error
                segments.give_back(missing)
                fruitless = fruitless + 1 if missing == before else 1
                refused = not isinstance(error, Interrupted) or error.after is not None
            finally:
                opened = None
            if refused or fruitless >= _FRUITLESS:
                self._candidate.connections = max(1, self._candidate.connections - 1)
                return
            self._transfer.pause(delay(fruitless, None))

    def _missing(self, first: int, end: int) -> list[tuple[int, int]]:
        gaps = self._transfer.partial.gaps(end)
        return [(max(start, first), stop) for start, stop in gaps if stop > first]

    def _fetch(self, part: tuple[int, int], opened: Opened | None) -> None:
        transfer = self._transfer
        first, end = part
        if opened:
            transfer.pouring.pour(opened.body, opened.head, first, end, self._segments)
            return
        ask = Ask(first, end, ranged=True, condition=transfer.condition())
        reply = transfer.open(ask)
        if reply.whole:
            reply.body.close()
            if transfer.proven and ask.condition and reply.validator != ask.condition:
                self._candidate.blind = True
                what = f"{self._candidate.name} names its content differently now"
                raise Interrupted(what)
            what = f"{self._candidate.name} answered a part with the whole"
            raise NoRanges(what)
        transfer.accept_part(reply)
        transfer.pouring.pour(reply.body, b"", first, end, self._segments)
