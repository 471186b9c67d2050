"""Refusing a conversion whose packages are missing, with the ways to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.stacks import stack_of
from model_zoo.conversion.toolchain import optional
from model_zoo.errors import MissingExtraError
from model_zoo.installed import ways_to_install
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model


def require_packages(
    model: Model,
    precision: str,
    versions: Mapping[str, str | None],
    *,
    python: str | None = None,
    isolated: bool = False,
    reference: str | None = None,
) -> None:
    """Refuse a conversion whose packages are missing.

    Args:
        model: the catalog entry.
        precision: the precision to convert to.
        versions: of the packages it uses; None for one that is not installed.
        python: the interpreter they were looked for in; default: this one.
        isolated: that interpreter is a converter environment's.
        reference: what to type for the model, where that is not its name.

    Raises:
        MissingExtraError: names the packages, and the ways to get them with their sizes.
    """
    spare = optional(model)
    missing = [name for name, version in versions.items() if version is None and name not in spare]
    if not missing:
        return
    reason = f"precision {precision}" if missing == ["nncf"] else f"framework {model.framework}"
    where = "in its converter environment" if isolated else f"for {python}" if python else "here"
    verb = "is" if len(missing) == 1 else "are"
    what = (
        f"converting {model.name} ({reason}) needs {', '.join(missing)}, which {verb} not installed {where}"
    )
    if isolated:
        hint = f"add the package to the catalog entry: recipe.builder.requirements: [{missing[0]}==VERSION]"
    else:
        hint = _ways(model, reference or model.name, precision, missing)
    raise MissingExtraError(what, left="nothing was published", hint=hint)


def _ways(model: Model, reference: str, precision: str, missing: list[str]) -> str:
    builder = model.recipe.builder
    pins = {line.partition("==")[0]: line for line in (builder.requirements if builder else ())}
    packages = [pins.get(name, name) for name in missing]
    stack = stack_of(model, precision)
    if stack is None:
        return ways_to_install(packages, isolate=None)
    option = "" if precision == model.precisions[0] else f" --precision {precision}"
    isolate = (
        f"run 'model-zoo convert --isolate {reference}{option}' (isolate=True, MODEL_ZOO_ISOLATE=1), "
        f"which builds the environment {stack.name!r} in the cache once"
    )
    return ways_to_install(packages, isolate=isolate, pip=not stack.exclusive, size=human_size(stack.size))
