"""Labels, model_info, examples, calibration samples, builders: the smaller parts, each by itself."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from PIL import Image

from model_zoo.conversion import _empty as empty
from model_zoo.conversion.job import labels_of
from model_zoo.conversion.worker import (
    builders,
    calibrate,
    compress,
    explain,
    frameworks,
    main,
    ports,
    preprocess,
)
from model_zoo.conversion.worker.job import Job
from model_zoo.errors import ConversionError, MissingExtraError, UnsupportedModelError
from tests import tiny
from tests.conversion import support
from tests.conversion.support import entry, run


def job(framework: str = "pytorch", folder: Path = Path(), **fields: Any) -> Job:
    return Job(framework=framework, files=folder, staging=folder, **{"precision": "FP32", **fields})


# --- labels


@pytest.mark.parametrize(
    ("text", "key", "wanted"),
    [
        ("cat\ngreat dane\n", None, ["cat", "great dane"]),
        ('["a", "b"]', None, ['["a", "b"]']),
        ('{"x": {"names": ["a", 7]}}', "x.names", ["a", "7"]),
        ('{"id2label": {"1": "b", "0": "a"}}', "id2label", ["a", "b"]),
        ('[{"n": ["a"]}]', "0.n", ["a"]),
    ],
)
def test_labels_come_out_of_a_file_of_the_model(
    tmp_path: Path, text: str, key: str | None, wanted: list[str]
) -> None:
    (tmp_path / "l.txt").write_text(text)
    labels = {"artifact": "l.txt"} | ({"key": key} if key else {})
    assert labels_of(entry("onnx", "l.txt", labels=labels), tmp_path) == wanted


@pytest.mark.parametrize(
    ("text", "key"), [("{}", "x"), ("nothing", "x"), ('{"x": 3}', "x"), ('{"x": 3}', "x.y")]
)
def test_file_without_the_labels_is_refused(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(ConversionError, match="has no labels where"):
        labels_of(entry("onnx", "l.txt", labels={"artifact": "l.txt", "key": key}), tmp_path)
    with pytest.raises(ConversionError, match="has no labels where"):
        labels_of(entry("onnx", "l.txt", labels={"artifact": "other.txt"}), tmp_path)


def test_labels_of_the_entry_itself_and_none() -> None:
    assert labels_of(entry("onnx", "m", labels=["a", "b"]), Path()) == ["a", "b"]
    assert labels_of(entry("onnx", "m"), Path()) is None
    with pytest.raises(ConversionError, match="not read with the catalog"):
        labels_of(entry("onnx", "m", labels={"file": "x.txt"}), Path())


# --- model_info


def test_model_info_is_text_as_its_readers_want_it(tmp_path: Path) -> None:
    xml = support.network(tmp_path / "files")
    info = {
        "topk": 5,
        "multilabel": False,
        "embedded_processing": True,
        "mean_values": [1, 2.5],
        "x": {"a": 1},
    }
    model = entry("openvino", "net.xml", "net.bin", model_info=info, labels=["great dane", "", "cat"])
    support.run_here(model, xml.parent, tmp_path / "ir")
    found = ov.Core().read_model(tmp_path / "ir" / "model.xml").get_rt_info(["model_info"]).value
    assert {k: getattr(v, "value", v) for k, v in found.items()} == {
        "topk": "5",
        "multilabel": "False",
        "embedded_processing": "True",
        "mean_values": "1 2.5",
        "labels": "great_dane _ cat",
        "x": "{'a': 1}",
    }


def test_labels_that_model_info_has_stay() -> None:
    one = job(model_info={"labels": ["x"]}, labels=["a"])
    assert preprocess.model_info(one, None) == {"labels": "x"}  # type: ignore[arg-type]


# --- examples


def test_examples_follow_the_recipe() -> None:
    inputs = [
        {"name": "image", "shape": ["?", 3, "32..64", "..40"], "type": "u8"},
        {"name": "ids", "shape": [2, -1], "type": "i64"},
        {"name": "mask", "shape": [1, 4], "type": "boolean"},
        {"name": "half", "shape": [1], "type": "f16", "mean": 2.0},
        {"name": "big", "shape": [1, "70.."]},
    ]
    made = builders.examples_of(job(recipe={"inputs": inputs}))
    assert {k: (v.shape, str(v.dtype)) for k, v in made.items()} == {
        "image": ((1, 3, 64, 40), "float32"),
        "ids": ((2, 64), "int64"),
        "mask": ((1, 4), "bool"),
        "half": ((1,), "float32"),
        "big": ((1, 70), "float32"),
    }
    again = builders.examples_of(job(recipe={"inputs": inputs}))
    np.testing.assert_array_equal(made["image"], again["image"])


def test_recipe_may_give_examples_themselves() -> None:
    stated = {"a": {"shape": [2], "type": "i32", "fill": 7}, "b": [[1.5, 2]], "c": 16000}
    made = builders.examples_of(job(recipe={"example": stated}))
    assert made["a"].tolist() == [7, 7]
    assert made["a"].dtype == np.int32
    assert made["b"].tolist() == [[1.5, 2]]
    assert made["c"].tolist() == 16000
    typed = builders.examples_of(
        job(recipe={"example": {"c": 16000}, "inputs": [{"name": "c", "type": "i64"}]})
    )
    assert typed["c"].dtype == np.int64


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, "the recipe has no inputs"),
        ({"inputs": [{"name": "x"}]}, "x has no shape"),
        ({"inputs": [{"name": "x", "shape": [1]}], "example": {"y": 1}}, "recipe.inputs has no y"),
    ],
)
def test_examples_that_cannot_be_made(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        builders.examples_of(job(recipe=recipe))


# --- builders


def test_trusted_code_of_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = builders.callable_of(job(trust_code=True), {"module": "numpy.linalg", "callable": "norm"})
    assert found is np.linalg.norm


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ({"module": "pathlib", "callable": "Path"}, "which is not trusted(.|\n)*pathlib.Path"),
        ({"module": "numpy", "callable": "array", "paths": ["."]}, "which is not trusted"),
        (
            {"module": "numpy", "callable": "nothing.here", "trusted": True},
            "the module 'numpy' has no 'nothing.here'",
        ),
    ],
)
def test_builders_that_may_not_run_or_are_not_there(
    builder: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(ConversionError, match=message):
        builders.callable_of(job(trust_code=builder.pop("trusted", False)), builder)


def test_trusted_module_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "lib").mkdir()
    builder = {"module": "no_such_net", "callable": "make", "paths": ["lib"]}
    with pytest.raises(MissingExtraError, match="no_such_net is not installed"):
        builders.callable_of(job(folder=tmp_path, trust_code=True), builder)
    with pytest.raises(ConversionError, match="the model has no file 'other'"):
        builders.callable_of(job(folder=tmp_path, trust_code=True), {**builder, "paths": ["other"]})
    with pytest.raises(ConversionError, match="is built by code, but the recipe names none"):
        builders.builder_of(job())


@pytest.mark.parametrize(
    ("framework", "recipe", "what"),
    [
        ("pytorch", {"builder": {"torchvision": "resnet18"}}, "torch, torchvision"),
        ("keras", {}, "tensorflow-cpu, keras"),
        ("jax", {"builder": {"module": "numpy", "callable": "x"}}, "jax, jaxlib"),
        ("onnx", {}, "nncf"),
    ],
)
def test_missing_packages_name_the_extra_and_the_way_around(
    tmp_path: Path, framework: str, recipe: dict[str, Any], what: str
) -> None:
    """Versions as where nothing is installed; heavy packages may be, here."""
    model = entry(framework, "m.h5", recipe=recipe)
    versions = {"openvino": "1", **dict.fromkeys(what.split(", "))}
    precision = "INT8" if framework == "onnx" else "FP32"
    with pytest.raises(MissingExtraError, match=f"needs {what}, which (is|are) not installed") as caught:
        run(model, tmp_path, tmp_path / "ir", precision, parts={"versions": versions, "inputs": []})
    assert caught.value.exit_code == 7
    assert "--python" in str(caught.value.hint)
    assert f"pip install {what.replace(',', '')}" in str(caught.value.hint)
    assert ("--precision INT8" in str(caught.value.hint)) == (framework == "onnx"), (
        "else the default is meant"
    )


@pytest.mark.parametrize(("framework", "file"), [("pytorch", "m.pt"), ("keras", "m.h5"), ("jax", None)])
def test_framework_that_cannot_be_imported_is_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framework: str, file: str | None
) -> None:
    for name in ("torch", "tensorflow", "keras", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="cannot be imported"):
        frameworks.reader(framework).read(job(framework, tmp_path, source=tmp_path / str(file)))


def test_nncf_that_cannot_be_imported_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match="needs nncf"):
        compress.apply(job("onnx", precision="INT8"), None, {}, print)  # type: ignore[arg-type]


# --- names


def test_ports_are_named_by_position_where_they_have_other_names(tmp_path: Path) -> None:
    model = ov.Core().read_model(support.network(tmp_path))
    ports.name_ports(job(recipe={"inputs": [{"name": "in"}], "outputs": ["one", "two"]}), model)
    assert [port.get_names() for port in model.inputs] == [{"in"}]
    assert [port.get_names() for port in model.outputs] == [{"one"}, {"two"}]
    ports.name_ports(job(recipe={"inputs": [{"name": "in"}], "outputs": ["one"]}), model)
    assert [port.get_names() for port in model.outputs] == [{"one"}, {"two"}]
    with pytest.raises(ConversionError, match="names 2 inputs, but the network has 1"):
        ports.name_ports(job(recipe={"inputs": [{"name": "a"}, {"name": "b"}]}), model)


# --- calibration


@pytest.fixture
def network(tmp_path: Path) -> ov.Model:
    return ov.Core().read_model(support.network(tmp_path / "net"))


def test_noise_is_the_same_every_time(network: ov.Model) -> None:
    first, second = (calibrate.noise(network, 3) for _ in range(2))
    assert len(first) == 3
    np.testing.assert_array_equal(first[2]["image"], second[2]["image"])
    assert not np.array_equal(first[0]["image"], first[1]["image"])


def test_noise_fits_types_and_open_sizes() -> None:
    ops = ov.opset13
    kinds = {"f": np.float16, "u": np.uint8, "i": np.int64, "b": np.bool_}
    ports = [
        ops.parameter(ov.PartialShape("[?,?,2..4,8..]"), kind, name=name) for name, kind in kinds.items()
    ]
    model = ov.Model([ops.convert(port, "f32") for port in ports], ports, "m")
    (sample,) = calibrate.noise(model, 1)
    assert {k: (v.shape, v.dtype) for k, v in sample.items()} == {
        name: ((1, 32, 4, 32), np.dtype(kind)) for name, kind in kinds.items()
    }
    assert sample["u"].max() > 100


def test_samples_from_arrays_pictures_and_folders(tmp_path: Path, network: ov.Model) -> None:
    data = tmp_path / "data"
    data.mkdir()
    stack = np.arange(5 * 48, dtype=np.float64).reshape(5, 3, 4, 4)
    np.save(data / "a.npy", stack)
    found = calibrate.read(data / "a.npy", network, {}, 99)
    assert [one["image"].shape for one in found] == [(1, 3, 4, 4)] * 5
    assert found[0]["image"].dtype == np.float32
    np.savez(data / "b.npz", image=stack[:, None])
    assert len(calibrate.read(data / "b.npz", network, {}, 3)) == 3
    Image.fromarray(np.full((9, 9, 3), 200, np.uint8)).save(data / "c.png")
    (picture,) = calibrate.read(
        data / "c.png", network, {"mean_values": "100 100 100", "scale_values": "50"}, 9
    )
    assert picture["image"].tolist() == np.full((1, 3, 4, 4), 2.0).tolist()
    (data / "notes.txt").write_text("not a sample")
    assert len(calibrate.read(data, network, {}, 99)) == 11
    assert len(calibrate.read(data, network, {}, 6)) == 6


def test_dynamic_batch_takes_a_whole_array_as_one_sample(tmp_path: Path) -> None:
    ops = ov.opset13
    x = ops.parameter([-1, 2], np.float32, name="x")
    model = ov.Model([ops.relu(x)], [x], "m")
    np.save(tmp_path / "a.npy", np.ones((7, 2)))
    (sample,) = calibrate.read(tmp_path / "a.npy", model, {}, 9)
    assert sample["x"].shape == (7, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", np.ones((2, 2)), r"image has shape \[2, 2\]"),
        ("a.npz", {"other": np.ones(1)}, "it has arrays for other"),
        ("a.png", b"no picture", "cannot identify image"),
        ("a.txt", b"text", "contains no image"),
        ("a.npy", b"broken", "cannot be used"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    tmp_path: Path, network: ov.Model, name: str, content: Any, message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(ConversionError, match=message) as caught:
        calibrate.read(path, network, {}, 9)
    assert caught.value.exit_code == 7


def test_arrays_of_different_counts_and_pictures_for_two_inputs(tmp_path: Path) -> None:
    ops = ov.opset13
    pair = [ops.parameter([1, 3, 4, 4], np.float32, name=name) for name in "ab"]
    model = ov.Model([ops.add(*pair)], pair, "m")
    np.savez(tmp_path / "a.npz", a=np.ones((2, 3, 4, 4)), b=np.ones((3, 3, 4, 4)))
    with pytest.raises(ConversionError, match="different numbers of samples"):
        calibrate.read(tmp_path / "a.npz", model, {}, 9)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ConversionError, match="the network has 2"):
        calibrate.read(tmp_path / "a.png", model, {}, 9)


def test_picture_needs_a_known_layout_and_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = ov.opset13
    x = ops.parameter([1, 8, 8, 8], np.float32, name="x")
    model = ov.Model([ops.relu(x)], [x], "m")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ConversionError, match="the layout of x"):
        calibrate.read(tmp_path / "a.png", model, {}, 9)
    x.set_layout(ov.Layout("NCHW"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="needs pillow"):
        calibrate.read(tmp_path / "a.png", model, {}, 9)


def test_samples_must_be_named_somewhere(tmp_path: Path, network: ov.Model) -> None:
    one = job("onnx", tmp_path, precision="FP16-INT8")
    with pytest.raises(ConversionError, match="FP16-INT8 needs calibration data") as caught:
        calibrate.samples_of(one, network, {}, dataset=None, limit=5)
    assert "--calibrate" in str(caught.value.hint)
    with pytest.raises(ConversionError, match="the model has no file 'data.npz'"):
        calibrate.samples_of(one, network, {}, dataset="data.npz", limit=5)
    samples, data = calibrate.samples_of(one, network, {}, dataset="random", limit=5)
    assert (len(samples), data) == (5, "random")
    np.save(tmp_path / "data.npy", np.ones((1, 3, 4, 4)))
    assert calibrate.samples_of(one, network, {}, dataset="data.npy", limit=5)[1] == "data.npy"
    own = job("onnx", tmp_path, precision="FP16-INT8", calibration=str(tmp_path / "data.npy"))
    assert len(calibrate.samples_of(own, network, {}, dataset="other.npy", limit=5)[0]) == 1


# --- the report of lower precisions


def test_differences_of_outputs_are_measured(tmp_path: Path) -> None:
    ops = ov.opset13

    def model(factor: float, size: int = 2) -> ov.Model:
        x = ops.parameter([1, 2], np.float32, name="x")
        scaled = ops.multiply(x, ops.constant(np.float32(factor)), name="y")
        return ov.Model([scaled, ops.tile(x, ops.constant(np.array([1, size])))], [x], "m")

    samples = [{"x": np.array([[1, 3]], np.float32)}, {"x": np.array([[-4, 0]], np.float32)}]
    first, second = compress.compare(model(2), model(2.5), samples)
    assert (first["max"], first["mean"], first["largest"]) == (2.0, 1.0, 8.0)
    assert (second["max"], second["mean"]) == (0.0, 0.0)
    assert compress.compare(model(2), model(2, 3), samples)[1]["max"] is None


# --- the worker's own


def test_errors_of_frameworks_become_ours() -> None:
    plain = explain.explain(
        ValueError("Exception from src/x.cpp:3:\nCheck 'x' failed at y\nthe shape is wrong")
    )
    assert isinstance(plain, ConversionError)
    assert plain.what == "conversion failed: ValueError: the shape is wrong"
    assert explain.explain(RuntimeError("")).what == "conversion failed: RuntimeError: "
    listed = explain.explain(
        RuntimeError("Summary:\n-- No conversion rule found for operations: aten::x, y::z\n")
    )
    assert isinstance(listed, UnsupportedModelError)
    assert "aten::x, y::z" in listed.what


def test_peak_memory_is_of_this_process() -> None:
    peak = main.peak_memory()
    assert peak is not None
    assert 20 << 20 < peak < 20 << 30


def test_main_leaves_an_answer_for_good_and_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, without what would be irreversible here."""
    monkeypatch.setattr(main, "_take_stdout", lambda: print)
    monkeypatch.setattr(main.system, "end_with_parent", lambda: None)
    monkeypatch.setattr(main, "forbid_network", lambda: None)
    (tmp_path / "m.onnx").write_bytes(tiny.tiny_onnx())
    request = {
        "framework": "onnx",
        "files": str(tmp_path),
        "staging": str(tmp_path),
        "source": str(tmp_path / "m.onnx"),
        "precision": "FP16",
    }
    answers = []
    for change in ({}, {"recipe": {"inputs": [{"name": "nope"}]}}, {"source": str(tmp_path / "gone.onnx")}):
        (tmp_path / "request.json").write_text(json.dumps(request | change))
        main.main(str(tmp_path))
        answers.append(json.loads((tmp_path / "answer.json").read_text()))
    assert answers[0]["result"]["ports"]["inputs"][0]["name"] == "x"
    assert math.isfinite(answers[0]["result"]["seconds"])
    assert answers[1]["error"]["class"] == "ConversionError"
    assert (
        answers[1]["error"].keys()
        == answers[2]["error"].keys()
        == {"class", "what", "expected", "found", "hint"}
    )


