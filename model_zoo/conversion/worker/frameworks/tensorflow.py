"""TensorFlow: SavedModel folder, frozen graph, meta graph with its checkpoint, or a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openvino as ov

from model_zoo.conversion.worker import frontend
from model_zoo.conversion.worker.builders import arguments_of, builder_of, callable_of
from model_zoo.conversion.worker.explain import ways_to
from model_zoo.conversion.worker.port_names import name_ports
from model_zoo.errors import ConversionError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Read the model through OpenVINO's TensorFlow frontend, which needs no TensorFlow.

    A SavedModel without a serving signature (most text encoders and feature vectors of TensorFlow Hub) has
    nothing the frontend could start from; TensorFlow then loads it, and its function is converted.

    Raises:
        MissingExtraError: TensorFlow would be needed and is not installed.
        ConversionError: the model offers no function to convert.
    """
    if job.recipe.get("builder"):
        return _traced(job, _built(job))
    try:
        model = frontend.read(job, job.network)
    except ConversionError:
        if ov.convert_model(job.network).outputs:
            raise
    else:
        if model.outputs:
            return model
    return _traced(job, _function_of(job, job.network))


def _tensorflow() -> Any:  # noqa: ANN401 - the module
    try:
        import tensorflow as tf
    except ImportError as error:
        what = f"this SavedModel has no serving signature, and tensorflow cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to("tensorflow-cpu")) from error
    return tf


def _built(job: Job) -> Any:  # noqa: ANN401
    builder = builder_of(job)
    kwargs = arguments_of(job, builder)
    if builder.get("weights"):
        kwargs["weights"] = str(job.file(builder["weights"], "recipe.builder.weights"))
    return callable_of(job, builder)(**kwargs)


def _function_of(job: Job, folder: Path) -> Any:  # noqa: ANN401
    """Return a concrete function of a SavedModel: its default signature, else its ``__call__``."""
    tf = _tensorflow()
    try:
        loaded = tf.saved_model.load(str(folder))
    except (RuntimeError, ValueError):
        loaded = tf.saved_model.load(str(folder), tags=[])  # the format of TensorFlow Hub before 2019
    job.keep.append(loaded)  # its variables live as long as it does
    for name in ("serving_default", "default"):
        if name in loaded.signatures:
            return loaded.signatures[name]
    functions = getattr(getattr(loaded, "__call__", None), "concrete_functions", [])  # noqa: B004 - not a test
    if not functions:
        what = "this SavedModel has neither a signature nor a function that was traced when it was saved"
        raise ConversionError(what, hint="add recipe.builder with code that returns the function to convert")
    return _inference(functions)


def _inference(functions: list[Any]) -> Any:  # noqa: ANN401
    """Prefer the variant that takes ``training=False``, where there are several."""
    for function in functions:
        arguments, named = function.structured_input_signature
        if False in arguments or named.get("training") is False:
            return function
    return functions[0]


def _traced(job: Job, function: Any) -> ov.Model:  # noqa: ANN401
    shapes = [spec.partial_shape for spec in job.inputs if spec.partial_shape is not None]
    model = ov.convert_model(function, input=shapes or None, extension=job.extensions or None)
    name_ports(job, model)
    return frontend.select(job, model) if frontend.selects(job) else model
