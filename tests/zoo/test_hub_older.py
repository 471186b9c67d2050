"""The tests of the hub once more, with huggingface_hub 1: another HTTP library below the same functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from tests.conftest import _wheel_folder

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def older():
    """Return a folder with huggingface_hub 1 and what it needs, installed by pip once."""
    folder = _wheel_folder() / f"huggingface_hub-1-python-{sys.version_info.major}.{sys.version_info.minor}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "huggingface_hub").is_dir():
            argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            argv += ["--target", str(folder), "huggingface_hub>=1,<2"]
            subprocess.run(argv, check=True, capture_output=True, timeout=600)
    return folder


@pytest.mark.wheels
@pytest.mark.timeout(300)
def test_everything_again_with_version_1(older):
    environ = {**os.environ, "PYTHONPATH": str(older)}
    code = "import huggingface_hub; print(huggingface_hub.__version__)"
    version = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("1.")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/zoo/test_hub.py"]
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