def test_peak_memory_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **_: Any) -> str:
        raise OSError(self)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert main.peak_memory() is None


def test_staging_is_emptied_of_whatever_lies_there(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    empty(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"), [("gone.so", "the model has no file 'gone.so'"), ("bad.so", "bad.so")]
)
def test_extension_that_cannot_be_loaded(tmp_path: Path, name: str, message: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "m.onnx").write_bytes(tiny.tiny_onnx())
    (files / "bad.so").write_bytes(b"no library")
    model = entry("onnx", "m.onnx", recipe={"extensions": [name], "outputs": ["y"]})
    with pytest.raises(ConversionError, match=message) as caught:
        run(model, files, tmp_path / "ir", trust_code=True)
    assert caught.value.exit_code == 7


def test_extensions_of_a_ready_ir_are_loaded_too(tmp_path: Path) -> None:
    support.network(tmp_path / "files")
    (tmp_path / "files" / "bad.so").write_bytes(b"no library")
    model = entry("openvino", "net.xml", "net.bin", "bad.so", recipe={"extensions": ["bad.so"]})
    with pytest.raises(ConversionError, match=r"bad\.so"):
        run(model, tmp_path / "files", tmp_path / "ir", trust_code=True)


def test_file_of_no_format_has_no_frontend(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    model = entry("onnx", "m.onnx", recipe={"outputs": ["y"]})
    with pytest.raises(ConversionError):
        run(model, tmp_path, tmp_path / "ir")
