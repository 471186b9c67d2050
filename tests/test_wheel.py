"""The wheel holds what the package reads beside its code: catalogs, stacks, the page, type information."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.tools import require_module

ROOT = Path(__file__).resolve().parent.parent
DATA = {".txt", ".json", ".js", ".css", ".html", ".typed"}


def test_data_files_are_in_the_wheel(tmp_path: Path) -> None:
    require_module("hatchling")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "model_zoo"
    wanted = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.suffix in DATA}
    assert "model_zoo/conversion/stacks/torch.txt" in wanted
    assert wanted <= packed
    assert "model_zoo/_catalog/schema.json" in packed
