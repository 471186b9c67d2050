"""Conversion: a model's files become OpenVINO IR in a fresh worker process, the same bytes every time.

``toolchain`` returns the versions that would be used, ``key_parts`` and ``ir_key`` what the result is stored
under, and ``convert`` makes it. Everything in ``worker`` runs in the worker process only.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.conversion import folder_model
from model_zoo.conversion.job import ConversionJob, worker_request
from model_zoo.conversion.key import differences, ir_key, key_parts, toolchain
from model_zoo.conversion.pool import ReadWriteLock
from model_zoo.conversion.process import run_worker
from model_zoo.conversion.stacks import require_packages
from model_zoo.errors import ConversionError, UnsupportedModelError, WorkerCrashedError
from model_zoo.events import Event
from model_zoo.files import as_cache_error
from model_zoo.schema import FileEntry, IrManifest

if TYPE_CHECKING:
    from model_zoo.events import Report

__all__ = [
    "ConversionJob",
    "check_reproducible",
    "convert",
    "differences",
    "ir_key",
    "key_parts",
    "toolchain",
]

_log = logging.getLogger(__name__)
_workers = ReadWriteLock()
"""Held for reading by every worker, for writing by one that is tried again after a crash."""


def convert(job: ConversionJob, staging: Path, *, report: Report, layer: Path | None = None) -> IrManifest:
    """Convert a model in a fresh worker process; a worker that crashes is retried once, running alone.

    ``staging`` is an empty directory; afterwards it holds exactly ``model.xml`` and ``model.bin``, or all
    files of a folder model. Symlinks in it may point only into ``layer``, the root of its cache layer.
    ``report`` gets a ``convert_stage`` event for each stage. The manifest is still without declaration,
    request and resolution.

    Raises:
        ConversionError: the model cannot be converted; ``staging`` is empty again.
        CacheError: ``staging`` cannot be written.
    """
    model, parts = job.model, job.parts
    if not model.convertible:
        what = f"{model.name} cannot be converted: {model.reason}"
        raise UnsupportedModelError(what, hint=f"fetch its files with 'model-zoo fetch {model.name}'")
    require_packages(
        model,
        job.precision,
        parts["versions"],
        python=job.python,
        isolated=job.isolated,
        reference=job.reference,
    )
    try:
        result = _run(job, staging, report)
        with as_cache_error(staging):
            made = _finish(job, result, staging, layer)
    except BaseException:
        _empty(staging)
        raise
    manifest = {
        "schema": 1,
        "key": ir_key(parts),
        "model": model.name,
        "precision": job.precision,
        "framework": model.framework,
        "parts": parts,
        "inputs": [
            {"path": path, "size": (job.files / path).stat().st_size, "sha256": digest}
            for path, digest in parts["inputs"]
        ],
        **result,
        **made,
    }
    return msgspec.convert(manifest, IrManifest)


def _run(job: ConversionJob, staging: Path, report: Report) -> dict[str, Any]:
    """Run the worker, twice if it crashes, and return its answer."""
    request = worker_request(job, staging)

    def on_stage(stage: str) -> None:
        report(Event(event="convert_stage", model=job.model.name, message=stage))

    def attempt() -> dict[str, Any]:
        return run_worker(request, name=job.name, python=job.python, isolated=job.isolated, on_stage=on_stage)

    try:
        with _workers.read():
            return attempt()
    except WorkerCrashedError as error:
        _log.info("%s: worker crashed (%s); retrying with no other worker running", job.name, error.found)
        on_stage("crashed, retrying alone")
        _empty(staging)
        with _workers.write():
            return attempt()


def _finish(job: ConversionJob, result: dict[str, Any], staging: Path, layer: Path | None) -> dict[str, Any]:
    """Link ready-made files beside what the worker wrote; return what the manifest says of them all."""
    if job.model.is_folder:
        if job.model.framework == "openvino":
            for path, _ in job.parts["inputs"]:
                (staging / path).parent.mkdir(parents=True, exist_ok=True)
                folder_model.link(job.files / path, staging / path, layer)
        return folder_model.describe(staging, result["irs"])
    untouched = result.pop("untouched", None)
    if untouched is not None:
        folder_model.link(Path(untouched["xml"]), staging / "model.xml", layer)
        if untouched["bin"] is None:  # an IR without weights
            (staging / "model.bin").touch()
        else:
            folder_model.link(Path(untouched["bin"]), staging / "model.bin", layer)
    return {"outputs": [folder_model.describe_file(staging, name) for name in ("model.xml", "model.bin")]}


def check_reproducible(job: ConversionJob, manifest: IrManifest, *, report: Report) -> None:
    """Convert once more, into a temporary directory, and compare the result with a manifest.

    ``manifest`` is what ``convert`` returned for the job, or that of the published IR.

    Raises:
        ConversionError: the second IR has other bytes; the message names the file and both digests.
    """
    with tempfile.TemporaryDirectory(prefix="model-zoo-again-") as staging:
        again = convert(job, Path(staging), report=report)
    first, second = ({entry.path: entry for entry in m.outputs} for m in (manifest, again))
    for path in sorted({*first, *second}):
        if first.get(path) != second.get(path):
            raise ConversionError(
                f"{job.name} is not reproducible: {path} differs",
                expected=_summary(first.get(path)),
                found=_summary(second.get(path)),
                left="the first result is untouched",
                hint="report the model and the versions that 'model-zoo doctor' prints",
            )


def _summary(entry: FileEntry | None) -> str:
    return f"sha256 {entry.sha256}, {entry.size} bytes" if entry else "no such file"


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
