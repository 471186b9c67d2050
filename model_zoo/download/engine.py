"""Many artifacts at once: threads, locks, one outcome each, and an end within a second when told to."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from model_zoo.download.artifact import Obtaining, Run
from model_zoo.download.bundle import Bundles
from model_zoo.download.disk_space import shortage
from model_zoo.download.failures import Stopped
from model_zoo.download.local import check_size
from model_zoo.download.partial import open_partial
from model_zoo.download.progress import Tally
from model_zoo.download.tasks import Arrival, Outcome, Wanted
from model_zoo.errors import ModelZooError
from model_zoo.events import ignore
from model_zoo.files import make_directory
from model_zoo.files.lock import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_zoo.download.http import Client
    from model_zoo.events import Event
    from model_zoo.settings import Settings

JOBS = 8
FIRST_JOBS = 3
"""Workers to begin with. Against a near server Python itself is the bottleneck, and every further thread only
waits for the interpreter: 400 small files took a fifth longer with 8 workers than with 3."""
_IDLE = 0.7
"""Share of one core's time below which the workers mostly wait for servers, so that one more helps."""
_GROW_APART = 0.1
EXTRA_CONNECTIONS = 16
_TICK = 0.2
_PATIENCE = 0.8
"""Seconds given to the workers to put things down after an interrupt."""


def _nothing_more(index: int, outcome: Outcome) -> None:
    """Do nothing with an outcome."""
    del index, outcome


def download(
    wanted: Sequence[Wanted],
    *,
    settings: Settings,
    partials: Path,
    locks: Path,
    present: Callable[[Wanted], bool],
    publish: Callable[[Arrival], None],
    settled: Callable[[int, Outcome], None] = _nothing_more,
    report: Callable[[Event], None] = ignore,
) -> list[Outcome]:
    """Bring artifacts over and publish them; one that fails stops no other.

    Args:
        wanted: what is not in the cache. Those with the same key share one transfer.
        settings: mirrors, timeouts, attempts, jobs, whether the network may be used.
        partials: a folder on the cache's file system.
        locks: a folder for the locks.
        present: asked again once the lock is held, for another process may have published it meanwhile.
        publish: moves ``arrival.path`` into the cache; called under the lock, from several threads.
        settled: told the index and the outcome of each as soon as it has one, from several threads.
        report: gets events; calls do not overlap.

    Returns:
        One outcome per wanted artifact, in their order.

    Raises:
        KeyboardInterrupt: partials are kept.
        CacheError: the folders cannot be made.
    """
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(wanted):
        groups.setdefault(one.key, []).append(index)
    if not groups:
        return []
    make_directory(partials)
    if not settings.offline and (short := shortage(wanted, partials)) is not None:
        refused = [Outcome(one, short, None) for one in wanted]
        for index, outcome in enumerate(refused):
            settled(index, outcome)
        return refused
    work = _Work(wanted, list(groups.values()), settings, partials, locks, present, publish, settled, report)
    try:
        work.finish(settings.jobs or JOBS)
    finally:
        work.close()
    return [work.outcomes[index] for index in range(len(wanted))]


