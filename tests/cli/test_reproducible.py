"""``convert --check-reproducible``: the same bytes twice, or exit 7."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny


@pytest.mark.parametrize("same", [True, False])
def test_second_conversion_is_compared(tmp_path: Path, *, same: bool) -> None:
    data = tiny.tiny_onnx()
    (tmp_path / "m.onnx").write_bytes(data)
    tiny.write_entry(tmp_path / "catalog", tiny.entry("adder", data, {"file": "../m.onnx"}))
    env = {key: value for key, value in os.environ.items() if not key.startswith("MODEL_ZOO_")}
    env |= {"MODEL_ZOO_CACHE": str(tmp_path / "cache"), "MODEL_ZOO_CONFIG": os.devnull}

    def convert(*more: str) -> subprocess.CompletedProcess[str]:
        main = "from model_zoo.cli.main import main; main()"
        argv = [sys.executable, "-c", main, "--catalog", str(tmp_path / "catalog"), "convert", "adder"]
        return subprocess.run([*argv, *more], env=env, capture_output=True, text=True, check=False)

    first = convert()
    assert first.returncode == 0, first.stderr
    if not same:
        path = Path(first.stdout.strip()).with_name("manifest.json")
        manifest = json.loads(path.read_text())
        manifest["outputs"][1]["sha256"] = "0" * 64
        path.chmod(0o644)
        path.write_text(json.dumps(manifest))
    done = convert("--check-reproducible")
    assert done.returncode == (0 if same else 7), done.stderr
    assert ("is not reproducible: model.bin differs" in done.stderr) == (not same)
