"""What every struct is built from: names, digests, paths that are valid on every file system."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = re.compile(r"[0-9A-Za-z._-]+")
DIM = re.compile(r"\?|[0-9]{1,18}|[0-9]{0,18}\.\.[0-9]{0,18}")
MANIFEST_NAME = ".model-zoo.json"
"""The manifest inside a materialised directory, which is complete only with it."""
MAX_PATH = 240
_WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_WINDOWS_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')

Integrity = Literal["pinned", "revision", "prefix", "first-use"]
Algorithm = Literal["sha256", "sha384", "sha512"]
HEX_DIGITS: dict[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128}

Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
# Hex digits, or a digest as Subresource Integrity (and npm) states it; read_digits() makes hex of both.
Sha256 = Annotated[str, Meta(pattern="^(?:[0-9a-f]{64}|sha256-[0-9A-Za-z+/]{43}=)$")]
Sha384 = Annotated[str, Meta(pattern="^(?:[0-9a-f]{96}|sha384-[0-9A-Za-z+/]{64})$")]
Sha512 = Annotated[str, Meta(pattern="^(?:[0-9a-f]{128}|sha512-[0-9A-Za-z+/]{86}==)$")]


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every struct of the catalog: frozen, keyword-only, strict about unknown fields."""


class Digest(Struct, frozen=True, kw_only=True, order=True):
    """A digest as a typed value: the algorithm and lower-case hex digits."""

    algorithm: Algorithm
    hex: str

    def __post_init__(self) -> None:
        """Refuse hex digits of the wrong number or case."""
        if not re.fullmatch(rf"[0-9a-f]{{{HEX_DIGITS[self.algorithm]}}}", self.hex):
            msg = (
                f"{self.algorithm} needs {HEX_DIGITS[self.algorithm]} lower-case hex digits, not {self.hex!r}"
            )
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return ``algorithm:hex``, the form manifests use."""
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex``, or ``algorithm-BASE64`` of Subresource Integrity.

        Raises:
            ValueError: the text is not of that form.
        """
        algorithm, _, digits = text.partition(":")
        if ":" not in text and text.partition("-")[0] in HEX_DIGITS:
            algorithm, digits = text.partition("-")[0], read_digits(text)
        if algorithm not in HEX_DIGITS:
            msg = f"unknown digest algorithm in {text!r}"
            raise ValueError(msg)
        return cls(algorithm=algorithm, hex=digits)  # type: ignore[arg-type]

    @classmethod
    def of_json(cls, value: object) -> Digest:
        """Return the sha256 of the canonical JSON (sorted keys, no spaces) of plain data."""
        data = msgspec.json.encode(value, order="sorted")
        return cls(algorithm="sha256", hex=hashlib.sha256(data).hexdigest())


def read_digits(text: str) -> str:
    """Return the hex digits of a digest stated as such, or as ``algorithm-BASE64``.

    Raises:
        ValueError: it is not base64.
    """
    _, dash, encoded = text.partition("-")
    return base64.b64decode(encoded, validate=True).hex() if dash else text


def check_relative_path(path: str) -> None:
    """Refuse a declared path that could leave its directory or is invalid on some file system.

    Raises:
        ValueError: says which rule the path breaks.
    """
    reason = next(filter(None, (_problem_with(part) for part in path.split("/"))), "")
    if path.startswith("/"):
        reason = "must be relative"
    elif len(path) > MAX_PATH:
        reason = f"must be at most {MAX_PATH} characters long"
    if reason:
        msg = f"path {path!r} {reason}"
        raise ValueError(msg)


def _problem_with(part: str) -> str:
    if part in {"", "."}:
        return "must be a plain relative POSIX path"
    if part == "..":
        return 'must not contain ".."'
    if _WINDOWS_FORBIDDEN.search(part):
        return "contains a character that some file systems do not allow"
    if _WINDOWS_RESERVED.fullmatch(part):
        return f"contains {part!r}, a reserved name on Windows"
    if part.endswith((" ", ".")):
        return "has a part that ends in a dot or a space"
    return f"must not use the name {MANIFEST_NAME}" if part == MANIFEST_NAME else ""


def html_table(caption: str, rows: Iterable[tuple[str, str | None]], *, code: bool = False) -> str:
    """Return a small table for notebooks.

    Args:
        caption: HTML.
        rows: a title and a text each, as plain text; rows without a text are left out.
        code: set the texts in a fixed-width font.
    """
    from html import escape  # not at every start

    before, after = ("<code>", "</code>") if code else ("", "")
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(title)}</th>'
        f'<td style="text-align:left">{before}{escape(text)}{after}</td></tr>'
        for title, text in rows
        if text
    )
    return f'<table><caption style="text-align:left">{caption}</caption><tbody>{cells}</tbody></table>'
