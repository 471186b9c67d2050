"""The command line in this process, on a small catalog of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from model_zoo.cli.main import cli, run
from tests.tiny import entry, tiny_onnx, write_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def shell(monkeypatch, capfd, tmp_path) -> Callable[..., Done]:
    """Return a function that runs ``model-zoo ARGUMENTS`` on a cache of its own, in this process."""
    for name in ("NO_COLOR", "FORCE_COLOR", "MODEL_ZOO_CONFIG", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "100")

    def type_in(*arguments: object) -> Done:
        capfd.readouterr()
        code = run(cli, [str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return type_in


@pytest.fixture
def catalog(tmp_path, monkeypatch) -> Path:
    """Return a folder with two entries, whose files are beside them, and make it the user's catalog."""
    folder = tmp_path / "catalog"
    for name, task in (("zooey-one", "adding"), ("zooey-two", "counting")):
        data = tiny_onnx(1.0 if name == "zooey-one" else 2.0)
        write_entry(folder, entry(name, data, {"file": f"{name}.onnx"}) | {"task": task})
        (folder / f"{name}.onnx").write_bytes(data)
    write_entry(folder, {**BOTH, "stages": ["zooey-one", "zooey-two"]})
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(folder))
    return folder


BOTH = {
    "schema": 1,
    "name": "zooey-both",
    "task": "adding",
    "license": "https://example.org/licence",
    "description": "Adds twice.",
}
