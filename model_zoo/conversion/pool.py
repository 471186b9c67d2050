"""Several conversions at once, as many as cores and memory allow.

A conversion starts when it is the only one, or when what it is expected to need fits beside the others
into the memory that is free. The expectation is the measured peak of an earlier conversion like it.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from model_zoo.conversion import process
from model_zoo.schema import EXPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from model_zoo.schema import IrManifest, Model

Job = TypeVar("Job")
Result = TypeVar("Result")

_MIB = 1 << 20
_BASE = {"pytorch": 600, "keras": 900, "jax": 600, **dict.fromkeys(EXPORTED, 650)}
"""Mebibytes a framework needs before it has read anything; measured. The others need ``_PLAIN``."""
_PLAIN, _NNCF = 80, 500
_PATIENCE = 10.0
"""Seconds that jobs get to clean up after an interruption; what they do beside conversions may hang."""
_PER_BYTE = 4
"""Memory for each byte of input, where nothing was measured: the file, the graph, and its lowered copy."""


def default_workers() -> int:
    """Return how many conversions run at once unless told: half the cores, at least one."""
    return max(1, (os.cpu_count() or 1) // 2)


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes can be used without swapping, cgroup limit included; None when not known."""
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

    Args:
        model: what is converted.
        precision: to what.
        size: bytes of its files.
        manifests: of earlier conversions; of those with the same framework and precision the one nearest
            in size counts, scaled to this size where that is larger.
    """
    fresh = (
        _BASE.get(str(model.framework), _PLAIN) + (0 if re.fullmatch("FP16|FP32", precision) else _NNCF)
    ) * _MIB
    like = [
        (sum(entry.size for entry in one.inputs), one.peak_memory)
        for one in manifests
        if one.framework == model.framework and one.precision == precision and one.peak_memory
    ]
    if not like:
        return fresh + _PER_BYTE * size
    nearest, peak = min(like, key=lambda pair: abs(pair[0] - size))
    grown = max(0, peak - fresh) * max(1.0, size / nearest) if nearest else 0
    return int(max(peak, fresh + grown))


def run(
    jobs: Sequence[Job],
    call: Callable[[Job], Result],
    estimate: Callable[[Job], int],
    *,
    workers: int | None = None,
    available: Callable[[], int | None] = available_memory,
) -> list[Result]:
    """Call ``call`` for every job, several at a time, and return the results in the jobs' order.

    Args:
        jobs: what to do, started in this order.
        call: does one job; it runs in a thread of its own.
        estimate: how many bytes a job needs at its peak.
        workers: how many at once at most; default half the cores.
        available: how many bytes are free; None means nobody knows, and only ``workers`` counts.

    Raises:
        BaseException: what ``call`` raised for the first job that failed, once all that had started ended;
            the others do not start. On an interruption every running worker process is ended first.
    """
    return _Run(jobs, call, estimate, workers or default_workers(), available).results()


class _Run(Generic[Job, Result]):
    """The state of one ``run``."""

    def __init__(
        self,
        jobs: Sequence[Job],
        call: Callable[[Job], Result],
        estimate: Callable[[Job], int],
        workers: int,
        available: Callable[[], int | None],
    ) -> None:
        self.jobs, self.call, self.estimate = jobs, call, estimate
        self.workers, self.available = workers, available
        self.budget = available()
        self.changed = threading.Condition()
        self.running: dict[int, int] = {}
        self.done: dict[int, Result] = {}
        self.failed: dict[int, BaseException] = {}

    def results(self) -> list[Result]:
        threads = []
        try:
            for index, job in enumerate(self.jobs):
                need = self.estimate(job)
                with self.changed:
                    self.changed.wait_for(lambda need=need: self.failed or self._fits(need))  # type: ignore[misc]
                    if self.failed:
                        break
                    self.running[index] = need
                thread = threading.Thread(target=self._one, args=(index, job), daemon=True)
                thread.start()
                threads.append(thread)
            for thread in threads:
                thread.join()
        except BaseException:
            process.stop_all()
            for thread in threads:
                thread.join(_PATIENCE)
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

    def _one(self, index: int, job: Job) -> None:
        try:
            result = self.call(job)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            with self.changed:
                self.failed[index] = error
        else:
            self.done[index] = result
        finally:
            with self.changed:
                del self.running[index]
                self.changed.notify_all()
