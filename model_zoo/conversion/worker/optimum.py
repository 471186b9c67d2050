"""Models of transformers, diffusers, sentence-transformers and timm, exported by optimum-intel.

Runs in the worker.

Everything optimum-intel reads and writes has a name without a folder in it, so that no path of this machine
gets into a configuration, and the same model makes the same bytes.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion import pooling
from model_zoo.conversion.worker import weights
from model_zoo.conversion.worker.job import describe_ports
from model_zoo.conversion.worker.torchvision import make_importable
from model_zoo.errors import ConversionError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.conversion.worker.job import Job

LIBRARIES = {
    "transformers": "transformers",
    "diffusers": "diffusers",
    "sentence-transformers": "sentence_transformers",
    "timm": "timm",
}
"""What optimum-intel calls the library of each framework."""
_MODEL, _IR = "model", "ir"


def run(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    """Export the job's model into its staging folder.

    Returns:
        ``irs``: inputs and outputs of each IR.

    Raises:
        MissingExtraError: optimum-intel, or a package it needs, cannot be imported.
        ConversionError: it cannot export this model, or not in this precision; or only with code that comes
            with the model, which was not trusted.
    """
    config = weights.config_of(job, _MODEL)
    _settle(job)
    asked = job.recipe.get("export") or {}
    say("import")
    main_export, quantize, ov_config = _optimum()
    library = _library_of(job, asked)
    task = asked.get("task") or _task_of(library)
    tokenizers = asked.get("convert_tokenizer", True)
    more = {"trust_remote_code": job.trust_code, "model_kwargs": asked.get("model_kwargs") or None}
    stored = ov_config(quantization_config=config) if config else ov_config(dtype=job.precision.lower())
    say("export")
    _refuse_code(job)
    if library == "timm":
        _export_timm(stored)
    else:
        main_export(
            _MODEL,
            output=Path(_IR),
            task=task,
            library_name=library,
            local_files_only=True,
            ov_config=stored,
            stateful=asked.get("stateful", True),
            convert_tokenizer=tokenizers,
            pad_token_id=asked.get("pad_token_id"),
            variant=asked.get("variant"),
            **more,
        )
    if config and library != "timm":
        say("compress")
        quantize(_MODEL, task, library, stored.quantization_config, Path(_IR), cache_dir="cache", **more)
    _check(job, library, tokenizers=tokenizers)
    if job.framework == "sentence-transformers":
        _copy_settings()
    return {"irs": ports_in(job.staging)}


def _copy_settings() -> None:
    """Keep the small files of sentence-transformers, which say how to pool."""
    for name in pooling.settings_of(Path(_MODEL)):
        (Path(_IR) / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(_MODEL) / name, Path(_IR) / name)


def _export_timm(stored: Any) -> None:  # noqa: ANN401 - an OVConfig
    """Export a classifier of timm, which ``main_export`` would only look for on the hub."""
    import timm
    from optimum.exporters.openvino.convert import export
    from optimum.intel.openvino import modeling_timm

    said = _json(Path(_MODEL) / "config.json")
    known = {**said, **said.get("pretrained_cfg", {})}
    config = modeling_timm.TimmConfig(
        architectures=[known.get("architecture")],
        num_labels=known["num_classes"],
        image_size=known["input_size"][-1],
        **{name: known[name] for name in ("mean", "std", "crop_pct", "interpolation") if name in known},
    )

    class Local(modeling_timm.TimmForImageClassification):  # type: ignore[misc]
        def __init__(self) -> None:
            super(modeling_timm.TimmForImageClassification, self).__init__(config)
            self.model = timm.create_model(f"local-dir:{_MODEL}", pretrained=True, exportable=True).eval()

    shape = modeling_timm.TimmOpenVINOConfig(config, task="image-classification")
    path = Path(_IR) / "openvino_model.xml"
    export(Local(), shape, path, ov_config=stored, stateful=False)
    config.save_pretrained(_IR)
    if stored.quantization_config is not None:
        from optimum.intel.openvino.quantization import _weight_only_quantization

        model = ov.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
        ov.save_model(_weight_only_quantization(model, stored.quantization_config), path)


def ports_in(folder: Path) -> dict[str, Any]:
    """Return inputs and outputs of every IR below a folder, by path; tokenizers need more to be read.

    Raises:
        ConversionError: one is no IR that this OpenVINO reads.
    """
    core, found = ov.Core(), {}
    for path in sorted(folder.rglob("*.xml")):
        name = path.relative_to(folder).as_posix()
        if re.search(r"openvino_(de)?tokenizer[^/]*\.xml$", name) or not path.with_suffix(".bin").exists():
            continue
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            what = f"{name} is not an IR that this OpenVINO reads"
            raise ConversionError(what, found=lines[-1], hint="check that its .bin belongs to it") from error
        found[name] = {"inputs": describe_ports(model.inputs), "outputs": describe_ports(model.outputs)}
    return found


def _settle(job: Job) -> None:
    """Give files and staging their short names in the worker's own folder, and keep everything else in it.

    The caches of the libraries, and temporary files as large as the model, end with the worker.
    """
    here = Path.cwd()
    top = job.recipe.get("model") or "."
    _alias(here / _MODEL, job.files if top == "." else job.file(top, "recipe.model"))
    _alias(here / _IR, job.staging)
    tempfile.tempdir = str(here)
    os.environ.update(HF_HOME=str(here / "home"), HF_MODULES_CACHE=str(here / "modules"))


def _alias(name: Path, folder: Path) -> None:
    """Give a folder a second name; on Windows a junction, which needs no privilege."""
    if sys.platform == "win32":  # pragma: no cover
        import _winapi

        _winapi.CreateJunction(str(folder), str(name))
    else:
        name.symlink_to(folder)


def _optimum() -> tuple[Any, Any, Any]:
    make_importable()  # transformers imports torchvision where there is one, fitting or not
    try:
        import torch
        from optimum.exporters.openvino import main_export
        from optimum.exporters.openvino.__main__ import _main_quantize
        from optimum.intel.openvino.configuration import OVConfig
    except ImportError as error:
        what = f"exporting needs optimum-intel with openvino, which cannot be imported: {error}"
        hint = "convert with --isolate, or name an interpreter that has optimum-intel[openvino] with --python"
        raise MissingExtraError(what, hint=hint) from error
    torch.manual_seed(0)  # weights that a checkpoint lacks, and texts that calibration makes up
    return main_export, _main_quantize, OVConfig


def _library_of(job: Job, export: dict[str, Any]) -> str:
    """Return what optimum-intel calls the library.

    Where an embedding is nothing but the pooled last hidden state, the network alone is exported, as
    TextEmbeddingPipeline and OpenVINO Model Server take it: they pool. Else, or where a task of
    sentence-transformers is asked for, the whole sequence is one IR.
    """
    if job.framework == "sentence-transformers" and not export.get("task"):
        return "transformers" if pooling.pooling_of(Path(_MODEL)) else LIBRARIES[job.framework]
    return LIBRARIES[job.framework]


def _refuse_code(job: Job) -> None:
    """Refuse a model whose classes are defined by code among its files, unless that is trusted.

    Raises:
        ConversionError: it has such code, and the library knows no classes of its own for it.
    """
    config = _json(Path(_MODEL) / "config.json")
    if job.trust_code or not config.get("auto_map"):
        return
    from transformers import CONFIG_MAPPING

    if config.get("model_type") in CONFIG_MAPPING:
        return
    raise ConversionError(
        "exporting this model runs code that comes with it, and it is not trusted",
        expected="--trust-code",
        found=f"config.json: auto_map {', '.join(sorted(config['auto_map']))}",
        hint="read the code, then run again with --trust-code (trust_code=True in Python)",
    )


def _task_of(library: str) -> str:
    """Return the task of a model, from the class its configuration names.

    Raises:
        ConversionError: it names none that has a task.
    """
    if library == "timm":
        return "image-classification"
    if library == "sentence_transformers":
        return "feature-extraction"
    from optimum.exporters.tasks import TasksManager

    if library == "diffusers":
        kinds = [str(_json(Path(_MODEL) / "model_index.json").get("_class_name"))]
    else:
        kinds = _json(Path(_MODEL) / "config.json").get("architectures") or []
    for kind in kinds:
        found = getattr(importlib.import_module(library), kind, None)
        if found is None:
            continue
        try:
            task = str(TasksManager.infer_task_from_model(found))
        except ValueError:
            continue
        return task if library == "diffusers" else _with_past(task, TasksManager)
    what = "the task of this model cannot be told from its configuration"
    raise ConversionError(
        what, found=", ".join(kinds) or "no architectures", hint="say it in recipe.export.task"
    )


def _with_past(task: str, tasks: Any) -> str:  # noqa: ANN401
    """Return the task with a decoder's cache, where the exporter knows it."""
    kind = _json(Path(_MODEL) / "config.json").get("model_type")
    try:
        known = tasks.get_supported_tasks_for_model_type(
            kind, exporter="openvino", library_name="transformers"
        )
    except KeyError:
        return task
    return f"{task}-with-past" if f"{task}-with-past" in known else task


def _check(job: Job, library: str, *, tokenizers: bool) -> None:
    """Refuse a folder that is not complete: optimum-intel goes on where a tokenizer cannot be converted.

    Raises:
        ConversionError: there is no IR, or none of a tokenizer that there is.
    """
    if not any(job.staging.rglob("openvino*.xml")):
        raise ConversionError("optimum-intel wrote no IR", hint="the log above may say why; report it")
    if library in {"diffusers", "timm"} or not tokenizers:
        return
    has = (Path(_MODEL) / "tokenizer.json").exists() or (Path(_MODEL) / "tokenizer_config.json").exists()
    if has and not (job.staging / "openvino_tokenizer.xml").exists():
        what = "openvino-tokenizers cannot convert this model's tokenizer"
        hint = (
            "set recipe.export.convert_tokenizer: false to go without, and use the tokenizer of transformers"
        )
        raise ConversionError(what, hint=hint)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
