"""Calibration samples: pictures, arrays, or noise when asked for by name. Runs in the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from model_zoo.conversion.worker.job import Job, name_of
from model_zoo.errors import ConversionError, MissingExtraError
from model_zoo.formats import images

Sample = dict[str, np.ndarray[Any, Any]]
_OPEN = 32
"""The size noise gets where the network leaves one open, the batch excepted, and nothing bounds it."""


def samples_of(
    job: Job, model: ov.Model, info: dict[str, str], *, named: str | None, limit: int
) -> tuple[list[Sample], str]:
    """Return up to ``limit`` samples, each an array for every input by name, and what they are.

    Args:
        job: the conversion.
        model: the network they are for, as it will be used.
        info: its ``model_info``.
        named: the dataset the recipe names; the caller's own comes first.
        limit: how many are wanted.

    Raises:
        ConversionError: there is no data, or it does not fit the inputs.
    """
    chosen = job.calibration or named
    if chosen is None:
        raise ConversionError(
            f"{job.precision} needs calibration data, and neither the recipe nor the command names any",
            hint="name a folder of images, a .npy or .npz file in recipe.quantize.dataset or by --calibrate; "
            "'--calibrate random' takes noise, and the result is as good as that",
        )
    if chosen == "random":
        return noise(model, limit), "random"
    path = Path(job.calibration) if job.calibration else job.file(chosen, "recipe.quantize.dataset")
    return read(path, model, info, limit), path.name


def noise(model: ov.Model, count: int) -> list[Sample]:
    """Return the same pseudo-random samples every time: 0..1 for real numbers, else small ones."""
    generator = np.random.default_rng(0)
    return [{name_of(port): _noise(generator, port) for port in model.inputs} for _ in range(count)]


def _noise(generator: np.random.Generator, port: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    shape = [_size(dim, axis) for axis, dim in enumerate(port.get_partial_shape())]
    dtype = port.get_element_type().to_dtype()
    if np.issubdtype(dtype, np.floating):
        return generator.random(shape, np.float32).astype(dtype)
    highest = {np.dtype(np.bool_): 2, np.dtype(np.uint8): 256}.get(np.dtype(dtype), 100)
    return generator.integers(0, highest, shape).astype(dtype)


def _size(dim: ov.Dimension, axis: int) -> int:
    if dim.is_static:
        return int(dim.get_length())
    size = 1 if axis == 0 else _OPEN
    low, high = dim.get_min_length(), dim.get_max_length()
    return int(max(size, low) if high < 0 else min(max(size, low), high))


def read(path: Path, model: ov.Model, info: dict[str, str], limit: int) -> list[Sample]:
    """Read samples from a ``.npy`` or ``.npz`` file, or from a folder of those or of images.

    Raises:
        ConversionError: nothing there can be used, or it does not fit the inputs.
    """
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found: list[Sample] = []
    try:
        for file in files:
            found += _samples_in(file, model, info)
            if len(found) >= limit:
                break
    except (OSError, ValueError) as error:
        what = f"the calibration data {file.name} cannot be used: {error}"
        raise ConversionError(
            what, expected=_expected(model), hint="give data that fits the network"
        ) from error
    if not found:
        what = f"the calibration data {path.name} holds no image, .npy or .npz file"
        raise ConversionError(what, found=f"{len(files)} other files", hint="give one with samples in it")
    return found[:limit]


def _samples_in(file: Path, model: ov.Model, info: dict[str, str]) -> list[Sample]:
    suffix = file.suffix.lower()
    if suffix == ".npz":
        with np.load(file) as arrays:
            return _split({name: arrays[name] for name in arrays.files}, model)
    if suffix == ".npy":
        return _split({name_of(model.inputs[0]): np.load(file)}, model)
    if suffix in images.SUFFIXES:
        return [_picture(file, model, info)]
    return []


def _split(arrays: Sample, model: ov.Model) -> list[Sample]:
    """Take each array as one sample if it has the input's rank, else as samples along its first dimension."""
    ports = {name_of(port): port for port in model.inputs}
    if set(arrays) != set(ports):
        msg = f"it has arrays for {', '.join(sorted(arrays))}"
        raise ValueError(msg)
    stacks = {name: _stack(array, ports[name]) for name, array in arrays.items()}
    counts = {len(stack) for stack in stacks.values()}
    if len(counts) != 1:
        msg = "its arrays have different numbers of samples"
        raise ValueError(msg)
    return [{name: stack[index] for name, stack in stacks.items()} for index in range(counts.pop())]


def _stack(array: np.ndarray[Any, Any], port: Any) -> list[np.ndarray[Any, Any]]:  # noqa: ANN401
    """Return the array's samples: whole, by first dimension, or by batches of one."""
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
        msg = f"{name_of(port)} has shape {list(array.shape)}"
        raise ValueError(msg)
    return parts


def _picture(file: Path, model: ov.Model, info: dict[str, str]) -> Sample:
    if len(model.inputs) != 1:
        msg = f"a picture is one input, and the network has {len(model.inputs)}"
        raise ValueError(msg)
    port = model.inputs[0]
    shape = [dim.get_length() if dim.is_static else None for dim in port.get_partial_shape()]
    layout = port.get_node().layout.to_string().strip("[]").replace(",", "")
    if "." in layout or not layout:  # OpenVINO's way of saying that it knows none is "[...]"
        layout = images.guess_layout(shape) or ""
    if not layout:
        msg = f"the layout of {name_of(port)} {port.get_partial_shape()} is not known"
        raise ValueError(msg)
    try:
        tensor = images.picture_tensor(file, shape, layout, port.get_element_type().to_dtype(), info)
    except ImportError as error:
        what = "calibrating with pictures needs pillow, which is not installed"
        raise MissingExtraError(what, hint="pip install pillow, or give a .npy file") from error
    return {name_of(port): tensor}


def _expected(model: ov.Model) -> str:
    return ", ".join(
        f"{name_of(port)} {port.get_partial_shape()} {port.get_element_type().get_type_name()}"
        for port in model.inputs
    )
