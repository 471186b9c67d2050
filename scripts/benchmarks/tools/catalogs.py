"""Files of random bytes, and the catalogs that declare them, ours and Open Model Zoo's."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PIECE = 1 << 24


@dataclass(frozen=True)
class Served:
    """One file on the server."""

    path: str
    size: int
    sha256: str
    sha384: str


def make_file(root: Path, path: str, size: int, seed: int) -> Served:
    """Write reproducible random bytes."""
    draw = random.Random(seed)
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    hashes = hashlib.sha256(), hashlib.sha384()
    with target.open("wb") as out:
        left = size
        while left:
            piece = draw.randbytes(min(left, _PIECE))
            out.write(piece)
            for one in hashes:
                one.update(piece)
            left -= len(piece)
    return Served(path, size, hashes[0].hexdigest(), hashes[1].hexdigest())


def write_ours(folder: Path, base: str, models: dict[str, list[Served]]) -> Path:
    """Write our catalog."""
    folder.mkdir(parents=True)
    for name, files in models.items():
        lines = ["schema: 1", f"name: {name}", "task: detection", "framework: onnx", "license: MIT"]
        lines += ["description: Random bytes.", "artifacts:"]
        for one in files:
            lines += [f"  - path: {one.path.rpartition('/')[2]}", f"    size: {one.size}"]
            lines += [f"    sha256: {one.sha256}", "    sources:", f"      - {{url: '{base}/{one.path}'}}"]
        lines += ["recipe:", f"  model: {files[0].path.rpartition('/')[2]}"]
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    return folder


def write_omz(folder: Path, base: str, models: dict[str, list[Served]]) -> Path:
    """Write the same as a tree of model.yml files."""
    for name, files in models.items():
        listed = [
            {
                "name": one.path.rpartition("/")[2],
                "size": one.size,
                "checksum": one.sha384,
                "source": f"{base}/{one.path}",
            }
            for one in files
        ]
        config = {
            "description": "Random bytes.",
            "task_type": "detection",
            "files": listed,
            "framework": "onnx",
            "model_optimizer_args": [],
            "license": "https://example.org/license",
        }
        place = folder / "public" / name
        place.mkdir(parents=True)
        (place / "model.yml").write_text(json.dumps(config, indent=1))  # JSON is YAML
    return folder
