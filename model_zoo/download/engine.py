"""Many artifacts at once: threads, locks, one outcome each, and an end within a second when interrupted."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from model_zoo.download.artifact import ArtifactDownload, Context
from model_zoo.download.bundle import Bundles
from model_zoo.download.failures import CancelledError
from model_zoo.download.local import check_size
from model_zoo.download.partial import open_partial, shortage
from model_zoo.download.progress import ProgressReporter
from model_zoo.errors import ModelZooError
from model_zoo.events import ignore
from model_zoo.files import make_directory
from model_zoo.files.lock import lock
from model_zoo.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_zoo.download.http import Client
    from model_zoo.download.tasks import Download, DownloadTask
    from model_zoo.events import Event, Report
    from model_zoo.settings import Settings

_log = logging.getLogger(__name__)

JOBS = 8
_FIRST_JOBS = 3
"""Workers to begin with. Against a near server Python itself is the bottleneck, and every further thread only
waits for the interpreter: 400 small files took a fifth longer with 8 workers than with 3."""
_IDLE = 0.7
"""Share of one core's time below which the workers mostly wait for servers, so that one more helps."""
_GROW_INTERVAL = 0.1
_EXTRA_CONNECTIONS = 16
_TICK = 0.2
_STOP_TIMEOUT = 0.8
"""Seconds given to the workers to finish after an interrupt."""


def download(
    tasks: Sequence[DownloadTask],
    *,
    settings: Settings,
    partials: Path,
    locks: Path,
    present: Callable[[DownloadTask], bool],
    publish: Callable[[Download], None],
    settled: Callable[[int, Outcome[Download]], None] = lambda *_: None,
    report: Report = ignore,
) -> list[Outcome[Download]]:
    """Download artifacts and publish them; one that fails stops no other.

    Args:
        tasks: what is not in the cache. Those with the same key share one transfer.
        settings: mirrors, timeouts, attempts, jobs, whether the network may be used.
        partials: a directory on the cache's file system.
        locks: another, for the locks.
        present: asked again once the lock is held, because another process may have published it meanwhile.
        publish: moves ``Download.path`` into the cache; called under the lock, from several threads.
        settled: receives the index and outcome of each task as soon as it has one, from several threads.
        report: receives events; calls do not overlap.

    Returns:
        One outcome per task, in their order; without a result and without an error for what was present.

    Raises:
        KeyboardInterrupt: partials are kept.
        CacheError: the directories cannot be created.
    """
    if not tasks:
        return []
    make_directory(partials)
    if not settings.offline and (short := shortage(tasks, partials)) is not None:
        outcomes: list[Outcome[Download]] = [Outcome(error=short) for _ in tasks]
        for index, outcome in enumerate(outcomes):
            settled(index, outcome)
        return outcomes
    return _WorkerPool(tasks, settings, partials, locks, present, publish, settled, report).run()


