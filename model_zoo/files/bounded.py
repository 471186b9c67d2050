"""Read a small file that somebody else may have chosen: never a device, a pipe, or more than was agreed."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class TooLargeError(ValueError):
    """A file has more bytes than its reader takes."""


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes.

    Raises:
        OSError: it cannot be read, or is no regular file.
        TooLargeError: it is larger; the message states both sizes.
        ValueError: no file can have that name.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as stream:  # noqa: PTH123 - a pipe must not keep us waiting
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = stream.read(limit + 1)
    if len(data) > limit:
        msg = f"{max(found.st_size, len(data))} bytes, at most {limit} are read"
        raise TooLargeError(msg)
    return data
