"""Building an environment: what pip is told, what it says, and how each failure is explained."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from model_zoo.conversion import environment
from model_zoo.conversion.environment import build, fault_of
from model_zoo.conversion.stacks import load_stack
from model_zoo.errors import CacheError, CacheFullError, ConversionError
from model_zoo.files.tree import measure
from model_zoo.systems import system

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stacks import Index


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def made(name: str, staging: Path, *more: str) -> dict[str, Any]:
    return build(load_stack(name, more), staging, report=lambda *_: None)


def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    """Make our interpreter one that can do nothing but say something and fail."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{says}\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_what_is_found_in_it(index: Index, staging: Path) -> None:
    said: list[tuple[str, int]] = []
    found = build(load_stack("tensorflow"), staging, report=lambda *one: said.append(one))
    assert found["packages"]["openvino"] == "2026.4.1-77"
    assert found["packages"]["tensorflow-cpu"] == "2.21.0"
    assert found["modules"]["tensorflow_cpu"] in {"tensorflow_cpu", "tensorflow-cpu"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (found["size"], found["files"]) == measure(staging / "env")
    assert found["seconds"] > 0
    assert fault_of(staging / "env", "3") is None
    assert not (staging / "env" / "lib" / "python" / "pip").exists()
    messages = [message for message, _ in said]
    assert messages[0] == "making a virtual environment"
    assert "installing 2 packages" in messages
    assert any(message.startswith("looking for openvino") for message in messages)
    assert [size for _, size in said] == sorted(size for _, size in said)


def test_growth_is_measured(index: Index, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_INTERVAL", 0.01)
    said: list[int] = []
    found = build(load_stack("tensorflow"), staging, report=lambda _, size: said.append(size))
    assert said == sorted(said)
    assert max(said) > 0
    assert found["size"] > 0


def test_lines_of_pip_that_say_something(staging: Path) -> None:
    said: list[str] = []
    progress = environment._Progress(staging, lambda message, _: said.append(message))
    for line in (
        "Looking in indexes: https://me:secret@index.example.org/simple",
        "Collecting torch==2.13.0 (from -r requirements.txt (line 3))",
        "  Downloading torch-2.13.0%2Bcpu-cp311-linux_x86_64.whl (190.0 MB)".strip(),
        "Downloading https://index.example.org/files/numpy-2.4.6-cp311.whl (16.6 MB)",
        "Installing collected packages: a, b, c",
        "Successfully installed a-1 b-2 c-3",
    ):
        progress.take(line)
    assert said == [
        "looking for torch==2.13.0",
        "downloading torch-2.13.0%2Bcpu-cp311-linux_x86_64.whl (190.0 MB)",
        "downloading numpy-2.4.6-cp311.whl (16.6 MB)",
        "installing 3 packages",
    ]


def test_index_without_the_version(index: Index, staging: Path) -> None:
    with pytest.raises(
        ConversionError, match="'nncf' could not be built: pip ended with exit code 1"
    ) as caught:
        made("nncf", staging, "absent==9.9")
    assert "No matching distribution found for absent==9.9" in str(caught.value.found)
    assert "absent==9.9" in str(caught.value.expected)
    assert caught.value.left is not None


def test_secrets_are_not_shown(index: Index, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(ConversionError) as caught:
        made("nncf", staging, "absent==9.9")
    assert "secret" not in str(caught.value)


def test_packages_that_contradict_each_other(index: Index, staging: Path) -> None:
    index.add("strict", "1.0", requires=["nncf==1.0"])
    with pytest.raises(ConversionError) as caught:
        made("nncf", staging, "strict==1.0")
    assert "conflict" in str(caught.value.found)


def test_pip_that_installs_elsewhere(
    index: Index, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text(f"[install]\ntarget = {tmp_path / 'target'}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    with pytest.raises(ConversionError, match="pip did not install openvino, nncf into") as caught:
        made("nncf", staging)
    assert "pip config list" in str(caught.value.hint)


def test_python_without_virtual_environments(
    index: Index, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter(tmp_path, monkeypatch, "echo 'No module named venv' >&2")
    with pytest.raises(ConversionError, match="cannot make virtual environments") as caught:
        made("nncf", staging)
    assert caught.value.found == "No module named venv"
    assert "python3-venv" in str(caught.value.hint)


@pytest.mark.parametrize("says", ["echo 'OSError: [Errno 28] No space left on device' >&2"])
def test_full_disk(
    index: Index, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    interpreter(tmp_path, monkeypatch, says)
    with pytest.raises(CacheFullError, match="no space left"):
        made("nncf", staging)
    error = environment._pip_failed(
        load_stack("nncf"), 1, ["ERROR: [Errno 28] No space left on device: '/x'"]
    )
    assert isinstance(error, CacheFullError)


def test_staging_that_cannot_be_written(index: Index, tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        made("nncf", tmp_path / "absent")


def test_pip_without_output() -> None:
    error = environment._pip_failed(load_stack("nncf"), -9, [])
    assert isinstance(error, ConversionError)
    assert error.found == "no output from pip"


def test_environment_that_does_not_answer(tmp_path: Path) -> None:
    python = system.python_of(tmp_path)
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(ConversionError, match="does not answer"):
        environment._contents(tmp_path, load_stack("nncf"))
    assert "does not work" in str(fault_of(tmp_path, "3.11"))
    python.unlink()
    assert "cannot be started" in str(fault_of(tmp_path, "3.11"))
    python.write_text('#!/bin/sh\necho \'["cpython-39", "3.9.1"]\'\n')
    python.chmod(0o755)
    assert fault_of(tmp_path, "3.11.7") == (
        "its base interpreter is Python 3.9.1 now; it was built with 3.11.7"
    )
