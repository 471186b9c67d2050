"""Row ``start``: ``list``, ``path`` and ``--help`` as whole processes, over the built-in catalog, warm."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, Any

from tools.measure import ENVIRONMENT, alternate, once
from tools.peers import beside, environment, ours

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "magika-standard-v3"
MOST = 0.12


def run(folder: Path, *, runs: int = 5) -> dict[str, Any]:
    """Measure and return the figures."""
    missing: list[str] = []
    peers = environment(missing)
    cache = ["--cache", str(folder / "cache")]
    once([ours(), *cache, "-q", "convert", MODEL], folder / "out")
    lines = {
        "model-zoo list": [ours(), *cache, "list"],
        "model-zoo path": [ours(), *cache, "path", MODEL],
        "model-zoo --help": [ours(), "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "hf --help": [beside("hf"), "--help"],
    }
    if peers is not None:
        lines["omz_downloader --print_all"] = [str(peers / "omz_downloader"), "--print_all"]
    ENVIRONMENT["COLUMNS"] = "100"
    medians = {
        name: statistics.median(found) for name, found in alternate(lines, folder / "out", runs).items()
    }
    worst = max(seconds for name, seconds in medians.items() if name.startswith("model-zoo"))
    return {
        "row": "start",
        "seconds": medians,
        "missing": missing,
        "to reach": f"at most {MOST} s",
        "reached": worst <= MOST,
    }
