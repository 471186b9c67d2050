"""Latency and throughput through OpenVINO's own benchmark_app."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from model_zoo.errors import CompileError
from model_zoo.runtime.core import check_device, read_model
from model_zoo.runtime.inference.ports import example_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_log = logging.getLogger(__name__)
_BENCHMARK_APP = (
    "import sys; sys.modules['openvino_telemetry'] = None; "
    "from openvino.tools.benchmark.main import main; sys.exit(main())"
)
_GRACE = 600.0
"""Seconds allowed for reading and compiling, in addition to measuring."""


class Figures(TypedDict):
    """What ``bench`` measured; ``latency_ms`` is the median."""

    device: str
    latency_ms: float
    latency_mean_ms: float
    latency_min_ms: float
    latency_max_ms: float
    throughput_fps: float
    iterations: int
    seconds: float
    compile_ms: float
    first_inference_ms: float
    requests: int


def bench(
    xml: Path,
    *,
    device: str = "AUTO",
    seconds: float = 10.0,
    hint: str | None = None,
    cache: Path | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Figures:
    """Measure a model; inputs whose size is open get the shapes that ``infer`` gives its zeros.

    ``xml`` is the IR, or another file that OpenVINO reads directly; ``seconds`` is how long to measure.
    ``hint`` is ``latency`` or ``throughput``, by default benchmark_app's own choice; ``cache`` a directory
    for compiled blobs, and ``shapes`` those of inputs, by name.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        LoadError: OpenVINO cannot read the model.
        CompileError: benchmark_app failed.
    """
    check_device(device)
    limit = seconds + _GRACE
    with tempfile.TemporaryDirectory(prefix="model-zoo-bench-") as directory:
        argv = [sys.executable, "-c", _BENCHMARK_APP, "-m", str(xml), "-d", device]
        argv += ["-t", str(max(1, round(seconds)))]
        argv += ["-report_type", "no_counters", "-json_stats", "-report_folder", directory]
        argv += ["-hint", hint] if hint else []
        argv += ["-cdir", str(cache)] if cache else []
        argv += _shape_arguments(xml, shapes or {})
        _log.debug("running benchmark_app: %s", " ".join(argv[3:]))
        try:
            done = subprocess.run(
                argv, capture_output=True, encoding="utf-8", errors="replace", timeout=limit, check=False
            )
        except subprocess.TimeoutExpired as error:
            what = f"benchmark_app did not end within {limit:.0f} s"
            raise CompileError(what, hint="measure a smaller model, or use another --device") from error
        report = Path(directory) / "benchmark_report.json"
        if done.returncode != 0 or not report.is_file():
            lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            found = "\n".join(lines[-8:])
            raise CompileError(f"benchmark_app failed on {device}", found=found, hint="try another --device")
        return _figures(json.loads(report.read_text(encoding="utf-8")), device)


def _shape_arguments(xml: Path, given: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the shapes of all inputs if one is open or given: without them benchmark_app does not start."""
    model = read_model(xml)
    if not given and not any(port.get_partial_shape().is_dynamic for port in model.inputs):
        return []
    shapes = {name: f"[{','.join(map(str, shape))}]" for name, shape in example_shapes(model, given).items()}
    # Static shapes, and so the same network for every request.
    listed = (
        ",".join(name + shape for name, shape in shapes.items())
        if len(shapes) > 1
        else "".join(shapes.values())
    )
    return ["-shape" if given else "-data_shape", listed]


def _figures(report: dict[str, Any], device: str) -> Figures:
    measured, setup = report["execution_results"], report["configuration_setup"]
    return {
        "device": device,
        "latency_ms": float(measured["latency (ms)"]),
        "latency_mean_ms": float(measured["avg latency"]),
        "latency_min_ms": float(measured["min latency"]),
        "latency_max_ms": float(measured["max latency"]),
        "throughput_fps": float(measured["throughput"]),
        "iterations": int(measured["total number of iterations"]),
        "seconds": float(measured["total execution time (ms)"]) / 1000,
        "compile_ms": float(measured["compile model time (ms)"]),
        "first_inference_ms": float(measured["first inference time (ms)"]),
        "requests": int(setup["number of parallel infer requests"]),
    }
