"""Words for people: counts with their noun, sizes, near names, addresses without their secrets."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = 1000
_WIDTH = 80
_WORDS = re.compile(r"(\s+|(?<=[=,;])(?=[A-Za-z][A-Za-z0-9+.-]*:/))")
"""What separates words; several addresses in a word are separated too."""
_SPACED = re.compile(r"(//[^\s/@:\[]+:(?![\d\s]))[^/@\n]*@")
_NOT_AN_ADDRESS = re.compile(r"\W*(hf|wheel|tfhub|torchvision|file|gdrive):")
_LOGIN = re.compile(r"(?:^|(?<=/))[^/:\[]*:(?!\d+/)")
"""A user and the colon before the password, at any depth; a colon before a port is something else."""
_SUFFIX = re.compile(r"@(?:sha256:[0-9a-f]{64}|[A-Z]{2,4}[0-9]{1,2}(?:-[A-Z0-9]+)?)\W*$")
"""What follows an "@" in references: a digest, a precision."""
_SECRET_FIELD = re.compile(r"(?i)((\bsig|token|signature|password|secret|api_?key|credential)=)[^&\s'\"]+")
_SECRET_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_SECRET_PART = re.compile(r"(?<=.)[?#].*", re.DOTALL)


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


def brief(value: object) -> str:
    """Return plain data on one line that is not too long; ``absent`` for None."""
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


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


def redact(text: str) -> str:
    """Return a message without what addresses in it may keep secret: users, passwords, queries, fragments.

    It goes by what the text looks like, since what cannot be parsed may hold a password too.
    """
    if "@" not in text and "?" not in text and "#" not in text:
        return text
    return "".join(_without_query(word) for word in _WORDS.split(hide_logins(text)))


def hide_logins(text: str) -> str:
    """Return a message with ``***`` for the user and password of each address in it."""
    if "@" not in text:
        return text
    return "".join(_without_login(word) for word in _WORDS.split(_SPACED.sub(r"\1***@", text)))


def hide_secrets(text: str) -> str:
    """Return a line of a log with ``***`` for logins and for what is named like a token, key or signature."""
    text = _SECRET_FIELD.sub(r"\1***", hide_logins(text))
    return re.sub(r"\bhf_\w+", "hf_***", _SECRET_HEADER.sub(r"\1 ***", text))


def safe_url(url: str) -> str:
    """Return an address fit for messages: without user, password, query and fragment, which may be secret."""
    return _without_query(hide_logins(url)).replace("***@", "")


def _without_login(word: str) -> str:
    suffix = _SUFFIX.search(word)
    head, at, tail = (word[: suffix.start()] if suffix else word).rpartition("@")
    if not at:
        return word
    scheme, slashes, rest = head.partition("//")
    if slashes and not scheme[-1:].isalnum():
        start = len(head) - len(rest.lstrip("/"))
    else:
        reference = _NOT_AN_ADDRESS.match(head)
        start = reference.end() if reference else 0
    login = _LOGIN.search(head[start:])
    if login is not None:
        start += login.start()
    elif not slashes or "/" in head[start:]:
        return word
    return f"{head[:start]}***@{tail}{suffix[0] if suffix else ''}"


def _without_query(word: str) -> str:
    found = _SECRET_PART.search(word)
    before = word[: found.start()] if found else ""
    if found is None or not ("://" in before or ("/" in before and "=" in found[0])):
        return word
    closing = word[len(word.rstrip("'\"`)],.;:")) :]
    return before + ("?…" if found[0][0] == "?" else "") + closing


def print_anything(stream: object) -> None:
    """Let a stream write what its encoding lacks as an escape, instead of raising an error."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
