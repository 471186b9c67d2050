"""Row ``convert``: 8 mixed real models with ``-j 2``, beside ``ovc`` one after the other; time and memory."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.measure import ENVIRONMENT
from tools.peers import beside, ours

from model_zoo.settings import Settings
from model_zoo.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Sequence

MODELS = {  # what ovc is given, below the folder of the model's files
    "magika-standard-v3": "model.onnx",
    "silero-vad-16k": "silero_vad.onnx",
    "pp-ocrv6-det-small": "PP-OCRv6_det_small.onnx",
    "pp-ocrv6-rec-small": "PP-OCRv6_rec_small.onnx",
    "pp-ocrv4-rec-paddle": "inference.pdmodel",
    "basic-pitch-saved-model": "nmp",
    "basic-pitch-tflite": "nmp.tflite",
    "mediapipe-face-landmark": "face_landmark.tflite",
}
WALL, MEMORY = 0.7, 1.1
_PAUSE = 0.01


def tree_memory(root: int) -> int:
    """Return the bytes that a process and its descendants have resident, shared pages split between them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    total = 0
    for pid in parents:
        up = pid
        while up not in {root, 0, 1}:
            up = parents.get(up, 0)
        if up == root:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
            except (OSError, StopIteration):
                continue
    return total


def watched(line: Sequence[str], cwd: Path) -> tuple[float, int]:
    """Run a command and return its seconds and the peak of its tree's memory, bytes."""
    began = time.perf_counter()
    process = subprocess.Popen(
        line, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(_PAUSE):
            peak = max(peak, tree_memory(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    code = process.wait()
    seconds = time.perf_counter() - began
    ended.set()
    sampler.join()
    if code:
        message = f"{line} failed with {code}"
        raise SystemExit(message)
    return seconds, peak


def run(folder: Path, *, runs: int = 5) -> dict[str, Any]:
    """Measure and return the figures."""
    cache = folder / "cache"
    zoo = Zoo(settings=Settings(cache=cache))
    sources = {name: zoo.fetch(name).directory / path for name, path in MODELS.items()}
    wall: dict[str, list[float]] = {"model-zoo -j 2": [], "ovc": []}
    peak: dict[str, list[int]] = {"model-zoo -j 2": [], "ovc": []}
    for turn in range(runs + 1):
        subprocess.run(["rm", "-rf", str(cache / "ir-v1"), str(folder / "ovc")], check=True)
        (folder / "ovc").mkdir()
        found = watched([ours(), "--cache", str(cache), "-q", "convert", "-j", "2", *MODELS], folder)
        each = [
            watched([beside("ovc"), str(path), "--output_model", f"{name}.xml"], folder / "ovc")
            for name, path in sources.items()
        ]
        if turn:
            wall["model-zoo -j 2"].append(found[0])
            peak["model-zoo -j 2"].append(found[1])
            wall["ovc"].append(sum(seconds for seconds, _ in each))
            peak["ovc"].append(max(size for _, size in each))
    seconds = {name: statistics.median(values) for name, values in wall.items()}
    memory = {name: statistics.median(values) / 2**20 for name, values in peak.items()}
    ratios = {
        "ovc, wall": seconds["model-zoo -j 2"] / seconds["ovc"],
        "ovc, peak memory": memory["model-zoo -j 2"] / memory["ovc"],
    }
    return {
        "row": "convert",
        "seconds": seconds,
        "figures": {f"peak memory, MiB, {name}": value for name, value in memory.items()},
        "ratios": ratios,
        "to reach": f"at most {WALL} times the wall time of ovc and {MEMORY} times its peak memory",
        "reached": ratios["ovc, wall"] <= WALL and ratios["ovc, peak memory"] <= MEMORY,
    }
