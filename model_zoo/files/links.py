"""Copies that share bytes where the file system can: hard links, reflinks, symlinks. And modes."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from model_zoo.files.read import CHUNK
from model_zoo.systems import system

if TYPE_CHECKING:
    from pathlib import Path

READ_ONLY = 0o444
"""The mode of what is published, less the umask."""
_AT_ONCE = 1 << 30


def set_mode(path: Path, mode: int) -> None:
    """Give a file or folder ``mode`` less the umask, where it can; a folder keeps its setgid bit.

    Windows has no modes, and its read-only attribute would keep users from deleting the cache.
    """
    if not system.HAS_MODES:
        return
    with contextlib.suppress(OSError, NotImplementedError):
        kept = path.stat().st_mode & 0o2000 if path.is_dir() else 0
        path.chmod((mode & ~system.umask()) | kept)


def clone(source: Path, target: Path) -> bool:
    """Make ``target`` share the extents of ``source`` (reflink); return False where that is not possible."""
    with source.open("rb") as reading, target.open("xb") as writing:
        if system.clone(reading.fileno(), writing.fileno()):
            return True
    target.unlink()
    return False


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes to a new file of its own: reflink where possible, else in the kernel, else by hand."""
    if not clone(source, target):
        with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
            while system.copy_range(reading.fileno(), writing.fileno(), _AT_ONCE):
                pass
            shutil.copyfileobj(reading, writing, CHUNK)


def link_file(source: Path, target: Path, *, symlink: bool = True) -> None:
    """Make ``target`` the same content: hard link, else reflink, else relative symlink, else copy.

    Raises:
        OSError: the target exists or none of these is possible.
    """
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    if clone(source, target):
        return
    if symlink:
        with contextlib.suppress(OSError, NotImplementedError, ValueError):  # ValueError: on another drive
            target.symlink_to(os.path.relpath(source, target.parent))
            return
    copy_file(source, target)
