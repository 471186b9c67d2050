"""What CONTRIBUTING promises: a framework is one row in the table, and one reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import model_zoo
from model_zoo.errors import CatalogError
from tests.conversion.support import infer
from tests.tiny import entry, write_entry

ROW = '    Framework("scaler", suffixes=(".scale",)),\n'
READER = """
import json

import numpy as np
import openvino as ov


def read(job):
    x = ov.opset13.parameter([1, 2], np.float32, name="x")
    x.output(0).set_names({"x"})
    factor = np.float32(json.loads(job.network.read_text())["factor"])
    y = ov.opset13.multiply(x, ov.opset13.constant(factor), name="y")
    y.output(0).set_names({"y"})
    return ov.Model([y], [x], "scaler")
"""
NETWORK = b'{"factor": 3}'
COMMAND = "import model_zoo.cli.main as m; print(m.__file__); m.main()"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a copy of the package, to which the framework was added."""
    root = tmp_path_factory.mktemp("package")
    source = Path(str(model_zoo.__file__)).parent
    shutil.copytree(source, root / "model_zoo", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "catalog").mkdir()
    table = root / "model_zoo" / "formats" / "frameworks.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("_ROWS = (\n") == 1
    table.write_text(text.replace("_ROWS = (\n", f"_ROWS = (\n{ROW}"), encoding="utf-8")
    reader = root / "model_zoo" / "conversion" / "worker" / "frameworks" / "scaler.py"
    reader.write_text(READER, encoding="utf-8")
    return root


def model_zoo_command(package: Path, cache: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Run the command of the copied package; return its exit code, its lines and its messages."""
    env = {**os.environ, "PYTHONPATH": str(package), "MODEL_ZOO_CACHE": str(cache), "MODEL_ZOO_OFFLINE": "1"}
    argv = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(argv, env=env, cwd=cache.parent, capture_output=True, text=True, check=False)
    origin, *lines = done.stdout.splitlines()
    assert origin.startswith(str(package))
    return done.returncode, lines, done.stderr


def test_a_catalog_entry_of_a_new_framework_is_converted(package: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    write_entry(
        catalog, {**entry("triple", NETWORK, {"file": "n.scale"}, path="n.scale"), "framework": "scaler"}
    )
    (catalog / "n.scale").write_bytes(NETWORK)
    arguments = ("--catalog", str(catalog), "convert", "triple@FP16")
    code, lines, messages = model_zoo_command(package, tmp_path / "cache", *arguments)
    assert code == 0, messages
    assert infer(Path(lines[0]), np.float32([[1, 2]]))["y"].tolist() == [[3, 6]]
    listed = model_zoo_command(
        package, tmp_path / "cache", "--catalog", str(catalog), "list", "--framework", "scaler", "--json"
    )
    assert [model["name"] for model in json.loads("\n".join(listed[1]))] == ["triple"]


def test_a_file_of_a_new_framework_is_recognised(package: Path, tmp_path: Path) -> None:
    (tmp_path / "net.scale").write_bytes(NETWORK)
    code, lines, messages = model_zoo_command(
        package, tmp_path / "cache", "convert", str(tmp_path / "net.scale")
    )
    assert code == 0, messages
    assert infer(Path(lines[0]), np.float32([[1, 2]]))["y"].tolist() == [[3, 6]]


def test_without_the_row_the_framework_is_unknown(tmp_path: Path) -> None:
    write_entry(
        tmp_path, {**entry("triple", NETWORK, {"file": "n.scale"}, path="n.scale"), "framework": "scaler"}
    )
    with pytest.raises(CatalogError, match="framework"):
        model_zoo.Zoo(cache=tmp_path / "cache", catalogs=[tmp_path]).convert("triple")
