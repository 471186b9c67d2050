"""From what a person types to models: references, patterns, near names."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import UnknownModelError, UnknownPrecisionError, UsageError
from model_zoo.schema import BY_NNCF, NAME, PRECISION, PRECISIONS, UNIVERSAL, near_precisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema import Model

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")
_FILE = "file:"


@dataclass(frozen=True)
class Reference:
    """What a person typed: a catalog name, perhaps with a precision, or a URI.

    Attributes:
        text: all of it.
        name: the model it means where a catalog has one of that name.
        precision: what stands behind the name.
        uri: what it means otherwise.
        uri_precision: what stands behind the URI's path.
    """

    text: str
    name: str | None = None
    precision: str | None = None
    uri: str | None = None
    uri_precision: str | None = None


def parse_reference(text: str) -> Reference:
    """Split ``name``, ``name@FP16``, ``path@FP16``, or recognise a URI or an existing path.

    A file that has the "@" in its own name is that file.

    Raises:
        UsageError: it is none of these.
    """
    if text.startswith(_FILE) and not text.startswith(f"{_FILE}//"):
        path, stated = _split_path(text.removeprefix(_FILE))
        return Reference(text, uri=f"{_FILE}{path}", uri_precision=stated)
    if _SCHEME.match(text):
        return Reference(text, uri=text)
    path, stated = _split_path(text)
    uri = f"{_FILE}{path}" if Path(path).exists() else None
    name, at, precision = text.partition("@")
    if NAME.fullmatch(name) and (not at or PRECISION.fullmatch(precision.upper())):
        return Reference(text, name, precision.upper() or None, uri, stated)
    if uri is not None:
        return Reference(text, uri=uri, uri_precision=stated)
    if _is_file_name(path) or path.startswith(("./", "../", "/")):
        missing = re.sub(r"@[A-Za-z0-9-]+$", "", path)
        raise UsageError(f"there is no file or folder {missing!r}", hint="check the path")
    what = f"{text!r} is neither a model name, NAME@PRECISION, a URI nor a path that exists"
    raise UsageError(what, hint="run 'model-zoo list' for the names")


def _split_path(text: str) -> tuple[str, str | None]:
    """Split ``path@FP16`` where there is something at the path, and not at the whole text."""
    path, at, precision = text.rpartition("@")
    if at and PRECISION.fullmatch(precision.upper()) and Path(path).exists() and not Path(text).exists():
        return path, precision.upper()
    return text, None


def _is_file_name(text: str) -> bool:
    from model_zoo.formats.frameworks import SUFFIXES

    return re.sub(r"@[A-Za-z0-9-]+$", "", text).lower().endswith((".safetensors", *SUFFIXES))


def unknown_model(name: str, known: Iterable[str]) -> UnknownModelError:
    """Return the error for a name no catalog has, with the nearest names."""
    import difflib  # only when something is wrong

    if name.upper() in PRECISIONS:
        hint = f"a precision is written behind the model: NAME@{name.upper()}"
        return UnknownModelError(f"no catalog has a model named {name!r}", found=name, hint=hint)
    names = sorted(known)
    lowered = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(name.casefold(), lowered, n=5, cutoff=0.5)
    near += [n for n in lowered if name.casefold() in n and n not in near][:5]
    shown = ", ".join(lowered[n] for n in near[:5])
    if _is_file_name(name):
        what = f"there is no file {name!r}, and no catalog has a model of that name"
        return UnknownModelError(what, found=name, hint="check the path")
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
    others = () if ready else tuple(one for one in UNIVERSAL if one not in offered)
    if wanted in (*offered, *others):
        return wanted
    made = [one for one in others if one not in BY_NNCF]
    by_nncf = [one for one in others if one in BY_NNCF]
    choice = ", ".join([*offered, *made]) + (f"; {' or '.join(by_nncf)} with NNCF" if by_nncf else "")
    if wanted not in PRECISIONS:
        near = " or ".join(one for one in near_precisions(wanted) if one in {*offered, *others})
        what = f"{model.name} does not come in {wanted}: there is no such precision"
        hint = f"did you mean {near}?" if near else f"choose one of {choice}"
        raise UnknownPrecisionError(what, expected=choice, found=wanted, hint=hint)
    what = f"{model.name} does not come in {wanted}"
    raise UnknownPrecisionError(what, expected=choice, found=wanted, hint=f"choose one of {choice}")


def match_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match any pattern (shell wildcards; a plain word matches inside), in order."""
    if not patterns:
        return list(names)
    globs = [p if any(c in p for c in "*?[") else f"*{p}*" for p in patterns]
    return [n for n in names if any(fnmatch.fnmatchcase(n.casefold(), g.casefold()) for g in globs)]
