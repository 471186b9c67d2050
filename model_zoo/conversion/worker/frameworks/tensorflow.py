"""TensorFlow: SavedModel folder, frozen graph, meta graph with its checkpoint, or a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.conversion.worker.builders import arguments_of, builder_of, callable_of, untrusted_code
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.frameworks import frontend
from model_zoo.conversion.worker.ports import convert_traced
from model_zoo.conversion.worker.saved_model import operators_that_reach_out
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    import openvino as ov

    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Read the model through OpenVINO's TensorFlow frontend, which needs no TensorFlow.

    A SavedModel without a serving signature (most text encoders and feature vectors of TensorFlow Hub) has
    nothing the frontend could start from; TensorFlow then loads it, and its function is converted.
    """
    if job.recipe.get("builder"):
        return convert_traced(job, _built(job), input=job.shapes)
    try:
        model = frontend.read(job)
    except ConversionError:
        if frontend.convert_file(job.network).outputs:
            raise
    else:
        if model.outputs:
            return model
    return convert_traced(job, _function_of(job, job.network), input=job.shapes)


def _built(job: Job) -> object:
    builder = builder_of(job)
    kwargs = arguments_of(job, builder)
    if builder.get("weights"):
        kwargs["weights"] = str(job.file(builder["weights"], "recipe.builder.weights"))
    return callable_of(job, builder)(**kwargs)


def _function_of(job: Job, directory: Path) -> object:
    """Return a concrete function of a SavedModel: its default signature, else its ``__call__``.

    Raises:
        UntrustedCodeError: loading it could do more than compute, which is not trusted.
    """
    with needs("converting a SavedModel without a serving signature", "tensorflow-cpu"):
        import tensorflow as tf
    if not job.trust_code and (found := operators_that_reach_out(directory)):
        what = "loading this SavedModel runs operators that can do more than compute"
        raise untrusted_code(what, ", ".join(found))
    try:
        loaded = tf.saved_model.load(str(directory))
    except (RuntimeError, ValueError):
        loaded = tf.saved_model.load(str(directory), tags=[])  # the format of TensorFlow Hub before 2019
    job.keep.append(loaded)  # its variables live as long as it does
    for name in ("serving_default", "default"):
        if name in loaded.signatures:
            return loaded.signatures[name]
    functions = getattr(getattr(loaded, "__call__", None), "concrete_functions", [])  # noqa: B004 - not a test
    if not functions:
        what = "this SavedModel has neither a signature nor a traced function"
        raise ConversionError(what, hint="add recipe.builder: code that returns the function to convert")
    return _inference(functions)


def _inference(functions: list[Any]) -> object:
    """Return the function traced with ``training=False``, if there is one; else the first."""
    for function in functions:
        arguments, named = function.structured_input_signature
        if False in arguments or named.get("training") is False:
            return function
    return functions[0]
