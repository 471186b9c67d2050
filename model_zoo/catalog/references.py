"""From what a person types to models: references, patterns, similar names."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.errors import UnknownModelError, UnknownPrecisionError, UsageError
from model_zoo.schema import BY_NNCF, NAME, PRECISION, PRECISIONS, UNIVERSAL, near_precisions
from model_zoo.text import near_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema import Model

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")
_FILE = "file:"
_MAX_REFERENCE = 8192
"""Characters; signed addresses are long, but not that long."""


@dataclass(frozen=True)
class Reference:
    """What a person typed: a catalog name, perhaps with a precision, or a URI.

    Attributes:
        text: all of it.
        name: the model it names, if a catalog has one of that name.
        precision: the precision after the name.
        uri: what it means otherwise.
        uri_precision: the precision after the URI's path.
    """

    text: str
    name: str | None = None
    precision: str | None = None
    uri: str | None = None
    uri_precision: str | None = None


def parse_reference(text: str) -> Reference:
    """Split ``name``, ``name@FP16``, ``path@FP16``, or recognise a URI or an existing path.

    A file with "@" in its own name means that file.

    Raises:
        UsageError: it is none of these.
    """
    if len(text) > _MAX_REFERENCE or "\0" in text:
        what = f"{text[:40]!r}… is not a reference: it is {len(text)} characters long or contains a NUL"
        raise UsageError(what, expected=f"at most {_MAX_REFERENCE} characters", hint="check the reference")
    if text.startswith(_FILE) and not text.startswith(f"{_FILE}//"):
        path, path_precision = _split_path(text.removeprefix(_FILE))
        return Reference(text, uri=f"{_FILE}{path}", uri_precision=path_precision)
    if _SCHEME.match(text):
        return Reference(text, uri=text)
    path, path_precision = _split_path(text)
    uri = f"{_FILE}{path}" if os.path.exists(path) else None  # noqa: PTH110 - no path is too odd for it
    name, at, precision = text.partition("@")
    if NAME.fullmatch(name) and (not at or PRECISION.fullmatch(precision.upper())):
        return Reference(text, name, precision.upper() or None, uri, path_precision)
    if uri is not None:
        return Reference(text, uri=uri, uri_precision=path_precision)
    if _is_file_name(path) or path.startswith(("./", "../", "/")):
        missing = re.sub(r"@[A-Za-z0-9-]+$", "", path)
        raise UsageError(f"no such file or folder: {missing!r}", hint="check the path")
    what = f"{text!r} is neither a model name, NAME@PRECISION, a URI nor an existing path"
    raise UsageError(what, hint="run 'model-zoo list' to see the names")


def _split_path(text: str) -> tuple[str, str | None]:
    """Split ``path@FP16`` if the path exists and the whole text is not a path itself."""
    path, at, precision = text.rpartition("@")
    named = at and PRECISION.fullmatch(precision.upper())
    if named and os.path.exists(path) and not os.path.exists(text):  # noqa: PTH110
        return path, precision.upper()
    return text, None


def _is_file_name(text: str) -> bool:
    from model_zoo.formats.frameworks import SUFFIXES

    return re.sub(r"@[A-Za-z0-9-]+$", "", text).lower().endswith((".safetensors", *SUFFIXES))


def unknown_model(name: str, known: Iterable[str]) -> UnknownModelError:
    """Return the error for a name that no catalog has, with similar names."""
    what = f"no catalog has a model named {name!r}"
    if name.upper() in PRECISIONS:
        hint = f"a precision goes after the model's name: NAME@{name.upper()}"
        return UnknownModelError(what, found=name, hint=hint)
    if _is_file_name(name):
        what = f"no such file: {name!r}, and no catalog has a model of that name"
        return UnknownModelError(what, found=name, hint="check the path")
    folded = {other.casefold(): other for other in sorted(known)}
    near = near_names(name.casefold(), folded, count=5, cutoff=0.5)
    near += [other for other in folded if name.casefold() in other and other not in near]
    shown = ", ".join(folded[other] for other in near[:5])
    hint = f"did you mean: {shown}" if shown else "run 'model-zoo list' to see the names"
    return UnknownModelError(what, found=name, hint=hint)


def pick_precision(model: Model, *requested: str | None) -> str:
    """Return the first precision that is stated, or the model's default.

    Raises:
        UnknownPrecisionError: the model does not come in that precision.
    """
    wanted = next((precision.upper() for precision in requested if precision), None)
    offered = model.precisions
    if wanted is None:
        return offered[0]
    ready = any(artifact.precision for artifact in model.artifacts)
    ready = ready or (model.framework == "openvino" and model.is_folder)
    others = [] if ready else [precision for precision in UNIVERSAL if precision not in offered]
    if wanted in (*offered, *others):
        return wanted
    made = [*offered, *(precision for precision in others if precision not in BY_NNCF)]
    by_nncf = [precision for precision in others if precision in BY_NNCF]
    choice = ", ".join(made) + (f"; {' or '.join(by_nncf)} with NNCF" if by_nncf else "")
    what = f"{model.name} is not available in {wanted}"
    hint = (
        f"choose one of {choice}"
        if len(made) + len(by_nncf) > 1
        else f"leave the precision out, or use {choice}"
    )
    if wanted not in PRECISIONS:
        what += ": no such precision"
        if near := " or ".join(p for p in near_precisions(wanted) if p in {*offered, *others}):
            hint = f"did you mean {near}?"
    raise UnknownPrecisionError(what, expected=choice, found=wanted, hint=hint)


def match_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match any pattern (shell wildcards, or part of a name), in order."""
    if not patterns:
        return list(names)
    globs = [p if any(c in p for c in "*?[") else f"*{p}*" for p in patterns]
    return [n for n in names if any(fnmatch.fnmatchcase(n.casefold(), g.casefold()) for g in globs)]
