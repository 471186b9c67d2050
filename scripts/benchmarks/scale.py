"""Row ``scale``: a cache of 100,000 blobs and 10,000 models, looked at, listed, verified, collected and hit.

The peers read trees of the same size: ``du -s`` and ``find`` ours, ``hf cache ls`` a Hugging Face cache of as
many repositories and files (``hf cache verify`` asks the hub, so it is no peer here). Commands are whole
processes, warm. The trees are made
by writing files, not by fetching: what is measured is reading. A tenth of the size shows how things grow.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tools.measure import ENVIRONMENT, alternate, once
from tools.peers import ours

from model_zoo.cache import Cache, Layer
from model_zoo.cache.manifest import encode
from model_zoo.cache.notes import Notes
from model_zoo.schema import Artifact, ArtifactRecord, Digest, FileEntry, FilesManifest, IrManifest

BLOBS, MODELS = 100_000, 10_000
TARGETS = {"cache info": 0.3, "cache ls": 1.0, "cache gc --dry-run": 5.0}
"""Seconds to stay below."""
GROWTH = 12.0
"""How much longer ten times as much may take; what has a fixed part grows less."""


def build(root: Path, blobs: int, models: int) -> None:
    """Make a layer with that many distinct blobs, spread over that many models, each with one IR."""
    layer = Layer(root)
    layer.prepare()
    for shelf in range(256):
        layer.blob(f"{shelf:02x}").parent.mkdir(parents=True, exist_ok=True)
    each = blobs // models
    for number in range(models):
        name = f"model-{number:05d}"
        _build_model(layer, name, each)
        _build_ir(layer, name)
    _settle(root)


def _build_model(layer: Layer, name: str, count: int) -> None:
    entries, artifacts = [], []
    declaration = Digest.of_json(name).hex
    folder = layer.files(name, declaration)
    folder.mkdir(parents=True)
    for index in range(count):
        data = f"{name}/{index}".encode() * 8
        sha256 = hashlib.sha256(data).hexdigest()
        blob = layer.blob(sha256)
        blob.write_bytes(data)
        os.link(blob, folder / f"{index}.bin")
        entries.append(FileEntry(path=f"{index}.bin", size=len(data), sha256=sha256))
        digests = (f"sha256:{sha256}",)
        artifacts.append(
            ArtifactRecord(path=f"{index}.bin", size=len(data), sha256=sha256, digests=digests, names=())
        )
    manifest = FilesManifest(
        schema=1,
        model=name,
        declaration=declaration,
        precision=None,
        artifacts=tuple(artifacts),
        files=tuple(entries),
    )
    Notes(layer).note_manifest(manifest)
    (folder / manifest.FILE_NAME).write_bytes(encode(manifest))


def _parts(name: str) -> dict[str, Any]:
    return {"inputs": [[name, "FP32"]]}


def _build_ir(layer: Layer, name: str) -> None:
    key = Digest.of_json(_parts(name)).hex
    folder = layer.ir(key)
    folder.mkdir(parents=True)
    outputs = []
    for file in ("model.xml", "model.bin"):
        data = f"{name} {file}".encode() * 16
        (folder / file).write_bytes(data)
        outputs.append(FileEntry(path=file, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    manifest = IrManifest(
        schema=1,
        key=key,
        model=name,
        precision="FP32",
        framework="onnx",
        parts=_parts(name),
        inputs=(),
        outputs=tuple(outputs),
    )
    (folder / manifest.FILE_NAME).write_bytes(encode(manifest))


def _settle(root: Path) -> None:
    """Let the folders be older than what counts as just changed."""
    for folder, _, _ in os.walk(root):
        os.utime(folder, (time.time() - 60, time.time() - 60))


def build_hub(root: Path, blobs: int, repositories: int) -> None:
    """Make a Hugging Face cache of the same shape, as its documentation describes it."""
    for number in range(repositories):
        repository = root / f"models--bench--model-{number:05d}"
        commit = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
        snapshot = repository / "snapshots" / commit
        for folder in (snapshot, repository / "blobs", repository / "refs"):
            folder.mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        for index in range(blobs // repositories):
            data = f"{number}/{index}".encode() * 8
            blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
            blob.write_bytes(data)
            (snapshot / f"{index}.bin").symlink_to(f"../../blobs/{blob.name}")


def commands(root: Path) -> dict[str, list[str]]:
    """Return our commands by name."""
    line = [ours(), "--cache", str(root), "cache"]
    return {
        "cache info": [*line, "info"],
        "cache ls": [*line, "ls"],
        "cache gc --dry-run": [*line, "gc", "--dry-run", "--max-size", "30MB"],
        "cache verify": [*line, "verify"],
    }


def peers(root: Path, hub: Path, missing: list[str]) -> dict[str, list[str]]:
    """Return the peers' commands by name."""
    found = {
        "du -s": ["du", "-s", str(root)],
        "find -newermt": ["find", str(root), "-newermt", "2100-01-01"],
    }
    hf = shutil.which("hf") or str(Path(sys.executable).with_name("hf"))
    if Path(hf).exists():
        found["hf cache ls"] = [hf, "cache", "ls", "--cache-dir", str(hub)]
        ENVIRONMENT["HF_HUB_OFFLINE"] = "1"
    else:
        missing.append("hf (pip install huggingface_hub)")
    return found


def hit(root: Path, models: int) -> float:
    """Return the microseconds of finding a model's files, an IR and a blob, in process."""
    cache = Cache(root)
    numbers = list(range(0, models, max(1, models // 200)))
    began = time.perf_counter()
    for number in numbers:
        name = f"model-{number:05d}"
        data = f"{name}/0".encode() * 8
        artifact = Artifact(path="0.bin", size=len(data), sha256=hashlib.sha256(data).hexdigest())
        assert cache.find_files(name, Digest.of_json(name).hex)
        assert cache.find_ir(Digest.of_json(_parts(name)).hex)
        assert cache.find_blob(artifact)
    return (time.perf_counter() - began) / len(numbers) * 1e6


def without_index(root: Path, out: Path) -> dict[str, float]:
    """Return the seconds of the first look after everything changed."""
    found = {}
    for name in ("cache info", "cache ls"):
        shutil.rmtree(root / "state-v1" / "index", ignore_errors=True)
        found[f"{name}, no index"] = once(commands(root)[name], out)
    return found


def run(folder: Path, *, runs: int = 5, blobs: int = BLOBS, models: int = MODELS) -> dict[str, Any]:
    """Build, measure and return the figures."""
    root, small, hub, out = (folder / name for name in ("cache", "small", "hub", "out"))
    missing: list[str] = []
    build(root, blobs, models)
    build(small, blobs // 10, models // 10)
    build_hub(hub, blobs, models)
    first = without_index(root, out)
    seconds = alternate(commands(root) | peers(root, hub, missing), out, runs)
    tenth = alternate(commands(small), out, runs)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    smaller = {f"{name}, a tenth": statistics.median(found) for name, found in tenth.items()}
    growth = [medians[name] / smaller[f"{name}, a tenth"] for name in commands(root)]
    return {
        "row": "scale",
        "seconds": medians | first | smaller,
        "runs": seconds,
        "figures": {
            "hit, microseconds": hit(root, models),
            "hit, microseconds, a tenth": hit(small, models // 10),
            "slowest growth for ten times as much": max(growth),
        },
        "missing": missing,
        "to reach": ", ".join(f"{name} < {limit} s" for name, limit in TARGETS.items()),
        "reached": all(medians[name] < most for name, most in TARGETS.items()) and max(growth) <= GROWTH,
    }


if __name__ == "__main__":
    sys.exit("run scripts/bench scale")
