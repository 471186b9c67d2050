"""Killed at any instant, crowded by two hundred processes: nothing good is lost, nothing half is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care.verify import verify
from tests.server import Server
from tests.tiny import entry, tiny_onnx, write_entry

KILLS = int(os.environ.get("MODEL_ZOO_TEST_KILLS", "600"))
PROCESSES = int(os.environ.get("MODEL_ZOO_TEST_PROCESSES", "600"))


def run(module, *args, timeout=110):
    argv = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", module, *map(str, args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_kills(tmp_path):
    found = run("tests.cache.chaos", tmp_path / "cache", 120, 1)["killed"]
    assert sum(total for _, total in found.values()) == 120
    assert sum(cut for cut, _ in found.values()) > 40, "most kills came too late to hit anything"


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_kills(tmp_path, seed):
    found = run("tests.cache.chaos", tmp_path / "cache", KILLS // 4, seed, timeout=1700)["killed"]
    assert sum(total for _, total in found.values()) == KILLS // 4


@pytest.fixture
def catalog(tmp_path):
    """Six models on a loopback server; m5 shares its bytes with m4."""
    with Server() as server:
        for number in range(6):
            data = tiny_onnx(float(min(number, 4)), weights=1)
            server.add(f"/m{number}.onnx", data)
            sources = [{"url": server.url(f"/m{number}.onnx")}]
            write_entry(tmp_path / "catalog", entry(f"m{number}", data, *sources))
        yield server, tmp_path / "catalog"


def crowd(tmp_path, catalog, count, seed, budget, timeout=110):
    found = run("tests.cache.crowd", tmp_path / "cache", catalog, count, seed, budget, timeout=timeout)
    assert found["ended"]["bug"] == 0, found["errors"]
    assert found["ended"]["done"] + found["ended"]["documented"] == count
    assert found["faults"] == []
    assert verify(Cache(tmp_path / "cache").layers, lambda _: None).problems == []
    assert not list((tmp_path / "cache/partial-v1").glob("stage-*"))
    return found


def test_two_hundred_processes_make_each_thing_once(tmp_path, catalog):
    server, folder = catalog
    found = crowd(tmp_path, folder, 200, 1, "none")
    assert found["errors"] == []
    transfers = {f"m{n}": len(server.seen(f"/m{n}.onnx")) for n in range(6)}
    assert transfers["m4"] + transfers["m5"] == 1, "the same bytes"
    assert all(transfers[name] == 1 for name in ("m0", "m1", "m2", "m3"))
    assert all(count == 1 for count in found["made"].values()), found["made"]
    assert {"convert_end m0", "convert_end m1"} <= found["made"].keys()


def test_a_crowd_with_a_collector_that_takes_everything(tmp_path, catalog):
    _, folder = catalog
    found = crowd(tmp_path, folder, 60, 2, 1)
    assert found["errors"] == []


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_a_larger_crowd(tmp_path, catalog):
    crowd(tmp_path, catalog[1], PROCESSES, 3, 3000, timeout=1700)
