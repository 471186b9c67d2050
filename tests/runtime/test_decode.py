"""Decoding in NumPy, on outputs whose answer is plain. Real models are in test_answers.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.formats.ports import Fit
from model_zoo.runtime.inference.decode import DECODERS
from model_zoo.runtime.inference.decode.boxes import merge_overlapping
from model_zoo.runtime.inference.decode.scene import Scene, sigmoid, softmax
from model_zoo.runtime.inference.decode.ssd_anchors import anchor_points
from model_zoo.runtime.inference.decode.text_boxes import connected_runs, smallest_rectangle
from model_zoo.runtime.inference.speech import spans
from model_zoo.schema.decoding import OWN_TYPES

if TYPE_CHECKING:
    from model_zoo.runtime.inference.prediction import Prediction

HALVED = Fit((200, 100), (100, 50), (0.5, 0.5))
"""A picture of 200 x 100 pixels, stretched to a network's 100 x 50."""


def decoded(kind: str, outputs: dict[str, Any], labels: tuple[str, ...] = (), **scene: Any) -> Prediction:
    ours = {"threshold", "top", "output_labels"}
    parameters = {name: scene.pop(name) for name in list(scene) if name not in ours}
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    return DECODERS[kind](arrays, Scene(HALVED, labels, parameters=parameters, **scene))


def test_every_type_of_the_catalog_has_a_decoder() -> None:
    assert {*DECODERS, "speech_activity"} == set(OWN_TYPES)


# --- text


def ctc(classes: list[int], count: int = 4) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[classes][None] * 20


@pytest.mark.parametrize(
    ("classes", "labels", "blank", "text"),
    [
        ([0, 1, 1, 0, 1, 2, 2, 3, 0], ("a", "b", "c"), 0, "aabc"),
        ([3, 0, 0, 3, 0, 1, 3], ("a", "b", "c"), -1, "aab"),
        ([3, 0, 3, 0, 1], ("a", "b", "c", "#"), 3, "aab"),
        ([1, 0, 3, 2], ("a", "b"), 0, "a b"),
        ([0, 0, 0], ("a", "b", "c"), 0, ""),
    ],
)
def test_text_of_one_line(classes: list[int], labels: tuple[str, ...], blank: int, text: str) -> None:
    found = decoded("ctc", {"y": ctc(classes)}, labels, blank=blank)
    assert found.text == text
    assert found.score == pytest.approx(1 if text else 0)
    by_step = decoded("ctc", {"y": ctc(classes).transpose(1, 0, 2)}, labels, blank=blank)  # steps first
    assert by_step.text == text


def test_text_of_unknown_characters() -> None:
    with pytest.raises(ValueError, match="tells 4 characters apart, but 1 are known"):
        decoded("ctc", {"y": ctc([0, 1])}, ("a",))
    with pytest.raises(ValueError, match="scores of characters"):
        decoded("ctc", {"y": np.zeros(3, np.float32)}, ("a",))


def text_map(*rectangles: tuple[int, int, int, int]) -> dict[str, np.ndarray]:
    made = np.zeros((1, 1, 50, 100), np.float32)
    for left, top, right, bottom in rectangles:
        made[0, 0, top:bottom, left:right] = 0.9
    return {"y": made}


def test_lines_of_text_in_reading_order() -> None:
    found = decoded("text_boxes", text_map((60, 11, 90, 21), (10, 30, 50, 40), (10, 10, 50, 20)))
    middles = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in found.boxes]
    np.testing.assert_allclose(middles, [(60, 30), (150, 32), (60, 70)], atol=1)
    first = found.boxes[0]
    out = 40 * 10 * 1.6 / (2 * (40 + 10))  # area times ratio over circumference
    np.testing.assert_allclose(
        [first.x0, first.y0, first.x1, first.y1],
        [2 * (10 - out), 2 * (10 - out), 2 * (50 + out), 2 * (20 + out)],
    )
    assert [box.score for box in found.boxes] == pytest.approx([0.9] * 3)
    assert not decoded("text_boxes", text_map((10, 10, 50, 12))).boxes  # two pixels are no line
    assert not decoded("text_boxes", text_map((10, 10, 50, 20)), threshold=0.95).boxes


@given(st.floats(-40, 40), st.floats(20, 60), st.floats(4, 15))
def test_a_line_at_an_angle(angle: float, length: float, height: float) -> None:
    turn = np.radians(angle)
    right = np.array([np.cos(turn), np.sin(turn)])
    down = np.array([-right[1], right[0]])
    y, x = np.mgrid[0:120, 0:120]
    place = np.stack([x, y], -1) + 0.5 - 60
    mask = (np.abs(place @ right) < length / 2) & (np.abs(place @ down) < height / 2)
    (runs,) = connected_runs(mask)
    points = np.array([(x, row + side) for row, start, end in runs for x in (start, end) for side in (0, 1)])
    hull = points  # any set that has the corners will do
    middle, axes, half = smallest_rectangle(_hull_of(hull))
    np.testing.assert_allclose(middle, [60, 60], atol=1.5)
    assert abs(2 * half[0] - length) < 3 or abs(length - height) < 3
    if length > 2 * height:
        assert abs(np.degrees(np.arctan2(axes[0, 1], axes[0, 0])) - angle) < 6


