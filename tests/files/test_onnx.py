"""External data of ONNX files, found without the onnx package."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.formats.onnx import external_files
from tests.tiny import external_onnx, tiny_onnx


def test_locations(tmp_path):
    (tmp_path / "m.onnx").write_bytes(external_onnx("weights/m.data"))
    assert external_files(tmp_path / "m.onnx") == ["weights/m.data"]
    (tmp_path / "n.onnx").write_bytes(tiny_onnx())
    assert external_files(tmp_path / "n.onnx") == []


@pytest.mark.parametrize("data", [b"", b"\x3a\xff", b"\x3a\x02\x2a\x7f", b"\xff" * 20, b"\x07"])
def test_what_is_not_onnx(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ValueError, match="ONNX|empty"):
        external_files(tmp_path / "m.onnx")


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_end_well(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("x") / "m.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ValueError):
        external_files(path)
