"""What every struct is built from: names, digests, precisions, paths that are valid on every file system.

What is refused is a ValueError that names the field; msgspec adds where it stands.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from model_zoo.text import near_names

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
            raise ValueError(f"unknown digest algorithm in {text!r}")
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


def check_relative_path(path: str, field: str = "path") -> None:
    """Refuse a path, declared by ``field``, that leaves its directory or is invalid on some file system."""
    reason = next(filter(None, (_problem_with(part) for part in path.split("/"))), "")
    if path.startswith("/"):
        reason = "must be relative"
    elif not path.isprintable() and any("\ud800" <= character <= "\udfff" for character in path):
        reason = "is not valid UTF-8"
    elif len(path) > MAX_PATH:
        reason = f"must be at most {MAX_PATH} characters long"
    if reason:
        raise ValueError(f"{field} {path!r} {reason}")


def check_model_path(path: str | None, field: str) -> None:
    """Refuse a path of a model's file or directory that could leave the model's own, which is "."."""
    plain = PurePosixPath(path or ".").as_posix()
    if plain != ".":
        check_relative_path(plain, field)


def check_shape(shape: tuple[int | str, ...] | None) -> None:
    """Refuse a dim that is not a size, open or bounded.

    Raises:
        ValueError: says which.
    """
    for dim in shape or ():
        if not -1 <= dim < 1 << 63 if isinstance(dim, int) else not DIM.fullmatch(dim):
            raise ValueError(f"shape contains {dim!r}; use a size, -1 or '?' for any, or 'lo..hi'")


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
    """Return a table for notebooks: an HTML caption, and rows of title and text; without text no row."""
    from html import escape  # not at every start

    before, after = ("<code>", "</code>") if code else ("", "")
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(title)}</th>'
        f'<td style="text-align:left">{before}{escape(text)}{after}</td></tr>'
        for title, text in rows
        if text
    )
    return f'<table><caption style="text-align:left">{caption}</caption><tbody>{cells}</tbody></table>'


def fold_path(path: str) -> str:
    """Return what a path is where neither case nor the way accents are encoded counts (Windows, macOS)."""
    return path.casefold() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


class UniquePaths:
    """Paths of files, no two of which are the same to any file system."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    @property
    def files(self) -> list[str]:
        """The files, as they were added, sorted."""
        return sorted(self._files.values())

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._files)

    def add(self, path: str) -> None:
        """Add a file."""
        folded = fold_path(path)
        if (other := self._files.get(folded)) is not None:
            raise ValueError(f"{other!r} and {path!r} are the same path on case-insensitive file systems")
        if (inner := self._directories.get(folded)) is not None:
            raise ValueError(f"{path!r} is both a file and the folder of {inner!r}")
        self._add_parents(folded, path)
        self._files[folded] = path

    def add_directory(self, path: str) -> None:
        """Add a directory, once or several times."""
        self._add_parents(f"{fold_path(path)}/", path)

    def _add_parents(self, folded: str, path: str) -> None:
        end = folded.rfind("/")
        while end > 0 and (parent := folded[:end]) not in self._directories:
            if (file := self._files.get(parent)) is not None:
                raise ValueError(f"{file!r} is both a file and the folder of {path!r}")
            self._directories[parent] = path
            end = folded.rfind("/", 0, end)


def check_unique_paths(paths: list[str]) -> None:
    """Refuse two paths that some file system takes for one, and a file that is also a directory."""
    unique = UniquePaths()
    try:
        for path in paths:
            unique.add(path)
    except ValueError as error:
        raise ValueError(f"artifacts: {error}") from None


PRECISION = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
UNIVERSAL = ("FP32", "FP16", "INT8", "INT4")
"""Precisions any model can be converted to, whether its recipe lists them or not."""
BY_NNCF = ("INT8", "INT4")
"""Those of ``UNIVERSAL`` whose weights NNCF compresses."""
UNSTATED = "AS-IS"
"""The precision of a ready-made directory whose name does not state one."""
_COMPRESSED = (
    *("INT8", "INT8-SYM", "INT8-ASYM", "INT4", "INT4-SYM", "INT4-ASYM", "INT3-SYM", "INT2-SYM"),
    *("NF4", "CB4", "MXFP4", "MXFP8-E4M3", "FP8-E4M3", "FP4", "NVFP4", "CODEBOOK", "ADAPTIVE-CODEBOOK"),
)
"""The modes of ``nncf.compress_weights``, with dashes for underscores."""
_MADE = frozenset({"FP32", "FP16", "FP32-INT8", "FP16-INT8", *_COMPRESSED})
_READY = frozenset({"FP64", "BF16", "FP8", "INT1", "FP16-INT1", "FP32-INT1", UNSTATED})
"""Precisions that only ready-made files have."""
PRECISIONS = _MADE | _READY


def check_precision(text: str, field: str, *, ready: bool = True) -> None:
    """Refuse an unknown precision; with ``ready=False`` also one that only ready-made files have."""
    if text in (PRECISIONS if ready else _MADE):
        return
    if text in PRECISIONS:
        raise ValueError(f"{field}: no conversion can produce {text!r}; only ready-made files have it")
    near = near_precisions(text)
    meant = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(PRECISIONS))}"
    raise ValueError(f"{field}: {text!r} is not a precision; {meant}")


def near_precisions(text: str) -> list[str]:
    """Return up to three precisions that somebody who typed ``text`` may have meant, nearest first."""
    name = text.upper().replace("_", "-")
    if name in PRECISIONS:
        return [name]
    return near_names(name, PRECISIONS)
