"""openvino-model-api decodes what an IR names, on networks whose outputs are known."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest
from PIL import Image

from model_zoo.errors import InputError, LoadError
from model_zoo.runtime.inference import model_api
from tests.runtime.networks import constant, named, ops, parameter, picture, predictor
from tests.tools import require_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def theirs() -> Any:
    require_module("model_api.models")
    import model_api.models

    return model_api.models


ROWS = np.array(
    [[0, 1, 0.6, 0.1, 0.2, 0.5, 0.6], [0, 2, 0.9, 0, 0, 1, 1], [0, 1, 0.2, 0, 0, 1, 1]], np.float32
).reshape(1, 1, 3, 7)
SSD = {"model_type": "ssd", "labels": "none great_face"}


def black(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (200, 100)).save(folder / "a.png")
    return folder / "a.png"


def classifier(*sizes: int) -> ov.Model:
    """Return a network whose scores are the means of red, green and blue."""
    x = parameter([-1, 3, *sizes], layout="NCHW")
    return ov.Model([named(ops.reduce_mean(x, ops.constant(np.array([2, 3]))), "y")], [x], "m")


def test_boxes_in_pixels_of_the_picture(tmp_path: Path) -> None:
    found = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD)(black(tmp_path))
    assert [(box.label, round(box.score, 2), box.x0, box.y0, box.x1, box.y1) for box in found.boxes] == [
        ("#2", 0.9, 0, 0, 200, 100),
        ("great_face", 0.6, 20, 20, 100, 60),
    ]
    np.testing.assert_array_equal(found.outputs["y"], ROWS)
    own = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD, labels=["none", "great face"])
    assert own(black(tmp_path)).boxes[1].label == "great face"
    sure = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD, threshold=0.8)(black(tmp_path))
    assert len(sure.boxes) == 1
    none = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD, threshold=0.95)(black(tmp_path))
    assert str(none) == "a.png: no objects found"


ALONE = """
import json, sys
sys.modules["openvino_telemetry"] = None  # it would resolve a host name
import numpy as np
from model_api.models import Model
found = Model.create_model(sys.argv[1], device="CPU")(np.zeros((100, 200, 3), np.uint8))
print(json.dumps([found.bboxes.tolist(), found.scores.tolist()]))
"""
"""In a process of its own, as one wrapper of Model API changes the defaults of the next."""


def test_the_same_boxes_as_model_api_alone(tmp_path: Path) -> None:
    ours = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD)(black(tmp_path))
    argv = [sys.executable, "-c", ALONE, str(tmp_path / "ir" / "m.xml")]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=100)
    boxes, scores = json.loads(done.stdout.splitlines()[-1])
    assert sorted(boxes) == sorted([b.x0, b.y0, b.x1, b.y1] for b in ours.boxes)
    assert sorted(scores) == sorted(box.score for box in ours.boxes)


def test_masks_are_as_large_as_the_picture(tmp_path: Path) -> None:
    scores = np.zeros((1, 3, 4, 4), np.float32)
    scores[0, 0], scores[0, 2, :, 2:] = 0.5, 1
    info = {"model_type": "Segmentation"}
    (mask,) = predictor(tmp_path / "ir", constant([1, 3, 4, 4], y=scores), info)(black(tmp_path)).masks
    assert mask.pixels.shape == (100, 200)
    assert mask.id == 2
    assert not mask.pixels[:, :100].any()
    assert mask.pixels[:, 100:].all()
    named_ = {**info, "labels": "paper ink text"}
    both = predictor(tmp_path / "ir", constant([1, 3, 4, 4], y=scores), named_)(black(tmp_path)).masks
    assert [one.label for one in both] == ["paper", "text"]


def yolo(boxes: list[tuple[float, float, float, int]]) -> np.ndarray:
    """Return YOLOv8's columns: boxes of 20 x 20 at x and y, with the score of a class."""
    columns = np.zeros((1, 6, 8), np.float32)
    for index, (x, y, score, kind) in enumerate(boxes):
        columns[0, :4, index] = (x, y, 20, 20)
        columns[0, 4 + kind, index] = score
    return columns


def test_yolo_drops_what_overlaps(tmp_path: Path) -> None:
    columns = yolo([(50, 50, 0.9, 0), (51, 50, 0.8, 0), (50, 51, 0.7, 1), (90, 60, 0.6, 0)])
    network = constant([1, 3, 100, 100], y=columns)
    found = predictor(tmp_path / "ir", network, {"model_type": "YOLOv8", "labels": "cat dog"})(
        black(tmp_path)
    )
    assert [(box.label, round(box.score, 2)) for box in found.boxes] == [
        ("cat", 0.9),
        ("dog", 0.7),
        ("cat", 0.6),
    ]
    first = found.boxes[0]  # letterboxed: 200 x 100 became 100 x 50, 25 pixels from the top
    assert (first.x0, first.y0, first.x1, first.y1) == (80, 30, 120, 70)


