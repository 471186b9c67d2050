"""Real models, real inputs, and the answers they must give.

The pictures are those of scikit-image: an astronaut, a cat, a page of a book. Pages of text are drawn here.
"""

from __future__ import annotations

import io
import json
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw, ImageFont

import model_zoo
from model_zoo.errors import InputError, LoadError, UsageError
from tests.tools import require_module, require_tool

if TYPE_CHECKING:
    from model_zoo.zoo import Zoo

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(300)]

Member = Callable[[str, str], Path]
LINES = ["One page, two models", "Order 20471 / Total: $1,299.50", "The quick brown fox"]
FACE = (174, 73, 277, 178)
"""Where the astronaut's face is, to within ten pixels, and below: eyes, nose, mouth and ears."""
POINTS = [(203, 102), (247, 105), (223, 128), (221, 147), (178, 109), (272, 116)]
CPU = {"device": "CPU"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return model_zoo.Zoo(cache=tmp_path_factory.mktemp("answers"), layers=[], catalogs=[])


@pytest.fixture(scope="session")
def pictures(wheel_member: Member) -> Path:
    return wheel_member("scikit-image==0.26.0", "skimage/data")


def page() -> Image.Image:
    drawn = Image.new("RGB", (720, 300), "#fdfcf8")
    pen = ImageDraw.Draw(drawn)
    for index, line in enumerate(LINES):
        pen.text((40, 30 + 90 * index), line, fill="#222222", font=ImageFont.load_default(size=38))
    return drawn


def photographed(drawn: Image.Image) -> Image.Image:
    """Return the page as a camera sees it that is held at an angle."""
    width, height = drawn.size
    there = [(60, 40), (830, 90), (790, 420), (30, 380)]
    here = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, values = [], []
    for (x, y), (u, v) in zip(there, here, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    matrix = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return drawn.transform((860, 460), Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC)


# --- text


def test_a_page_is_read_in_one_call(zoo: Zoo, tmp_path: Path) -> None:
    found = zoo.infer("pp-ocrv6-small", page(), **CPU)
    assert found.text == "\n".join(LINES)
    assert found.score is not None
    assert found.score > 0.95
    assert [box.text for box in found.boxes] == LINES
    assert [abs(box.x0 - 40) < 12 for box in found.boxes] == [True] * 3
    assert found.save(tmp_path / "read.png").stat().st_size > 10_000


def test_a_photo_of_a_page_at_an_angle_is_read(zoo: Zoo) -> None:
    predict = zoo.predictor("pp-ocrv6-small@FP16", **CPU)
    photo = photographed(page())
    assert predict(photo).text == "\n".join(LINES)
    sideways = predict(photo.transpose(Image.Transpose.ROTATE_270)).text
    assert sideways is not None
    assert sorted(sideways.splitlines()) == sorted(LINES)
    assert predict(Image.new("RGB", (200, 200))).text == ""


def test_a_scanned_page_is_read(zoo: Zoo, pictures: Path) -> None:
    text = zoo.infer("pp-ocrv6-small", pictures / "page.png", **CPU).text
    assert text is not None
    assert "unambiguously as either object or background" in text


def test_one_line_is_read_alone(zoo: Zoo) -> None:
    found = zoo.infer("pp-ocrv6-rec-small", page().crop((30, 20, 450, 90)), **CPU)
    assert found.text == LINES[0]


# --- faces


@pytest.mark.parametrize("kind", ["short-range", "front", "back", "full-range", "full-range-sparse"])
def test_a_face_and_its_six_points(zoo: Zoo, pictures: Path, kind: str) -> None:
    found = zoo.infer(f"mediapipe-face-detection-{kind}", pictures / "astronaut.png", **CPU)
    (box,) = found.boxes
    assert box.label == "face"
    assert box.score > 0.8
    np.testing.assert_allclose([box.x0, box.y0, box.x1, box.y1], FACE, atol=12)
    np.testing.assert_allclose([(p.x, p.y) for p in found.keypoints], POINTS, atol=10)
    json.dumps(found.to_dict())


def test_the_landmarks_of_a_face_are_where_the_detector_has_them(zoo: Zoo, pictures: Path) -> None:
    found = zoo.infer("mediapipe-face-mesh", pictures / "astronaut.png", **CPU)
    (box,) = found.boxes
    assert len(box.keypoints) == len(found.keypoints) == 468
    places = np.array([(p.x, p.y) for p in box.keypoints])
    for index, name in ((1, 2), (13, 3)):  # the tip of the nose, the upper lip
        np.testing.assert_allclose(places[index], POINTS[name], atol=12)
    assert (places[33] < places[263])[0]  # the eyes' outer corners


def test_no_face_is_an_answer_too(zoo: Zoo, pictures: Path) -> None:
    found = zoo.infer("mediapipe-face-detection-short-range", pictures / "chelsea.png", **CPU)
    assert str(found) == "chelsea.png: no objects found"
    assert found.to_dict()["boxes"] == []


# --- classes


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (b'#!/bin/sh\nset -eu\nfor name in *; do\n    echo "$name"\ndone\n', "shell"),
        (b'{"a": [1, 2, {"b": null}], "c": "text"}', "json"),
        (None, "png"),
    ],
)
def test_what_kind_of_file_it_is(
    zoo: Zoo, pictures: Path, tmp_path: Path, content: bytes | None, label: str
) -> None:
    source = tmp_path / "a"
    if content is not None:
        source.write_bytes(content)
    found = zoo.infer(
        "magika-standard-v3", source if content is not None else pictures / "chelsea.png", **CPU
    )
    assert found.labels[0].name == label
    assert found.labels[0].score > 0.5


