"""What a conversion needs and does not find: which packages, and the ways to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.stacks import stack_of
from model_zoo.conversion.toolchain import optional
from model_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model

_GIGA = 10**9
_FOR_ITSELF = {"transformers"}
"""Stacks that cannot live beside this package: their huggingface_hub is an older one."""


def require_packages(
    model: Model,
    precision: str,
    versions: Mapping[str, str | None],
    *,
    python: str | None = None,
    isolated: bool = False,
    reference: str | None = None,
) -> None:
    """Refuse a conversion whose packages are not there.

    Args:
        model: the catalog entry.
        precision: what it is converted to.
        versions: of the packages it would use; None where one is not installed.
        python: the interpreter that was asked; ours when unset.
        isolated: it is that of a converter environment.
        reference: what to type for the model, where that is not its name.

    Raises:
        MissingExtraError: names them, and the ways to them with their sizes.
    """
    spare = optional(model)
    missing = [name for name, version in versions.items() if version is None and name not in spare]
    if not missing:
        return
    reason = f"precision {precision}" if missing == ["nncf"] else f"framework {model.framework}"
    where = " in its converter environment" if isolated else f" for {python}" if python else ""
    what = f"converting {model.name} ({reason}) needs {', '.join(missing)}, which is not installed{where}"
    if isolated:
        hint = f"add to the catalog entry recipe.builder.requirements: [{missing[0]}==VERSION]"
    else:
        hint = "; ".join(_ways(model, reference or model.name, precision, missing))
    raise MissingExtraError(what, left="nothing was published", hint=hint)


def _ways(model: Model, reference: str, precision: str, missing: list[str]) -> list[str]:
    """Return what a person can do, the surest first."""
    stack = stack_of(model, precision)
    ways = []
    asked = "" if precision == model.precisions[0] else f" --precision {precision}"
    size = f", about {_size(stack.size)}" if stack else ""
    if stack is not None:
        ways.append(
            f"either 'model-zoo convert --isolate {reference}{asked}' (isolate=True, MODEL_ZOO_ISOLATE=1), "
            f"which builds the environment {stack.name!r} in the cache once{size}"
        )
    if stack is None or stack.name not in _FOR_ITSELF:
        ways.append(f"{'or ' if ways else ''}pip install {_arguments(model, missing)}{size}")
    ways.append("or name an interpreter that has it with --python")
    return ways


def _arguments(model: Model, missing: list[str]) -> str:
    """Return what to give pip: the packages themselves, as the recipe pins them."""
    builder = model.recipe.builder
    pins = {line.partition("==")[0]: line for line in (builder.requirements if builder else ())}
    return " ".join(pins.get(name, name) for name in missing)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= _GIGA // 10 else f"{count / 1e6:.0f} MB"
