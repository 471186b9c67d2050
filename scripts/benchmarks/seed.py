"""Row ``seed``: 1 GiB of IRs leaves the cache, beside ``cp -r`` of the same files.

``export --format dir`` is the plain copy. ``seed`` does more, and is shown beside it: it proves every copied
byte by its digest, writes the notes that look-ups need, and reads each model in a child process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from tools.measure import ENVIRONMENT, alternate, compare
from tools.peers import ours

from model_zoo.settings import Settings
from model_zoo.zoo import Zoo

if TYPE_CHECKING:
    from pathlib import Path

MODELS, TOTAL = 4, 1 << 30
ENTRY = """\
schema: 1
name: {name}
task: bench
framework: openvino
license: MIT
description: A large constant.
artifacts:
  - {{path: {name}.xml, precision: FP32, integrity: first-use, sources: [{{file: {name}.xml}}]}}
  - {{path: {name}.bin, precision: FP32, integrity: first-use, sources: [{{file: {name}.bin}}]}}
"""


def make(folder: Path, name: str, size: int, seed: int) -> None:
    """Write a catalog entry of a ready IR with that many bytes of random weights."""
    import openvino as ov
    from openvino import opset13 as ops

    weights = np.random.default_rng(seed).integers(0, 1 << 31, size // 4, dtype=np.int32)
    given = ops.parameter([size // 4], np.int32, name="x")
    ov.save_model(
        ov.Model([ops.add(given, weights)], [given], name), folder / f"{name}.xml", compress_to_fp16=False
    )
    (folder / f"{name}.yaml").write_text(ENTRY.format(name=name), encoding="utf-8")


def run(folder: Path, *, runs: int = 5, total: int = TOTAL) -> dict[str, Any]:
    """Measure and return the figures."""
    catalog, cache, out = folder / "catalog", folder / "cache", folder / "out"
    catalog.mkdir()
    names = [f"bench-{number}" for number in range(MODELS)]
    for number, name in enumerate(names):
        make(catalog, name, total // MODELS, number)
    zoo = Zoo(settings=Settings(cache=cache, catalogs=(catalog,)))
    for name in names:
        zoo.convert(name)
    ENVIRONMENT["MODEL_ZOO_CATALOG"], ENVIRONMENT["MODEL_ZOO_CACHE"] = str(catalog), str(cache)
    lines = {
        "model-zoo": [ours(), "-q", "export", "--format", "dir", "-o", "layer", *names],
        "cp -r": ["cp", "-r", str(cache / "ir-v1"), "layer"],
        "model-zoo seed": [ours(), "-q", "seed", "layer", *names],
    }
    return compare("seed", alternate(lines, out, runs), "cp -r", 1.3, [])


if __name__ == "__main__":
    sys.exit("run scripts/bench seed")
