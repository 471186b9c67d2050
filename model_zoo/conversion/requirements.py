"""Refusing a conversion whose packages are missing, with the ways to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.stacks import stack_of
from model_zoo.conversion.toolchain import optional
from model_zoo.errors import MissingExtraError
from model_zoo.installed import canonical, ways_to_install
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model

_MODULE = "module:"
"""Begins a name that is a module's, where no installed package provides it."""


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
    pins = _pins(model)
    missing = [name for name, version in versions.items() if version is None and name not in spare]
    modules = [name.removeprefix(_MODULE) for name in missing if name.startswith(_MODULE)]
    missing = [name for name in missing if not name.startswith(_MODULE)]
    modules = [name for name in modules if canonical(name) not in pins]  # else a requirement brings it
    if not (missing or modules):
        return
    reason = f"precision {precision}" if missing == ["nncf"] else f"framework {model.framework}"
    where = "in its converter environment" if isolated else f"for {python}" if python else "here"
    names = [*([", ".join(missing)] if missing else []), *(f"the module {name!r}" for name in modules)]
    verb = "is" if len(missing) + len(modules) == 1 else "are"
    what = (
        f"converting {model.name} ({reason}) needs {' and '.join(names)}, which {verb} not installed {where}"
    )
    package = missing[0] if missing else "PACKAGE"
    hints = []
    if isolated:
        hints.append(f"add its package to the entry: recipe.builder.requirements: [{package}==VERSION]")
    elif missing or stack_of(model, precision):
        hints.append(_ways(model, reference or model.name, precision, missing))
    if modules and not isolated:
        hints.append(
            f"if {modules[0]!r} is among the model's files, add recipe.builder.paths; otherwise name the "
            "package that provides it: recipe.builder.requirements: [PACKAGE==VERSION]"
        )
    hint = ". ".join(f"{text[:1].upper()}{text[1:]}" for text in hints) if len(hints) > 1 else hints[0]
    raise MissingExtraError(what, left="nothing was published", hint=hint)


def _ways(model: Model, reference: str, precision: str, missing: list[str]) -> str:
    pins = _pins(model)
    packages = [pins.get(canonical(name), name) for name in missing]
    stack = stack_of(model, precision)
    if stack is None:
        return ways_to_install(packages, isolate=None)
    option = "" if precision == model.precisions[0] else f" --precision {precision}"
    isolate = (
        f"run 'model-zoo convert --isolate {reference}{option}' (isolate=True, MODEL_ZOO_ISOLATE=1), "
        f"which builds the environment {stack.name!r} in the cache once"
    )
    pip = not stack.exclusive and bool(packages)
    return ways_to_install(packages, isolate=isolate, pip=pip, size=human_size(stack.size))


def _pins(model: Model) -> dict[str, str]:
    """Return the requirements of the recipe's builder by the normalised names of their packages."""
    builder = model.recipe.builder
    return {canonical(line.partition("==")[0]): line for line in (builder.requirements if builder else ())}
