"""Conversion: a model's files become OpenVINO IR, in a fresh worker process, the same bytes every time.

``toolchain`` says which versions would be used, ``key_parts`` and ``ir_key`` what the result is stored
under, ``convert`` makes it. Modules marked "runs in the worker" are imported there only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.convert.gate import Gate
from model_zoo.convert.key import differences, ir_key, is_ready, key_parts
from model_zoo.convert.labels import labels_of
from model_zoo.convert.process import run_worker
from model_zoo.convert.toolchain import optional, toolchain
from model_zoo.errors import ConversionError, MissingExtraError, UnsupportedModelError, WorkerCrashedError
from model_zoo.files import as_cache_error, hash_file, link_file
from model_zoo.files.formats import choose_network
from model_zoo.spec import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_zoo.settings import Settings
    from model_zoo.spec import Model

__all__ = ["check_reproducible", "convert", "differences", "ir_key", "key_parts", "toolchain"]

EXTRAS = {
    "torch": "torch",
    "torchvision": "torch",
    "tensorflow-cpu": "tensorflow",
    "nncf": "nncf",
}
_gate = Gate()


def convert(
    model: Model,
    precision: str,
    *,
    files: Path,
    staging: Path,
    parts: dict[str, Any],
    settings: Settings,
    report: Callable[[Event], None],
    python: str | None = None,
    trust_code: bool = False,
    calibration: Path | str | None = None,
) -> dict[str, Any]:
    """Convert a model in one fresh worker process; a worker that crashes is tried once more, alone.

    Args:
        model: the catalog entry.
        precision: what to convert to.
        files: the folder of the model's files; nothing is written there.
        staging: an empty folder; afterwards it holds exactly ``model.xml`` and ``model.bin``.
        parts: what ``key_parts`` returned.
        settings: the run's settings.
        report: receives a ``convert_stage`` event for each stage.
        python: the interpreter to run the worker in; ours when unset.
        trust_code: whether code that comes with the model may run.
        calibration: calibration data named by the caller instead of by the recipe: a folder of images,
            a ``.npy`` or ``.npz`` file, or ``random``.

    Returns:
        The manifest: schema, key, model, precision, framework, parts, inputs, outputs, seconds,
        peak_memory (bytes), ports, and for compressed precisions the report.

    Raises:
        ConversionError: the model cannot be converted; ``staging`` is empty again.
        CacheError: ``staging`` cannot be written.
    """
    del settings  # nothing in it changes how a model is converted
    if not model.convertible:
        what = f"{model.name} cannot be converted: {model.reason}"
        raise UnsupportedModelError(what, hint="its files can still be fetched with 'model-zoo fetch'")
    _require_packages(model, precision, parts["versions"], python)
    request = _request(model, precision, files, staging, trust_code=trust_code, calibration=calibration)

    name = f"{model.name}@{precision}"

    def on_stage(stage: str) -> None:
        report(Event(event="convert_stage", model=model.name, message=stage))

    try:
        try:
            with _gate.together():
                result = run_worker(request, name=name, python=python, on_stage=on_stage)
        except WorkerCrashedError:
            on_stage("crashed, trying once more alone")
            _empty(staging)
            with _gate.alone():
                result = run_worker(request, name=name, python=python, on_stage=on_stage)
        with as_cache_error(staging):
            _take_untouched(result.pop("untouched", None), staging)
            outputs = _outputs(staging)
    except BaseException:
        _empty(staging)
        raise
    return {
        "schema": 1,
        "key": ir_key(parts),
        "model": model.name,
        "precision": precision,
        "framework": model.framework,
        "parts": parts,
        "inputs": [
            {"path": path, "size": (files / path).stat().st_size, "sha256": digest}
            for path, digest in parts["inputs"]
        ],
        "outputs": outputs,
        **result,
    }


def check_reproducible(model: Model, precision: str, manifest: Mapping[str, Any], **arguments: Any) -> None:  # noqa: ANN401
    """Convert once more, elsewhere, and compare with a manifest.

    Args:
        model: the catalog entry.
        precision: what it was converted to.
        manifest: what ``convert`` returned, or what lies beside the published IR.
        **arguments: what ``convert`` was given, except ``staging``.

    Raises:
        ConversionError: the second IR has other bytes; the message names the file and both digests.
    """
    with tempfile.TemporaryDirectory(prefix="model-zoo-again-") as folder:
        again = convert(model, precision, staging=Path(folder), **arguments)
    for first, second in zip(manifest["outputs"], again["outputs"], strict=True):
        if first["sha256"] != second["sha256"]:
            raise ConversionError(
                f"{model.name}@{precision} is not reproducible: another {first['path']} came out",
                expected=f"sha256 {first['sha256']}, {first['size']} bytes",
                found=f"sha256 {second['sha256']}, {second['size']} bytes",
                left="the first result is untouched",
                hint="report the model and the versions that 'model-zoo doctor' prints",
            )


def _request(
    model: Model,
    precision: str,
    files: Path,
    staging: Path,
    *,
    trust_code: bool,
    calibration: Path | str | None,
) -> dict[str, Any]:
    named = None if calibration is None else str(calibration)
    source = None if model.recipe.builder else choose_network(model, precision, files, ConversionError)
    return {
        "framework": model.framework,
        "files": os.path.abspath(files),  # noqa: PTH100 - links must stay links: their neighbours matter
        "staging": os.path.abspath(staging),  # noqa: PTH100
        "source": None if source is None else os.path.abspath(source),  # noqa: PTH100
        "precision": precision,
        "artifacts": [artifact.path for artifact in model.files_of(precision)],
        "recipe": msgspec.to_builtins(model.recipe),
        "model_info": msgspec.to_builtins(model.model_info),
        "labels": labels_of(model, files),
        "ready": is_ready(model, precision),
        "trust_code": trust_code,
        "calibration": named if named in {None, "random"} else os.path.abspath(named),  # noqa: PTH100
    }


def _require_packages(
    model: Model, precision: str, versions: Mapping[str, str | None], python: str | None
) -> None:
    spare = optional(model)
    missing = [name for name, version in versions.items() if version is None and name not in spare]
    if not missing:
        return
    reason = f"precision {precision}" if missing == ["nncf"] else f"framework {model.framework}"
    extras = sorted({EXTRAS[name] for name in missing if name in EXTRAS})
    install = f"pip install 'model-zoo[{','.join(extras)}]'" if extras else f"pip install {' '.join(missing)}"
    where = f" for {python}" if python else ""
    raise MissingExtraError(
        f"converting {model.name} ({reason}) needs {', '.join(missing)}, which is not installed{where}",
        left="nothing was published",
        hint=f"{install}, or name an interpreter that has it with --python",
    )


def _take_untouched(pair: Mapping[str, str | None] | None, staging: Path) -> None:
    """Link a ready-made IR under the fixed names; an IR without weights gets an empty ``.bin``."""
    if pair is None:
        return
    link_file(Path(str(pair["xml"])).resolve(), staging / "model.xml")
    if pair["bin"]:
        link_file(Path(pair["bin"]).resolve(), staging / "model.bin")
    else:
        (staging / "model.bin").touch()


def _outputs(staging: Path) -> list[dict[str, Any]]:
    return [
        {
            "path": name,
            "size": (staging / name).stat().st_size,
            "sha256": hash_file(staging / name)["sha256"].hex,
        }
        for name in ("model.xml", "model.bin")
    ]


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
