"""From what a person types to models: references, patterns, near names."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import UnknownModelError, UnknownPrecisionError, UsageError
from model_zoo.spec import NAME, PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.spec import Model

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")
UNIVERSAL = ("FP32", "FP16", "INT8", "INT4")
"""Precisions any model can be converted to, whether its recipe lists them or not."""


@dataclass(frozen=True)
class Reference:
    """What a person typed: a catalog name, perhaps with a precision, or a URI."""

    text: str
    name: str | None = None
    precision: str | None = None
    uri: str | None = None


def parse_reference(text: str) -> Reference:
    """Split ``name``, ``name@FP16`` or recognise a URI or an existing path.

    Raises:
        UsageError: it is none of these.
    """
    if _SCHEME.match(text):
        return Reference(text, uri=text)
    name, at, precision = text.partition("@")
    if NAME.fullmatch(name) and (not at or PRECISION.fullmatch(precision.upper())):
        if not at and Path(text).exists():
            return Reference(text, name=name, uri=f"file:{text}")
        return Reference(text, name=name, precision=precision.upper() or None)
    if Path(text).exists():
        return Reference(text, uri=f"file:{text}")
    what = f"{text!r} is neither a model name, NAME@PRECISION, a URI nor a path that exists"
    raise UsageError(what, hint="run 'model-zoo list' for the names")


def unknown_model(name: str, known: Iterable[str]) -> UnknownModelError:
    """Return the error for a name no catalog has, with the nearest names."""
    import difflib  # only when something is wrong

    names = sorted(known)
    lowered = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(name.casefold(), lowered, n=5, cutoff=0.5)
    near += [n for n in lowered if name.casefold() in n and n not in near][:5]
    shown = ", ".join(lowered[n] for n in near[:5])
    hint = f"did you mean: {shown}" if shown else "run 'model-zoo list' for the names"
    return UnknownModelError(f"no catalog has a model named {name!r}", found=name, hint=hint)


def pick_precision(model: Model, *wishes: str | None) -> str:
    """Return the first stated wish, or the model's default.

    Raises:
        UnknownPrecisionError: the model does not come in that precision.
    """
    wanted = next((wish.upper() for wish in wishes if wish), None)
    offered = model.precisions
    if wanted is None:
        return offered[0]
    ready = any(artifact.precision for artifact in model.artifacts)
    ready = ready or (model.framework == "openvino" and model.is_folder)
    if wanted in offered or (not ready and wanted in UNIVERSAL):
        return wanted
    what = f"{model.name} does not come in {wanted}"
    hint = f"choose one of {', '.join(offered)}"
    raise UnknownPrecisionError(what, expected=", ".join(offered), found=wanted, hint=hint)


def match_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match any pattern (shell wildcards; a plain word matches inside), in order."""
    if not patterns:
        return list(names)
    globs = [p if any(c in p for c in "*?[") else f"*{p}*" for p in patterns]
    return [n for n in names if any(fnmatch.fnmatchcase(n.casefold(), g.casefold()) for g in globs)]
