"""Keras files: .keras, .h5 and .hdf5."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from model_zoo.conversion.worker import keras_file
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.ports import convert_traced
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    import openvino as ov

    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Load the file with Keras, in safe mode unless it is trusted, and convert it."""
    with needs("converting a Keras model", "tensorflow-cpu"):
        import keras
        import tensorflow as tf
    try:
        keras_file.check(job.network, trusted=job.trust_code)
        network = keras.saving.load_model(job.network, compile=False, safe_mode=not job.trust_code)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        what = f"Keras cannot read {job.network.name}"
        raise ConversionError(
            what, found=str(error)[:400], hint="check the file, and the version of Keras it was saved with"
        ) from error
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in network.inputs]

    def infer(*arguments: object) -> object:
        return network(arguments[0] if len(arguments) == 1 else list(arguments), training=False)

    return convert_traced(job, tf.function(infer).get_concrete_function(*specs), input=job.shapes)
