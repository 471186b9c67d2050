"""Which conversions run code of others, and asking for trust before they do.

What a recipe may do without trust is a list of what is allowed: files that readers of ours take as plain
data, and networks that builders of a fixed list make from a name and plain arguments. Everything else is a
reason to ask. The worker asks again, by the content of the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from model_zoo.errors import UntrustedCodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_zoo.schema import Builder, Model
    from model_zoo.schema.recipe import Export

_PLAIN_OPTIONS = {
    "attn_implementation": ("eager", "sdpa"),  # other values may name a repository of kernels
    "dtype": ("float32", "float16", "bfloat16", "auto"),
    "torch_dtype": ("float32", "float16", "bfloat16", "auto"),
    "low_cpu_mem_usage": (True, False),
    "use_cache": (True, False),
}
"""What ``recipe.export.model_kwargs`` may say without trust; other arguments can make libraries run code."""
_LOCAL_CODE = ("diffusers", "sentence-transformers")
"""Libraries that import Python files of a local directory without being told to."""
_HINT = "read that code, then run again with --trust-code (trust_code=True in Python)"


def untrusted(model: Model) -> list[str]:
    """Return what of a model's conversion runs code of others, each with its field; empty if nothing does."""
    return list(dict.fromkeys(_reasons(model))) if model.convertible else []


def require_trust(model: Model, *, trusted: bool, name: str | None = None, hint: str = _HINT) -> None:
    """Refuse a conversion that would run code of others, unless that is trusted.

    ``name`` is what the message calls the model, if not by its name; ``hint`` says how to trust it.

    Raises:
        UntrustedCodeError: lists everything that would run code.
    """
    reasons = [] if trusted else untrusted(model)
    if reasons:
        raise UntrustedCodeError(
            f"converting {name or model.name} runs code that is not part of Model Zoo and is not trusted",
            found="; ".join(reasons),
            left="nothing was downloaded or built",
            hint=hint,
        )


def _reasons(model: Model) -> Iterator[str]:
    recipe = model.recipe
    paths = [artifact.path for artifact in model.artifacts]
    if recipe.builder is not None:
        yield from _of_builder(recipe.builder)
    if recipe.extensions:
        yield f"recipe.extensions: loads {', '.join(recipe.extensions)}"
    if recipe.export is not None:
        yield from _of_export(recipe.export)
    if model.framework == "pytorch":
        named = recipe.builder.weights if recipe.builder is not None else recipe.model
        programs = [path for path in ([named] if named else paths) if path.lower().endswith(".pt2")]
        if programs:
            yield f"artifacts: unpickles the exported program {', '.join(programs)}"
    if model.framework in _LOCAL_CODE:
        code = [path for path in paths if path.lower().endswith(".py")]
        if code:
            yield f"artifacts: {model.framework} may import {', '.join(code)}"


def _of_builder(builder: Builder) -> Iterator[str]:
    if not builder.torchvision:  # a network of a known library, which takes plain arguments
        yield f"recipe.builder: calls {builder.callable} of the module {builder.module}"
    if builder.paths:
        yield f"recipe.builder.paths: imports from {', '.join(builder.paths)} among the model's files"
    if builder.requirements:
        yield f"recipe.builder.requirements: installs {', '.join(builder.requirements)}"


def _of_export(export: Export) -> Iterator[str]:
    for name, value in export.model_kwargs.items():
        if not any(
            value is one or (isinstance(value, str) and value == one) for one in _PLAIN_OPTIONS.get(name, ())
        ):
            shown = msgspec.json.encode(value).decode()
            yield f"recipe.export.model_kwargs: hands {name}={shown[:80]} to the library"
