"""Copies that share bytes where the file system can: hard links, reflinks, symlinks. And modes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

from model_zoo.files.read import CHUNK

if TYPE_CHECKING:
    from pathlib import Path

READ_ONLY = 0o444
"""The mode of what is published, less the umask."""
_AT_ONCE = 1 << 30
_STATUS = "/proc/self/status"
_FICLONE = 0x40049409  # linux/fs.h: share the extents of one file with another


def current_umask() -> int:
    """Return the process's umask, without changing it where the kernel tells it."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(_STATUS, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            text = os.read(descriptor, 256)  # it stands in the second line
        finally:
            os.close(descriptor)
        return int(text.partition(b"\nUmask:")[2].split(maxsplit=1)[0], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def set_mode(path: Path, mode: int) -> None:
    """Give a file or folder ``mode`` less the umask, where it can; a folder keeps its setgid bit."""
    with contextlib.suppress(OSError, NotImplementedError):
        kept = path.stat().st_mode & 0o2000 if path.is_dir() else 0
        path.chmod((mode & ~current_umask()) | kept)


def clone(source: Path, target: Path) -> bool:
    """Make ``target`` share the extents of ``source`` (reflink); return False where that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # not on every platform

    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            pass
        else:
            return True
    target.unlink()
    return False


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes to a new file of its own: reflink where possible, else in the kernel, else by hand."""
    if not clone(source, target):
        with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
            with contextlib.suppress(OSError, AttributeError):  # not everywhere, not between all file systems
                while os.copy_file_range(reading.fileno(), writing.fileno(), _AT_ONCE):
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
        with contextlib.suppress(OSError, NotImplementedError):
            target.symlink_to(os.path.relpath(source, target.parent))
            return
    copy_file(source, target)
