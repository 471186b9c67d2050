"""Latency and throughput through OpenVINO's benchmark_app."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov
import pytest

from model_zoo.errors import CompileError, DeviceUnavailableError, LoadError, UsageError
from model_zoo.runtime import measure
from tests.conversion import support
from tests.runtime.networks import ops, parameter

if TYPE_CHECKING:
    from pathlib import Path


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
    assert measure._shape_arguments(tmp_path / "m.xml", {}) == ["-data_shape", "[1,3,32,8]"]


def test_bench_of_wanted_shapes(tmp_path: Path) -> None:
    x = parameter("[?,3,?,?]")
    ov.save_model(ov.Model([ops.relu(x)], [x], "m"), tmp_path / "m.xml")
    small, large = (
        measure.bench(
            tmp_path / "m.xml", device="CPU", seconds=1, hint="latency", shapes={"x": [1, 3, size, size]}
        )
        for size in (16, 1024)
    )
    assert large["latency_ms"] > small["latency_ms"]
    with pytest.raises(UsageError, match="no input 'y'"):
        measure.bench(tmp_path / "m.xml", device="CPU", shapes={"y": [1, 3, 16, 16]})