def _hull_of(points: np.ndarray) -> np.ndarray:
    from model_zoo.runtime.inference.decode.text_boxes import _hull

    return _hull(points.astype(np.float64))


@given(st.integers(0, 2**36 - 1))
def test_connected_areas_are_those_of_a_flood(bits: int) -> None:
    mask = np.array([bits >> index & 1 for index in range(36)], bool).reshape(6, 6)
    areas = [
        {(row, x) for row, start, end in runs for x in range(start, end)} for runs in connected_runs(mask)
    ]
    left = {(int(row), int(x)) for row, x in np.argwhere(mask)}
    assert set().union(*areas) == left
    assert sum(map(len, areas)) == len(left)
    for area in areas:
        reached, new = set(), {next(iter(area))}
        while new:
            reached |= new
            around = {(r + i, x + j) for r, x in new for i in (-1, 0, 1) for j in (-1, 0, 1)}
            new = (around & left) - reached
        assert reached == area


# --- boxes and points


def test_boxes_by_the_names_of_their_outputs() -> None:
    outputs = {
        "boxes": [[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]],
        "scores": [[0.4, 0.7]],
        "labels": [[1, 0]],
    }
    found = decoded("boxes", outputs, ("dog", "cat"), confidence_threshold=0.3)
    assert [(box.label, box.score, box.x0, box.y1) for box in found.boxes] == [
        ("dog", 0.7, 0, 100),
        ("cat", 0.4, 20, 60),
    ]
    assert len(decoded("boxes", outputs).boxes) == 1
    (one,) = decoded("boxes", {"boxes": [[10, 5, 30, 20, 0.9]], "labels": [3]}, pixels=True).boxes
    assert (one.label, one.score, one.x1, one.y1) == ("#3", 0.9, 60, 40)
    for broken in ({"boxes": [[1, 2, 3]]}, {"boxes": [[1, 2, 3, 4]]}, {"y": [1]}):
        with pytest.raises(ValueError, match="no output has"):
            decoded("boxes", broken)


def test_overlapping_boxes_become_their_mean() -> None:
    rows = np.array([[0, 0, 10, 10, 1], [2, 0, 12, 10, 3], [50, 50, 60, 60, 7]], np.float64)
    merged = merge_overlapping(rows, np.array([0.6, 0.2, 0.9]), 0.3)
    assert [score for _, score in merged] == [0.9, 0.6]
    np.testing.assert_allclose(merged[1][0], [0.5, 0, 10.5, 10, 1.5])


def test_anchors_of_a_grid() -> None:
    points = anchor_points((128, 128), (8, 16), (2, 6))
    assert points.shape == (896, 2)
    assert points[:3].tolist() == [[4, 4], [4, 4], [12, 4]]
    assert points[-1].tolist() == [120, 120]
    with pytest.raises(ValueError, match="same length"):
        anchor_points((128, 128), (8,), ())


def test_a_detector_with_anchors() -> None:
    grid = {"strides": (25,), "anchors_per_cell": (1,), "keypoints": 1}  # 4 x 2 cells on 100 x 50
    raw, scores = np.zeros((1, 8, 6), np.float32), np.full((1, 8, 1), -9, np.float32)
    raw[0, 5] = (2.5, -2.5, 10, 20, 1, 1)  # of the second cell of the second row: its middle is 37.5, 37.5
    scores[0, 5] = 2
    found = decoded("ssd_anchors", {"boxes": raw, "scores": scores}, ("hand", "wrist"), **grid)
    (box,) = found.boxes
    assert (box.x0, box.y0, box.x1, box.y1) == (70, 50, 90, 90)
    assert box.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert [(p.x, p.y, p.name) for p in found.keypoints] == [(77, 77, "wrist")]
    assert box.keypoints == tuple(found.keypoints)
    assert not decoded("ssd_anchors", {"boxes": raw, "scores": scores}, threshold=0.9, **grid).boxes
    with pytest.raises(ValueError, match="no output has 6 numbers for each of 8 anchors"):
        decoded("ssd_anchors", {"boxes": raw[:, 1:], "scores": scores}, **grid)


