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

from model_zoo.conversion import folder
from model_zoo.conversion.key import differences, ir_key, is_ready, key_parts
from model_zoo.conversion.labels import labels_of
from model_zoo.conversion.process import run_worker
from model_zoo.conversion.read_write_lock import Gate
from model_zoo.conversion.requirements import require_packages
from model_zoo.conversion.toolchain import toolchain
from model_zoo.errors import ConversionError, UnsupportedModelError, WorkerCrashedError
from model_zoo.events import Event
from model_zoo.files import as_cache_error, hash_file
from model_zoo.formats.network import choose_network
from model_zoo.schema import IrManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_zoo.schema import FileEntry, Model
    from model_zoo.settings import Settings

__all__ = ["check_reproducible", "convert", "differences", "ir_key", "key_parts", "toolchain"]

_gate = Gate()


def convert(  # noqa: PLR0913 - all of it is what one conversion depends on
    model: Model,
    precision: str,
    *,
    files: Path,
    staging: Path,
    parts: dict[str, Any],
    settings: Settings,
    report: Callable[[Event], None],
    python: str | None = None,
    isolated: bool = False,
    trust_code: bool = False,
    calibration: Path | str | None = None,
    own: Path | None = None,
    reference: str | None = None,
) -> IrManifest:
    """Convert a model in one fresh worker process; a worker that crashes is tried once more, alone.

    Args:
        model: the catalog entry.
        precision: what to convert to.
        files: the folder of the model's files; nothing is written there.
        staging: an empty folder; afterwards it holds exactly ``model.xml`` and ``model.bin``, or all files of
            a folder model.
        parts: what ``key_parts`` returned.
        settings: the run's settings.
        report: receives a ``convert_stage`` event for each stage.
        python: the interpreter to run the worker in; ours when unset.
        isolated: it is that of a converter environment.
        trust_code: whether code that comes with the model may run.
        calibration: calibration data named by the caller instead of by the recipe: a folder of images,
            a ``.npy`` or ``.npz`` file, or ``random``; for language models a file with a text on each line.
        own: the root of the layer that ``staging`` is in: only files of it may be linked to by a symlink.
        reference: what to type for the model, where that is not its name.

    Returns:
        The manifest, still without declaration, request and resolution.

    Raises:
        ConversionError: the model cannot be converted; ``staging`` is empty again.
        CacheError: ``staging`` cannot be written.
    """
    del settings  # nothing in it changes how a model is converted
    if not model.convertible:
        what = f"{model.name} cannot be converted: {model.reason}"
        raise UnsupportedModelError(what, hint="its files can still be fetched with 'model-zoo fetch'")
    require_packages(
        model, precision, parts["versions"], python=python, isolated=isolated, reference=reference
    )
    request = _request(model, precision, files, staging, trust_code=trust_code, calibration=calibration)

    name = f"{model.name}@{precision}"

    def on_stage(stage: str) -> None:
        report(Event(event="convert_stage", model=model.name, message=stage))

    try:
        try:
            with _gate.together():
                result = run_worker(request, name=name, python=python, isolated=isolated, on_stage=on_stage)
        except WorkerCrashedError:
            on_stage("crashed, trying once more alone")
            _empty(staging)
            with _gate.alone():
                result = run_worker(request, name=name, python=python, isolated=isolated, on_stage=on_stage)
        with as_cache_error(staging):
            made = _taken(model, parts, result, files, staging, own)
    except BaseException:
        _empty(staging)
        raise
    manifest = {
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
        **result,
        **made,
    }
    return msgspec.convert(manifest, IrManifest)


def _taken(
    model: Model,
    parts: Mapping[str, Any],
    result: dict[str, Any],
    files: Path,
    staging: Path,
    own: Path | None,
) -> dict[str, Any]:
    """Put what is ready-made beside what the worker wrote, and describe it all."""
    if model.is_folder:
        if model.framework == "openvino":
            folder.link_all(files, (path for path, _ in parts["inputs"]), staging, own)
        return folder.finish(staging, result["irs"])
    _take_untouched(result.pop("untouched", None), staging, own)
    return {"outputs": _outputs(staging)}


def check_reproducible(model: Model, precision: str, manifest: IrManifest, **arguments: Any) -> None:  # noqa: ANN401
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
    first, second = ({e.path: e for e in one.outputs} for one in (manifest, again))
    for path in sorted({*first, *second}):
        if first.get(path) != second.get(path):
            raise ConversionError(
                f"{model.name}@{precision} is not reproducible: another {path} came out",
                expected=_said(first.get(path)),
                found=_said(second.get(path)),
                left="the first result is untouched",
                hint="report the model and the versions that 'model-zoo doctor' prints",
            )


def _said(entry: FileEntry | None) -> str:
    return f"sha256 {entry.sha256}, {entry.size} bytes" if entry else "no such file"


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
    whole = model.recipe.builder or model.is_folder
    source = None if whole else choose_network(model, precision, files, ConversionError)
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
        "folder": model.is_folder,
        "trust_code": trust_code,
        "calibration": named if named in {None, "random", "auto"} else os.path.abspath(named),  # noqa: PTH100
    }


def _take_untouched(pair: Mapping[str, str | None] | None, staging: Path, own: Path | None) -> None:
    """Link a ready-made IR under the fixed names; an IR without weights gets an empty ``.bin``."""
    if pair is None:
        return
    for name, path in (("model.xml", pair["xml"]), ("model.bin", pair["bin"])):
        if path is not None:
            folder.link(Path(path), staging / name, own)
    if pair["bin"] is None:
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
