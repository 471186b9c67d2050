"""Events of one file: begin, progress that never goes back, end; at most ten a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from model_zoo.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.download.tasks import Wanted

_APART = 0.1


class Tally:
    """Tells a callable what happens to one wanted artifact; safe from several threads."""

    def __init__(self, wanted: Wanted, report: Callable[[Event], None]) -> None:
        self._wanted = wanted
        self._report = report
        self._guard = threading.Lock()
        self._total = wanted.artifact.size
        self._most = 0
        self._last = 0.0
        self._begun = False

    def _send(self, event: str, **details: object) -> None:
        wanted = self._wanted
        self._report(Event(event=event, model=wanted.model, file=wanted.artifact.path, **details))  # type: ignore[arg-type]

    def begin(self) -> None:
        """Say that a transfer begins; only the first time."""
        with self._guard:
            if not self._begun:
                self._begun = True
                self._send("download_begin", bytes=0, total=self._total)

    def size(self, total: int) -> None:
        """Learn the whole size."""
        self._total = total

    def at(self, count: int) -> None:
        """Take note that ``count`` bytes are on disk."""
        now = time.monotonic()
        if now - self._last < _APART and count != self._total:
            return
        with self._guard:
            if count <= self._most:
                return
            self._most = count
            self._last = now
            self._send("download_progress", bytes=count, total=self._total)

    def end(self, size: int) -> None:
        """Say that all of it is there and proven."""
        self.begin()
        with self._guard:
            self._send("download_end", bytes=max(size, self._most), total=size)

    def say(self, event: str, message: str, seconds: float | None = None) -> None:
        """Send one of the events that hold a message."""
        self._send(event, message=message, seconds=seconds)
