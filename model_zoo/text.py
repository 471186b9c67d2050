"""Words for people: counts with their noun, sizes, near names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = 1000


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: ``1 file``, ``2 files``, ``0 entries``."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def human_size(size: int | None) -> str:
    """Return a size in bytes for people, in powers of ten as disks are sold: ``1.3 MB``."""
    if size is None:
        return "unknown"
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} TB"


def plain_reason(error: Exception) -> str:
    """Return what an error of Python means, in plain words: ``PATH: no such file or directory``."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[:1].lower() + error.strerror[1:]
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    what, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", what)
    plain = f"unknown field {unknown[1]!r}" if unknown else plain_types(what)
    return f"{field}: {plain}" if field else plain


_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def plain_types(what: str) -> str:
    """Return msgspec's complaint about a type in the terms of YAML, TOML and JSON; other text as it is."""
    types = re.fullmatch(r"Expected `([^`]+)`, got `(\w+)`", what)
    if not types:
        return what
    allowed = [_TYPES.get(name, name) for name in types[1].split(" | ") if name != "null"]
    return f"expected {' or '.join(allowed)}, found {_TYPES.get(types[2], types[2])}"


def near_names(name: str, known: Iterable[str], *, count: int = 3, cutoff: float = 0.6) -> list[str]:
    """Return up to ``count`` known names that a person who typed ``name`` may mean, nearest first."""
    import difflib  # only when something is wrong

    return difflib.get_close_matches(name, sorted(known), n=count, cutoff=cutoff)
