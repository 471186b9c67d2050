"""Networks that code builds, once that code is trusted."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from model_zoo.errors import ConversionError, MissingExtraError, UntrustedCodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.conversion.worker.job import Job

FILES = "files:"
"""Begins arguments of a builder that are paths of the model's files."""


def builder_of(job: Job) -> dict[str, Any]:
    """Return the recipe's builder.

    Raises:
        ConversionError: it has none.
    """
    builder = job.recipe.get("builder")
    if not builder:
        what = f"a {job.framework} network is built by code, but the recipe names none"
        raise ConversionError(what, hint="add recipe.builder with module and callable")
    return dict(builder)


def arguments_of(job: Job, builder: dict[str, Any]) -> dict[str, Any]:
    """Return the builder's keyword arguments; ``files:PATH`` becomes the full path of the model's file.

    Raises:
        ConversionError: the model has no such file or directory.
    """
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