class _Work:
    """The state of one call."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        groups: list[list[int]],
        settings: Settings,
        partials: Path,
        locks: Path,
        present: Callable[[Wanted], bool],
        publish: Callable[[Arrival], None],
        settled: Callable[[int, Outcome], None],
        report: Callable[[Event], None],
    ) -> None:
        self.wanted = wanted
        self.outcomes: dict[int, Outcome] = {}
        self._groups: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for group in groups:
            self._groups.put(group)
        self._count = len(groups)
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._settings = settings
        self._partials = partials
        self._locks = locks
        self._present = present
        self._publish = publish
        self._settled = settled
        self._report = report
        self._guard = threading.Lock()
        self._client: Client | None = None
        self._threads: list[threading.Thread] = []
        self._busy = 0.0  # seconds of processor time that the workers took
        self._busy_then = 0.0
        self._grown = 0.0
        self._run = Run(
            settings=settings,
            partials=partials,
            stop=threading.Event(),
            client=self._get_client,
            bundles=Bundles(wanted, settings, partials, locks),
            budget=threading.BoundedSemaphore(EXTRA_CONNECTIONS),
        )

    def _get_client(self) -> Client:
        """Return the client, which is made when the first address is asked: nothing else needs requests."""
        with self._guard:
            if self._client is None:
                from model_zoo.download.http import Client

                self._client = Client(self._settings, self._run.stop)
            return self._client

    # -- the thread that waits --------------------------------------------------------------------

    def finish(self, jobs: int) -> None:
        """Start a few workers, more while they mostly wait for servers, and wait for all of them.

        Raises:
            KeyboardInterrupt: told to stop.
        """
        most = max(1, min(jobs, self._count))
        for _ in range(min(most, FIRST_JOBS)):
            self._start_one()
        try:
            for _ in range(self._count):
                self._wait_for_one(most)
            for thread in self._threads:
                thread.join()
        except BaseException:
            self._stop()
            raise

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._work, name="model-zoo-download", daemon=True)
        self._threads.append(thread)
        thread.start()
        self._grown, self._busy_then = time.monotonic(), self._busy

    def _grow(self, most: int) -> None:
        """Start one more worker if the others were idle for most of the time since the last look."""
        now = time.monotonic()
        if len(self._threads) >= most or now - self._grown < _GROW_APART:
            return
        if self._busy - self._busy_then < _IDLE * (now - self._grown):
            self._start_one()
        self._grown, self._busy_then = now, self._busy

    def _wait_for_one(self, most: int) -> None:
        while True:
            self._grow(most)
            try:
                fault = self._done.get(timeout=_TICK if len(self._threads) >= most else _GROW_APART)
            except queue.Empty:
                if self._client is not None:
                    self._client.watch.enforce()
                continue
            if fault is not None:
                raise fault
            return

    def _stop(self) -> None:
        self._run.stop.set()
        if self._client is not None:
            self._client.watch.end()
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Let go of connections and staging folders."""
        self._run.bundles.close()
        if self._client is not None:
            self._client.close()

    # -- the threads that work --------------------------------------------------------------------

    def _work(self) -> None:
        used = time.thread_time()
        while not self._run.stop.is_set():
            try:
                group = self._groups.get_nowait()
            except queue.Empty:
                return
            try:
                self._take(group)
                for index in group:
                    self._settled(index, self.outcomes[index])
                used, before = time.thread_time(), used
                with self._guard:
                    self._busy += used - before
            except Stopped:
                return
            except BaseException as fault:  # noqa: BLE001 - raised again by the thread that waits
                self._done.put(fault)
                return
            self._done.put(None)

    def _take(self, group: list[int]) -> None:
        """Obtain artifacts of one key: the first that succeeds serves the others."""
        first = self.wanted[group[0]]
        tally = Tally(first, self._tell)
        path = self._locks / f"{first.key}.lock"
        try:
            with lock(
                path,
                timeout=self._settings.lock_timeout,
                on_wait=lambda owner: tally.say("wait", f"waiting for {owner}"),
                stop=self._run.stop,
            ) as works:
                arrival: Arrival | None = None
                for index in group:
                    outcome = self._one(self.wanted[index], arrival, shared=works)
                    self.outcomes[index] = outcome
                    arrival = arrival or outcome.arrival
        except InterruptedError:
            raise Stopped from None
        except ModelZooError as error:
            for index in group:
                self.outcomes.setdefault(index, Outcome(self.wanted[index], error, None))

    def _one(self, wanted: Wanted, earlier: Arrival | None, *, shared: bool) -> Outcome:
        tally = Tally(wanted, self._tell)
        try:
            if earlier is not None:
                check_size(wanted, earlier.size, earlier.source)
                return Outcome(wanted, None, replace(earlier, wanted=wanted))
            if self._present(wanted):
                return Outcome(wanted, None, None)
            expected = tuple(str(digest) for digest in wanted.artifact.digests)
            with open_partial(self._partials, wanted.key, expected, shared=shared) as partial:
                arrival = Obtaining(wanted, self._run, partial, tally).arrive()
                self._publish(arrival)
                if arrival.path == partial.path:
                    partial.release()
                else:
                    partial.forget()
            tally.end(arrival.size)
        except ModelZooError as error:
            return Outcome(wanted, error, None)
        return Outcome(wanted, None, arrival)

    def _tell(self, event: Event) -> None:
        with self._guard:
            self._report(event)