@dataclass
class _WorkerPool:
    """The threads of one call, and what they share; see ``download`` for the first attributes."""

    tasks: Sequence[DownloadTask]
    settings: Settings
    partials: Path
    locks: Path
    present: Callable[[DownloadTask], bool]
    publish: Callable[[Download], None]
    settled: Callable[[int, Outcome[Download]], None]
    report: Report
    outcomes: dict[int, Outcome[Download]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Group the tasks by key, and prepare what the workers share."""
        groups: dict[str, list[int]] = {}
        for index, task in enumerate(self.tasks):
            groups.setdefault(task.key, []).append(index)
        self._count = len(groups)
        self._groups: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for group in groups.values():
            self._groups.put(group)
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._client: Client | None = None
        self._threads: list[threading.Thread] = []
        self._busy = 0.0  # seconds of processor time that the workers took
        self._busy_before = 0.0
        self._grown = 0.0
        self._context = Context(
            settings=self.settings,
            stop=threading.Event(),
            client=self._get_client,
            bundles=Bundles(self.tasks, self.settings, self.partials, self.locks),
            budget=threading.BoundedSemaphore(_EXTRA_CONNECTIONS),
        )

    def _get_client(self) -> Client:
        """Return the client, which is made for the first request: nothing else needs requests."""
        with self._guard:
            if self._client is None:
                from model_zoo.download.http import Client

                self._client = Client(self.settings, self._context.stop)
            return self._client

    def run(self) -> list[Outcome[Download]]:
        """Start a few workers, more while they mostly wait for servers, and wait for all of them."""
        limit = max(1, min(self.settings.jobs or JOBS, self._count))
        try:
            for _ in range(min(limit, _FIRST_JOBS)):
                self._start_worker()
            for _ in range(self._count):
                self._wait_for_group(limit)
            for thread in self._threads:
                thread.join()
        except BaseException:
            self._stop()
            raise
        finally:
            self._context.bundles.close()
            if self._client is not None:
                self._client.close()
        return [self.outcomes[index] for index in range(len(self.tasks))]

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name="model-zoo-download", daemon=True)
        self._threads.append(thread)
        thread.start()
        self._grown, self._busy_before = time.monotonic(), self._busy

    def _grow(self, limit: int) -> None:
        """Start one more worker if the others were idle for most of the time since the last check."""
        now = time.monotonic()
        if len(self._threads) >= limit or now - self._grown < _GROW_INTERVAL:
            return
        if self._busy - self._busy_before < _IDLE * (now - self._grown):
            self._start_worker()
        self._grown, self._busy_before = now, self._busy

    def _wait_for_group(self, limit: int) -> None:
        while True:
            self._grow(limit)
            try:
                error = self._done.get(timeout=_TICK if len(self._threads) >= limit else _GROW_INTERVAL)
            except queue.Empty:
                if self._client is not None:
                    self._client.watchdog.enforce()
                continue
            if error is not None:
                raise error
            return

    def _stop(self) -> None:
        self._context.stop.set()
        if self._client is not None:
            self._client.watchdog.abort()
        deadline = time.monotonic() + _STOP_TIMEOUT
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        used = time.thread_time()
        while not self._context.stop.is_set():
            try:
                group = self._groups.get_nowait()
            except queue.Empty:
                return
            try:
                self._process(group)
                for index in group:
                    self.settled(index, self.outcomes[index])
                used, before = time.thread_time(), used
                with self._guard:
                    self._busy += used - before
            except CancelledError:
                return
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                self._done.put(error)
                return
            self._done.put(None)

    def _process(self, group: list[int]) -> None:
        """Obtain artifacts of one key: the first that succeeds serves the others."""
        first = self.tasks[group[0]]
        try:
            with lock(
                self.locks / f"{first.key}.lock",
                timeout=self.settings.lock_timeout,
                on_wait=ProgressReporter(first, self._report).waiting,
                stop=self._context.stop,
            ) as works:
                result: Download | None = None
                for index in group:
                    outcome = self._obtain(self.tasks[index], result, shared=works)
                    self.outcomes[index] = outcome
                    result = result or outcome.result
        except InterruptedError:
            raise CancelledError from None
        except ModelZooError as error:
            for index in group:
                self.outcomes.setdefault(index, Outcome(error=error))

    def _obtain(self, task: DownloadTask, earlier: Download | None, *, shared: bool) -> Outcome[Download]:
        try:
            if earlier is not None:
                check_size(task, earlier.size, earlier.source)
                return Outcome(replace(earlier, task=task))
            if self.present(task):
                _log.debug("%s: already in the cache", task.label)
                return Outcome()
            return Outcome(self._download(task, shared=shared))
        except ModelZooError as error:
            return Outcome(error=error)

    def _download(self, task: DownloadTask, *, shared: bool) -> Download:
        progress = ProgressReporter(task, self._report)
        expected = tuple(str(digest) for digest in task.artifact.digests)
        with open_partial(self.partials, task.key, expected, shared=shared) as partial:
            result = ArtifactDownload(task, self._context, partial, progress).run()
            self.publish(result)
            if result.path == partial.path:
                partial.release()
            else:
                partial.delete()
        if result.adopted_from is None:
            progress.finish(result.size)
        else:
            progress.message("adopted", str(result.adopted_from))
        return result

    def _report(self, event: Event) -> None:
        with self._guard:
            self.report(event)
