"""Several conversions at once, as many as cores and memory allow.

A conversion starts when no other runs, or when its estimated peak fits into the free memory beside the
others. The estimate comes from the measured peak of an earlier, similar conversion.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from model_zoo.conversion import process
from model_zoo.formats.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from model_zoo.schema import IrManifest, Model

_log = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")

_MIB = 1 << 20
_NNCF = 500
"""MiB that NNCF needs before it does anything; measured."""
_TICK = 0.2
"""Seconds after which a wait looks for Ctrl-C, which does not end one by itself on Windows."""
_GRACE = 10.0
"""Seconds that jobs get to clean up after an interruption; what they do besides converting may hang."""
_PER_BYTE = 4
"""Bytes of memory per byte of input, before anything was measured: file, graph and its compressed copy."""


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes can be used without swapping, within the cgroup's limit; None if unknown."""
    free: list[int] = []
    with contextlib.suppress(OSError):
        found = re.search(
            r"^MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text(encoding="ascii"), re.MULTILINE
        )
        if found:
            free.append(int(found[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        limit = int((cgroup / "memory.max").read_text(encoding="ascii"))
        free.append(limit - int((cgroup / "memory.current").read_text(encoding="ascii")))
    return max(0, min(free)) if free else None


def estimate(model: Model, precision: str, size: int, manifests: Iterable[IrManifest] = ()) -> int:
    """Return how many bytes a conversion will need at its peak.

    ``size`` is that of its files, in bytes. Of the earlier conversions with the same framework and precision,
    the one nearest in size counts, scaled up where this model is larger.
    """
    base = FRAMEWORKS[str(model.framework)].memory
    base = (base if re.fullmatch("FP16|FP32", precision) else base + _NNCF) * _MIB
    similar = [
        (sum(entry.size for entry in manifest.inputs), manifest.peak_memory)
        for manifest in manifests
        if (manifest.framework, manifest.precision) == (model.framework, precision) and manifest.peak_memory
    ]
    if not similar:
        return base + _PER_BYTE * size
    nearest, peak = min(similar, key=lambda pair: abs(pair[0] - size))
    scaled = max(0, peak - base) * max(1.0, size / nearest) if nearest else 0
    return int(max(peak, base + scaled))


def run(
    jobs: Sequence[Job],
    call: Callable[[Job], Result],
    estimate: Callable[[Job], int],
    *,
    workers: int | None = None,
    available: Callable[[], int | None] = available_memory,
) -> list[Result]:
    """Call ``call`` for every job, several at a time, and return the results in the jobs' order.

    ``call`` runs in a thread of its own. ``estimate`` returns how many bytes a job needs at its peak,
    ``available`` how many are free; where that is None, only ``workers`` counts, by default half the cores.

    Raises:
        BaseException: what ``call`` raised for the first job that failed, once all started jobs have ended;
            the others are not started. An interruption kills every running worker process first.
    """
    return _Run(jobs, call, estimate, workers or max(1, (os.cpu_count() or 1) // 2), available).results()


@dataclass
class _Run(Generic[Job, Result]):
    """The state of one ``run``."""

    jobs: Sequence[Job]
    call: Callable[[Job], Result]
    estimate: Callable[[Job], int]
    workers: int
    available: Callable[[], int | None]
    changed: threading.Condition = field(default_factory=threading.Condition)
    running: dict[int, int] = field(default_factory=dict)
    done: dict[int, Result] = field(default_factory=dict)
    failed: dict[int, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budget = self.available()

    def results(self) -> list[Result]:
        threads = []
        try:
            for index, job in enumerate(self.jobs):
                need = self.estimate(job)
                with self.changed:
                    while not (self.failed or self._fits(need)):
                        self.changed.wait(_TICK)
                    if self.failed:
                        break
                    self.running[index] = need
                number, mib = index + 1, need // _MIB
                _log.debug("job %d of %d starts, estimated at %d MiB", number, len(self.jobs), mib)
                thread = threading.Thread(target=self._do, args=(index, job), daemon=True)
                thread.start()
                threads.append(thread)
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK)
        except BaseException:
            process.stop_all()
            for thread in threads:
                thread.join(_GRACE)
            raise
        if self.failed:
            raise self.failed[min(self.failed)]
        return [self.done[index] for index in range(len(self.jobs))]

    def _fits(self, need: int) -> bool:
        if not self.running:
            return True
        if len(self.running) >= self.workers:
            return False
        now = self.available()
        if now is None or self.budget is None:
            return True
        return need <= now and need + sum(self.running.values()) <= self.budget

    def _do(self, index: int, job: Job) -> None:
        try:
            result = self.call(job)
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            with self.changed:
                self.failed[index] = error
        else:
            self.done[index] = result
        finally:
            with self.changed:
                del self.running[index]
                self.changed.notify_all()


class ReadWriteLock:
    """Many readers or one writer; a waiting writer goes before readers that arrive later."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # a writer keeps it from when it waits until it is done
        self._changed = threading.Condition()
        self._readers = 0

    @contextlib.contextmanager
    def read(self) -> Iterator[None]:
        """Hold the lock together with other readers."""
        with self._turn, self._changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._readers)
            yield
