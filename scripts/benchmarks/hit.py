"""Row ``hit``: ``model-zoo fetch`` of a cached model as a whole process."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

from tools.measure import alternate, once
from tools.peers import ours

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "magika-standard-v3"
MOST = 0.15


def run(folder: Path, *, runs: int = 5) -> dict[str, Any]:
    """Measure and return the figures."""
    line = [ours(), "--cache", str(folder / "cache"), "fetch", MODEL]
    once(line, folder / "out")
    found = alternate(
        {"model-zoo fetch": line, "python -c pass": [sys.executable, "-c", "pass"]}, folder / "out", runs
    )
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {
        "row": "hit",
        "seconds": medians,
        "to reach": f"at most {MOST} s",
        "reached": medians["model-zoo fetch"] <= MOST,
    }
