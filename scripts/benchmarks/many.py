"""Row ``many``: 400 files of 100 models, 140 MB in all; whole processes.

Ours verifies, flushes and publishes every file and lays out 100 folders; aria2c only writes 400 files.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from tools.catalogs import Served, make_file, write_omz, write_ours
from tools.measure import alternate, compare
from tools.nginx import serve
from tools.peers import OMZ, environment, ours

if TYPE_CHECKING:
    from pathlib import Path

MODELS, FILES, TOTAL = 100, 4, 140_000_000


def run(folder: Path, *, runs: int = 5) -> dict[str, Any]:
    """Measure and return the figures."""
    missing: list[str] = []
    root, out = folder / "www", folder / "out"
    root.mkdir()
    models: dict[str, list[Served]] = {}
    for number in range(MODELS):
        name = f"bench-{number:03d}"
        models[name] = [
            make_file(root, f"{name}/file{index}.bin", TOTAL // (MODELS * FILES), seed=number * FILES + index)
            for index in range(FILES)
        ]
    with serve(root, folder / "nginx") as base:
        catalog = write_ours(folder / "catalog", base, models)
        fetch = [ours(), "--catalog", str(catalog), "--cache", str(out / "cache"), "fetch"]
        lines = {"model-zoo": [*fetch, *models]}  # by name: --all would take the shipped catalog along
        if shutil.which("aria2c"):
            listing = folder / "list.txt"
            entries = [one for files in models.values() for one in files]
            listing.write_text("".join(f"{base}/{one.path}\n  out={one.path}\n" for one in entries))
            lines["aria2c -j8"] = ["aria2c", "-q", "-j8", "-i", str(listing)]
        else:
            missing.append("aria2c")
        bin_folder = environment(missing)
        if bin_folder:
            tree = write_omz(folder / "omz", base, models)
            lines["omz_downloader -j8"] = [str(bin_folder / "python"), "-c", OMZ, str(tree), "--all", "-j8"]
        return compare("many", alternate(lines, out, runs, keep=True), "aria2c -j8", 1.3, missing)


if __name__ == "__main__":
    sys.exit("run scripts/bench many")
