"""Example inputs from the recipe, for frameworks that trace a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.conversion.worker.job import element_type, partial_shape
from model_zoo.errors import ConversionError
from model_zoo.formats.ports import choose_shape

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import InputSpec, Job

_SIZE = 64
"""The size of dynamic dimensions after the first."""


def examples_of(job: Job) -> dict[str | None, np.ndarray[Any, Any]]:
    """Return one array for each input, in the recipe's order, by name.

    ``recipe.example`` may add to ``recipe.inputs``: for each input a mapping with ``shape``, ``type`` and
    ``fill`` (a number; by default noise between 0 and 1, or ones for integers), or the value itself.

    Raises:
        ConversionError: an input has neither a shape nor an example.
    """
    given = job.recipe.get("example") or {}
    specs = {spec.name: spec for spec in job.inputs}
    names: list[str | None] = list(specs) or list(given)
    if not names:
        what = f"a {job.framework} network is traced with example inputs, but the recipe has no inputs"
        raise ConversionError(what, hint="add recipe.inputs with shapes (and types, unless they are f32)")
    unknown = sorted(str(name) for name in given if name not in names)
    if unknown:
        what = f"recipe.example: recipe.inputs has no {', '.join(unknown)}"
        raise ConversionError(what, hint="use the names of recipe.inputs")
    return {name: _example(name, specs.get(name), given.get(str(name))) for name in names}


def _example(name: str | None, spec: InputSpec | None, given: object) -> np.ndarray[Any, Any]:
    if given is not None and not isinstance(given, dict):
        literal: np.ndarray[Any, Any] = np.asarray(given, _type(spec, {}))
        return literal
    fields = given or {}
    if "shape" in fields:
        shape = tuple(int(size) for size in fields["shape"])
    elif spec is not None and spec.shape is not None:
        shape = choose_shape(partial_shape(spec.shape), _SIZE)
    else:
        what = f"recipe.inputs: {name or 'the input'} has no shape, which tracing the network needs"
        raise ConversionError(what, hint="add its shape, or recipe.example")
    dtype = _type(spec, fields)
    if "fill" in fields:
        return np.full(shape, fields["fill"], dtype)
    if np.issubdtype(dtype, np.floating):
        return np.random.default_rng(0).random(shape, np.float32).astype(dtype)
    return np.ones(shape, dtype)


def _type(spec: InputSpec | None, fields: dict[str, Any]) -> np.dtype[Any]:
    """Return the type that the network itself takes: images of bytes are converted on the way into it."""
    name = fields.get("type") or (spec.type if spec else None) or "f32"
    if spec is not None and "type" not in fields and (spec.normalises or spec.type == "u8"):
        name = "f32"
    dtype: np.dtype[Any] = np.dtype(element_type(name).to_dtype())
    return dtype
