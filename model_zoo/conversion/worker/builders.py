"""Networks that code builds: whose code it is, and whether it may run. Runs in the worker."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from model_zoo.conversion.installed import modules
from model_zoo.errors import ConversionError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.conversion.worker.job import Job

FILES = "files:"


def builder_of(job: Job) -> dict[str, Any]:
    """Return the recipe's builder.

    Raises:
        ConversionError: it has none.
    """
    builder = job.recipe.get("builder")
    if not builder:
        what = f"a {job.framework} network needs code that builds it, and the recipe names none"
        raise ConversionError(what, hint="add recipe.builder with module and callable")
    return dict(builder)


def arguments_of(job: Job, builder: dict[str, Any]) -> dict[str, Any]:
    """Return the builder's keyword arguments; ``files:PATH`` stands for where one of the model's files is.

    Raises:
        ConversionError: the model has no such file or folder.
    """
    where = "recipe.builder.kwargs"
    return {
        name: str(job.file(value.removeprefix(FILES), where))
        if isinstance(value, str) and value.startswith(FILES)
        else value
        for name, value in builder.get("kwargs", {}).items()
    }


def callable_of(job: Job, builder: dict[str, Any]) -> Callable[..., Any]:
    """Import the builder's callable, if its code may run.

    Code of an installed package may; code that comes with the model, or lies anywhere else, only when the
    user trusts it.

    Raises:
        ConversionError: it is not an installed package's and was not trusted, or has no such callable.
        MissingExtraError: the module is nowhere.
    """
    module, name = builder["module"], builder["callable"]
    paths = builder.get("paths", ())
    if not job.trust_code:
        _refuse_foreign(module, brought=bool(paths))
    for path in paths:
        folder = job.files if path == "." else job.file(path, "recipe.builder.paths")
        sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # nothing is written into the model's folder
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        what = f"recipe.builder: the module {error.name} is not installed"
        hint = (
            f"install the package that has {error.name}, or name it in recipe.builder.requirements and "
            "convert with --isolate, or name an interpreter that has it with --python"
        )
        raise MissingExtraError(what, hint=hint) from error
    for part in name.split("."):
        if not hasattr(found, part):
            what = f"recipe.builder: {module} has no {name}"
            raise ConversionError(what, hint="correct recipe.builder.callable")
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _refuse_foreign(module: str, *, brought: bool) -> None:
    top = module.partition(".")[0]
    if not brought and top in modules():
        return
    whose = "code that comes with the model" if brought else f"{top}, which is not an installed package"
    raise ConversionError(
        f"building this network runs {whose}, and it is not trusted",
        expected="--trust-code",
        found=f"recipe.builder.module: {module}",
        hint="read the code, then run again with --trust-code (trust_code=True in Python)",
    )
