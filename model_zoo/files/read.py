"""Reading small files of others, or of an earlier run: whatever is in them, it ends and is no bug."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 64 << 20
"""Bytes of the largest file that is read at once; a manifest of 100,000 files has 20 MB."""
UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading and decoding a damaged file raises; the errors of msgspec and of UTF-8 are ValueErrors."""
T = TypeVar("T")
_DIGEST_SIZE = 32


def read_bounded(path: Path | str, limit: int = LIMIT) -> tuple[bytes, float]:
    """Return the bytes of a file and when it was written, in seconds since 1970; a pipe is not waited for.

    Raises:
        OSError: it cannot be read, or has more than ``limit`` bytes.
    """
    with open(path, "rb", buffering=0, opener=_open) as stream:
        found = os.fstat(stream.fileno())
        data = b""
        while chunk := stream.read(max(found.st_size + 1 - len(data), 1 << 16)):
            data += chunk
            if len(data) > limit:
                raise OSError(errno.EFBIG, "larger than any file of its kind", str(path))
    return data, found.st_mtime


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json(path: Path | str, kind: type[T]) -> T | None:
    """Return what a JSON file says; None where it is absent, damaged, too large or of another shape."""
    try:
        return msgspec.json.decode(read_bounded(path)[0], type=kind)
    except UNREADABLE:
        return None


def with_checksum(data: bytes) -> bytes:
    """Return what to write so that ``read_checked`` notices any damage: the sha256, then the data."""
    return hashlib.sha256(data).digest() + data


def read_checked(path: Path) -> bytes | None:
    """Return the data of a file with a checksum; None where it is absent or damaged."""
    try:
        data = read_bounded(path)[0]
    except OSError:
        return None
    data, digest = data[_DIGEST_SIZE:], data[:_DIGEST_SIZE]
    return data if hashlib.sha256(data).digest() == digest else None