# --- a user's own


def test_a_yolo_of_ones_own_by_its_type_alone(wheel_member: Member, pictures: Path, tmp_path: Path) -> None:
    require_module("model_api.models")
    from model_api.models import Model

    network = wheel_member("nudenet==3.4.2", "nudenet/320n.onnx")
    entry = {
        "schema": 1,
        "name": "mine",
        "task": "object-detection",
        "framework": "onnx",
        "license": "AGPL-3.0-only",
        "description": "A YOLOv8.",
        "artifacts": [{"path": "320n.onnx", "integrity": "first-use", "sources": [{"file": str(network)}]}],
        "recipe": {"inputs": [{"shape": [1, 3, 320, 320]}]},
        "decode": {"type": "YOLOv8"},
        "labels": [f"class {index}" for index in range(18)],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    own = model_zoo.Zoo(cache=tmp_path / "cache", catalogs=[tmp_path / "mine.yaml"])
    found = own.infer("mine", pictures / "astronaut.png", **CPU)
    (box,) = found.boxes
    assert box.label == "class 1"  # a woman's face, as the wheel's own list has it
    np.testing.assert_allclose([box.x0, box.y0, box.x1, box.y1], FACE, atol=15)

    alone = Model.create_model(str(own.convert("mine").xml), device="CPU")
    with Image.open(pictures / "astronaut.png") as opened:
        result = alone(np.ascontiguousarray(np.asarray(opened.convert("RGB"))[:, :, ::-1]))
    assert result.bboxes.tolist() == [[box.x0, box.y0, box.x1, box.y1]]
    assert result.scores.tolist() == pytest.approx([box.score], abs=0.01)
    assert result.label_names == ["class_1"]


# --- speech


@pytest.fixture(scope="session")
def spoken() -> np.ndarray:
    """Return a sentence, 22050 samples a second."""
    done = subprocess.run(
        [require_tool("espeak-ng"), "--stdout", "The zoo opens its doors at nine in the morning."],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    with wave.open(io.BytesIO(done.stdout)) as sound:
        assert sound.getframerate() == 22050
        data = sound.readframes(1 << 20)
    return np.frombuffer(data[: len(data) // 2 * 2], np.int16)


@pytest.mark.system
@pytest.mark.parametrize("name", ["silero-vad-16k", "silero-vad-op18-ifless"])
def test_when_somebody_speaks(zoo: Zoo, spoken: np.ndarray, tmp_path: Path, name: str) -> None:
    """A sentence after one second of silence, and again after two more."""
    second = np.zeros(22050, np.int16)
    whole = np.concatenate([second, spoken, second, second, spoken, second])
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(whole.tobytes())
    found = zoo.infer(name, tmp_path / "a.wav", **CPU)
    length = len(spoken) / 22050
    assert len(found.segments) == 2
    for segment, start in zip(found.segments, (1.0, 3.0 + length), strict=True):
        assert start - 0.1 < segment.start < start + 0.4
        assert start + length - 0.6 < segment.end < start + length + 0.1
        assert segment.score > 0.8
    assert not zoo.infer(name, np.zeros(32000, np.float32), **CPU).segments


# --- the way there


def test_inputs_and_device_are_checked_before_anything_is_fetched(tmp_path: Path, pictures: Path) -> None:
    cold = model_zoo.Zoo(cache=tmp_path / "cache", layers=[], catalogs=[], offline=True)
    (tmp_path / "broken.png").write_bytes((pictures / "chelsea.png").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"broken\.png cannot be read"):
        cold.infer("pp-ocrv6-small", tmp_path / "broken.png")
    with pytest.raises(UsageError, match="does not exist"):
        cold.infer("pp-ocrv6-small", tmp_path / "none.png")
    with pytest.raises(UsageError, match="does not exist"):
        cold.infer("pp-ocrv6-small", [pictures / "chelsea.png", tmp_path / "none.png"])
    with pytest.raises(InputError, match="takes sound, and chelsea.png is a picture"):
        cold.infer("silero-vad-16k", pictures / "chelsea.png")
    with pytest.raises(LoadError, match="no device 'TPU'"):
        cold.predictor("pp-ocrv6-small", device="TPU")
    with pytest.raises(LoadError, match="a folder of several files, which a pipeline answers with"):
        cold.infer("Phi-3.5-mini-instruct-int4-cw-ov", pictures / "chelsea.png")
    assert not (tmp_path / "cache" / "blobs-v1").exists()


def test_without_conversion_there_are_outputs_only(zoo: Zoo) -> None:
    found = zoo.infer("magika-standard-v3", np.zeros((1, 2048)), convert=False, **CPU)
    assert not found.labels
    assert "the original file" in str(found.note)


def test_many_pictures_in_a_stream(zoo: Zoo, pictures: Path) -> None:
    predict: Any = zoo.predictor("mediapipe-face-detection-short-range", **CPU)
    sources = [pictures / name for name in ("astronaut.png", "chelsea.png", "coffee.png")] * 4
    assert [len(found.boxes) for found in predict.stream(iter(sources))] == [1, 0, 0] * 4
    assert [found.source for found in predict(sources)] == [source.name for source in sources]
