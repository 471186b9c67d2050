"""Row ``first``: in a new process, load and infer once: with our compiled blob, OpenVINO's own, and none."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tools.measure import ENVIRONMENT

from model_zoo.settings import Settings
from model_zoo.zoo import Zoo

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "pp-ocrv6-rec-small"
MOST = 1.1
_HEAD = """
import sys, time
sys.modules["openvino_telemetry"] = None
import numpy as np, openvino as ov
x = np.zeros((1, 3, 48, 320), np.float32)
"""
_OURS = """
import model_zoo, model_zoo.zoo.converter, model_zoo.runtime  # OpenVINO's imports are not counted either
began = time.perf_counter()
model_zoo.load(sys.argv[1], device="CPU")(x)
print(time.perf_counter() - began)
"""
_PEER = """
began = time.perf_counter()
config = {"CACHE_DIR": sys.argv[2]} if sys.argv[2] else {}
ov.Core().compile_model(sys.argv[1], "CPU", config)(x)
print(time.perf_counter() - began)
"""


def once(code: str, *arguments: str) -> float:
    """Run the code in a new process and return the seconds it printed."""
    argv = [sys.executable, "-c", _HEAD + code, *arguments]
    done = subprocess.run(argv, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def run(folder: Path, *, runs: int = 5) -> dict[str, Any]:
    """Measure and return the figures."""
    ENVIRONMENT["MODEL_ZOO_CACHE"] = str(folder / "cache")
    xml = str(Zoo(settings=Settings(cache=folder / "cache")).convert(MODEL).xml)
    calls = {
        "model-zoo": (_OURS, MODEL),
        "OpenVINO with CACHE_DIR": (_PEER, xml, str(folder / "blobs")),
        "OpenVINO without": (_PEER, xml, ""),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(runs + 1):
        for name, call in calls.items():
            found = once(*call)
            if turn:
                seconds[name].append(found)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ratio = medians["model-zoo"] / medians["OpenVINO with CACHE_DIR"]
    return {
        "row": "first",
        "seconds": medians,
        "ratios": {"OpenVINO with CACHE_DIR": ratio},
        "to reach": f"at most {MOST} times OpenVINO's own hit",
        "reached": ratio <= MOST,
    }
