"""Keras files: .keras and .h5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov

from model_zoo.conversion.worker import frontend
from model_zoo.conversion.worker.explain import ways_to
from model_zoo.conversion.worker.port_names import name_ports
from model_zoo.errors import ConversionError, MissingExtraError

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Load the file with Keras, in safe mode, and convert it.

    Raises:
        MissingExtraError: TensorFlow or Keras is not installed.
        ConversionError: Keras cannot read the file, or refuses it because it holds code.
    """
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        what = f"converting a Keras model needs tensorflow, which cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to("tensorflow-cpu")) from error
    try:
        network = keras.saving.load_model(job.network, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        what = f"Keras cannot read {job.network.name}"
        raise ConversionError(
            what, found=str(error)[:400], hint="check the file and the version of Keras"
        ) from error
    shapes = [spec.partial_shape for spec in job.inputs if spec.partial_shape is not None]
    specs = [tf.TensorSpec(one.shape, one.dtype, name=one.name) for one in network.inputs]
    concrete = tf.function(
        lambda *arguments: network(_packed(arguments), training=False)
    ).get_concrete_function(*specs)
    model = ov.convert_model(concrete, input=shapes or None, extension=job.extensions or None)
    name_ports(job, model)
    return frontend.select(job, model) if frontend.selects(job) else model


def _packed(arguments: tuple[object, ...]) -> object:
    return arguments[0] if len(arguments) == 1 else list(arguments)
