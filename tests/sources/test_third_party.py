"""A source kind of another package, really built, installed, and used by a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_module

EXAMPLE = Path(__file__).parent.parent / "example_source"


@pytest.fixture
def installed(tmp_path_factory):
    require_module("hatchling")
    folder = tmp_path_factory.mktemp("installed")
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    argv += ["--no-deps", "--no-build-isolation", "--target", str(folder), str(EXAMPLE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def run(tmp_path, *arguments, **environ):
    argv = [sys.executable, "-c", "from model_zoo.cli.main import main; main()", *arguments]
    base = {
        **os.environ,
        "MODEL_ZOO_CACHE": str(tmp_path / "cache"),
        "MODEL_ZOO_CATALOG": str(tmp_path / "catalog"),
    }
    return subprocess.run(argv, env={**base, **environ}, capture_output=True, text=True, check=False)


def test_a_kind_of_another_package(installed, tmp_path):
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "adder").write_bytes(tiny_onnx(2.0))
    write_entry(tmp_path / "catalog", entry("shelved", tiny_onnx(2.0), {"shelf": "adder"}))
    there = {"PYTHONPATH": str(installed)}
    without = run(tmp_path, "info", "shelved")
    assert without.returncode == 3
    assert "no known source kind in {shelf}" in without.stderr
    missing = run(tmp_path, "fetch", "shelved", **there)
    assert missing.returncode == 4
    assert "the shelf has no adder" in missing.stderr
    there["MODEL_ZOO_SHELF"] = str(tmp_path / "shelf")
    info = run(tmp_path, "info", "shelved", "--json", **there)
    assert json.loads(info.stdout)["artifacts"][0]["sources"] == ["shelf adder"]
    assert run(tmp_path, "list", "--source", "shelf", **there).stdout == "shelved\n"
    fetched = run(tmp_path, "--offline", "fetch", "shelved", **there)
    assert (Path(fetched.stdout.strip()) / "m.onnx").read_bytes() == tiny_onnx(2.0), fetched.stderr
    (tmp_path / "shelf" / "adder").write_bytes(tiny_onnx(3.0))
    wrong = run(tmp_path, "--cache", str(tmp_path / "other"), "fetch", "shelved", **there)
    assert wrong.returncode == 5, wrong.stderr
