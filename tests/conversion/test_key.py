"""What determines an IR, and what does not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.conversion import differences, ir_key, key_parts, toolchain
from model_zoo.conversion.key import optional
from model_zoo.errors import ConversionError, UsageError
from model_zoo.schema import Artifact, FileEntry
from model_zoo.sources.tfhub import TfhubSource
from tests.conversion.support import entry

if TYPE_CHECKING:
    from pathlib import Path

FILES = [FileEntry(path="b.onnx", size=1, sha256="b" * 64), FileEntry(path="a.bin", size=1, sha256="a" * 64)]
VERSIONS = {"openvino": "2026.1-7"}
PLAIN = {"recipe": {"inputs": [{"name": "x", "mean": [1.0, 2.0]}]}, "model_info": {"topk": 5}}


def key(
    model: Any, precision: str = "FP32", inputs: Any = FILES, versions: Any = VERSIONS, **more: Any
) -> str:
    return ir_key(key_parts(model, precision, inputs, versions, **more))


def test_key_is_a_sha256_of_parts_that_survive_json() -> None:
    parts = key_parts(entry("onnx", "b.onnx", **PLAIN), "FP32", FILES, VERSIONS)
    assert json.loads(json.dumps(parts)) == parts
    assert len(ir_key(parts)) == 64
    assert ir_key(json.loads(json.dumps(parts))) == ir_key(parts)
    assert parts["inputs"] == [["a.bin", "a" * 64], ["b.onnx", "b" * 64]]
    assert parts["versions"] == VERSIONS


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"task": "other"},
        {"license": "Apache-2.0"},
        {"description": "Other."},
        {"artifacts": [{"path": "b.onnx", "size": 1, "sources": [{"url": "https://example.org/x"}]}]},
        {"recipe": {**PLAIN["recipe"], "precisions": ["FP16"]}},
        {"recipe": {**PLAIN["recipe"], "compress": {"mode": "INT4_SYM"}, "quantize": {"preset": "mixed"}}},
        {"recipe": {**PLAIN["recipe"], "dynamo": False}},
    ],
)
def test_what_does_not_change_the_bytes_does_not_change_the_key(change: dict[str, Any]) -> None:
    if "artifacts" in change:
        change = {"artifacts": [{"path": "b.onnx", "size": 1}]}
    assert key(entry("onnx", "b.onnx", **PLAIN)) == key(entry("onnx", "b.onnx", **{**PLAIN, **change}))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"recipe": {"inputs": [{"name": "x", "mean": [1.0, 3.0]}]}},
            "recipe.inputs[0].mean[1]: now 3.0, cached 2.0",
        ),
        ({"model_info": {}}, "model_info.topk: now absent, cached 5"),
        ({"labels": ["a"]}, "labels: now "),
        ({"labels": {"artifact": "b.onnx", "key": "x"}}, "labels: now "),
        ({"recipe": {"outputs": ["y"]}}, "recipe.outputs: now "),
    ],
)
def test_what_changes_the_bytes_changes_the_key_and_is_named(change: dict[str, Any], line: str) -> None:
    before = key_parts(entry("onnx", "b.onnx", **PLAIN), "FP32", FILES, VERSIONS)
    after = key_parts(entry("onnx", "b.onnx", **{**PLAIN, **change}), "FP32", FILES, VERSIONS)
    assert ir_key(before) != ir_key(after)
    lines = differences(after, before)
    assert any(one.startswith(line) for one in lines), lines
    assert differences(before, before) == []


def test_each_part_is_named_when_it_differs() -> None:
    model = entry("onnx", "b.onnx")
    before = key_parts(model, "FP32", FILES, VERSIONS)
    other = [FILES[0], FileEntry(path="c.bin", size=2, sha256="c" * 64)]
    after = key_parts(model, "FP16", other, {"openvino": "2026.2-8", "nncf": "3.4.0"})
    assert differences(after, before) == [
        f"inputs.a.bin: now absent, cached {'a' * 64}",
        f"inputs.c.bin: now {'c' * 64}, cached absent",
        "precision: now FP16, cached FP32",
        "versions.nncf: now 3.4.0, cached absent",
        "versions.openvino: now 2026.2-8, cached 2026.1-7",
    ]


def test_long_values_are_shortened() -> None:
    (line,) = differences({"recipe": {"example": list(range(99))}}, {"recipe": {"example": "short"}})
    assert len(line) < 130
    assert "…" in line


def test_compression_counts_only_where_it_is_used() -> None:
    plain = {"quantize": {"preset": "mixed"}, "compress": {"mode": "INT4_SYM"}}
    other = {"quantize": {"preset": "performance"}, "compress": {"mode": "INT4_ASYM"}}
    for precision, changes in (("FP16", False), ("INT4", True), ("FP16-INT8", True)):
        keys = {key(entry("onnx", "b.onnx", recipe=recipe), precision) for recipe in (plain, other)}
        assert (len(keys) == 2) == changes


def test_calibration_data_counts_by_content(tmp_path: Path) -> None:
    model = entry("onnx", "b.onnx")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.ones(3))
    keys = [key(model, "FP16-INT8", calibration=tmp_path / name) for name in ("one", "two")]
    assert keys[0] == keys[1]
    single = key(model, "FP16-INT8", calibration=tmp_path / "one" / "x.npy")
    (tmp_path / "two" / "y.npy").touch()
    more = key(model, "FP16-INT8", calibration=tmp_path / "two")
    noise = key(model, "FP16-INT8", calibration="random")
    assert len({keys[0], single, more, noise, key(model, "FP16-INT8")}) == 5
    assert key(model, "FP32", calibration="random") == key(model, "FP32")


def test_calibration_data_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        key(entry("onnx", "b.onnx"), "FP16-INT8", calibration=tmp_path / "nowhere")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", max_size=2), JSON), st.dictionaries(st.text("abc", max_size=2), JSON))
def test_parts_differ_exactly_when_keys_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    lines = differences(one, other)
    if one == other:
        assert lines == []
    elif {k: v for k, v in one.items() if v is not None} != {k: v for k, v in other.items() if v is not None}:
        assert ir_key(one) != ir_key(other)


@given(st.permutations(FILES))
def test_order_of_the_files_does_not_count(files: list[FileEntry]) -> None:
    assert key(entry("onnx", "b.onnx"), inputs=files) == key(entry("onnx", "b.onnx"))


# --- versions


def test_toolchain_carries_the_build_and_imports_nothing() -> None:
    versions = toolchain(entry("onnx", "m.onnx"), "FP32")
    import openvino

    assert list(versions) == ["openvino"]
    assert openvino.get_version().startswith(str(versions["openvino"]))
    assert "-" in str(versions["openvino"])


@pytest.mark.parametrize(
    ("framework", "recipe", "precision", "names"),
    [
        ("pytorch", {"builder": {"torchvision": "resnet18"}}, "FP16", ["torch", "torchvision"]),
        (
            "pytorch",
            {"builder": {"module": "no_net.deep", "callable": "x"}},
            "FP32",
            ["torch", "module:no_net"],
        ),
        ("pytorch", {"builder": {"module": "net", "callable": "x", "paths": ["."]}}, "FP32", ["torch"]),
        ("keras", {}, "FP32", ["tensorflow-cpu", "keras"]),
        ("jax", {"builder": {"module": "net", "callable": "x", "paths": ["."]}}, "FP32", ["jax", "jaxlib"]),
        ("tensorflow", {}, "FP32", []),
        (
            "tensorflow",
            {"builder": {"module": "a_b", "callable": "x"}},
            "FP32",
            ["tensorflow-cpu", "module:a_b"],
        ),
        ("onnx", {}, "INT8", ["nncf"]),
        ("onnx", {}, "FP32-INT8", ["nncf"]),
    ],
)
def test_toolchain_has_only_what_the_recipe_needs(
    framework: str, recipe: dict[str, Any], precision: str, names: list[str]
) -> None:
    versions = toolchain(entry(framework, "m.bin", recipe=recipe), precision)
    assert list(versions) == ["openvino", *names]


def test_module_and_package_may_have_different_names() -> None:
    model = entry("onnx", "m.onnx", recipe={"builder": {"module": "yaml", "callable": "x"}})
    assert toolchain(model, "FP32")["PyYAML"] == yaml.__version__


def test_ready_ir_of_a_low_precision_needs_no_nncf() -> None:
    model = entry("openvino", artifacts=[{"path": "m.xml", "precision": "INT8"}])
    assert list(toolchain(model, "INT8")) == ["openvino"]


def test_models_of_tensorflow_hub_may_use_tensorflow() -> None:
    handle = "https://tfhub.dev/google/nnlm-en-dim50/2"
    artifact = Artifact(path="m", sources=(TfhubSource(tfhub=handle),))
    model = msgspec.structs.replace(entry("tensorflow", "m"), artifacts=(artifact,))
    assert list(toolchain(model, "FP32")) == ["openvino", "tensorflow-cpu"]
    assert optional(model) == {"tensorflow-cpu"}


def test_another_interpreter_is_asked(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    model = entry("onnx", "m.onnx")
    assert toolchain(model, "INT8", python=str(script)) == {"openvino": None, "nncf": None}
    assert toolchain(model, "FP32", python=sys.executable) == toolchain(model, "FP32")


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (None, UsageError, "cannot be started"),
        ("echo broken >&2; exit 3", UsageError, "failed: broken"),
        ("echo gibberish", ConversionError, "does not behave like Python"),
    ],
)
def test_interpreter_that_does_not_work(
    tmp_path: Path, script: str | None, kind: type[Exception], message: str
) -> None:
    path = tmp_path / "python"
    if script is not None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    with pytest.raises(kind, match=message):
        toolchain(entry("onnx", "m.onnx"), "FP32", python=str(path))
