"""Converter environments on the command line: ``--isolate``, what is missing, ``cache``, ``doctor``."""

from __future__ import annotations

import json
import shutil

import pytest

from model_zoo.cache import Cache
from model_zoo.cli.main import COMMANDS, cli
from tests.cache.made import put_environment
from tests.stacks import write_adders


@pytest.fixture
def adders(shell, wheels, tmp_path, monkeypatch):
    """Return ``shell`` on a catalog of two models whose network a package builds."""
    wheels.use(monkeypatch)
    monkeypatch.delenv("MODEL_ZOO_ISOLATE", raising=False)
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(write_adders(tmp_path / "catalog", "adder", "second")))
    return shell


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.mark.parametrize("command", ["convert", "infer", "bench", "seed", "export", "push", "lock", "why"])
def test_every_command_that_converts_has_it(command):
    import click

    (option,) = [o for o in cli.get_command(click.Context(cli), command).params if o.name == "isolate"]
    assert option.opts == ["--isolate"]
    assert option.secondary_opts == ["--no-isolate"]
    assert command in COMMANDS


def test_convert_isolate(adders, cache):
    refused = adders("convert", "--trust-code", "adder")
    assert refused.code == 7
    assert "model-zoo convert --isolate adder" in refused.err
    done = adders("convert", "--isolate", "--trust-code", "adder", "second", "-j", "2")
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 2
    assert done.err.count("building the converter environment env:tensorflow, about 5.0 MB") == 1
    assert done.err.count("built env:tensorflow") == 1
    again = adders("--progress", "json", "convert", "--isolate", "adder")
    assert "environment" not in again.err
    found = adders("--progress", "json", "convert", "adder")
    assert found.out == again.out, "the IR is good even where it cannot be made"
    assert "tensorflow-cpu 2.21.0" in found.err
    table = adders("cache", "ls").out.splitlines()
    assert [line.split()[0] for line in table] == ["adder", "second", "env:tensorflow"]
    assert "openvino 2026.4.1-77 tensorflow-cpu 2.21.0 addernet 1.0" in table[-1]
    shutil.rmtree(cache.writable.irs)
    assert adders("infer", "--isolate", "--trust-code", "adder", "--device", "CPU").code == 0
    assert adders("--offline", "infer", "--no-isolate", "adder", "--device", "CPU").code == 0


def test_variable_says_it_for_every_command(adders, monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_ZOO_ISOLATE", "1")
    done = adders("--progress", "json", "seed", "--trust-code", tmp_path / "layer", "adder")
    assert done.code == 0, done.err
    events = [json.loads(line)["event"] for line in done.err.splitlines() if line.startswith("{")]
    assert [events.count(name) for name in ("environment_begin", "environment_end")] == [1, 1]
    assert "environment_progress" in events
    assert not (tmp_path / "layer" / "envs-v1").exists()
    assert adders("lock", "adder", "-o", tmp_path / "x.lock").code == 0
    refused = adders("why", "--no-isolate", "adder").out
    assert "versions.tensorflow-cpu: now absent, cached 2.21.0" in refused


def test_why_without_building(adders, cache):
    adders("fetch", "adder")
    text = adders("why", "--isolate", "adder").out
    assert "its converter environment 'tensorflow' is not built yet: openvino 2026.4.1" in text
    assert not cache.top.envs.exists()


def test_offline(adders):
    done = adders("--offline", "convert", "--isolate", "--trust-code", "adder")
    assert done.code == 4
    assert "'tensorflow' has not been built, and this run is offline" in done.err


def test_python_wins(adders, cache):
    import sys

    done = adders("convert", "--isolate", "--trust-code", "--python", sys.executable, "adder")
    assert done.code == 7
    assert "needs tensorflow-cpu, addernet" in done.err
    assert not cache.top.envs.exists()


def test_bars(adders, monkeypatch):
    done = adders("--progress", "bar", "convert", "--isolate", "--trust-code", "adder")
    assert done.code == 0
    assert "built env:tensorflow" in done.err


def test_cache_shows_and_removes_them(shell, cache, tmp_path):
    folder = put_environment(cache, "torch")
    put_environment(cache, "jax")
    (row, _) = [one for one in shell("cache", "ls", "--json").json if one["kind"] == "environment"][::-1]
    assert (row["name"], row["digest"], row["versions"]) == ("env:torch", folder.name, {"code": "1.0"})
    assert row["bytes"] > 0
    assert row["fault"] is None
    assert shell("cache", "ls", "env:j*").out.split()[0] == "env:jax"
    (layer,) = shell("cache", "info", "--json").json["layers"]
    assert [one["name"] for one in layer["environments"]] == ["env:jax", "env:torch"]
    assert "env:torch" in shell("cache", "info").out
    assert shell("cache", "verify").out.startswith("0 blobs, 0 models, 0 IRs, 2 environments, ")
    assert shell("cache", "verify", "--json").json["environments"] == 2
    assert "env  env:torch" in shell("cache", "rm", "-n", "env:torch").out
    assert (
        shell("cache", "rm", "env:torch", f"env:{shell('cache', 'ls', '--json').json[0]['digest']}").code == 0
    )
    assert shell("cache", "ls").out == ""
    assert shell("cache", "rm", "env:torch").code == 6


def test_verify_repair_and_gc_of_a_broken_one(shell, cache):
    folder = put_environment(cache, "torch")
    (folder / "bin" / "python").unlink()
    done = shell("cache", "verify")
    assert done.code == 6
    assert "env:torch: python: its base interpreter" in done.out
    assert "unusable: its base interpreter" in shell("cache", "ls").out
    assert "would be removed; the next conversion" in shell("cache", "repair", "-n").out
    assert "no longer exists" in shell("cache", "gc", "-n").out
    assert shell("cache", "repair").code == 0
    assert shell("cache", "verify").code == 0
    assert not folder.exists()


@pytest.fixture
def examined(shell, monkeypatch):
    """Return what the doctor says of environments."""
    monkeypatch.setattr("model_zoo.cli.checks.machine.check_machine", lambda: iter(()))

    def ask():
        done = shell("doctor", "--json")
        assert done.code == 0
        return [one for one in done.json["checks"] if one["area"] == "environments"]

    return ask


def test_doctor_with_none(examined, monkeypatch):
    (where, built) = examined()
    assert "in this interpreter" in where["found"]
    assert "torch" in built["found"]
    monkeypatch.setenv("MODEL_ZOO_ISOLATE", "1")
    assert "in environments" in examined()[0]["found"]


def test_doctor_shows_them_and_what_is_wrong(examined, cache):
    good, gone, other = (put_environment(cache, stack) for stack in ("jax", "nncf", "torch"))
    (gone / "bin" / "python").unlink()
    (other / "bin" / "python").unlink()
    (other / "bin" / "python").write_text('#!/bin/sh\necho \'["cpython-399", "3.99.1"]\'\n')
    (other / "bin" / "python").chmod(0o755)
    (_, first, second, third) = examined()
    assert (first["status"], first["check"]) == ("ok", f"env:jax {good.name[:8]}")
    assert "Python 3.1, " in first["found"]
    assert "code 1.0" in first["found"]
    assert (second["status"], third["status"]) == ("note", "note")
    assert "no longer exists" in second["found"]
    assert "is Python 3.99.1 now; it was built with 3.1" in third["found"]
    assert "rebuilds it" in second["hint"]
