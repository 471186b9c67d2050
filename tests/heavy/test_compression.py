"""Weight compression and quantisation by NNCF: smaller, reported, and the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from PIL import Image

from model_zoo.errors import ConversionError, UnknownPrecisionError
from tests.conversion import support
from tests.conversion.support import entry, run, run_here
from tests.tools import require_module

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

Member = Callable[[str, str], Path]


@pytest.fixture(scope="module", autouse=True)
def nncf() -> Any:
    require_module("nncf")
    import nncf

    return nncf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small network: convolution, then two dense layers of 128."""
    ops, rng = ov.opset13, np.random.default_rng(4)

    def weights(*shape: int) -> Any:
        return ops.constant((rng.standard_normal(shape) / 8).astype(np.float32))

    image = ops.parameter([1, 3, 8, 8], np.float32, name="image")
    image.set_layout(ov.Layout("NCHW"))
    hidden = ops.relu(ops.convolution(image, weights(8, 3, 3, 3), [2, 2], [0, 0], [1, 1], [1, 1]))
    flat = ops.reshape(hidden, ops.constant(np.array([1, 128])), special_zero=False)
    dense = ops.relu(ops.matmul(flat, weights(128, 128), transpose_a=False, transpose_b=True))
    scores = ops.matmul(dense, weights(128, 128), transpose_a=False, transpose_b=True)
    scores.output(0).set_names({"scores"})
    folder = tmp_path_factory.mktemp("small")
    ov.save_model(ov.Model([scores], [image], "small"), folder / "net.xml", compress_to_fp16=False)
    return folder


def model(**recipe: Any) -> Any:
    precisions = ["FP32", "FP16", "INT8", "INT4", "FP16-INT8", "FP32-INT8"]
    return entry("openvino", "net.xml", "net.bin", recipe={"precisions": precisions, **recipe})


def types_in(xml: Path) -> set[str]:
    return {op.get_output_element_type(0).get_type_name() for op in ov.Core().read_model(xml).get_ops()}


@pytest.mark.parametrize(
    ("precision", "compress", "wanted", "most"),
    [
        ("INT8", None, "u8", 0.32),
        ("INT4", {"all_layers": True, "group_size": 32}, "i4", 0.25),
        ("INT4-ASYM", {"all_layers": True, "ratio": 1.0, "group_size": 64}, "u4", 0.25),
        ("NF4", {"all_layers": True, "group_size": 32}, "nf4", 0.25),
        ("INT8", {"mode": "int8_sym"}, "i8", 0.32),
    ],
)
def test_weights_are_compressed(
    folder: Path, tmp_path: Path, precision: str, compress: dict[str, Any] | None, wanted: str, most: float
) -> None:
    recipe = {"compress": compress} if compress else {}
    result = run_here(model(**recipe), folder, tmp_path, precision)
    assert wanted in types_in(tmp_path / "model.xml")
    assert (tmp_path / "model.bin").stat().st_size < most * (folder / "net.bin").stat().st_size
    (report,) = result["report"]["outputs"]
    assert result["report"]["data"] == "random"
    assert 0 < report["mean"] <= report["max"] < 0.5 * report["largest"]


