"""Models of transformers, diffusers, sentence-transformers and timm, exported by optimum-intel.

Everything optimum-intel reads and writes is named by a relative path, so that no path of this machine gets
into a configuration, and the same model makes the same bytes.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion.worker import weights
from model_zoo.conversion.worker.builders import untrusted_code
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.frameworks.openvino import describe_irs
from model_zoo.conversion.worker.torchvision import make_importable
from model_zoo.errors import ConversionError
from model_zoo.formats.hf_config import classes_named, config_files, pooling_of, read_config
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.conversion.worker.job import Job
    from model_zoo.conversion.worker.ports import ModelPorts

_MODEL, _IR = "model", "ir"
"""Names of the model's files and of the staging directory, in the worker's own directory."""
_OWN_CLASSES = {
    "sentence-transformers": ("sentence_transformers.", "torch.nn.modules."),
    "diffusers": ("diffusers.", "transformers."),
}
"""Begins the classes that a configuration may name without being code of others."""


def export(job: Job, on_stage: Callable[[str], None]) -> dict[str, ModelPorts]:
    """Export the job's model into its staging directory; return the ports of each IR."""
    config = weights.config_of(job, _MODEL)
    _prepare_directory(job)
    options = job.recipe.get("export") or {}
    on_stage("import")
    main_export, quantize, ov_config = _import_optimum()
    library = _library_of(job, options)
    task = options.get("task") or _task_of(library)
    tokenizers = options.get("convert_tokenizer", True)
    more = {"trust_remote_code": job.trust_code, "model_kwargs": options.get("model_kwargs") or None}
    stored = ov_config(quantization_config=config) if config else ov_config(dtype=job.precision.lower())
    on_stage("export")
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
            stateful=options.get("stateful", True),
            convert_tokenizer=tokenizers,
            pad_token_id=options.get("pad_token_id"),
            variant=options.get("variant"),
            **more,
        )
    if config and library != "timm":
        on_stage("compress")
        quantize(_MODEL, task, library, stored.quantization_config, Path(_IR), cache_dir="cache", **more)
    _check(job, library, tokenizers=tokenizers)
    if job.framework == "sentence-transformers":
        _copy_config_files()
    return describe_irs(job.staging)


def _copy_config_files() -> None:
    """Keep the small files of sentence-transformers, which say how to pool."""
    for name in config_files(Path(_MODEL)):
        (Path(_IR) / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(_MODEL) / name, Path(_IR) / name)


def _export_timm(stored: Any) -> None:  # noqa: ANN401 - an OVConfig
    """Export a classifier of timm; ``main_export`` would only look for it on the hub."""
    import timm
    from optimum.exporters.openvino import convert
    from optimum.intel.openvino import modeling_timm

    declared = read_config(Path(_MODEL) / "config.json")
    known = {**declared, **declared.get("pretrained_cfg", {})}
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
    convert.export(Local(), shape, path, ov_config=stored, stateful=False)
    config.save_pretrained(_IR)
    if stored.quantization_config is not None:
        from optimum.intel.openvino.quantization import _weight_only_quantization

        model = ov.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
        ov.save_model(_weight_only_quantization(model, stored.quantization_config), path)


def _prepare_directory(job: Job) -> None:
    """Give files and staging their short names in the worker's own directory, and keep everything else in it.

    The libraries' caches, and temporary files as large as the model, are removed with the worker's directory.
    """
    here = Path.cwd()
    top = job.recipe.get("model") or "."
    system.link_directory(here / _MODEL, job.files if top == "." else job.file(top, "recipe.model"))
    system.link_directory(here / _IR, job.staging)
    tempfile.tempdir = str(here)
    os.environ.update(HF_HOME=str(here / "home"), HF_MODULES_CACHE=str(here / "modules"))


def _import_optimum() -> tuple[Any, Any, Any]:
    make_importable()  # transformers imports torchvision if it is installed, whether it fits or not
    with needs("exporting this model", "optimum-intel[openvino]", pip=False):
        import torch
        from optimum.exporters.openvino import main_export
        from optimum.exporters.openvino.__main__ import _main_quantize
        from optimum.intel.openvino.configuration import OVConfig
    torch.manual_seed(0)  # for weights that a checkpoint lacks, and texts that calibration makes up
    return main_export, _main_quantize, OVConfig


