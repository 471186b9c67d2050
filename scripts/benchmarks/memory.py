"""Row ``memory``: the largest resident size of the whole process while 8 files, 10 GiB in all, are fetched.

The files are sparse on the server and whole on the disk of the client, so 10 GiB must be free.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tools.catalogs import Served, write_ours
from tools.measure import ENVIRONMENT
from tools.nginx import serve
from tools.peers import ours

if TYPE_CHECKING:
    from pathlib import Path

FILES, TOTAL = 8, 10 << 30
MOST = 120
_PIECE = 1 << 24


def sparse(root: Path, path: str, size: int, number: int) -> Served:
    """Make a file of zeros with one page that tells it from the others."""
    mark = bytes([number + 1]) * 4096
    with (root / path).open("wb") as out:
        out.write(mark)
        out.truncate(size)
    found, zeros = hashlib.sha256(mark), bytes(_PIECE)
    left = size - len(mark)
    while left:
        found.update(memoryview(zeros)[: min(left, _PIECE)])
        left -= min(left, _PIECE)
    return Served(path, size, found.hexdigest(), "")


def run(folder: Path, *, runs: int = 1, total: int = TOTAL) -> dict[str, Any]:
    """Measure once, however many runs the others take: memory does not jitter."""
    del runs
    root, out = folder / "www", folder / "out"
    root.mkdir()
    out.mkdir()
    served = [sparse(root, f"f{number}.bin", total // FILES, number) for number in range(FILES)]
    with serve(root, folder / "nginx") as base:
        catalog = write_ours(folder / "catalog", base, {"big": served})
        line = [ours(), "--catalog", str(catalog), "--cache", str(out / "cache"), "fetch", "big"]
        process = subprocess.Popen(line, env=ENVIRONMENT, cwd=out, stdout=subprocess.DEVNULL)
        _, state, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(state)
    if process.returncode:
        message = f"model-zoo failed with {process.returncode}"
        raise SystemExit(message)
    peak = usage.ru_maxrss / 1024
    return {
        "row": "memory",
        "figures": {"largest resident size, MiB": peak},
        "to reach": f"at most {MOST} MiB",
        "reached": peak <= MOST,
    }


if __name__ == "__main__":
    sys.exit("run scripts/bench memory")
