"""The stages of one conversion, in order: read, shape, preprocess, compress, describe, save."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion.worker import compress, frameworks, ports, preprocess
from model_zoo.conversion.worker.explain import no_space, reasons
from model_zoo.conversion.worker.job import Job
from model_zoo.conversion.worker.ports import describe_ports, find_input, shape_error
from model_zoo.formats.ports import port_name

if TYPE_CHECKING:
    from collections.abc import Callable


_ADDRESS = re.compile(r"\d{9,}")
"""Extra names that tracing gives to tensors: the id() of Python objects."""


def run(request: dict[str, Any], on_stage: Callable[[str], None]) -> dict[str, Any]:
    """Convert as the request says; see ``Job`` for its fields.

    Returns:
        ``ports``, and where they apply ``report`` and ``untouched``; of a folder model ``irs``.
    """
    job = Job.from_request(request)
    reader = frameworks.reader(job.framework)
    if job.folder:
        return {"irs": reader.export(job, on_stage)}
    on_stage("read")
    model = reader.read(job)
    changes = any(job.recipe.get(name) for name in ("inputs", "outputs", "cut", "extensions"))
    if job.ready and not (changes or job.model_info or job.labels):
        weights = job.network.with_suffix(".bin")
        untouched = {"xml": str(job.network), "bin": str(weights) if weights.exists() else None}
        return {"ports": describe_ports(model), "untouched": untouched}
    info = preprocess.model_info(job, model)
    _reshape(job, model)
    model = preprocess.apply(model, job.inputs, embed=job.recipe.get("preprocess", "embed") == "embed")
    model = _without_machine_data(job, model)
    model, report = compress.apply(job, model, info, on_stage)
    for key, value in sorted(info.items()):
        model.set_rt_info(value, ["model_info", key])
    on_stage("save")
    # The weights of ready-made files have their precision already.
    half = not job.ready and job.precision.startswith("FP16")
    try:
        ov.save_model(model, job.staging / "model.xml", compress_to_fp16=half)
    except RuntimeError as error:
        if "ios" in str(error):  # a stream of C++, which knows only that it cannot write
            raise no_space(str(error)) from error
        raise
    result: dict[str, Any] = {"ports": describe_ports(model)}
    if report:
        result["report"] = report
    return result


def _reshape(job: Job, model: ov.Model) -> None:
    """Give the inputs the recipe's shapes, unless the frontend has done so."""
    shapes: dict[ov.Output, ov.PartialShape] = {}
    for spec in job.inputs:
        port = find_input(model, spec.name)
        if spec.partial_shape is not None and spec.partial_shape != port.get_partial_shape():
            shapes[port] = spec.partial_shape
    if not shapes:
        return
    try:
        model.reshape(shapes)
    except RuntimeError as error:
        named = {port_name(port): shape for port, shape in shapes.items()}
        raise shape_error(named, reasons(str(error))) from error


def _without_machine_data(job: Job, model: ov.Model) -> ov.Model:
    """Drop run-time information, which names files of this machine, and names that are memory addresses.

    In a ready-made IR both are content and stay. So does the metadata of an ONNX file, such as the characters
    that a text recognition model knows: it stays where OpenVINO puts it, under ``framework``.
    """
    if job.framework == "openvino":
        return model
    if job.framework in {"jax", "pytorch"}:
        for output in (output for node in model.get_ops() for output in node.outputs()):
            kept = {name for name in output.get_names() if not _ADDRESS.fullmatch(name)}
            if kept != output.get_names():
                output.set_names(kept)
    has_metadata = job.framework == "onnx" and model.has_rt_info(["framework"])
    metadata = model.get_rt_info(["framework"]).value if has_metadata else {}
    texts = {str(name): str(value) for name, value in metadata.items()}
    model = ports.rebuild(model)
    for name, text in sorted(texts.items()):
        model.set_rt_info(text, ["framework", name])
    return model
