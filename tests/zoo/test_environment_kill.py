"""Builds killed at any instant, and raced for: nothing half-built is used, and one build is enough."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care.gc import apply, plan_gc
from model_zoo.cache.care.verify import verify
from model_zoo.cache.environments import environments, faults_of
from tests.stacks import make_index, write_adders

if TYPE_CHECKING:
    from tests.stacks import Index

KILLS = int(os.environ.get("MODEL_ZOO_TEST_KILLS", "200"))
PROC = Path("/proc")

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs signals")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def start(tmp_path: Path, index: Index):
    """Return a function that starts a process that converts in an environment of the cache."""
    catalog = write_adders(tmp_path / "catalog")
    started = []

    def begin() -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        argv = [sys.executable, "-m", "tests.zoo.isolating"]
        argv += [str(path) for path in (tmp_path / "cache", catalog, index.stacks)]
        process = subprocess.Popen(
            argv, env=env | index.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> list[str]:
    """Return the events of a process that does well."""
    out, complaint = process.communicate(timeout=100)
    assert process.returncode == 0, complaint[-3000:]
    return [json.loads(line)["event"] for line in out.splitlines()]


def builders_of(cache: Path) -> list[str]:
    """Return the processes that still work in a cache, where the platform tells."""
    found = []
    for process in PROC.glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if f"{cache}/partial-v1" in line:
            found.append(line)
    return found


def wait_for_none(cache: Path) -> None:
    deadline = time.monotonic() + 20
    while builders_of(cache):
        assert time.monotonic() < deadline, f"they outlive whoever asked for them: {builders_of(cache)}"
        time.sleep(0.05)


def kill_and_look(start, cache: Path, seconds: float) -> bool:
    """Kill a build after some time; whatever is there then is whole. Return whether it came in time."""
    shutil.rmtree(cache / "envs-v1", ignore_errors=True)
    shutil.rmtree(cache / "ir-v1", ignore_errors=True)
    process = start()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for_none(cache)
    found = environments(Cache(cache).writable)
    for one in found:
        assert one.fault is None
        assert list(faults_of(one)) == []
    return not found


def murder(start, cache: Path, count: int, seed: int) -> int:
    """Kill that many builds at random moments; return how many were still at it."""
    chance = random.Random(seed)
    began = time.monotonic()
    ended(start())
    whole = time.monotonic() - began
    cut = sum(kill_and_look(start, cache, chance.uniform(0.1, 1.1) * whole) for _ in range(count))
    shutil.rmtree(cache / "envs-v1", ignore_errors=True)
    shutil.rmtree(cache / "ir-v1", ignore_errors=True)
    events = ended(start())
    assert "environment_end" in events
    layer = Cache(cache).writable
    assert [path.name for path in layer.partials.iterdir() if path.name.startswith("stage-env")] == []
    (one,) = environments(layer)
    assert list(faults_of(one)) == []
    assert [p for p in verify([layer], lambda _: None).problems if p.subject == "env"] == []
    return cut


def test_killed_builds_leave_nothing_that_is_used(start, tmp_path: Path) -> None:
    assert murder(start, tmp_path / "cache", 8, 10) >= 3, "most kills came too late to hit anything"


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_many_killed_builds(start, tmp_path: Path) -> None:
    assert murder(start, tmp_path / "cache", KILLS, 11) >= KILLS // 3


def test_collector_takes_what_a_killed_build_left(start, tmp_path: Path) -> None:
    process = start()
    for line in process.stdout:
        if "installing" in line or "looking" in line:
            break
    process.kill()
    process.communicate()
    wait_for_none(tmp_path / "cache")
    cache = Cache(tmp_path / "cache")
    assert [path.name[:9] for path in cache.writable.partials.iterdir()] == ["stage-env"]
    plan = apply(cache, lambda age: plan_gc(cache.writable, None, min_age=age))
    assert [removal.item.kind for removal in plan.removals] == ["staging"]
    assert list(cache.writable.partials.iterdir()) == []


def test_race_of_processes_builds_once(start, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    processes = [start() for _ in range(4)]
    for process in processes:
        counts.update(set(ended(process)))
    assert counts["environment_begin"] == counts["environment_end"] == 1
    assert counts["convert_end"] == 1
    assert counts["wait"] >= 1, "nobody was told what is being waited for"
    assert len(environments(Cache(tmp_path / "cache").writable)) == 1
