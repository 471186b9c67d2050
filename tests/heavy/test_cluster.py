"""Conversions on a Dask cluster: a real scheduler and real worker processes on this machine."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_zoo.errors import ConversionError, MissingExtraError, PolicyError, UnsupportedModelError
from model_zoo.settings import Policy, Settings
from model_zoo.zoo import Conversion, Zoo
from tests.export.conftest import environment, serve_registry
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_module

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fan_out"
MODEL_ZOO = [sys.executable, "-c", "from model_zoo.cli.main import main; main()"]
NAMES = ["m0", "m1", "m2", "m3"]


@pytest.fixture(scope="session")
def fan_out():
    """The script, imported: it starts clusters."""
    require_module("distributed")
    loader = importlib.machinery.SourceFileLoader("fan_out", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("fan_out", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def catalog(tmp_path):
    for number, name in enumerate(NAMES):
        data = tiny_onnx(float(number), (1, 8))
        (tmp_path / "catalog").mkdir(exist_ok=True)
        (tmp_path / "catalog" / f"{name}.onnx").write_bytes(data)
        write_entry(tmp_path / "catalog", entry(name, data, {"file": f"{name}.onnx"}))
    broken = tiny_onnx(op="NoSuchOperation")
    (tmp_path / "catalog" / "broken.onnx").write_bytes(broken)
    write_entry(tmp_path / "catalog", entry("broken", broken, {"file": "broken.onnx"}))
    return tmp_path / "catalog"


def start(address, env, *names):
    argv = [*MODEL_ZOO, "--progress", "json", "convert", "--dask", address, *names]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, events, act=lambda event: None):
    with process:
        for line in process.stderr:
            if line.startswith("{"):
                events.append(json.loads(line))
                act(events[-1])
        out = process.stdout.read()
    return process.returncode, out


def begun(events):
    return [
        (event["model"], event["message"].split("]")[0][1:])
        for event in events
        if event["event"] == "convert_begin"
    ]


def test_two_workers_fill_a_shared_cache(fan_out, catalog, tmp_path, monkeypatch):
    env = environment(MODEL_ZOO_CACHE=str(tmp_path / "cache"), MODEL_ZOO_CATALOG=str(catalog))
    (tmp_path / "cache").mkdir()
    with fan_out.cluster(tmp_path, 2) as (address, _):
        events = []
        code, out = finish(start(address, env, *NAMES, "broken"), events)
        assert code == 7
        assert len(out.splitlines()) == 4
        assert all(
            Path(line).is_file() and line.startswith(str(tmp_path / "cache")) for line in out.splitlines()
        )
        assert sorted({model for model, _ in begun(events)}) == ["broken", *NAMES]
        assert {worker for _, worker in begun(events)} == {"worker-1", "worker-2"}
        again = []
        code, second = finish(start(address, env, *NAMES), again)
        assert (code, second) == (0, out)
        assert begun(again) == []


def test_killed_worker_costs_one_more_attempt(fan_out, catalog, tmp_path):
    env = environment(MODEL_ZOO_CACHE=str(tmp_path / "cache"), MODEL_ZOO_CATALOG=str(catalog))
    (tmp_path / "cache").mkdir()
    with fan_out.cluster(tmp_path, 2) as (address, workers):
        events, victims = [], []

        def kill(event):
            if event["event"] == "convert_begin" and not victims:
                name = event["message"].split("]")[0][1:]
                victims.append((event["model"], name))
                workers[int(name.rpartition("-")[2]) - 1].kill()

        code, out = finish(start(address, env, *NAMES), events, kill)
    assert code == 0, events
    assert len(out.splitlines()) == 4
    ((model, victim),) = victims
    attempts = [worker for name, worker in begun(events) if name == model]
    assert len(attempts) == 2
    assert attempts[0] == victim != attempts[1]
    others = [name for name, _ in begun(events) if name != model]
    assert sorted(others) == sorted(set(NAMES) - {model})
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,), offline=True))
    assert all(zoo.read(name).inputs for name in NAMES)


@pytest.mark.system
def test_workers_with_caches_of_their_own_meet_in_a_registry(fan_out, catalog, tmp_path, monkeypatch):
    for registry in serve_registry(tmp_path / "registry"):
        monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "workers"))
        monkeypatch.setenv("MODEL_ZOO_CONFIG", os.devnull)
        with fan_out.cluster(tmp_path, 2) as (address, _):
            env = environment(
                MODEL_ZOO_CACHE=str(tmp_path / "mine"),
                MODEL_ZOO_CATALOG=str(catalog),
                MODEL_ZOO_REMOTE=f"oci://{registry.host}/fleet",
            )
            code, out = finish(start(address, env, *NAMES), [])
        assert code == 0
        assert all(line.startswith(str(tmp_path / "mine")) for line in out.splitlines())
        assert len(list((tmp_path / "mine" / "ir-v1").iterdir())) == 4
        assert not (tmp_path / "mine" / "blobs-v1").exists()


@pytest.fixture
def inside():
    """A cluster in this process."""
    require_module("distributed")
    from distributed import LocalCluster

    alone = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**alone, protocol="tcp", host="127.0.0.1") as cluster:
        yield cluster.scheduler_address


def test_outcomes_are_in_order_and_errors_are_the_workers(inside, catalog, tmp_path):
    from model_zoo.zoo.cluster import convert_on_cluster

    (tmp_path / "cache").mkdir()
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))
    zoo.convert("m1")
    events = []
    done = convert_on_cluster(
        zoo, zoo.planner.expand(["m0", "broken", "m1"]), Conversion(), inside, events.append
    )
    assert [outcome.result and outcome.result.model.name for outcome in done] == ["m0", None, "m1"]
    assert done[0].result.xml.is_file()
    assert isinstance(done[1].error, UnsupportedModelError)
    assert done[2].result.key == zoo.convert("m1").key
    assert any(event.event == "failed" and event.model == "broken" for event in events)


def test_the_policy_of_this_side_holds(inside, catalog, tmp_path):
    from model_zoo.zoo.cluster import convert_on_cluster

    (tmp_path / "cache").mkdir()
    policy = Policy(licenses=("Apache-2.0",))
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,), policy=policy))
    (done,) = convert_on_cluster(zoo, zoo.planner.expand(["m0"]), Conversion(), inside, lambda event: None)
    assert isinstance(done.error, PolicyError)
    assert "MIT" in str(done.error)


def test_folder_that_workers_do_not_see_is_told(inside, catalog, tmp_path):
    from model_zoo.zoo.cluster import convert_on_cluster

    zoo = Zoo(settings=Settings(cache=tmp_path / "nonesuch", catalogs=(catalog,)))
    (done,) = convert_on_cluster(zoo, zoo.planner.expand(["m0"]), Conversion(), inside, lambda event: None)
    assert done.error.exit_code == 6
    assert "does not see the cache" in str(done.error)


def test_no_scheduler(catalog, tmp_path, monkeypatch):
    require_module("distributed")
    from model_zoo.zoo import cluster

    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))
    with pytest.raises(ConversionError, match="cannot be reached"):
        cluster.convert_on_cluster(
            zoo, zoo.planner.expand(["m0"]), Conversion(), "tcp://127.0.0.1:9", lambda event: None
        )


def test_without_distributed(catalog, tmp_path, monkeypatch):
    from model_zoo.zoo.cluster import convert_on_cluster

    monkeypatch.setitem(sys.modules, "distributed", None)
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))
    with pytest.raises(MissingExtraError, match="pip install distributed"):
        convert_on_cluster(
            zoo, zoo.planner.expand(["m0"]), Conversion(), "tcp://127.0.0.1:9", lambda event: None
        )
