"""Example inputs for frameworks that trace a network: from the recipe. Runs in the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.conversion.worker.job import partial_shape
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import InputSpec, Job

_BATCH, _OPEN = 1, 64
"""Sizes where the recipe leaves them open: of the first dimension, and of the others."""


def examples_of(job: Job) -> dict[str | None, np.ndarray[Any, Any]]:
    """Return one array for each input, in the recipe's order, by name.

    ``recipe.example`` may say more of an input than ``recipe.inputs``: a mapping with ``shape``, ``type``
    and ``fill`` (a number; the default is noise between 0 and 1, or ones for whole numbers), or the
    value itself.

    Raises:
        ConversionError: an input has neither a shape nor an example.
    """
    stated = job.recipe.get("example") or {}
    specs = {spec.name: spec for spec in job.inputs}
    names: list[str | None] = list(specs) or list(stated)
    if not names:
        what = f"a {job.framework} network is traced with example inputs, and the recipe has no inputs"
        raise ConversionError(what, hint="give recipe.inputs with shape (and type, unless it is f32)")
    unknown = sorted(str(name) for name in stated if name not in names)
    if unknown:
        what = f"recipe.example: recipe.inputs has no {', '.join(unknown)}"
        raise ConversionError(what, hint="use the names of recipe.inputs")
    return {name: _example(name, specs.get(name), stated.get(str(name))) for name in names}


def _example(name: str | None, spec: InputSpec | None, stated: object) -> np.ndarray[Any, Any]:
    if stated is not None and not isinstance(stated, dict):
        literal: np.ndarray[Any, Any] = np.asarray(stated, _type(spec, {}))
        return literal
    said = stated or {}
    if "shape" in said:
        shape = [int(size) for size in said["shape"]]
    elif spec is not None and spec.shape is not None:
        shape = [_size(dim, axis) for axis, dim in enumerate(partial_shape(spec.shape))]
    else:
        what = f"recipe.inputs: {name or 'the input'} has no shape to trace the network with"
        raise ConversionError(what, hint="add its shape, or recipe.example")
    dtype = _type(spec, said)
    if "fill" in said:
        return np.full(shape, said["fill"], dtype)
    if np.issubdtype(dtype, np.floating):
        return np.random.default_rng(0).random(shape, np.float32).astype(dtype)
    return np.ones(shape, dtype)


def _type(spec: InputSpec | None, said: dict[str, Any]) -> np.dtype[Any]:
    """Return the type the network itself takes: pictures of bytes are converted on the way into it."""
    from model_zoo.conversion.worker.job import element_type

    name = said.get("type") or (spec.type if spec else None) or "f32"
    if spec is not None and "type" not in said and (spec.normalises or spec.type == "u8"):
        name = "f32"
    dtype: np.dtype[Any] = np.dtype(element_type(name).to_dtype())
    return dtype


def _size(dim: Any, axis: int) -> int:  # noqa: ANN401 - an openvino.Dimension
    if dim.is_static:
        return int(dim.get_length())
    size = _OPEN if axis else _BATCH
    low, high = dim.get_min_length(), dim.get_max_length()
    return int(max(size, low) if high < 0 else min(max(size, low), high))
