"""Row ``scale``: a cache of 100,000 blobs and 10,000 models, looked at, listed, collected and hit.

The peers read the same tree: ``du -s`` and ``find`` for the whole of it, and ``hf cache ls`` for a Hugging
Face cache of the same number of repositories and files. Commands are whole processes, warm, and figures are
medians of alternating runs. The tree is made by writing files, not by fetching: what is measured is reading.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from model_zoo.cache import IR_MANIFEST, Cache, Layer
from model_zoo.cache.manifest import encode
from model_zoo.spec import MANIFEST_NAME, Artifact, Digest

TARGETS = {"info": 0.3, "ls": 1.0, "gc": 5.0}
"""Seconds that shared numbers of the design demand at 100,000 blobs and 10,000 models."""


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
        entries.append({"path": f"{index}.bin", "size": len(data), "sha256": sha256})
        artifacts.append(entries[-1] | {"digests": [f"sha256:{sha256}"], "names": []})
    manifest = {"schema": 1, "model": name, "declaration": declaration, "files": entries}
    (folder / MANIFEST_NAME).write_bytes(encode({**manifest, "artifacts": artifacts}))


def _build_ir(layer: Layer, name: str) -> None:
    key = Digest.of_json([name, "FP32"]).hex
    folder = layer.ir(key)
    folder.mkdir(parents=True)
    outputs = []
    for file in ("model.xml", "model.bin"):
        data = f"{name} {file}".encode() * 16
        (folder / file).write_bytes(data)
        outputs.append({"path": file, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    manifest = {"schema": 1, "key": key, "model": name, "precision": "FP32", "framework": "onnx"}
    (folder / IR_MANIFEST).write_bytes(encode({**manifest, "outputs": outputs}))


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


def commands(root: Path, hub: Path) -> dict[str, list[str]]:
    """Return what is timed, ours and the peers'."""
    ours = [sys.executable, "-m", "model_zoo.cli", "--cache", str(root), "cache"]
    budget = str(Cache(root).top and 1 << 20)
    found = {
        "info": [*ours, "info"],
        "ls": [*ours, "ls"],
        "gc": [*ours, "gc", "--dry-run", "--max-size", budget],
        "du": ["du", "-s", str(root)],
        "find": ["find", str(root), "-type", "f", "-newermt", "2000-01-01", "-printf", ""],
    }
    hf = shutil.which("hf") or str(Path(sys.executable).with_name("hf"))
    if Path(hf).exists():
        found["hf cache ls"] = [hf, "cache", "ls", "--cache-dir", str(hub)]
    else:
        print("hf: missing, install huggingface_hub to compare with it", file=sys.stderr)
    return found


def measure(lines: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Return the seconds of each command, run in turn after one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "MODEL_ZOO_OFFLINE": "1"}
    for turn in range(runs + 1):
        for name, line in lines.items():
            began = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env=environment)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def first_look(root: Path) -> dict[str, float]:
    """Return the seconds of ``info`` and ``ls`` without an index."""
    found = {}
    for name in ("info", "ls"):
        shutil.rmtree(root / "state-v1" / "index", ignore_errors=True)
        found[f"{name}, no index"] = statistics.median(
            measure({name: commands(root, root)[name]}, 0)[name] or [_once(root, name)]
        )
    return found


def _once(root: Path, name: str) -> float:
    shutil.rmtree(root / "state-v1" / "index", ignore_errors=True)
    began = time.perf_counter()
    subprocess.run(commands(root, root)[name], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def hit(root: Path, models: int) -> float:
    """Return the microseconds of one look-up of a model's files, an IR and a blob, in process."""
    cache = Cache(root)
    numbers = list(range(0, models, max(1, models // 200)))
    began = time.perf_counter()
    for number in numbers:
        name = f"model-{number:05d}"
        data = f"{name}/0".encode() * 8
        artifact = Artifact(path="0.bin", size=len(data), sha256=hashlib.sha256(data).hexdigest())
        assert cache.find_files(name, Digest.of_json(name).hex)
        assert cache.find_ir(Digest.of_json([name, "FP32"]).hex)
        assert cache.find_blob(artifact)
    return (time.perf_counter() - began) / len(numbers) * 1e6


def run(folder: Path, *, blobs: int = 100_000, models: int = 10_000, runs: int = 5) -> dict[str, Any]:
    """Build, measure and return the figures."""
    root, hub = folder / "cache", folder / "hub"
    build(root, blobs, models)
    build_hub(hub, blobs, models)
    small = folder / "small"
    build(small, blobs // 10, models // 10)
    unindexed = first_look(root)
    lines = commands(root, hub)
    medians = {name: statistics.median(found) for name, found in measure(lines, runs).items()}
    tenth = commands(small, hub)
    smaller = measure({name: tenth[name] for name in TARGETS}, runs)
    return {
        "row": "scale",
        "blobs": blobs,
        "models": models,
        "seconds": medians | unindexed,
        "seconds at a tenth": {name: statistics.median(found) for name, found in smaller.items()},
        "hit, microseconds": {f"{models} models": hit(root, models), "a tenth": hit(small, models // 10)},
        "to reach": TARGETS,
        "ratio to du": {name: medians[name] / medians["du"] for name in TARGETS},
        "reached": all(medians[name] < limit for name, limit in TARGETS.items()),
    }


def main() -> None:
    """Print a table, and JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blobs", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to build; default a temporary folder")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        figures = run(Path(folder), blobs=args.blobs, models=args.models, runs=args.runs)
    if args.json:
        print(json.dumps(figures, indent=1))
        return
    for name, seconds in figures["seconds"].items():
        limit = TARGETS.get(name)
        print(f"{name:16} {seconds:8.3f} s" + (f"   to reach: {limit} s" if limit else ""))
    for name, micro in figures["hit, microseconds"].items():
        print(f"hit, {name:11} {micro:8.1f} µs")


if __name__ == "__main__":
    main()
