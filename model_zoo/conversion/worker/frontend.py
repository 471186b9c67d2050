"""Files that OpenVINO's own frontends read, with no framework installed. Runs in the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov
from openvino.frontend import FrontEndManager

from model_zoo.conversion.worker import cut
from model_zoo.conversion.worker.explain import reasons
from model_zoo.conversion.worker.job import find_input
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.conversion.worker.job import InputSpec, Job


def read(job: Job, source: Path) -> ov.Model:
    """Convert a file or folder, with the recipe's shapes, outputs and cuts.

    Most outputs survive OpenVINO's transformations under their names, so the plain conversion is tried
    first. An interior tensor that was fused away, or operations beyond the cut that cannot be converted,
    need the graph as the frontend first builds it.
    """
    if not selects(job):
        return _convert(job, source)
    try:
        return select(job, _convert(job, source))
    except Exception:  # noqa: BLE001 - whatever it was, the second way is the authority
        return _optimised(select(job, _as_built(job, source)))


def _convert(job: Job, source: Path) -> ov.Model:
    inputs = [spec for spec in job.inputs if spec.shape is not None and spec.name not in job.cut_inputs]
    stated = [_stated(spec) for spec in inputs]
    try:
        return ov.convert_model(source, input=stated or None, extension=job.extensions or None)
    except Exception as error:
        if not inputs:
            raise
        raise _about_inputs(job, source, inputs, error) from error


def _stated(spec: InputSpec) -> object:
    return spec.partial_shape if spec.name is None else (spec.name, spec.partial_shape)


def _about_inputs(job: Job, source: Path, inputs: list[InputSpec], error: Exception) -> Exception:
    """Return the error that the recipe's inputs are to blame for, if the model converts without them."""
    try:
        model = ov.convert_model(source, extension=job.extensions or None)
    except Exception:  # noqa: BLE001 - then they are not
        return error
    try:
        for spec in inputs:
            find_input(model, spec.name)
    except ConversionError as unknown:
        return unknown
    return ConversionError(
        "recipe.inputs: the network cannot have these shapes",
        expected=", ".join(f"{spec.name or 'its input'} {spec.partial_shape}" for spec in inputs),
        found=reasons(str(error)),
        hint="correct shape in recipe.inputs",
    )


def selects(job: Job) -> bool:
    """Whether the recipe chooses outputs or cuts."""
    return bool(job.recipe.get("outputs") or job.cut_outputs or job.cut_inputs)


def select(job: Job, model: ov.Model) -> ov.Model:
    """Keep the outputs and make the cuts that the recipe asks for.

    Raises:
        ConversionError: the model has nothing of that name.
    """
    chosen = job.recipe.get("outputs") or ()
    outputs = [(name, cut.find_tensor(model, name, "recipe.outputs")) for name in chosen]
    outputs += [(name, cut.find_tensor(model, name, "recipe.cut.outputs")) for name in job.cut_outputs]
    inputs = [(name, cut.find_tensor(model, name, "recipe.cut.inputs")) for name in job.cut_inputs]
    return cut.rebuild(model, outputs=outputs or None, inputs=inputs)


def _as_built(job: Job, source: Path) -> ov.Model:
    """Return the graph as the frontend builds it: every name there, operations possibly unconverted."""
    manager = FrontEndManager()
    frontend = manager.load_by_model(str(source))
    if frontend is None:
        what = f"OpenVINO has no frontend for {source.name}"
        raise ConversionError(what, hint="check the model's framework and recipe.model")
    for path in job.extensions:
        frontend.add_extension(path)
    return frontend.convert_partially(frontend.load(str(source)))


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
