"""What people give and what they get: pictures, arrays, sounds, bytes; labels, boxes, masks, numbers."""

from __future__ import annotations

import io
import json
import struct
import sys
import wave
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_zoo import runtime
from model_zoo.errors import (
    CacheError,
    CompileError,
    DeviceUnavailableError,
    LoadError,
    MissingExtraError,
    UsageError,
)
from model_zoo.formats import ports
from model_zoo.runtime import measure
from model_zoo.runtime.inference import inputs, outputs
from model_zoo.runtime.inference.run import draw_boxes, infer
from tests.conversion import support

ops = ov.opset13


def compiled(result: Any, *parameters: Any) -> Any:
    return runtime.compile_model(
        ov.Model([result], list(parameters), "m"), device="CPU", config=support.EXACT
    )


def parameter(
    shape: list[int] | str, kind: Any = np.float32, name: str = "x", layout: str | None = None
) -> Any:
    made = ops.parameter(ov.PartialShape(shape), kind, name=name)
    made.output(0).set_names({name})
    if layout:
        made.set_layout(ov.Layout(layout))
    return made


def same(shape: list[int] | str, kind: Any = np.float32, layout: str | None = None) -> Any:
    """Return a network whose output is its input."""
    x = parameter(shape, kind, layout=layout)
    y = ops.convert(x, "f32")
    y.output(0).set_names({"y"})
    return compiled(y, x)


def run(network: Any, *sources: Path, info: dict[str, str] | None = None, **how: Any) -> list[dict[str, Any]]:
    return list(infer(network, list(sources), info, **how))


def seen(network: Any, source: Path, tmp_path: Path, info: dict[str, str] | None = None) -> np.ndarray:
    """Return what the network saw of an input."""
    run(network, source, info=info, save=tmp_path / "saved")
    return np.load(tmp_path / "saved" / f"{source.name}.npz")["y"]


def picture(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = (200, 100, 50)
    Image.fromarray(pixels).save(path)
    return path


# --- inputs


def test_nothing_is_zeros_of_a_fitting_size() -> None:
    a, b = parameter("[?,3,?,8..9]", name="a"), parameter([2], np.int64, "b")
    network = compiled(ops.shape_of(a), a, b)
    (result,) = run(network)
    assert result["input"] == "zeros"
    assert result["outputs"][0]["max"] == 32
    assert result["outputs"][0]["min"] == 1
    assert result["seconds"] > 0


def test_picture_is_resized_and_laid_out(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    got = seen(same([1, 3, 4, 6]), source, tmp_path)
    assert got.shape == (1, 3, 4, 6)
    assert got[0, :, 0, 0].tolist() == [200, 100, 50]
    assert got[0, :, 0, 5].tolist() == [0, 0, 0]
    nhwc = seen(same([1, 4, 6, 3], np.uint8), source, tmp_path)
    np.testing.assert_array_equal(nhwc, got.transpose(0, 2, 3, 1))
    stated = seen(same([3, 4, 6], layout="CHW"), source, tmp_path)
    np.testing.assert_array_equal(stated, got[0])


def test_picture_is_normalised_as_model_info_says(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    network = same([1, 3, 4, 6])
    info = {"mean_values": "100 50 0", "scale_values": "2", "reverse_input_channels": "True"}
    assert seen(network, source, tmp_path, info)[0, :, 0, 0].tolist() == [50, 25, 25]
    assert seen(network, source, tmp_path, {**info, "embedded_processing": "True"})[0, 0, 0, 0] == 200
    assert seen(network, source, tmp_path, {"color_order": "BGR"})[0, :, 0, 0].tolist() == [50, 100, 200]


def test_grey_pictures_and_open_sizes(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", (100, 40))
    assert seen(same("[?,1,?,?]"), source, tmp_path).shape == (1, 1, 32, 96)
    assert seen(same("[?,3,48,?]"), source, tmp_path).shape == (1, 3, 48, 96)
    wide = picture(tmp_path / "b.png", (4000, 100))
    assert seen(same("[?,3,?,?]"), wide, tmp_path).shape == (1, 3, 32, 1280)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("standard", [1, 1, 1, 1, 0, 0, 0, 0]),
        ("crop", [1, 1, 1, 1, 0, 0, 0, 0]),
        ("fit_to_window", [1, 1, 1, 1, 0, 0, 0, 0]),
        ("fit_to_window_letterbox", [1, 1, 1, 1, 0, 0, 0, 0]),
    ],
)
def test_each_way_of_resizing(tmp_path: Path, kind: str, columns: list[int]) -> None:
    source = picture(tmp_path / "a.png", (80, 40))
    got = seen(same([1, 3, 8, 8]), source, tmp_path, {"resize_type": kind, "pad_value": "9"})[0, 0]
    row = {"fit_to_window": 1, "fit_to_window_letterbox": 4}.get(kind, 3)
    assert (got[row] > 100).astype(int).tolist() == columns
    padded = {"fit_to_window": [6, 7], "fit_to_window_letterbox": [0, 1, 6, 7]}.get(kind, [])
    assert [index for index in range(8) if (got[index] == 9).all()] == (
        [4, 5, *padded] if kind == "fit_to_window" else padded
    )


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"resize_type": "stretch"}, "resize_type 'stretch'"),
        ({"mean_values": "1 2"}, "mean_values has 2 values"),
    ],
)
def test_model_info_that_does_not_fit(tmp_path: Path, info: dict[str, str], message: str) -> None:
    with pytest.raises(LoadError, match="does not fit the inputs") as caught:
        run(same([1, 3, 4, 4], layout="NCHW"), picture(tmp_path / "a.png"), info=info)
    assert message in str(caught.value.found)


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    assert seen(same([1, 4]), tmp_path / "a.npy", tmp_path).tolist() == [[0, 1, 2, 3]]
    a, b = parameter([2], name="a"), parameter([2], name="b")
    np.savez(tmp_path / "b.npz", b=np.array([5.0, 6.0]))
    (result,) = run(compiled(ops.subtract(b, a), a, b), tmp_path / "b.npz")
    assert result["outputs"][0]["mean"] == 5.5


