"""Reading small files of others, or of an earlier run: never a device, a pipe, or more than was agreed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
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


class TooLargeError(ValueError):
    """A file has more bytes than its reader takes."""


def read_bounded(path: Path | str, limit: int = LIMIT) -> tuple[bytes, float]:
    """Return the bytes of a regular file and when it was written, in seconds since 1970.

    Raises:
        OSError: it cannot be read, or is no regular file.
        TooLargeError: it has more than ``limit`` bytes; the message states both sizes.
        ValueError: no file can have that name.
    """
    with open(path, "rb", buffering=0, opener=_open) as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = b""
        while chunk := stream.read(max(min(found.st_size, limit) + 1 - len(data), 1 << 16)):
            data += chunk
            if len(data) > limit:
                raise TooLargeError(f"{max(found.st_size, len(data))} bytes, at most {limit} are read")
    return data, found.st_mtime


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe must not keep us waiting


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
        stored, _ = read_bounded(path)
    except UNREADABLE:
        return None
    data = stored[_DIGEST_SIZE:]
    return data if with_checksum(data) == stored else None
