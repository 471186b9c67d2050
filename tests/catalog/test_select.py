"""References: names, precisions behind them, paths, and what is said of those that are none."""

from __future__ import annotations

import re

import pytest

from model_zoo.catalog import Reference, builtin_catalog, parse_reference, pick_precision, read_model
from model_zoo.catalog.references import unknown_model
from model_zoo.errors import UnknownPrecisionError, UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.onnx").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", ("name", None, None, None)),
        ("name@fp16", ("name", "FP16", None, None)),
        ("my.onnx", ("my.onnx", None, "file:my.onnx", None)),
        ("my.onnx@fp16", ("my.onnx", "FP16", "file:my.onnx", "FP16")),
        ("./my.onnx@FP16-INT8", (None, None, "file:./my.onnx", "FP16-INT8")),
        ("./my.onnx", (None, None, "file:./my.onnx", None)),
        ("file:my.onnx@FP16", (None, None, "file:my.onnx", "FP16")),
        ("file:nofile@FP16", (None, None, "file:nofile@FP16", None)),
        ("file:///my.onnx@FP16", (None, None, "file:///my.onnx@FP16", None)),
        ("hf:org/repo@v1/m.onnx", (None, None, "hf:org/repo@v1/m.onnx", None)),
    ],
)
def test_references(here, text, expected):
    assert parse_reference(text) == Reference(text, *expected)


def test_a_file_with_an_at_sign_in_its_name_is_that_file(here):
    (here / "my.onnx@FP16").write_bytes(b"")
    assert parse_reference("./my.onnx@FP16") == Reference("./my.onnx@FP16", uri="file:./my.onnx@FP16")
    found = parse_reference("my.onnx@FP16")
    assert (found.uri, found.uri_precision) == ("file:my.onnx@FP16", None)
    assert parse_reference("file:my.onnx@FP16").uri == "file:my.onnx@FP16"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./no.onnx", "no such file or folder: './no.onnx'"),
        ("./no.onnx@FP16", "no such file or folder: './no.onnx'"),
        ("a/no.safetensors@INT8", "no such file or folder: 'a/no.safetensors'"),
        ("org/repo", "'org/repo' is neither a model name"),
        ("my.onnx@", "'my.onnx@' is neither"),
    ],
)
def test_what_is_no_reference(here, text, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        parse_reference(text)


@pytest.mark.parametrize("ending", ["onnx", "xml", "tflite", "pdmodel", "pb", "pth", "safetensors", "ONNX"])
def test_the_name_of_a_file_is_called_one(ending):
    error = unknown_model(f"net.{ending}", ["network"])
    assert error.what == f"no such file: 'net.{ending}', and no catalog has a model of that name"
    assert error.hint == "check the path"


def test_a_precision_on_its_own():
    assert "NAME@FP16" in unknown_model("fp16", ["fp16-net"]).hint


def test_what_can_be_asked_for_is_named():
    model = read_model(builtin_catalog() / "google" / "magika-standard-v3.yaml")
    assert [pick_precision(model, wish) for wish in (None, "fp16", "int8")] == ["FP32", "FP16", "INT8"]
    with pytest.raises(UnknownPrecisionError, match="is not available in FP8") as caught:
        pick_precision(model, "FP8")
    assert caught.value.expected == "FP32, FP16; INT8 or INT4 with NNCF"
    with pytest.raises(UnknownPrecisionError, match="no such precision") as caught:
        pick_precision(model, "FP61")
    assert caught.value.hint == "did you mean FP16?"
    ready = read_model(builtin_catalog() / "omz" / "face-detection-adas-0001.yaml")
    with pytest.raises(UnknownPrecisionError) as caught:
        pick_precision(ready, "INT4")
    assert caught.value.expected == ", ".join(ready.precisions)
