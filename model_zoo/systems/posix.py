"""Files, locks and processes of Linux, macOS and other POSIX systems."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

assert sys.platform != "win32"  # noqa: S101 - tells type checkers which names os has

if TYPE_CHECKING:
    import subprocess

HELD = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})
"""What ``lock`` raises, by errno, while another process holds the lock."""
HAS_MODES = True
"""Whether a file's mode says who may write it."""
NO_LINK = os.O_NOFOLLOW
"""A flag of ``open_file``: a symbolic link is not followed."""
NO_WAIT = os.O_NONBLOCK
"""A flag of ``open_file``: a pipe is not waited for."""
NEW_SESSION: dict[str, Any] = {"start_new_session": True}
"""Arguments of ``Popen`` for a child that the terminal's Ctrl-C does not reach."""
HOME = "HOME"
"""The variable with the path of the user's home directory."""
_PROC = Path("/proc")
_FICLONE = 0x40049409  # linux/fs.h: share the extents of one file with another
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FULL_FSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync stops at the disk's own cache


# --- descriptors

open_file = os.open
"""Open a file and return its descriptor: for bytes as they are, not inherited, and it may be renamed or
deleted meanwhile; arguments as of ``os.open``."""
write_at = os.pwrite
"""Write bytes at an offset, whatever other threads do with the descriptor; return how many were written."""


def read_at(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read bytes from an offset into a buffer, and return how many."""
    return os.preadv(descriptor, [buffer], offset)


def lock(descriptor: int, *, shared: bool) -> None:
    """Lock an open file until it is closed, or its process ends.

    Raises:
        OSError: one of ``HELD`` if another one holds it.
    """
    fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


# --- flushing


def flush(descriptor: int) -> None:
    """Flush an open file's bytes to the disk.

    Raises:
        OSError: the disk refused them.
    """
    if _FULL_FSYNC is not None:
        with contextlib.suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, _FULL_FSYNC)
            return
    os.fsync(descriptor)


def flush_file(path: Path) -> None:
    """Flush a file's bytes to the disk; raises as ``flush``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def flush_directory(path: Path) -> None:
    """Flush a folder's names to the disk, where the file system can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def flush_tree(directory: Path) -> None:
    """Flush a tree of tens of thousands of files: the whole file system at once."""
    if (call := _c_function("syncfs")) is None:
        os.sync()
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if call(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def start_flush(descriptor: int, first: int, end: int) -> None:
    """Start writing a part of a file to disk without waiting, so that ``flush`` has less to do."""
    if (call := _c_function("sync_file_range")) is not None:
        import ctypes

        call(descriptor, ctypes.c_int64(first), ctypes.c_int64(end - first), _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _c_function(name: str) -> Any:  # noqa: ANN401 - a C function
    """Return a function of Linux's C library; None where there is no such function."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # not at every start

    with contextlib.suppress(OSError, AttributeError):
        return getattr(ctypes.CDLL(None), name)
    return None


# --- names

rename = os.rename
"""Rename a file or folder to a name that is free."""
replace = os.replace
"""Rename a file over another one, even while that is open."""
unlink = os.unlink
"""Remove a file, even while it is open."""


def link_directory(name: Path, directory: Path) -> None:
    """Give a directory a second name."""
    name.symlink_to(directory)


def clone(source: int, target: int) -> bool:
    """Make an open, empty file share the extents of another (reflink); False where that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return True
    return False


def copy_range(source: int, target: int, size: int) -> int:
    """Copy up to ``size`` bytes from one file's position to the other's within the kernel; 0 if it cannot."""
    with contextlib.suppress(OSError, AttributeError):  # not everywhere, not between all file systems
        return os.copy_file_range(source, target, size)
    return 0


def allocated(found: os.stat_result) -> int:
    """Return how many bytes a file occupies on the disk: fewer than its size where it has holes."""
    return found.st_blocks * 512


def status(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the ``lstat`` of what a listing found, with inode and number of names."""
    return entry.stat(follow_symlinks=False)


def umask() -> int:
    """Return the process's umask, without changing it where the kernel tells it."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(_PROC / "self" / "status", os.O_RDONLY)
        try:
            text = os.read(descriptor, 256)  # it stands in the second line
        finally:
            os.close(descriptor)
        return int(text.partition(b"\nUmask:")[2].split(maxsplit=1)[0], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


# --- processes


def accept_interrupts() -> None:
    """Make every key that interrupts raise a ``KeyboardInterrupt``; the caller is the main thread."""


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives; True where that cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@functools.cache
def boot_id() -> str:
    """Return what changes when the machine restarts; empty where that is unknown."""
    try:
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class ProcessTree:
    """A child that was started with ``NEW_SESSION``, and everything it starts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def kill(self) -> None:
        """Kill them all."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def close(self) -> None:
        """Forget them."""


def end_with_parent() -> None:
    """End this process when its parent ends, which keeps its standard input open and never writes to it."""
    if (call := _c_function("prctl")) is not None:  # Linux: at once, whatever this process is doing
        call(_PR_SET_PDEATHSIG, int(signal.SIGKILL))

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / "bin" / "python"
