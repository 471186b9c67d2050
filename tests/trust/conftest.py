"""The command line in this process, on a cache and a catalog of its own; nothing outside tmp is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from model_zoo.cli.main import cli, run
from tests.cli import conftest
from tests.server import Server
from tests.tiny import entry, tiny_onnx, write_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Done(conftest.Done):
    """How a command ended."""

    @property
    def text(self) -> str:
        """Everything that it printed."""
        return self.out + self.err

    def refused(self, *codes: int) -> Done:
        """Hold it to have ended with one of these exit codes, any of 2 to 8 by default; return it."""
        assert self.code in (codes or range(2, 9)), f"exit {self.code}\n{self.text[-3000:]}"
        return self


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave nothing of whoever runs the tests: settings, logins, tokens, caches of other programs."""
    foreign = ("MODEL_ZOO_", "HF_", "PIP_", "OMZ_", "DOCKER_")
    for name in list(os.environ):
        if name.startswith(foreign) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "NETRC", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs ``model-zoo ARGUMENTS`` in this process."""

    def type_in(*arguments: object) -> Done:
        capfd.readouterr()
        code = run(cli, [str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return type_in


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the entries ``one`` and ``two``, and make it the user's catalog."""
    folder = tmp_path / "catalog"
    make_catalog(folder)
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(folder))
    return folder


def make_catalog(folder: Path) -> Path:
    """Write the entries ``one`` and ``two`` beside their files."""
    for name, add in (("one", 1.0), ("two", 2.0)):
        data = tiny_onnx(add)
        write_entry(folder, entry(name, data, {"file": f"{name}.onnx"}))
        (folder / f"{name}.onnx").write_bytes(data)
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
