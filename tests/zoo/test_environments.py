"""Converter environments: built once, used only when whole, and not needed for what is cached."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_zoo.cache.environments import environments, faults_of
from model_zoo.conversion import process
from model_zoo.errors import CacheReadOnlyError, ConversionError, MissingExtraError, OfflineError
from model_zoo.events import Event
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Zoo
from tests.stacks import Index, adder, write_adders
from tests.tiny import entry, tiny_onnx, write_entry

if TYPE_CHECKING:
    from pathlib import Path

ISOLATED = Conversion(isolate=True, trust_code=True)
TRUSTED: dict[str, Any] = {"isolate": True, "trust_code": True}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return write_adders(tmp_path / "catalog", "adder", "second")


@pytest.fixture
def zoo(tmp_path: Path, catalog: Path) -> Zoo:
    return Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))


@pytest.fixture(scope="module")
def built(wheels: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the environment of ``adder`` and its IR; not to be written to."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        wheels.use(patch)
        zoo = Zoo(settings=Settings(cache=folder / "cache", catalogs=(write_adders(folder / "catalog"),)))
        zoo.convert("adder", **TRUSTED)
    return folder / "cache"


@pytest.fixture
def warm(built: Path, tmp_path: Path, zoo: Zoo, index: Index) -> Zoo:
    """Return a zoo on a copy of that cache."""
    del index
    shutil.copytree(built, tmp_path / "cache", symlinks=True)
    return zoo


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process be started."""

    def refuse(*arguments: Any, **_: Any) -> None:
        pytest.fail(f"a process was started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def envs(zoo: Zoo) -> list[Any]:
    return environments(zoo.cache.writable)


def ours() -> set[tuple[str, str]]:
    return {(one.metadata["Name"], one.version) for one in importlib.metadata.distributions()}


def test_model_is_converted_in_an_environment_of_its_own(zoo: Zoo, index: Index) -> None:
    before, events = ours(), list[Event]()
    made = zoo.convert("adder", **TRUSTED, progress=events.append)
    (one,) = envs(zoo)
    assert made.manifest["parts"]["versions"] == {
        "openvino": "2026.4.1-77",
        "tensorflow-cpu": "2.21.0",
        "addernet": "1.0",
    }
    assert "requirements" not in made.manifest["parts"]["recipe"]["builder"]
    assert one.manifest.packages["openvino"] == "2026.4.1-77"
    assert one.manifest.requirements == ("openvino==2026.4.1", "tensorflow-cpu==2.21.0", "addernet==1.0")
    assert one.fault is None
    assert list(faults_of(one)) == []
    assert one.manifest.size > 0
    assert ours() == before, "our own packages have changed"
    assert list(zoo.cache.writable.partials.iterdir()) == []
    told = [event for event in events if event.event.startswith("environment")]
    assert [told[0].event, told[-1].event] == ["environment_begin", "environment_end"]
    assert told[0].total == 5_000_000
    assert told[-1].bytes == one.manifest.size
    assert {event.file for event in told} == {"env:tensorflow"}
    sizes = [event.bytes or 0 for event in told]
    assert sizes == sorted(sizes)


def test_cached_ir_needs_neither_environment_nor_process(warm: Zoo, no_process: None) -> None:
    del no_process
    made = warm.convert("adder", **TRUSTED)
    shutil.rmtree(warm.cache.writable.envs)
    again = Zoo(settings=warm.settings).convert("adder", isolate=True)
    assert again.key == made.key
    offline = Zoo(settings=warm.settings, offline=True)
    assert offline.planner.plan(offline.planner.request("adder"), ISOLATED).cached is not None


def test_ir_of_other_versions_is_not_taken_for_one_of_the_stack(warm: Zoo, index: Index) -> None:
    shutil.rmtree(warm.cache.writable.envs)
    try:
        index.stack("tensorflow", "openvino==2026.4.1", "tensorflow-cpu==2.22.0")
        assert warm.planner.plan(warm.planner.request("adder"), ISOLATED).cached is None
    finally:
        index.stack("tensorflow", "openvino==2026.4.1", "tensorflow-cpu==2.21.0")
    assert warm.planner.plan(warm.planner.request("adder"), ISOLATED).cached is not None
    assert warm.planner.plan(warm.planner.request("adder"), Conversion(isolate=False)).cached is None


def test_environment_is_built_once_for_several_models(zoo: Zoo, index: Index) -> None:
    events: list[Event] = []
    requests = [zoo.planner.request("adder"), zoo.planner.request("second")]
    done = zoo.convert_all(requests, ISOLATED, report=events.append, jobs=2)
    assert [one.error for one in done] == [None, None]
    assert [event.event for event in events].count("environment_begin") == 1
    assert len(envs(zoo)) == 1


def test_failure_is_found_out_once_in_a_run(zoo: Zoo, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    events: list[Event] = []
    requests = [zoo.planner.request("adder"), zoo.planner.request("second")]
    done = zoo.convert_all(requests, ISOLATED, report=events.append, jobs=2)
    assert {type(one.error) for one in done} == {ConversionError}
    assert [event.event for event in events].count("environment_begin") == 1
    assert "No matching distribution found for openvino==2026.4.1" in str(done[0].error)
    assert "PIP_INDEX_URL" in str(done[0].error)
    assert envs(zoo) == []
    assert list(zoo.cache.writable.partials.iterdir()) == []


def test_failure_is_forgotten_with_its_run(zoo: Zoo, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PIP_FIND_LINKS", os.devnull)
        with pytest.raises(ConversionError, match="could not be built"):
            zoo.convert("adder", **TRUSTED)
    assert zoo.convert("adder", **TRUSTED).xml.is_file()


def test_settings_and_arguments_say_where_to_convert(warm: Zoo, no_process: None) -> None:
    import msgspec

    del no_process
    zoo = Zoo(settings=msgspec.structs.replace(warm.settings, isolate=True))
    request = zoo.planner.request("adder")
    assert zoo.convert("adder").manifest["parts"]["versions"]["openvino"] == "2026.4.1-77"
    assert zoo.planner.plan(request, Conversion()).tools.stack is not None
    assert zoo.planner.plan(request, Conversion(isolate=False)).tools.stack is None
    assert zoo.planner.plan(request, Conversion(python=sys.executable)).tools.stack is None
    assert zoo.load("adder", device="CPU", isolate=True)(np.zeros((1, 4), np.float32))[0].sum() == 4


def test_what_openvino_reads_by_itself_needs_no_environment(zoo: Zoo, catalog: Path, index: Index) -> None:
    write_entry(catalog, entry("plain", tiny_onnx(), {"file": "m.onnx"}))
    made = zoo.convert("plain", isolate=True)
    assert made.manifest["parts"]["versions"].keys() == {"openvino"}
    assert envs(zoo) == []


def test_missing_stack_names_both_ways_out_and_their_size(zoo: Zoo, index: Index) -> None:
    with pytest.raises(MissingExtraError) as caught:
        zoo.convert("adder", trust_code=True)
    text = str(caught.value)
    assert "needs tensorflow-cpu, addernet, which" in text
    assert "model-zoo convert --isolate adder" in text
    assert "pip install tensorflow-cpu addernet==1.0" in text
    assert text.count("about 5.0 MB") == 2
    assert "--python" in text


def test_package_that_no_requirement_brings_is_named(zoo: Zoo, catalog: Path, index: Index) -> None:
    write_entry(catalog, adder("bare", requirements=[]))
    with pytest.raises(MissingExtraError, match="not installed in its converter environment") as caught:
        zoo.convert("bare", **TRUSTED)
    assert "recipe.builder.requirements: [PACKAGE==VERSION]" in str(caught.value)


def test_offline_names_the_command_that_builds_it(zoo: Zoo, index: Index, no_process: None) -> None:
    del no_process
    with pytest.raises(OfflineError, match="'tensorflow' has not been built") as caught:
        zoo.convert("adder", **TRUSTED, offline=True)
    assert "model-zoo convert --isolate adder" in str(caught.value)


def test_offline_uses_an_environment_that_is_there(warm: Zoo) -> None:
    shutil.rmtree(warm.cache.writable.irs)
    assert warm.convert("adder", **TRUSTED, offline=True).xml.is_file()


def test_read_only_cache(zoo: Zoo, catalog: Path, tmp_path: Path, index: Index) -> None:
    zoo.fetch("adder")
    below = Zoo(settings=Settings(cache=None, layers=(tmp_path / "cache",), catalogs=(catalog,)))
    with pytest.raises(CacheReadOnlyError):
        below.convert("adder", **TRUSTED)


def test_environment_of_a_layer_below_is_never_used(warm: Zoo, catalog: Path, tmp_path: Path) -> None:
    """It is a program of whoever made the layer."""
    shutil.rmtree(warm.cache.writable.irs)
    settings = Settings(cache=tmp_path / "top", layers=(tmp_path / "cache",), catalogs=(catalog,))
    zoo = Zoo(settings=settings, offline=True)
    with pytest.raises(OfflineError, match="has not been built"):
        zoo.convert("adder", **TRUSTED)
    assert envs(zoo) == []


def test_environment_whose_python_is_gone_is_built_again(warm: Zoo) -> None:
    (one,) = envs(warm)
    shutil.rmtree(warm.cache.writable.irs)
    one.python.unlink()
    one.python.symlink_to("/nowhere/python3")
    assert "no longer exists" in str(envs(warm)[0].fault)
    events: list[Event] = []
    warm.convert("adder", **TRUSTED, progress=events.append)
    assert "environment_end" in [event.event for event in events]
    assert envs(warm)[0].fault is None
    assert list(warm.cache.writable.partials.iterdir()) == []


@pytest.mark.parametrize("says", ['print(\'["cpython-399", "3.99.0"]\')', "raise SystemExit(3)"])
def test_environment_whose_python_has_changed_is_built_again(warm: Zoo, says: str) -> None:
    (one,) = envs(warm)
    shutil.rmtree(warm.cache.writable.irs)
    one.python.unlink()
    one.python.write_text(f"#!/usr/bin/env python3\n{says}\n")
    one.python.chmod(0o755)
    events: list[Event] = []
    warm.convert("adder", **TRUSTED, progress=events.append)
    assert "environment_end" in [event.event for event in events]


def test_conversion_leaves_the_environment_as_it_is(warm: Zoo) -> None:
    shutil.rmtree(warm.cache.writable.irs)
    before = sorted(path for path in warm.cache.writable.envs.rglob("*"))
    warm.convert("adder", **TRUSTED)
    assert sorted(path for path in warm.cache.writable.envs.rglob("*")) == before
    assert list(faults_of(envs(warm)[0])) == []


def test_check_reproducible_converts_in_the_environment(warm: Zoo) -> None:
    made = warm.convert("adder", **TRUSTED)
    warm.pipeline().check_reproducible(made, ISOLATED)


def test_why_shows_the_environment_and_its_versions(warm: Zoo, no_process: None) -> None:
    del no_process
    request = warm.planner.request("adder")
    there = warm.planner.why(request, ISOLATED)
    assert "nothing differs" in there[0]
    assert there[-1] == (
        "its converter environment 'tensorflow' is built: "
        "openvino 2026.4.1-77, tensorflow-cpu 2.21.0, addernet 1.0"
    )
    shutil.rmtree(warm.cache.writable.envs)
    (first, last) = warm.planner.why(request, ISOLATED)
    assert "is in the cache" in first
    assert "is not built yet: openvino 2026.4.1" in last
    assert any("tensorflow-cpu" in line for line in warm.planner.why(request, Conversion()))
    shutil.rmtree(warm.cache.writable.irs)
    shutil.rmtree(warm.cache.writable.state)
    assert "no other IR" in warm.planner.why(request, ISOLATED)[1]


def test_users_python_path_does_not_get_involved(
    zoo: Zoo, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("addernet", "pip", "openvino"):
        (tmp_path / "path" / name).mkdir(parents=True)
        (tmp_path / "path" / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    monkeypatch.setenv("PIP_USER", "1")
    assert zoo.convert("adder", **TRUSTED).xml.is_file()
    assert not (tmp_path / "target").exists()


def test_interruption_ends_pip_and_leaves_nothing(zoo: Zoo, index: Index) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            zoo.convert("adder", **TRUSTED, progress=stop)
        except BaseException as error:  # noqa: BLE001 - that is the test
            caught.append(error)

    def stop(event: Event) -> None:
        if event.event == "environment_progress" and "looking" in str(event.message):
            process.stop_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert isinstance(caught[0], KeyboardInterrupt)
    assert envs(zoo) == []
    assert list(zoo.cache.writable.partials.iterdir()) == []


def test_lock_and_locked(warm: Zoo, tmp_path: Path) -> None:
    from model_zoo.catalog.lockfile import lockfile_text
    from model_zoo.zoo.lockfile import lock_models

    (tmp_path / "x.lock").write_text(lockfile_text(lock_models(warm, ["adder"], ISOLATED)))
    shutil.rmtree(warm.cache.writable.irs)
    locked = Zoo(settings=warm.settings, lock=tmp_path / "x.lock")
    assert locked.convert("adder", **TRUSTED).xml.is_file()