def sound(path: Path, samples: np.ndarray, width: int = 2, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(16000)
        if width == 1:
            data = (samples * 127 + 128).astype(np.uint8).tobytes()
        elif width == 3:
            data = b"".join(struct.pack("<i", int(s * (2**31 - 1)))[1:] for s in samples)
        else:
            data = (samples * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_sounds_of_every_width(tmp_path: Path, width: int) -> None:
    samples = np.array([0, 0.5, -0.5, 1.0])
    got = inputs.read_wav(sound(tmp_path / "a.wav", samples, width))
    np.testing.assert_allclose(got, samples, atol=0.02)
    stereo = inputs.read_wav(sound(tmp_path / "b.wav", samples, width, 2))
    np.testing.assert_allclose(stereo, [0.25, 0.25], atol=0.02)


def test_sound_is_cut_into_windows(tmp_path: Path) -> None:
    source = sound(tmp_path / "a.wav", np.linspace(0, 1, 10))
    results = run(same([1, 4]), source, save=tmp_path / "saved")
    assert [one["input"] for one in results] == ["a.wav[0]", "a.wav[1]", "a.wav[2]"]
    assert np.load(tmp_path / "saved" / "a.wav-2.npz")["y"][0, 2:].tolist() == [0, 0]
    (whole,) = run(same("[1,?]"), source)
    assert whole["outputs"][0]["shape"] == [1, 10]
    (silence,) = run(same("[?]"), sound(tmp_path / "b.wav", np.zeros(0)))
    assert silence["outputs"][0]["shape"] == [1]


def test_raw_bytes(tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    assert seen(same([2, 2]), source, tmp_path).tolist() == [[1, 2], [3, 4]]
    assert seen(same("[?,2,?]"), source, tmp_path).tolist() == [[[1, 2], [3, 4]]]


def npy(shape: str, values: int = 0) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4 * values)


def zipped(content: bytes, method: int | None = None, size: int | None = None) -> bytes:
    """Return an archive of the array "x" that lies about how it is packed, or how large it is."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    data = bytearray(made.getvalue())
    if method is not None:
        for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
            struct.pack_into("<H", data, data.find(signature) + offset, method)
    if size is not None:
        struct.pack_into("<I", data, data.find(b"PK\1\2") + 24, size)
    return bytes(data)


def png(width: int, height: int) -> bytes:
    """Return a picture that says how large it is, with the data of one of 64 x 64."""
    made = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(made, "PNG")
    data = bytearray(made.getvalue())
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "shape", "kind"),
    [
        ("a.npy", np.ones((3, 3)), [1, 4], np.float32),
        ("a.npz", {"z": np.ones(4)}, [1, 4], np.float32),
        ("a.npz", {}, [1, 4], np.float32),
        ("a.npy", b"broken", [1, 4], np.float32),
        ("a.npy", b"", [1, 4], np.float32),
        ("a.npy", npy("(100000000000,)"), ["?"], np.float32),
        ("a.npy", npy("(4,", 4), [1, 4], np.float32),
        ("a.npz", b"PK\3\4broken", [1, 4], np.float32),
        ("a.npz", zipped(b"broken"), [1, 4], np.float32),
        ("a.npz", zipped(npy("(100000000000,)")), ["?"], np.float32),
        ("a.npz", zipped(b"", size=1 << 31), ["?"], np.float32),
        ("a.npz", zipped(npy("(4,)", 4), method=99), [1, 4], np.float32),
        ("a.wav", b"broken", [1, 4], np.float32),
        ("a.wav", b"", [1, 4], np.float32),
        ("a.wav", np.zeros(4), [1, 4], np.int32),
        ("a.wav", np.zeros(4), [2, 4], np.float32),
        ("a.bin", b"12345", [1, 4], np.float32),
        ("a.bin", b"12345678", [1, 4], np.float32),
        ("a.png", b"broken", [1, 3, 4, 4], np.float32),
        ("a.png", None, [1, 4], np.float32),
        ("a.png", b"", [1, 3, 4, 4], np.float32),
        ("a.png", png(64, 64)[:-40], [1, 3, 4, 4], np.float32),
        ("a.png", png(60_000, 60_000), [1, 3, 4, 4], np.float32),
    ],
)
def test_input_that_does_not_fit_says_what_would(
    tmp_path: Path, name: str, content: Any, shape: list[int], kind: Any
) -> None:
    path = tmp_path / name
    if content is None:
        picture(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith("wav"):
        sound(path, content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(LoadError, match=f"{name} does not fit the inputs of this network") as caught:
        run(same(shape, kind), path)
    assert caught.value.exit_code == 8
    assert caught.value.found
    assert str(caught.value.expected).startswith("x [")


def test_input_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="does not exist"):
        run(same([1]), Path("/nowhere/a.png"))


def test_pictures_need_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="needs pillow"):
        run(same([1, 3, 4, 6]), source)


@given(st.lists(st.sampled_from([None, 1, 3, 4, 8, 16]), max_size=5))
def test_guess_of_a_layout_is_right_or_none(shape: list[int | None]) -> None:
    layout = ports.guess_layout(shape)
    if layout:
        assert len(shape) == 4
        assert shape[layout.index("C")] in {1, 3, 4}


# --- outputs


def test_results_stay_in_order_however_many_run_at_once(tmp_path: Path) -> None:
    for index in range(40):
        np.save(tmp_path / f"{index:02}.npy", np.full((1, 4), index))
    sources = sorted(tmp_path.glob("*.npy"))
    results = run(same([1, 4]), *sources)
    assert [one["input"] for one in results] == [path.name for path in sources]
    assert [one["outputs"][0]["mean"] for one in results] == list(range(40))
    json.dumps(results)


def test_top_classes_have_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.0, 3.0, 2.0]]))
    (result,) = run(same([1, 3]), tmp_path / "a.npy", info={"labels": "cat great_dane fox"}, top=2)
    assert [(one["index"], one["label"]) for one in result["top"]] == [(1, "great_dane"), (2, "fox")]
    assert result["top"][0]["score"] == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum(), rel=1e-5)
    (shifted,) = run(same([1, 3]), tmp_path / "a.npy", info={"labels": "cat fox"}, top=9)
    assert [one["label"] for one in shifted["top"]] == ["cat", "fox", "background"]


def test_what_looks_like_a_classification_and_what_does_not() -> None:
    probable, scores = np.array([[0.25, 0.75]], np.float32), np.array([[5.0, 9.0]], np.float32)
    assert outputs.class_scores({"y": probable}, {}) is not None
    assert outputs.class_scores({"y": scores}, {}) is None
    assert outputs.class_scores({"y": scores}, {"model_type": "Classification"}) is not None
    assert outputs.class_scores({"y": scores, "z": probable}, {}) is None
    assert outputs.class_scores({"y": scores, "z": probable}, {"labels": "a b c d e f"}) is None
    assert outputs.class_scores({"y": np.ones((2, 2), np.float32)}, {"labels": "a b c d"}) is None
    assert "label" not in outputs.top_classes(probable[0], 1, [])[0]


def test_summaries_of_odd_tensors() -> None:
    assert outputs.summarize("y", np.zeros((0, 2), np.float32)) == {
        "name": "y",
        "shape": [0, 2],
        "type": "float32",
    }
    assert outputs.summarize("y", np.array(["a"]))["shape"] == [1]
    assert outputs.summarize("y", np.array([True, False]))["mean"] == 0.5


def test_network_that_fails_says_on_what(tmp_path: Path) -> None:
    x = parameter("[?]")
    network = compiled(ops.reshape(x, ops.constant(np.array([2, 2])), special_zero=False), x)
    np.save(tmp_path / "a.npy", np.ones(5))
    with pytest.raises(LoadError, match=r"the network failed on a\.npy"):
        run(network, tmp_path / "a.npy")


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="is a file, not a folder"):
        run(same([1]), save=tmp_path / "file" / "saved")


# --- boxes and masks

SIZES: dict[str, tuple[int, int]] = {"image": (200, 100), "network": (10, 10)}


def test_rows_of_detection_output_become_boxes() -> None:
    rows = np.array(
        [
            [0, 1, 0.6, 0.1, 0.2, 0.5, 0.6],
            [0, 2, 0.9, 0, 0, 1, 1],
            [0, 1, 0.2, 0, 0, 1, 1],
            [-1, 1, 0.9, 0, 0, 1, 1],
        ],
        np.float32,
    ).reshape(1, 1, 4, 7)
    found = outputs.find_boxes({"y": rows}, {"model_type": "ssd", "labels": "none face"}, **SIZES)
    assert found is not None
    assert [(one["label"], round(one["score"], 3), one["box"]) for one in found] == [
        ("#2", 0.9, [0.0, 0.0, 200.0, 100.0]),
        ("face", 0.6, [20.0, 20.0, 100.0, 60.0]),
    ]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("standard", [20, 20, 100, 60]),
        ("crop", [60, 20, 100, 60]),
        ("fit_to_window", [20, 40, 100, 100]),
        ("fit_to_window_letterbox", [20, 0, 100, 70]),
    ],
)
def test_boxes_go_back_to_where_they_were_in_the_picture(kind: str, wanted: list[float]) -> None:
    outputs_ = {
        "boxes": np.array([[1, 2, 5, 6, 0.8]], np.float32),
        "labels": np.array([0]),
    }
    info = {"model_type": "SSD", "resize_type": kind}
    (found,) = outputs.find_boxes(outputs_, info, **SIZES) or []
    assert found["box"] == wanted


def test_boxes_with_scores_apart() -> None:
    outputs_ = {
        "boxes": np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], np.float32),
        "scores": np.array([[0.7, 0.4]], np.float32),
        "labels": np.array([[3, 4]]),
    }
    (found,) = outputs.find_boxes(outputs_, {"model_type": "ssd"}, **SIZES) or []
    assert (found["index"], found["box"]) == (3, [20.0, 20.0, 100.0, 60.0])
    del outputs_["scores"]
    assert len(outputs.find_boxes(outputs_, {"model_type": "ssd"}, **SIZES) or []) == 2


def test_yolo_in_columns_and_rows_with_overlaps_removed() -> None:
    columns = np.zeros((1, 6, 8), np.float32)
    for index, (x, score, kind) in enumerate([(5, 0.9, 0), (5.2, 0.8, 0), (5.1, 0.7, 1), (1, 0.6, 0)]):
        columns[0, :4, index] = (x, 5, 2, 2)
        columns[0, 4 + kind, index] = score
    info = {"model_type": "YOLOv8", "iou_threshold": "0.5"}
    found = outputs.find_boxes({"y": columns}, info, **SIZES)
    assert found is not None
    assert [(one["index"], round(one["score"], 2)) for one in found] == [(0, 0.9), (1, 0.7), (0, 0.6)]
    assert found[0]["box"] == [80.0, 40.0, 120.0, 60.0]
    rows = np.zeros((1, 9, 7), np.float32)
    rows[0, 0] = (5, 5, 2, 2, 0.8, 0.1, 0.9)
    (one,) = outputs.find_boxes({"y": rows}, {"model_type": "yolov5"}, **SIZES) or []
    assert (one["index"], round(one["score"], 2)) == (1, 0.72)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("Classification", (1, 1, 1, 7)), ("ssd", (1, 3)), ("yolo", (1, 3)), ("yolo", (1, 9, 5))],
)
def test_outputs_that_are_no_boxes(kind: str, shape: tuple[int, ...]) -> None:
    assert outputs.find_boxes({"y": np.zeros(shape, np.float32)}, {"model_type": kind}, **SIZES) is None


def test_masks() -> None:
    info = {"model_type": "Segmentation"}
    scores = np.zeros((1, 3, 2, 2), np.float32)
    scores[0, 2, 0, 0] = 1
    mask = outputs.segmentation_mask({"y": scores}, info)
    assert mask is not None
    assert mask.tolist() == [[2, 0], [0, 0]]
    single = outputs.segmentation_mask({"y": scores[:, 2:]}, info)
    assert single is not None
    assert single.tolist() == [[1, 0], [0, 0]]
    hard = outputs.segmentation_mask({"y": np.array([[[0, 7]]])}, info)
    assert hard is not None
    assert hard.tolist() == [[0, 7]]
    assert outputs.segmentation_mask({"y": scores}, {}) is None
    assert outputs.segmentation_mask({"y": np.zeros(3)}, info) is None


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    x = parameter([1, 3, 10, 20], layout="NCHW")
    rows = np.array([[[[0, 1, 0.9, 0.25, 0.25, 0.75, 0.75]]]], np.float32)
    zero = ops.multiply(ops.reduce_sum(x, ops.constant(np.array([0, 1, 2, 3]))), ops.constant(np.float32(0)))
    network = compiled(ops.add(ops.constant(rows), zero), x)
    source = tmp_path / "a.png"
    Image.new("RGB", (200, 100)).save(source)
    info = {"model_type": "ssd", "labels": "none face"}
    (result,) = run(network, source, info=info, save=tmp_path / "saved")
    assert result["boxes"][0]["box"] == [50.0, 25.0, 150.0, 75.0]
    assert [Path(path).name for path in result["saved"]] == ["a.png.npz", "a.png.found.png"]
    with Image.open(tmp_path / "saved" / "a.png.found.png") as drawn:
        pixels = np.asarray(drawn)
    assert pixels[50, 50].any()
    assert pixels[75, 100].any()
    assert not pixels[50, 100].any()
    assert not pixels[90, 10].any()


def test_mask_is_drawn_over_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (10, 10, 10)).save(tmp_path / "a.png")
    values = np.zeros((1, 1, 4, 4), np.float32)
    values[..., :2] = 1
    x = parameter([1, 3, 4, 4], layout="NCHW")
    zero = ops.multiply(ops.reduce_sum(x, ops.constant(np.array([0, 1, 2, 3]))), ops.constant(np.float32(0)))
    network = compiled(ops.add(ops.constant(values), zero), x)
    (result,) = run(network, tmp_path / "a.png", info={"model_type": "Segmentation"}, save=tmp_path / "saved")
    with Image.open(result["saved"][1]) as drawn:
        pixels = np.asarray(drawn)
    assert (pixels[20, 5] != 10).any()
    assert (pixels[20, 35] == 10).all()


def test_no_box_leaves_the_picture_as_it_is(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    draw_boxes(source, [], tmp_path / "b.png")
    with Image.open(source) as one, Image.open(tmp_path / "b.png") as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


# --- bench


def test_bench_measures_static_and_dynamic_models(tmp_path: Path) -> None:
    xml = support.network(tmp_path)
    figures = measure.bench(xml, device="CPU", seconds=1, hint="latency", cache=tmp_path / "c")
    assert figures["device"] == "CPU"
    assert 0 < figures["latency_min_ms"] <= figures["latency_ms"] <= figures["latency_max_ms"]
    assert figures["throughput_fps"] > 0
    assert figures["iterations"] >= 1
    pair = [parameter("[?,4]", name="a:0"), parameter("[?,4]", name="b")]
    ov.save_model(ov.Model([ops.add(*pair)], pair, "m"), tmp_path / "dynamic.xml")
    assert measure.bench(tmp_path / "dynamic.xml", device="CPU", seconds=1)["requests"] >= 1


def test_bench_of_what_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailableError):
        measure.bench(tmp_path / "m.xml", device="TPU")
    with pytest.raises(LoadError, match="OpenVINO cannot read"):
        measure.bench(tmp_path / "m.xml", device="CPU")
    xml = support.network(tmp_path)
    with pytest.raises(CompileError, match="benchmark_app failed on CPU") as caught:
        measure.bench(xml, device="CPU", seconds=1, hint="nonsense")
    assert "nonsense" in str(caught.value.found)


def test_bench_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_GRACE", -0.95)
    with pytest.raises(CompileError, match="did not end within"):
        measure.bench(support.network(tmp_path), device="CPU", seconds=1)


def test_open_sizes_are_named_to_benchmark_app(tmp_path: Path) -> None:
    x = parameter("[?,3,?,8]")
    ov.save_model(ov.Model([ops.relu(x)], [x], "m"), tmp_path / "m.xml")
    assert measure._shape_arguments(tmp_path / "m.xml") == ["-data_shape", "[1,3,32,8]"]


def test_size_out_of_bounds_fails_on_that_input(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3), np.float32))
    with pytest.raises(LoadError, match=r"the network failed on a\.npy"):
        run(same("[1,8..9]"), tmp_path / "a.npy")
