"""Networks that code builds, once that code is trusted, and what they are traced with."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from model_zoo.conversion.worker.job import element_type, partial_shape
from model_zoo.errors import ConversionError, MissingExtraError, UntrustedCodeError
from model_zoo.formats.ports import choose_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.conversion.worker.job import InputSpec, Job
    from model_zoo.formats.ports import Array

FILES = "files:"
"""Begins arguments of a builder that are paths of the model's files."""


def builder_of(job: Job) -> dict[str, Any]:
    """Return the recipe's builder."""
    builder = job.recipe.get("builder")
    if not builder:
        what = f"a {job.framework} network is built by code, but the recipe names none"
        raise ConversionError(what, hint="add recipe.builder with module and callable")
    return dict(builder)


def arguments_of(job: Job, builder: dict[str, Any]) -> dict[str, Any]:
    """Return the builder's keyword arguments; ``files:PATH`` becomes the full path of the model's file."""
    return {
        name: str(job.file(value.removeprefix(FILES), "recipe.builder.kwargs"))
        if isinstance(value, str) and value.startswith(FILES)
        else value
        for name, value in builder.get("kwargs", {}).items()
    }


def callable_of(job: Job, builder: dict[str, Any]) -> Callable[..., Any]:
    """Import the builder's callable, if its code is trusted: an attribute of any package may lead anywhere.

    Raises:
        UntrustedCodeError: it is not.
        ConversionError: there is no such callable.
        MissingExtraError: there is no such module.
    """
    module, name = builder["module"], builder["callable"]
    if not job.trust_code:
        raise untrusted_code("building this network calls code that the recipe names", f"{module}.{name}")
    for path in builder.get("paths", ()):
        sys.path.insert(0, str(job.file(path, "recipe.builder.paths")))
    sys.dont_write_bytecode = True  # nothing is written beside the model's files
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        what = f"recipe.builder: the module {error.name} is not installed"
        hint = (
            f"install the package that provides {error.name}; or name that package in "
            "recipe.builder.requirements and convert with --isolate; or use an interpreter that has it: "
            "--python PATH"
        )
        raise MissingExtraError(what, hint=hint) from error
    for part in name.split("."):
        if not hasattr(found, part):
            what = f"recipe.builder.callable: the module {module!r} has no {name!r}"
            raise ConversionError(what, hint="correct recipe.builder.callable")
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def untrusted_code(what: str, found: str) -> UntrustedCodeError:
    """Return the error for code that would run but is not trusted."""
    return UntrustedCodeError(
        f"{what}, which is not trusted",
        found=found,
        hint="read that code, then run again with --trust-code (trust_code=True in Python)",
    )


_SIZE = 64
"""The size of dynamic dimensions after the first."""


def examples_of(job: Job) -> dict[str | None, Array]:
    """Return one array for each input, in the recipe's order, by name.

    ``recipe.example`` may add to ``recipe.inputs``: for each input a mapping with ``shape``, ``type`` and
    ``fill`` (a number; by default noise between 0 and 1, or ones for integers), or the value itself.
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


def _example(name: str | None, spec: InputSpec | None, given: object) -> Array:
    if given is not None and not isinstance(given, dict):
        literal: Array = np.asarray(given, _type(spec, {}))
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
