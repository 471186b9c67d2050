"""What a test needs from the machine: skipped with a reason where missing, a failure where CI promised it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

import pytest

REQUIRED = os.environ.get("MODEL_ZOO_TEST_REQUIRE") == "1"


def missing(reason: str) -> None:
    """Skip, or fail where everything was promised to be there."""
    if REQUIRED:
        pytest.fail(f"{reason}, and MODEL_ZOO_TEST_REQUIRE=1 says it must be there", pytrace=False)
    pytest.skip(reason)


def require_tool(name: str) -> str:
    """Return the path of a program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        missing(f"{name} is not installed")
    assert path
    return path


def require_root() -> None:
    """Go on only where mounts and foreign users can be made."""
    if sys.platform == "win32" or os.geteuid() != 0:
        missing("needs root")


def require_module(name: str) -> None:
    """Go on only where a Python package can be imported."""
    if importlib.util.find_spec(name) is None:
        missing(f"the Python package {name} is not installed")
