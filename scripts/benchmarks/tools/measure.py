"""Alternating measurements of whole processes."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Without ours, and with the bytecode that an installation has.
_LEFT_OUT = ("MODEL_ZOO_", "PYTHONDONTWRITEBYTECODE")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)},
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def once(line: Sequence[str], out: Path) -> float:
    """Return the seconds of one run into a new, empty folder; the disk is quiet when it starts."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.sync()
    began = time.perf_counter()
    done = subprocess.run(
        line,
        check=False,
        env=ENVIRONMENT,
        cwd=out,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        message = f"{line[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}"
        raise SystemExit(message)
    return seconds


def alternate(
    lines: Mapping[str, Sequence[str]], out: Path, runs: int, *, keep: bool = False
) -> dict[str, list[float]]:
    """Return the seconds of each command, run in turn, after one warm-up each.

    Args:
        lines: the commands by name.
        out: the folder each runs in, empty at its start.
        runs: how many count.
        keep: remove the results at the end and not in between. ext4 does not reuse an inode within minutes
            of its deletion, and searches past all such: with many small files, what was removed before a
            run slows it down.
    """
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    kept: list[Path] = []
    for turn in range(runs + 1):
        for name, line in lines.items():
            found = once(line, out)
            if turn:
                seconds[name].append(found)
            if keep:
                kept.append(out.rename(out.with_name(f"{out.name}-{turn}-{len(kept)}")))
    for folder in (out, *kept):
        shutil.rmtree(folder, ignore_errors=True)
    return seconds


def compare(
    row: str, seconds: Mapping[str, list[float]], peer: str, most: float, missing: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of a row in which ours is to take at most ``most`` times what the peer takes."""
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ratios = {name: medians["model-zoo"] / value for name, value in medians.items() if name != "model-zoo"}
    return {
        "row": row,
        "seconds": medians,
        "runs": dict(seconds),
        "ratios": ratios,
        "missing": list(missing),
        "to reach": f"at most {most} times {peer}",
        "reached": peer in ratios and ratios[peer] <= most,
    }