def test_one_model_does_not_change_the_next(tmp_path: Path) -> None:
    """YOLO's wrappers divide by 255 and reverse the channels; a classification after them does not."""
    source = picture(tmp_path / "a.png", (40, 20))
    info = {"model_type": "Classification", "labels": "red green blue", "reverse_input_channels": "True"}
    before = predictor(tmp_path / "one", classifier(8, 8), info)
    first = before(source)
    assert first.labels[0].name == "red"
    predictor(tmp_path / "two", constant([1, 3, 100, 100], y=yolo([])), {"model_type": "YOLOv8"})(source)
    after = predictor(tmp_path / "one", classifier(8, 8), info)
    for again in (before(source), after(source)):
        np.testing.assert_array_equal(again.outputs["y"], first.outputs["y"])
        assert again.labels == first.labels


def test_classes(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", (40, 20))
    info = {"model_type": "Classification", "labels": "blue green red"}  # nothing reversed: BGR
    found = predictor(tmp_path / "ir", classifier(8, 8), info, top=9)(source)
    assert [one.name for one in found.labels] == ["red", "green", "blue"]
    assert sum(one.score for one in found.labels) == pytest.approx(1, abs=1e-3)
    assert len(predictor(tmp_path / "ir", classifier(8, 8), info, top=1)(source).labels) == 1
    assert len(predictor(tmp_path / "ir", classifier(8, 8), info, threshold=0.5)(source).labels) == 1


def test_grey_pictures_are_classified_too(tmp_path: Path) -> None:
    """Their wrappers take colour only; the scores are the mean, and what is missing to white."""
    x = parameter([1, 1, 4, 4], layout="NCHW")
    mean = ops.reduce_mean(x, ops.constant(np.array([2, 3])))
    both = ops.concat([mean, ops.subtract(ops.constant(np.float32(255)), mean)], 1)
    info = {"model_type": "Classification", "labels": "light dark"}
    predict = predictor(tmp_path / "ir", ov.Model([named(both, "y")], [x], "m"), info)
    assert predict(black(tmp_path)).labels[0].name == "dark"
    assert predict(np.full((8, 8, 3), 255, np.uint8)).labels[0].name == "light"


def test_pictures_of_open_size(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", (40, 20))
    info = {"model_type": "Classification", "labels": "red green blue", "reverse_input_channels": "True"}
    found = predictor(tmp_path / "ir", classifier(-1, -1), info)(source)
    assert found.labels[0].name == "red"
    np.testing.assert_allclose(found.outputs["y"], [[100, 50, 25]], atol=1)
    fixed = predictor(tmp_path / "ir", classifier(-1, -1), info, shapes={"x": [1, 3, 4, 4]})(source)
    np.testing.assert_allclose(fixed.outputs["y"], [[100, 50, 25]], atol=3)


def test_masks_of_open_size(tmp_path: Path) -> None:
    """Each channel is the score of a class, of every pixel as it is."""
    x = parameter("[?,3,?,?]", layout="NCHW")
    network = ov.Model([named(ops.relu(x), "y")], [x], "m")
    info = {"model_type": "Segmentation", "labels": "red green blue", "reverse_input_channels": "True"}
    source = picture(tmp_path / "a.png", (40, 20))
    (mask,) = predictor(tmp_path / "ir", network, info)(source).masks
    assert mask.label == "red"
    assert mask.pixels.shape == (20, 40)


def test_zeros_run_and_have_no_answer(tmp_path: Path) -> None:
    found = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD)()
    assert found.outputs["y"].shape == ROWS.shape
    assert not found.boxes
    assert found.note


def test_what_is_no_picture(tmp_path: Path) -> None:
    predict = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD)
    with pytest.raises(InputError, match="array is no picture, which this model takes"):
        predict(np.zeros((1, 3, 10, 10), np.float32))


def test_a_network_that_the_wrapper_cannot_take(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="openvino-model-api cannot decode this network as SSD"):
        predictor(tmp_path, constant([1, 3, 10, 10], y=np.zeros((1, 3), np.float32)), SSD)


def test_without_the_extra_there_are_outputs_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_api, "is_available", lambda: False)
    found = predictor(tmp_path / "ir", constant([1, 3, 10, 10], y=ROWS), SSD)(black(tmp_path))
    assert not found.boxes
    np.testing.assert_array_equal(found.outputs["y"], ROWS)
    assert "pip install 'model-zoo[vision]'" in str(found)
