"""Latency and throughput through OpenVINO's own benchmark_app."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from model_zoo.errors import CompileError, LoadError
from model_zoo.runtime.core import check_device, core
from model_zoo.runtime.inference.inputs import ports_of

_START = (
    "import sys; sys.modules['openvino_telemetry'] = None; "
    "from openvino.tools.benchmark.main import main; sys.exit(main())"
)
_GRACE = 600.0
"""Seconds for reading and compiling, beside the time it measures."""


def bench(
    xml: Path,
    *,
    device: str = "AUTO",
    seconds: float = 10.0,
    hint: str | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Measure a model; inputs whose sizes are open get the sizes ``infer`` gives its zeros.

    Args:
        xml: the IR, or another file that OpenVINO reads directly.
        device: OpenVINO's name of a device.
        seconds: how long to measure.
        hint: ``latency`` or ``throughput``; by default benchmark_app's own choice.
        cache: a folder for compiled blobs.

    Returns:
        ``device``, ``latency_ms`` (median), ``latency_mean_ms``, ``latency_min_ms``, ``latency_max_ms``,
        ``throughput_fps``, ``iterations``, ``seconds``, ``compile_ms``, ``first_inference_ms``, ``requests``.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        LoadError: OpenVINO cannot read the model.
        CompileError: benchmark_app failed.
    """
    check_device(device)
    with tempfile.TemporaryDirectory(prefix="model-zoo-bench-") as folder:
        argv = [sys.executable, "-c", _START, "-m", str(xml), "-d", device, "-t", str(max(1, round(seconds)))]
        argv += ["-report_type", "no_counters", "-json_stats", "-report_folder", folder]
        argv += ["-hint", hint] if hint else []
        argv += ["-cdir", str(cache)] if cache else []
        argv += _shapes(xml)
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds + _GRACE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            what = f"benchmark_app did not end within {seconds + _GRACE:.0f} s"
            raise CompileError(what, hint="measure a smaller model, or on another --device") from error
        report = Path(folder) / "benchmark_report.json"
        if done.returncode != 0 or not report.is_file():
            lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            found = "\n".join(lines[-8:])
            raise CompileError(f"benchmark_app failed on {device}", found=found, hint="try another --device")
        return _figures(json.loads(report.read_text(encoding="utf-8")), device)


def _shapes(xml: Path) -> list[str]:
    """Name the sizes of dynamic inputs, without which benchmark_app does not start."""
    try:
        model = core().read_model(xml)
    except RuntimeError as error:
        hint = "run 'model-zoo cache verify'"
        raise LoadError(
            f"OpenVINO cannot read {xml}", found=str(error).splitlines()[-1], hint=hint
        ) from error
    if not any(port.get_partial_shape().is_dynamic for port in model.inputs):
        return []
    ports = ports_of(model)
    stated = [f"[{','.join(map(str, port.zeros))}]" for port in ports]
    if len(ports) == 1:
        return ["-data_shape", stated[0]]
    return ["-data_shape", ",".join(port.name + shape for port, shape in zip(ports, stated, strict=True))]


def _figures(report: dict[str, Any], device: str) -> dict[str, Any]:
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
