"""The real old commands, of openvino-dev 2024.6.0, in an environment of their own: to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from tests.tools import REQUIRED

REQUIREMENT = "openvino-dev==2024.6.0"
LAUNCH = """
import pathlib, sys
from omz_tools import _common
class Silent:
    def __init__(self, *a, **k): pass
    def __getattr__(self, name): return lambda *a, **k: None
_common.Telemetry = Silent  # the real one reports over the network
if sys.argv[2] != "-":
    _common.MODEL_ROOT = pathlib.Path(sys.argv[2])
import importlib
command = importlib.import_module("omz_tools." + sys.argv[1])
sys.argv = [sys.argv[1], *sys.argv[3:]]
command.main()
"""


def peer_python() -> Path:
    """Return the interpreter that has the old commands.

    ``MODEL_ZOO_TEST_OMZ_VENV`` names its environment. Where everything is required it is made if it is not
    there, by pip; elsewhere the tests are skipped without it.
    """
    named = os.environ.get("MODEL_ZOO_TEST_OMZ_VENV")
    if not (named or REQUIRED):
        pytest.skip("MODEL_ZOO_TEST_OMZ_VENV names no environment with openvino-dev 2024.6.0")
    folder = Path(named) if named else Path("~/.cache/model-zoo-tests/omz-peer").expanduser()
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "bin" / "omz_downloader").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]
            subprocess.run(pip, check=True, timeout=900)
    return python


def run_peer(
    command: str, root: Path | None, *arguments: object, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run an old command on a tree, or on the tree it brings along."""
    python = peer_python()
    argv = [python, "-c", LAUNCH, command, root or "-", *arguments]
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(one) for one in argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=300,
        env=environment,
    )


def run_ours(
    command: str, root: Path | None, *arguments: object, cwd: Path, cache: Path
) -> subprocess.CompletedProcess[str]:
    """Run our command of the same name on the same tree."""
    code = f"from model_zoo.omz.{command.removeprefix('omz_')} import main; main()"
    argv = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "MODEL_ZOO_CACHE": str(cache)}
    environment.pop("OMZ_ROOT", None)
    if root is not None:
        environment["OMZ_ROOT"] = str(root)
    return subprocess.run(
        [str(one) for one in argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=300,
        env=environment,
    )