def _library_of(job: Job, options: dict[str, Any]) -> str:
    """Return what optimum-intel calls the library.

    If an embedding is nothing but the pooled last hidden state, the network alone is exported:
    TextEmbeddingPipeline and OpenVINO Model Server do the pooling. Otherwise, or if the recipe names a task
    of sentence-transformers, all modules together become one IR.
    """
    if job.framework == "sentence-transformers" and not options.get("task") and pooling_of(Path(_MODEL)):
        return "transformers"
    return job.framework.replace("-", "_")


def _refuse_code(job: Job) -> None:
    """Refuse a model whose classes are defined by code among its files, unless that is trusted.

    Transformers asks by itself; diffusers and sentence-transformers import such code of a local directory.
    """
    if job.trust_code:
        return
    own = _OWN_CLASSES.get(job.framework, ())
    names = [name for name in classes_named(Path(_MODEL), job.framework) if not name.startswith(own)]
    if job.framework == "diffusers":
        names = [name for name in names if not _is_pipeline(name.partition(".")[0])]
        names += [path.name for path in sorted(job.files.rglob("*.py"))]
    if names and own:
        raise untrusted_code("exporting this model imports code that it names", ", ".join(names))
    config = read_config(Path(_MODEL) / "config.json")
    if not config.get("auto_map"):
        return
    from transformers import CONFIG_MAPPING

    if config.get("model_type") in CONFIG_MAPPING:
        return
    found = f"config.json: auto_map {', '.join(sorted(config['auto_map']))}"
    raise untrusted_code("exporting this model runs code that comes with it", found)


def _is_pipeline(library: str) -> bool:
    """Whether a component's library is a module of pipelines of diffusers."""
    from diffusers import pipelines

    return hasattr(pipelines, library)


def _task_of(library: str) -> str:
    """Return the task of a model, from the class that its configuration names."""
    if library == "timm":
        return "image-classification"
    if library == "sentence_transformers":
        return "feature-extraction"
    from optimum.exporters.tasks import TasksManager

    if library == "diffusers":
        kinds = [str(read_config(Path(_MODEL) / "model_index.json").get("_class_name"))]
    else:
        kinds = read_config(Path(_MODEL) / "config.json").get("architectures") or []
    for kind in kinds:
        found = getattr(importlib.import_module(library), kind, None)
        if found is None:
            continue
        try:
            task = str(TasksManager.infer_task_from_model(found))
        except ValueError:
            continue
        return task if library == "diffusers" else _with_past(task, TasksManager)
    what = "the configuration of this model does not show its task"
    found = ", ".join(kinds) or "no architectures"
    raise ConversionError(what, found=found, hint="set recipe.export.task in the catalog entry")


def _with_past(task: str, tasks: Any) -> str:  # noqa: ANN401
    """Return the task with a decoder's cache, if the exporter supports that."""
    kind = read_config(Path(_MODEL) / "config.json").get("model_type")
    try:
        known = tasks.get_supported_tasks_for_model_type(
            kind, exporter="openvino", library_name="transformers"
        )
    except KeyError:
        return task
    return f"{task}-with-past" if f"{task}-with-past" in known else task


def _check(job: Job, library: str, *, tokenizers: bool) -> None:
    """Refuse an incomplete result: optimum-intel only warns if it cannot convert a tokenizer."""
    if not any(job.staging.rglob("openvino*.xml")):
        raise ConversionError("optimum-intel wrote no IR", hint="run again with -v -v, and report the output")
    if library in {"diffusers", "timm"} or not tokenizers:
        return
    has = (Path(_MODEL) / "tokenizer.json").exists() or (Path(_MODEL) / "tokenizer_config.json").exists()
    if has and not (job.staging / "openvino_tokenizer.xml").exists():
        what = "openvino-tokenizers cannot convert this model's tokenizer"
        hint = "set recipe.export.convert_tokenizer: false, and use the tokenizer of transformers instead"
        raise ConversionError(what, hint=hint)
