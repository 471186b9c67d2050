"""Row ``big``: 1 GiB in one file, verified, flushed to the disk and published; whole processes."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from tools.catalogs import make_file, write_omz, write_ours
from tools.measure import alternate, compare
from tools.nginx import serve
from tools.peers import OMZ, POOCH, REQUESTS, environment, ours

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 30


def run(folder: Path, *, runs: int = 5, size: int = SIZE) -> dict[str, Any]:
    """Measure and return the figures."""
    missing: list[str] = []
    root, out = folder / "www", folder / "out"
    root.mkdir()
    served = make_file(root, "big.bin", size, seed=1)
    with serve(root, folder / "nginx") as base:
        url = f"{base}/big.bin"
        catalog = write_ours(folder / "catalog", base, {"big": [served]})
        fetch = [ours(), "--catalog", str(catalog), "--cache", str(out / "cache"), "fetch", "big"]
        lines = {"model-zoo": fetch}
        if shutil.which("curl"):
            lines["curl && sync"] = ["sh", "-c", f"curl -sS -o f {url} && sync -d f"]
            if shutil.which("openssl"):
                pipe = f"curl -sS {url} | tee f | openssl dgst -sha256 && sync -d f"
                lines["curl, openssl && sync"] = ["sh", "-c", pipe]
        else:
            missing.append("curl")
        if shutil.which("aria2c"):
            lines["aria2c -x8"] = ["aria2c", "-q", "-x8", "-s8", f"--checksum=sha-256={served.sha256}", url]
        else:
            missing.append("aria2c")
        bin_folder = environment(missing)
        if bin_folder:
            models = write_omz(folder / "omz", base, {"big": [served]})
            python = str(bin_folder / "python")
            lines["requests + sha256"] = [python, "-c", REQUESTS, url, ".", served.sha256]
            lines["pooch"] = [python, "-c", POOCH, url, ".", served.sha256]
            lines["omz_downloader"] = [python, "-c", OMZ, str(models), "--all"]
        return compare("big", alternate(lines, out, runs), "curl && sync", 1.0, missing)


if __name__ == "__main__":
    sys.exit("run scripts/bench big")
