"""The stages of one conversion, in order: read, shape, preprocess, compress, describe, save.

Runs in the worker.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion.worker import compress, cut, frameworks, model_info, preprocess
from model_zoo.conversion.worker.explain import reasons
from model_zoo.conversion.worker.job import Job, describe_ports, find_input, name_of
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable


_ADDRESS = re.compile(r"\d{9,}")
"""What the frontend of JAX calls tensors, beside their names: the id() of Python objects."""


def run(request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Convert as the request says; see ``Job`` for its fields.

    Returns:
        ``ports``, and where they apply ``report`` and ``untouched``; of a folder model ``irs``.
    """
    job = Job.from_request(request)
    if job.folder:
        return _folder(job, say)
    say("read")
    model = frameworks.read(job)
    if job.framework == "openvino" and job.ready and not _asks_for_something(job):
        return {"ports": ports(model), "untouched": _pair(job)}
    info = model_info.entries(job, model)
    _reshape(job, model)
    model = preprocess.apply(model, job.inputs, embed=job.recipe.get("preprocess", "embed") == "embed")
    model = _without_traces(job, model)
    model, report = compress.lower(job, model, info, say)
    model_info.write(model, info)
    say("save")
    # Ready-made weights stay as they are: they have their precision already.
    half = not job.ready and job.precision.startswith("FP16")
    ov.save_model(model, job.staging / "model.xml", compress_to_fp16=half)
    result: dict[str, Any] = {"ports": ports(model)}
    if report:
        result["report"] = report
    return result


def _folder(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    from model_zoo.conversion.worker import optimum

    if job.framework in optimum.LIBRARIES:
        return optimum.run(job, say)
    say("read")
    return {"irs": optimum.ports_in(job.files)}


def ports(model: ov.Model) -> dict[str, Any]:
    """Return the inputs and outputs as the manifest describes them."""
    return {"inputs": describe_ports(model.inputs), "outputs": describe_ports(model.outputs)}


def _asks_for_something(job: Job) -> bool:
    asked = ("inputs", "outputs", "cut", "extensions")
    return bool(job.model_info or job.labels) or any(job.recipe.get(name) for name in asked)


def _pair(job: Job) -> dict[str, str | None]:
    xml = job.network
    weights = xml.with_suffix(".bin")
    return {"xml": os.fspath(xml), "bin": os.fspath(weights) if weights.exists() else None}


def _reshape(job: Job, model: ov.Model) -> None:
    """Give the inputs the recipe's shapes, where the frontend did not yet."""
    shapes: dict[Any, ov.PartialShape] = {}
    for spec in job.inputs:
        port = find_input(model, spec.name)
        if spec.partial_shape is not None and spec.partial_shape != port.get_partial_shape():
            shapes[port] = spec.partial_shape
    if not shapes:
        return
    try:
        model.reshape(shapes)
    except RuntimeError as error:
        wanted = ", ".join(f"{name_of(port)} {shape}" for port, shape in shapes.items())
        raise ConversionError(
            "recipe.inputs: the network cannot have these shapes",
            expected=wanted,
            found=reasons(str(error)),
            hint="correct shape in recipe.inputs",
        ) from error


def _without_traces(job: Job, model: ov.Model) -> ov.Model:
    """Drop run-time information, which names files of this machine, and names that are memory addresses.

    What a ready-made IR has of either is content, and so is the metadata that an ONNX file carries, such as
    the characters that a reader of text knows: it stays where OpenVINO puts it, under ``framework``.
    """
    if job.framework == "openvino":
        return model
    if job.framework in {"jax", "pytorch"}:
        for output in (output for node in model.get_ops() for output in node.outputs()):
            kept = {name for name in output.get_names() if not _ADDRESS.fullmatch(name)}
            if kept != output.get_names():
                output.set_names(kept)
    carried = _metadata(model) if job.framework == "onnx" else {}
    model = cut.rebuild(model)
    for name, text in sorted(carried.items()):
        model.set_rt_info(text, ["framework", name])
    return model


def _metadata(model: ov.Model) -> dict[str, str]:
    """Return what ONNX calls ``metadata_props``, by name."""
    if not model.has_rt_info(["framework"]):
        return {}
    return {str(name): str(value) for name, value in model.get_rt_info(["framework"]).value.items()}
