"""A predictor: calls, streams, shapes, and what a prediction says of itself."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import pytest
from PIL import Image

from model_zoo.errors import CacheError, InputError, UsageError
from model_zoo.runtime.inference.decode.scene import Scene
from model_zoo.runtime.inference.draw import draw
from model_zoo.runtime.inference.parts import Box, Keypoint, Label, Mask, Segment
from model_zoo.runtime.inference.ports import example_shapes
from model_zoo.runtime.inference.prediction import Prediction, run_lengths, summarize
from tests.runtime.networks import PIXELS, constant, named, ops, parameter, picture, predictor, same

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_zeros_of_a_fitting_size(tmp_path: Path) -> None:
    a, b = parameter("[?,3,?,8..9]", name="a"), parameter([2], np.int64, "b")
    found = predictor(tmp_path, ov.Model([named(ops.shape_of(a), "y")], [a, b], "m"))()
    assert found.source == "zeros"
    assert found.outputs["y"].tolist() == [1, 3, 32, 9]
    assert found.seconds > 0
    assert found.note == "of zeros, in which there is nothing to find"


def test_results_stay_in_order_however_many_run_at_once(tmp_path: Path) -> None:
    predict = predictor(tmp_path, same([1, 4]))
    found = predict([np.full((1, 4), float(index)) for index in range(40)])
    assert [one.outputs["y"][0, 0] for one in found] == list(range(40))


def test_a_stream_takes_no_more_than_it_runs(tmp_path: Path) -> None:
    predict = predictor(tmp_path, same([1, 4]))
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield np.full((1, 4), float(taken[-1]))

    stream = predict.stream(endless())
    assert not taken
    assert [next(stream).outputs["y"][0, 0] for _ in range(10)] == list(range(10))
    limit = predict.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    assert len(taken) <= 10 + limit
    stream.close()
    assert predict(np.zeros((1, 4))).outputs["y"].tolist() == [[0, 0, 0, 0]]


def test_threads_share_a_predictor(tmp_path: Path) -> None:
    predict = predictor(tmp_path, same([1, 4]))
    seen: dict[int, set[float]] = {}

    def work(number: int) -> None:
        seen[number] = {float(predict(np.full((1, 4), float(number))).outputs["y"][0, 0]) for _ in range(50)}

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: {float(number)} for number in range(6)}


def test_the_failing_input_is_named_and_those_before_it_are_answered(tmp_path: Path) -> None:
    x = parameter("[?]")
    y = ops.reshape(x, ops.constant(np.array([2, 2])), special_zero=False)
    predict = predictor(tmp_path / "ir", ov.Model([named(y, "y")], [x], "m"))
    for name, size in (("a", 4), ("b", 4), ("c", 5), ("d", 4)):
        np.save(tmp_path / f"{name}.npy", np.ones(size))
    stream = predict.stream(sorted(tmp_path.glob("*.npy")))
    assert [next(stream).source, next(stream).source] == ["a.npy", "b.npy"]
    with pytest.raises(InputError, match=r"the network failed on c\.npy"):
        next(stream)
    assert predict(tmp_path / "d.npy").outputs["y"].shape == (2, 2)
    (tmp_path / "e.npy").write_bytes(b"broken")
    stream = predict.stream([tmp_path / "a.npy", tmp_path / "e.npy"])
    assert next(stream).source == "a.npy"
    with pytest.raises(InputError, match=r"e\.npy cannot be read"):
        next(stream)


def test_size_out_of_bounds_fails_on_that_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3), np.float32))
    with pytest.raises(InputError, match=r"the network failed on a\.npy"):
        predictor(tmp_path / "ir", same("[1,8..9]"))(tmp_path / "a.npy")


# --- shapes


def test_the_batch_is_the_same_everywhere_and_states_are_as_they_come_back(tmp_path: Path) -> None:
    x, state = parameter("[?,?]", name="input"), parameter("[2,?,3]", name="state")
    wide = ops.broadcast(ops.reduce_sum(x, ops.constant(np.array([0, 1]))), ops.shape_of(state))
    network = ov.Model([named(ops.add(state, wide), "stateN"), named(ops.relu(x), "y")], [x, state], "m")
    assert example_shapes(network, {}) == {"input": (1, 32), "state": (2, 1, 3)}
    assert example_shapes(network, {"input": [4, 8]}) == {"input": (4, 8), "state": (2, 4, 3)}
    predict = predictor(tmp_path, network)
    assert predict({"input": np.ones((1, 5))}).outputs["stateN"].tolist() == [[[5.0] * 3]] * 2
    assert predict({"input": np.ones((3, 5))}).outputs["stateN"].shape == (2, 3, 3)


def test_shapes_that_are_wanted(tmp_path: Path) -> None:
    x = parameter("[?,3,?,?]")
    network = ov.Model([named(ops.shape_of(x), "y")], [x], "m")
    found = predictor(tmp_path, network, shapes={"x": [2, 3, 8, 16]})()
    assert found.outputs["y"].tolist() == [2, 3, 8, 16]
    with pytest.raises(UsageError, match="no input 'z'"):
        predictor(tmp_path, network, shapes={"z": [1]})
    with pytest.raises(UsageError, match="cannot take the shape"):
        product = ops.matmul(
            x4 := parameter("[?,4]"), ops.constant(np.ones((4, 2), np.float32)), False, False
        )
        predictor(tmp_path, ov.Model([named(product, "y")], [x4], "m"), shapes={"x": [2, 5]})


# --- what is not known is not pretended


def test_outputs_and_a_sentence_where_nothing_says_how_to_decode(tmp_path: Path) -> None:
    found = predictor(tmp_path, same([1, 4]))(np.ones((1, 4)))
    assert not (found.labels or found.boxes or found.text)
    assert "does not say how to decode" in str(found.note)
    assert str(found) == f"array: outputs y [1, 4]; {found.note}"
    assert found.to_dict()["note"] == found.note


def test_labels_alone_say_what_a_vector_of_scores_is(tmp_path: Path) -> None:
    labels = ["cat", "great dane", "fox"]
    found = predictor(tmp_path, same([1, 3]), labels=labels, top=2)(np.array([[1.0, 3.0, 2.0]]))
    assert [(one.id, one.name) for one in found.labels] == [(1, "great dane"), (2, "fox")]
    assert found.labels[0].score == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum(), rel=1e-5)
    sure = predictor(tmp_path, same([1, 3]), labels=labels)(np.array([[0.25, 0.5, 0.25]]))
    assert sure.labels[0].score == 0.5
    other = predictor(tmp_path, same([1, 4]), labels=labels)(np.ones((1, 4)))
    assert other.note
    assert not other.labels


def test_outputs_that_are_not_what_the_entry_says(tmp_path: Path) -> None:
    predict = predictor(
        tmp_path / "ir",
        constant([1, 3, 4, 4], y=np.zeros(3, np.float32)),
        decode={"type": "text_boxes"},
        inputs=[PIXELS],
    )
    with pytest.raises(
        InputError, match="cannot be decoded as the catalog entry of some-model says"
    ) as caught:
        predict(picture(tmp_path / "a.png"))
    assert "no output is a map" in str(caught.value.found)


# --- what a prediction says


FULL = Prediction(
    source="a.png",
    labels=[Label(3, "cat", 0.75)],
    boxes=[
        Box(1, 2, 11, 22, 0.5, "face", 1, keypoints=(Keypoint(3, 4, name="nose"),)),
        Box(1, 2, 3, 4, 0.4, "text", outline=((1, 2), (3, 2), (3, 4), (1, 4)), text="hello"),
    ],
    masks=[Mask(1, "sky", np.array([[True, False], [True, True]]), 0.5)],
    keypoints=[Keypoint(3, 4, 0.5, 0.25, "nose")],
    text="hello",
    score=0.5,
    embedding=np.array([0.6, 0.8], np.float32),
    segments=[Segment(0.5, 1.5, "speech", 0.9)],
    outputs={"y": np.zeros((1, 2), np.float32), "odd": np.array(["a"])},
    seconds=0.25,
    picture=np.zeros((2, 2, 3), np.uint8),
)


def test_a_prediction_as_json() -> None:
    known = json.loads(json.dumps(FULL.to_dict()))
    assert known["picture"] == {"width": 2, "height": 2}
    assert known["labels"] == [{"id": 3, "name": "cat", "score": 0.75}]
    assert known["boxes"][0] == {
        "x0": 1,
        "y0": 2,
        "x1": 11,
        "y1": 22,
        "score": 0.5,
        "label": "face",
        "id": 1,
        "keypoints": [{"x": 3, "y": 4, "name": "nose"}],
    }
    assert known["boxes"][1]["text"] == "hello"
    assert known["boxes"][1]["outline"][2] == [3, 4]
    assert known["masks"] == [
        {"id": 1, "label": "sky", "area": 3, "score": 0.5, "size": [2, 2], "counts": [0, 2, 1, 1]}
    ]
    assert known["embedding"] == [0.6, 0.8]
    assert known["segments"] == [{"start": 0.5, "end": 1.5, "label": "speech", "score": 0.9}]
    assert known["outputs"][0] == {
        "name": "y",
        "shape": [1, 2],
        "type": "float32",
        "min": 0,
        "mean": 0,
        "max": 0,
    }
    assert known["outputs"][1]["shape"] == [1]
    assert Prediction(found="objects").to_dict()["boxes"] == []
    assert "boxes" not in Prediction().to_dict()


@pytest.mark.parametrize(
    ("prediction", "sentence"),
    [
        (Prediction("a", labels=[Label(0, "cat", 0.9)] * 5), "a: cat 0.90, cat 0.90, cat 0.90 and 2 more"),
        (Prediction("a", boxes=[Box(0, 0, 1, 1, 0.5, "face")]), "a: 1 box: face 0.50"),
        (Prediction("a", masks=FULL.masks), "a: 1 mask: sky"),
        (Prediction("a", keypoints=FULL.keypoints * 2), "a: 2 points"),
        (Prediction("a", text="hi"), "a: reads 'hi'"),
        (Prediction("a", text=""), "a: no text found"),
        (Prediction("a", segments=FULL.segments), "a: 0.50 to 1.50 s speech 0.90"),
        (Prediction("a", embedding=np.ones(3)), "a: a vector of 3 numbers"),
        (Prediction("a", found="objects"), "a: no objects found"),
        (Prediction("a", outputs={"y": np.ones((2, 3))}), "a: outputs y [2, 3]"),
    ],
)
def test_a_prediction_in_one_sentence(prediction: Prediction, sentence: str) -> None:
    assert str(prediction) == sentence
    assert repr(prediction) == f"<Prediction {sentence}>"


def test_run_lengths_are_those_of_coco() -> None:
    assert run_lengths(np.zeros((2, 2), bool)) == [4]
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]
    assert run_lengths(np.array([[0, 1], [0, 0]], bool)) == [2, 1, 1]


def test_summaries_of_odd_tensors() -> None:
    empty = {"name": "y", "shape": [0, 2], "type": "float32"}
    assert summarize("y", np.zeros((0, 2), np.float32)) == empty
    assert "mean" not in summarize("y", np.array([np.inf, 0]))
    assert summarize("y", np.array([True, False]))["mean"] == 0.5


# --- saving and drawing


def test_saved_as_picture_json_and_arrays(tmp_path: Path) -> None:
    assert FULL.save(tmp_path / "new" / "a.png") == tmp_path / "new" / "a.png"
    with Image.open(tmp_path / "new" / "a.png") as drawn:
        assert drawn.size == (2, 2)
    FULL.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == FULL.to_dict()
    Prediction(outputs={"y": np.ones(3)}).save(str(tmp_path / "a.npz"))
    assert np.load(tmp_path / "a.npz")["y"].tolist() == [1, 1, 1]
    assert FULL._repr_png_().startswith(b"\x89PNG")
    assert Prediction(picture=FULL.picture)._repr_png_() is None


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no kind of file"):
        FULL.save(tmp_path / "a.xyz")
    with pytest.raises(UsageError, match="no picture to draw on"):
        Prediction("sound").save(tmp_path / "a.png")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="is a file, not a folder"):
        FULL.save(tmp_path / "file" / "a.json")


def test_drawn_where_it_is() -> None:
    black = np.zeros((100, 200, 3), np.uint8)
    pixels = np.asarray(draw(black, [Box(50, 25, 150, 75, 0.9, "face")]))
    assert pixels[50, 50].any()
    assert pixels[75, 100].any()
    assert not pixels[50, 100].any()
    assert not pixels[90, 10].any()
    left = np.zeros((100, 200), bool)
    left[:, :100] = True
    pixels = np.asarray(draw(black, masks=[Mask(1, "left", left)]))
    assert pixels[50, 50].any()
    assert not pixels[50, 150].any()
    pixels = np.asarray(draw(black, keypoints=[Keypoint(120, 30)]))
    assert pixels[30, 120].any()
    assert not pixels[30, 150].any()
    np.testing.assert_array_equal(np.asarray(draw(black)), black)


def test_a_scene_without_a_picture_says_so() -> None:
    with pytest.raises(ValueError, match="the input was none"):
        Scene().inner()