def test_points() -> None:
    found = decoded("keypoints", {"flag": [[0.5]], "y": [[10, 20, 5, 30, 40, 6]]}, pixels=True)
    assert [(p.x, p.y, p.z) for p in found.keypoints] == [(20, 40, 10), (60, 80, 12)]
    named = decoded("keypoints", {"y": [[0.5, 0.5, 1, 1]]}, ("nose", "chin"))
    assert [(p.x, p.y, p.z, p.name) for p in named.keypoints] == [
        (100, 50, None, "nose"),
        (200, 100, None, "chin"),
    ]
    with pytest.raises(ValueError, match="coordinates of 3 points"):
        decoded("keypoints", {"y": [[1, 2, 3, 4]]}, ("a", "b", "c"))


def test_maps_of_points() -> None:
    maps = np.zeros((1, 2, 5, 10), np.float32)
    maps[0, 0, 2, 7] = 0.8
    (point,) = decoded("keypoint_maps", {"y": maps}, ("nose", "chin")).keypoints
    assert (point.x, point.y, point.name) == (150, 50, "nose")
    assert point.score == pytest.approx(0.8)
    assert not decoded("keypoint_maps", {"y": maps}, threshold=0.9).keypoints
    with pytest.raises(ValueError, match="map for each point"):
        decoded("keypoint_maps", {"y": [1.0]})


# --- classes, vectors, speech


def test_several_classes_at_once() -> None:
    labels = ("dog", "bark", "rain")
    found = decoded("tags", {"y": [[0.1, 0.9, 0.8]]}, labels, threshold=0.5)
    assert [(one.name, one.score) for one in found.labels] == [("bark", 0.9), ("rain", 0.8)]
    assert len(decoded("tags", {"y": [[0.1, 0.9, 0.8]]}, labels, top=1).labels) == 1
    windows = decoded("tags", {"y": [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]}, labels)
    assert [one.score for one in windows.labels] == [1, 0.5, 0]
    activated = decoded("tags", {"y": [[0.0, 4.0, -4.0]]}, labels, activation="sigmoid")
    assert activated.labels[1].score == 0.5
    with pytest.raises(ValueError, match="one for each label"):
        decoded("tags", {"y": [[0.5, 0.5]]}, labels)


def test_one_class_of_several_and_outputs_with_labels_of_their_own() -> None:
    found = decoded("classes", {"y": [[0.0, 2.0]]}, ("left", "right"))
    assert found.labels[0].name == "right"
    assert found.labels[0].score == pytest.approx(1 / (1 + np.exp(-2)))
    own = {"colour": ("red", "blue"), "kind": ("car", "bus", "van")}
    outputs = {"colour": [[0.1, 0.9]], "kind": [[0.2, 0.3, 0.5]], "other": [[1.0, 2.0]]}
    both = decoded("classes", outputs, output_labels=own)
    assert [(one.name, one.score) for one in both.labels] == [("blue", 0.9), ("van", 0.5)]
    with pytest.raises(ValueError, match="no output has 2 scores"):
        decoded("classes", {"y": [[1.0, 2.0, 3.0]]}, ("left", "right"))


def test_vectors() -> None:
    tokens = np.array([[[3.0, 0], [0, 4], [3, 4]]])
    for pooling, wanted in (("mean", [0.6, 0.8]), ("cls", [1, 0]), ("last", [0.6, 0.8])):
        found = decoded("embedding", {"y": tokens}, pooling=pooling).embedding
        np.testing.assert_allclose(found, np.divide(wanted, np.linalg.norm(wanted)), atol=0.1)
    plain = decoded("embedding", {"y": [[[[3.0]], [[4.0]]]]}, normalize=False)
    assert plain.embedding is not None
    assert plain.embedding.tolist() == [3, 4]
    with pytest.raises(ValueError, match="no output is a vector"):
        decoded("embedding", {"y": [1, 2]})


def test_spans_of_speech() -> None:
    chances = np.array(
        [0] * 5 + [0.9] * 20 + [0.4, 0.4] + [0.9] * 10 + [0] * 2 + [0.9] * 3 + [0] * 10 + [0.9] * 2
    )
    (found,) = spans(chances, 0.032, 0.5)  # short gaps are bridged, and what is short does not count
    assert (found.start, found.end) == (pytest.approx(5 * 0.032), pytest.approx(42 * 0.032))
    assert 0.7 < found.score < 0.9
    assert spans(np.full(20, 0.9), 0.032, 0.5)[0].end == pytest.approx(20 * 0.032)
    assert not spans(np.zeros(20), 0.032, 0.5)


def test_probabilities_stay_what_they_are() -> None:
    np.testing.assert_allclose(softmax(np.array([[0.25, 0.75]], np.float16)), [[0.25, 0.75]])
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0])), [0.5, 0.5])
    np.testing.assert_allclose(sigmoid(np.array([-1e9, 0, 1e9])), [0, 0.5, 1], atol=1e-9)
