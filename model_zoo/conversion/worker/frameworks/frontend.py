"""Formats that OpenVINO's own frontends read, with no framework installed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import openvino as ov
from openvino.frontend import FrontEnd, FrontEndManager

from model_zoo.conversion.worker import ports
from model_zoo.conversion.worker.explain import reasons
from model_zoo.conversion.worker.ports import find_input, shape_error
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.conversion.worker.job import InputSpec, Job


def read(job: Job) -> ov.Model:
    """Convert a file or directory, with the recipe's shapes, outputs and cuts.

    Most outputs keep their names through OpenVINO's transformations, so the plain conversion is tried first.
    The graph as the frontend first builds it is needed for an interior tensor that was fused away, or where
    operations beyond the cut cannot be converted.
    """
    if not ports.is_needed(job):
        return _convert(job, job.network)
    try:
        return ports.select(job, _convert(job, job.network))
    except Exception:  # noqa: BLE001 - whatever it was, the error of the second way is the one to show
        return _optimised(ports.select(job, _untransformed(job, job.network)))


def _convert(job: Job, source: Path) -> ov.Model:
    if _has_attachment(source):
        frontend = _with_extensions(FrontEndManager().load_by_framework("tflite"), job)
        return _optimised(frontend.convert(frontend.load(str(source))))
    specs = [spec for spec in job.inputs if spec.shape is not None and spec.name not in job.cut_inputs]
    inputs = [spec.partial_shape if spec.name is None else (spec.name, spec.partial_shape) for spec in specs]
    try:
        return convert_file(source, input=inputs or None, extension=job.extensions or None)
    except Exception as error:
        if not specs:
            raise
        raise _input_error(job, source, specs, error) from error


def _has_attachment(source: Path) -> bool:
    """Whether a file of TensorFlow Lite has a ZIP archive behind it, as its metadata keep labels in.

    Its own frontend reads it, which knows nothing of archives; see ``convert_file``.
    """
    if not source.is_file():
        return False
    with source.open("rb") as stream:
        head = stream.read(8)
    return head[4:] == b"TFL3" and zipfile.is_zipfile(source)


def convert_file(source: Path, **more: Any) -> ov.Model:  # noqa: ANN401
    """Convert a file or directory with OpenVINO's converter.

    Whatever a file is called, the converter hands archives of PyTorch to PyTorch, which unpickles some of
    them. No format that is handed to it is a ZIP archive.

    Raises:
        ConversionError: the file is one.
    """
    if source.is_file() and zipfile.is_zipfile(source):
        what = f"{source.name} is a ZIP archive, which no model of its framework is"
        hint = "check the file; for TorchScript set framework: pytorch, for an archive unpack: {format: zip}"
        raise ConversionError(what, hint=hint)
    return ov.convert_model(source, **more)


def _input_error(job: Job, source: Path, specs: list[InputSpec], error: Exception) -> Exception:
    """Return an error that blames the recipe's inputs, if the model converts without them."""
    try:
        model = convert_file(source, extension=job.extensions or None)
    except Exception:  # noqa: BLE001 - then the inputs are not to blame
        return error
    try:
        for spec in specs:
            find_input(model, spec.name)
    except ConversionError as unknown:
        return unknown
    return shape_error({spec.name or "its input": spec.partial_shape for spec in specs}, reasons(str(error)))


def _untransformed(job: Job, source: Path) -> ov.Model:
    """Return the graph as the frontend builds it: with every name, perhaps with unconverted operations."""
    manager = FrontEndManager()
    frontend = manager.load_by_model(str(source))
    if frontend is None:
        what = f"OpenVINO has no frontend for {source.name}"
        raise ConversionError(what, hint="check the model's framework and recipe.model")
    return _with_extensions(frontend, job).convert_partially(frontend.load(str(source)))


def _with_extensions(frontend: FrontEnd, job: Job) -> FrontEnd:
    for path in job.extensions:
        frontend.add_extension(path)
    return frontend


def _optimised(model: ov.Model) -> ov.Model:
    """Apply the transformations that ``openvino.convert_model`` applies."""
    from openvino._offline_transformations import (  # what openvino's own converter calls
        apply_fused_names_cleanup,
        apply_moc_transformations,
        compress_quantize_weights_transformation,
    )

    model.validate_nodes_and_infer_types()
    apply_moc_transformations(model, cf=False, smart_reshape=True)
    compress_quantize_weights_transformation(model)
    apply_fused_names_cleanup(model)
    return model
