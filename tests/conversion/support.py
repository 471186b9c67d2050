"""Models to convert, made here, and the two ways of converting them: in this process, and for real."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import openvino as ov

from model_zoo.conversion import ConversionJob, convert, key_parts, toolchain
from model_zoo.conversion.job import worker_request
from model_zoo.conversion.worker import pipeline
from model_zoo.formats.ports import port_name
from model_zoo.schema import FileEntry, Model

if TYPE_CHECKING:
    from pathlib import Path

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def entry(framework: str, *paths: str, **fields: Any) -> Model:
    """Return a catalog entry of undigested files."""
    data = {
        "schema": 1,
        "name": "some-model",
        "task": "test",
        "framework": framework,
        "license": "MIT",
        "description": "For a test.",
        "artifacts": [{"path": path} for path in paths],
        **fields,
    }
    return msgspec.convert(data, Model)


def files_in(folder: Path, model: Model) -> list[FileEntry]:
    """Return every file of the model's artifacts, with digests."""
    tops = {folder / artifact.path for artifact in model.artifacts}
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and tops & {p, *p.parents}]
    return [
        FileEntry(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in paths
    ]


def parts_of(model: Model, precision: str, folder: Path, **more: Any) -> dict[str, Any]:
    return key_parts(model, precision, files_in(folder, model), toolchain(model, precision), **more)


def run(model: Model, folder: Path, staging: Path, precision: str = "FP32", **how: Any) -> dict[str, Any]:
    """Convert in a worker process; return the manifest."""
    staging.mkdir(parents=True, exist_ok=True)
    report = how.pop("report", lambda _: None)
    parts = how.pop("parts", None) or parts_of(model, precision, folder)
    return convert(ConversionJob(model, precision, folder, parts, **how), staging, report=report)


def run_here(
    model: Model, folder: Path, staging: Path, precision: str = "FP32", **how: Any
) -> dict[str, Any]:
    """Convert in this process, which is quicker; return what the worker would answer."""
    staging.mkdir(parents=True, exist_ok=True)
    request = worker_request(ConversionJob(model, precision, folder, {}, **how), staging)
    return pipeline.run(json.loads(json.dumps(request)), lambda _: None)


def network(folder: Path, name: str = "net.xml") -> Path:
    """Write an IR: ``image`` [1,3,4,4] → scaled → ``inner`` → relu → ``outer``, and its sum ``total``."""
    ops = ov.opset13
    image = ops.parameter([1, 3, 4, 4], np.float32, name="image")
    image.output(0).set_names({"image"})
    scaled = ops.multiply(image, ops.constant(np.float32(2)), name="inner")
    scaled.output(0).set_names({"inner"})
    outer = ops.relu(scaled, name="outer")
    outer.output(0).set_names({"outer"})
    total = ops.reduce_sum(outer, ops.constant(np.array([1, 2, 3])), name="total")
    total.output(0).set_names({"total"})
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(ov.Model([outer, total], [image], "net"), folder / name, compress_to_fp16=False)
    return folder / name


def infer(xml: Path, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Run an IR exactly, on the CPU; return its outputs by the names it has in the file."""
    core = ov.Core()
    model = core.read_model(xml)
    names = [port_name(port) for port in model.outputs]
    return dict(zip(names, core.compile_model(model, "CPU", EXACT)(list(inputs)).values(), strict=True))


def no_staging(folder: Path) -> bool:
    """Whether nothing was left behind."""
    return not list(folder.iterdir())
