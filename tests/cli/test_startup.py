"""What must stay cheap imports nothing heavy, opens no socket and writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    *(
        "openvino",
        "requests",
        "urllib3",
        "huggingface_hub",
        "yaml",
        "tqdm",
        "numpy",
        "torch",
        "nncf",
        "PIL",
        "ssl",
    ),
    *("email.message", "importlib.metadata", "asyncio", "http.client", "multiprocessing", "difflib"),
}
_PROBE = """
import json, sys
from model_zoo.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.fixture
def imports(tmp_path, catalog):
    """Return a function that runs a command in a process of its own and tells what it imported."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MODEL_ZOO_", "COV"))
    }
    environment |= {"MODEL_ZOO_CACHE": str(tmp_path / "cache"), "MODEL_ZOO_CATALOG": str(catalog)}

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *arguments],
            env=environment, capture_output=True, encoding="utf-8", timeout=60, check=True,
        )  # fmt: skip
        return json.loads(done.stderr.splitlines()[-1])

    return run


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fetch", "--help"], ["list"]])
def test_looking_imports_nothing_heavy(imports, arguments):
    imports("list")  # which may write the catalog's index
    found = imports(*arguments)
    assert found["code"] in {0, None}
    assert not HEAVY & set(found["modules"])


def test_a_hit_imports_neither_openvino_nor_the_network(imports):
    assert imports("convert", "zooey-one")["code"] == 0
    for arguments in (["path", "zooey-one"], ["fetch", "zooey-one"]):
        found = imports(*arguments)
        assert found["code"] == 0
        assert not {"openvino", "requests", "huggingface_hub", "numpy", "torch"} & set(found["modules"])