def pictures(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(9)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (11, 13, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize("precision", ["FP16-INT8", "FP32-INT8"])
def test_quantised_with_pictures_the_same_way_twice(folder: Path, tmp_path: Path, precision: str) -> None:
    info = {"mean_values": [127.5] * 3, "scale_values": [127.5] * 3}
    recipe = {"quantize": {"preset": "mixed", "subset_size": 10, "fast_bias_correction": True}}
    one = entry("openvino", "net.xml", "net.bin", model_info=info, recipe=recipe)
    data = pictures(tmp_path / "data")
    made = [run(one, folder, tmp_path / name, precision, calibration=data) for name in ("one", "two")]
    assert made[0]["outputs"] == made[1]["outputs"]
    report = made[0]["report"]
    assert (report["data"], report["samples"]) == ("data", 8)
    assert 0 < report["outputs"][0]["max"] < report["outputs"][0]["largest"]
    ops = {op.get_type_name() for op in ov.Core().read_model(tmp_path / "one" / "model.xml").get_ops()}
    assert "FakeQuantize" in ops
    assert "i8" in types_in(tmp_path / "one" / "model.xml")
    assert str(tmp_path) not in (tmp_path / "one" / "model.xml").read_text()
    assert "nncf" in made[0]["parts"]["versions"]


def test_every_option_of_the_recipe_reaches_nncf(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.random.default_rng(1).random((4, 3, 8, 8), np.float32))
    ignored = [
        op.get_friendly_name()
        for op in ov.Core().read_model(folder / "net.xml").get_ops()
        if op.get_type_name() == "MatMul"
    ]
    quantize = {
        "preset": "performance",
        "target_device": "CPU",
        "model_type": "transformer",
        "fast_bias_correction": False,
        "ignored_scope": [ignored[0], "/.*Conv.*/"],
        "subset_size": 3,
    }
    run_here(model(quantize=quantize), folder, tmp_path / "q", "FP32-INT8", calibration=tmp_path / "data.npy")
    compress = {
        "mode": "INT4_SYM",
        "ratio": 0.5,
        "group_size": 32,
        "all_layers": True,
        "backup_mode": "int8_sym",
        "sensitivity_metric": "max_activation_variance",
        "awq": False,
        "scale_estimation": True,
        "ignored_scope": [ignored[0]],
        "subset_size": 2,
    }
    result = run_here(
        model(compress=compress), folder, tmp_path / "c", "INT4", calibration=tmp_path / "data.npy"
    )
    assert result["report"]["data"] == "data.npy"
    assert result["report"]["samples"] == 2


@pytest.mark.parametrize(
    ("precision", "recipe", "kind", "message"),
    [
        ("FP16-INT8", {}, ConversionError, "needs calibration data"),
        ("INT9", {}, UnknownPrecisionError, "the installed nncf does not support INT9"),
        (
            "INT4",
            {"compress": {"mode": "INT5"}},
            ConversionError,
            "recipe.compress.mode: nncf has no 'INT5'",
        ),
        (
            "INT4",
            {"compress": {"backup_mode": "x"}},
            ConversionError,
            "recipe.compress.backup_mode: nncf has no 'x'",
        ),
    ],
)
def test_bad_compression_is_named(
    folder: Path, tmp_path: Path, precision: str, recipe: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        run_here(model(**recipe), folder, tmp_path, precision)
    assert caught.value.exit_code == (2 if kind is UnknownPrecisionError else 7)  # type: ignore[attr-defined]


def test_noise_serves_when_asked_for_by_name(folder: Path, tmp_path: Path) -> None:
    recipe = {"quantize": {"subset_size": 4}}
    result = run_here(model(**recipe), folder, tmp_path, "FP16-INT8", calibration="random")
    assert result["report"]["data"] == "random"
    assert result["report"]["samples"] == 4


@pytest.mark.wheels
def test_real_reader_of_text_survives_compressed_weights(wheel_member: Member, tmp_path: Path) -> None:
    files = wheel_member("rapidocr==3.10.0", "rapidocr/models")
    recipe = {"inputs": [{"name": "x", "shape": [1, 3, 48, 320]}]}
    one = entry("onnx", "ch_ppocr_mobile_v2.0_cls_mobile.onnx", recipe=recipe)
    whole = run(one, files, tmp_path / "FP32")
    small = run(one, files, tmp_path / "INT8", "INT8")
    sizes = [made["outputs"][1]["size"] for made in (whole, small)]
    assert sizes[1] < 0.45 * sizes[0]
    inputs = np.random.default_rng(1).random((1, 3, 48, 320), np.float32)
    first, second = (
        next(iter(support.infer(tmp_path / kind / "model.xml", inputs).values())) for kind in ("FP32", "INT8")
    )
    np.testing.assert_allclose(second, first, atol=0.05)
