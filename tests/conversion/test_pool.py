"""Several conversions at once, within cores and memory."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_zoo.conversion import pool
from model_zoo.conversion.pool import ReadWriteLock
from model_zoo.schema import FileEntry, IrManifest
from tests.conversion import test_process
from tests.conversion.support import entry
from tests.manifests import ir_manifest

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


class Watch:
    """A job function that knows how much memory its calls would hold at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: list[int] = []
        self.most_jobs = self.most_memory = 0

    def __call__(self, job: int) -> int:
        with self.lock:
            self.now.append(job)
            self.most_jobs = max(self.most_jobs, len(self.now))
            if len(self.now) > 1:
                self.most_memory = max(self.most_memory, sum(self.now))
        time.sleep(0.002)
        with self.lock:
            self.now.remove(job)
        return job * 10


@given(st.lists(st.integers(1, 100), max_size=12), st.integers(1, 4), st.integers(1, 120))
@settings(max_examples=30, deadline=None)
def test_neither_workers_nor_memory_are_exceeded(jobs: list[int], workers: int, memory: int) -> None:
    watch = Watch()
    results = pool.run(jobs, watch, lambda job: job, workers=workers, available=lambda: memory)
    assert results == [job * 10 for job in jobs]
    assert watch.most_jobs <= workers
    assert watch.most_memory <= memory


def test_jobs_that_fit_do_run_at_once() -> None:
    both = threading.Barrier(2, timeout=30)
    assert pool.run([1, 2], lambda job: (both.wait() and 0) or job, lambda _: 1, workers=2) == [1, 2]


def test_what_another_program_takes_meanwhile_counts() -> None:
    free = iter([100, 1])
    watch = Watch()
    pool.run([30, 30, 30], watch, lambda job: job, workers=3, available=lambda: next(free, 1))
    assert watch.most_jobs == 1


def test_unknown_memory_leaves_only_the_workers() -> None:
    watch = Watch()
    pool.run([GIB] * 6, watch, lambda job: job, workers=2, available=lambda: None)
    assert watch.most_jobs == 2


def test_first_failure_is_raised_and_the_rest_does_not_start() -> None:
    seen = []

    def call(job: int) -> int:
        seen.append(job)
        if job == 1:
            raise ValueError(job)
        return job

    with pytest.raises(ValueError, match="1"):
        pool.run(list(range(50)), call, lambda _: 1, workers=1)
    assert seen == [0, 1]


def test_interruption_ends_the_workers(tmp_path: Path) -> None:
    folder = test_process.files_with(tmp_path / "files", test_process.SLEEPER)
    pids = tmp_path / "pids"

    def wait_then_interrupt(job: str) -> int:
        if job == "interrupt":
            while not pids.exists() or len(pids.read_text().split()) < 2:
                time.sleep(0.05)
            raise KeyboardInterrupt
        return 0

    with pytest.raises(KeyboardInterrupt):
        pool.run(["convert", "interrupt"], lambda _: test_process.run(folder), wait_then_interrupt, workers=2)
    assert test_process.gone([int(text) for text in pids.read_text().split()])


def manifest(size: int, peak: int, framework: str = "onnx", precision: str = "FP32") -> IrManifest:
    inputs = (FileEntry(path="m", size=size, sha256="0" * 64),)
    return ir_manifest(framework=framework, precision=precision, inputs=inputs, peak_memory=peak)


def test_estimate_is_the_peak_of_the_nearest_and_grows_with_the_size() -> None:
    model = entry("onnx", "m.onnx")
    known = [manifest(GIB, 5 * GIB), manifest(10, 90 << 20), manifest(GIB, 99 * GIB, precision="INT8")]
    assert pool.estimate(model, "FP32", GIB, known) == 5 * GIB
    assert pool.estimate(model, "FP32", GIB // 2 + 99, known) == 5 * GIB
    doubled = pool.estimate(model, "FP32", 2 * GIB, known)
    assert 9.8 * GIB < doubled < 10 * GIB
    assert pool.estimate(model, "FP32", 100, known) < 200 << 20


def test_estimate_without_experience_knows_what_frameworks_need() -> None:
    plain, torch = entry("onnx", "m.onnx"), entry("pytorch", "m.pt")
    assert pool.estimate(plain, "FP16", 0) < pool.estimate(torch, "FP16", 0) < pool.estimate(torch, "INT8", 0)
    assert pool.estimate(plain, "FP16", GIB) > 3 * GIB
    unmeasured = [manifest(5, 0, precision="FP16"), manifest(5, 7 * GIB, "tflite", "FP16")]
    assert pool.estimate(plain, "FP16", 5, unmeasured) == pool.estimate(plain, "FP16", 5)
    assert pool.estimate(plain, "FP16", 5, [manifest(0, 300 << 20, precision="FP16")]) == 300 << 20


def test_available_memory_is_the_least_of_machine_and_group(tmp_path: Path) -> None:
    proc, group = tmp_path / "proc", tmp_path / "group"
    proc.mkdir()
    group.mkdir()
    assert pool.available_memory(proc, group) is None
    (proc / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   4096 kB\n")
    assert pool.available_memory(proc, group) == 4 << 20
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1048576\n")
    assert pool.available_memory(proc, group) == 4 << 20
    (group / "memory.max").write_text("3145728\n")
    assert pool.available_memory(proc, group) == 2 << 20
    (group / "memory.max").write_text("1\n")
    assert pool.available_memory(proc, group) == 0


def test_this_machine_has_memory() -> None:
    free = pool.available_memory()
    assert free is None or free > 0


def test_a_writer_is_alone() -> None:
    lock = ReadWriteLock()
    inside: list[str] = []
    problems: list[str] = []

    def read() -> None:
        with lock.read():
            inside.append("reader")
            time.sleep(0.001)
            if "writer" in inside:
                problems.append("a reader beside a writer")
            inside.remove("reader")

    def write() -> None:
        with lock.write():
            if inside:
                problems.append("a writer beside others")
            inside.append("writer")
            time.sleep(0.002)
            inside.remove("writer")

    threads = [threading.Thread(target=write if i % 4 == 0 else read) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert inside == []
