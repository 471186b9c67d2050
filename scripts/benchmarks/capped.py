"""Row ``capped``: 1 GiB from a server that gives each connection 40 MiB/s; whole processes."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from tools.catalogs import make_file, write_ours
from tools.measure import alternate, compare
from tools.nginx import serve
from tools.peers import ours

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 30


def run(folder: Path, *, runs: int = 5, size: int = SIZE) -> dict[str, Any]:
    """Measure and return the figures."""
    missing: list[str] = []
    root, out = folder / "www", folder / "out"
    root.mkdir()
    served = make_file(root, "big.bin", size, seed=1)
    with serve(root, folder / "nginx", "limit_rate 40m;") as base:
        url = f"{base}/big.bin"
        catalog = write_ours(folder / "catalog", base, {"big": [served]})
        fetch = [ours(), "--catalog", str(catalog), "--cache", str(out / "cache"), "fetch", "big"]
        lines = {"model-zoo": fetch}
        if shutil.which("aria2c"):
            lines["aria2c -x8"] = ["aria2c", "-q", "-x8", "-s8", "-k1M", url]
        else:
            missing.append("aria2c")
        if shutil.which("curl"):
            lines["curl"] = ["curl", "-sS", "-o", "f", url]
        else:
            missing.append("curl")
        return compare("capped", alternate(lines, out, runs), "aria2c -x8", 1.0, missing)


if __name__ == "__main__":
    sys.exit("run scripts/bench capped")
