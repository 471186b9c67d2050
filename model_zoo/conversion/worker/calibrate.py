"""Calibration samples: images, arrays, or noise if it is requested by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from model_zoo.errors import ConversionError, MissingExtraError
from model_zoo.formats.ports import (
    IMAGE_SUFFIXES,
    Array,
    choose_shape,
    image_layout,
    image_tensor,
    open_image,
    port_name,
    port_sizes,
)
from model_zoo.text import counted

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job

Sample = dict[str, Array]


def samples_of(
    job: Job, model: ov.Model, info: dict[str, str], *, dataset: str | None, limit: int
) -> tuple[list[Sample], str]:
    """Return up to ``limit`` samples, each an array for every input by name, and the name of the data.

    Calibration data that the caller names comes before ``dataset``, which the recipe names.
    """
    chosen = job.calibration or dataset
    if chosen is None:
        raise ConversionError(
            f"{job.precision} needs calibration data, but neither the recipe nor the command names any",
            hint="give a folder of images, a .npy or .npz file with --calibrate or in "
            "recipe.quantize.dataset; '--calibrate random' uses noise, and accuracy suffers",
        )
    if chosen == "random":
        return noise(model, limit), "random"
    path = Path(job.calibration) if job.calibration else job.file(chosen, "recipe.quantize.dataset")
    return read(path, model, info, limit), path.name


def noise(model: ov.Model, count: int) -> list[Sample]:
    """Return the same pseudo-random samples every time: 0 to 1 for real numbers, else small integers."""
    generator = np.random.default_rng(0)
    return [{port_name(port): _noise(generator, port) for port in model.inputs} for _ in range(count)]


def _noise(generator: np.random.Generator, port: ov.Output) -> Array:
    shape = choose_shape(port.get_partial_shape())
    dtype = port.get_element_type().to_dtype()
    if np.issubdtype(dtype, np.floating):
        return generator.random(shape, np.float32).astype(dtype)
    highest = {np.dtype(np.bool_): 2, np.dtype(np.uint8): 256}.get(np.dtype(dtype), 100)
    return generator.integers(0, highest, shape).astype(dtype)


def read(path: Path, model: ov.Model, info: dict[str, str], limit: int) -> list[Sample]:
    """Read samples from a ``.npy`` or ``.npz`` file, or from a directory of those or of images."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found: list[Sample] = []
    try:
        for file in files:
            found += _samples_in(file, model, info)
            if len(found) >= limit:
                break
    except (OSError, ValueError) as error:
        what = f"the calibration data {file.name} cannot be used: {error}"
        hint = "give data that fits the network's inputs"
        raise ConversionError(what, expected=_expected(model), hint=hint) from error
    if not found:
        what = f"the calibration data {path.name} contains no image, .npy or .npz file"
        others = counted(len(files), "other file")
        raise ConversionError(what, found=others, hint="give a folder or file with samples in it")
    return found[:limit]


def _samples_in(file: Path, model: ov.Model, info: dict[str, str]) -> list[Sample]:
    suffix = file.suffix.lower()
    if suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return _split({name: arrays[name] for name in arrays.files}, model)
    if suffix == ".npy":
        return _split({port_name(model.inputs[0]): np.load(file, allow_pickle=False)}, model)
    if suffix in IMAGE_SUFFIXES:
        return [_image(file, model, info)]
    return []


def _split(arrays: Sample, model: ov.Model) -> list[Sample]:
    """Return the samples of arrays by input name, which must all have the same number of them."""
    ports = {port_name(port): port for port in model.inputs}
    if set(arrays) != set(ports):
        raise ValueError(f"it has arrays for {', '.join(sorted(arrays))}")
    parts = {name: _samples_of_array(array, ports[name]) for name, array in arrays.items()}
    counts = {len(samples) for samples in parts.values()}
    if len(counts) != 1:
        raise ValueError("its arrays have different numbers of samples")
    return [{name: samples[index] for name, samples in parts.items()} for index in range(counts.pop())]


def _samples_of_array(array: Array, port: ov.Output) -> list[Array]:
    """Return the samples of an array: along an extra first dimension, as batches of one, or the whole."""
    shape = port.get_partial_shape()
    array = array.astype(port.get_element_type().to_dtype(), copy=False)
    rank = len(shape)
    if array.ndim == rank + 1:
        parts = list(array)
    elif array.ndim == rank and rank and shape[0].is_static and shape[0].get_length() == 1:
        parts = [array[index : index + 1] for index in range(len(array))]
    else:
        parts = [array]
    if not all(shape.compatible(ov.PartialShape(list(part.shape))) for part in parts):
        raise ValueError(f"{port_name(port)} has shape {list(array.shape)}")
    return parts


def _image(file: Path, model: ov.Model, info: dict[str, str]) -> Sample:
    if len(model.inputs) != 1:
        raise ValueError(f"an image fits one input, but the network has {len(model.inputs)}")
    port = model.inputs[0]
    layout = image_layout(port)
    if layout is None:
        raise ValueError(f"the layout of {port_name(port)} {port.get_partial_shape()} is not known")
    try:
        dtype = port.get_element_type().to_dtype()
        with open_image(file) as image:
            tensor, _ = image_tensor(image, port_sizes(port), layout, dtype, info)
    except ImportError as error:
        what = "calibrating with images needs pillow, which is not installed"
        raise MissingExtraError(what, hint="pip install pillow, or give a .npy file") from error
    return {port_name(port): tensor}


def _expected(model: ov.Model) -> str:
    return ", ".join(
        f"{port_name(port)} {port.get_partial_shape()} {port.get_element_type().get_type_name()}"
        for port in model.inputs
    )
