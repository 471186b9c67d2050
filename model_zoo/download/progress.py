"""Events of one file: begin, progress that never goes back, end; at most ten a second."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from model_zoo.events import Event

if TYPE_CHECKING:
    from model_zoo.download.tasks import DownloadTask
    from model_zoo.events import EventKind, Report

_INTERVAL = 0.1


class ProgressReporter:
    """Reports what happens to one task; safe from several threads."""

    def __init__(self, task: DownloadTask, report: Report) -> None:
        self._task = task
        self._report = report
        self._guard = threading.Lock()
        self.total = task.artifact.size  # of the whole file, once it is known
        self._most = 0
        self._last = 0.0
        self._begun = False

    def _send(self, event: EventKind, **details: int | float | str | None) -> None:
        self._report(Event(event=event, model=self._task.model, file=self._task.artifact.path, **details))  # type: ignore[arg-type]

    def begin(self) -> None:
        """Report that the transfer begins; only the first time."""
        with self._guard:
            if not self._begun:
                self._begun = True
                self._send("download_begin", bytes=0, total=self.total)

    def update(self, count: int) -> None:
        """Note that ``count`` bytes are on disk."""
        now = time.monotonic()
        if now - self._last < _INTERVAL and count != self.total:
            return
        with self._guard:
            if count <= self._most:
                return
            self._most = count
            self._last = now
            self._send("download_progress", bytes=count, total=self.total)

    def finish(self, size: int) -> None:
        """Report that the whole file is there and verified."""
        self.begin()
        with self._guard:
            self._send("download_end", bytes=max(size, self._most), total=size)

    def message(self, event: EventKind, message: str, seconds: float | None = None) -> None:
        """Report an event that carries a message."""
        self._send(event, message=message, seconds=seconds)

    def waiting(self, owner: str) -> None:
        """Report that another process holds the lock of what is needed."""
        self.message("wait", f"waiting for {owner}")
