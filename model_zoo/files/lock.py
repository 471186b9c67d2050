"""Locks between processes and threads, with a visible wait.

The operating system holds the lock, so the lock of a dead owner is free at once: nothing has to guess whether
an owner is still alive. The lock file contains ``PID@HOST`` of its owner, only for messages, and stays
behind. Where the file system has no working locks the caller is told so and must not rely on exclusion.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from model_zoo.errors import LockTimeoutError
from model_zoo.files.atomic import make_directory
from model_zoo.files.failures import as_cache_error
from model_zoo.systems import system

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BROKEN = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF, errno.EINVAL, errno.EIO}
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.2
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def lock(
    path: Path,
    *,
    timeout: float,
    on_wait: Callable[[str], None] | None = None,
    shared: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[bool]:
    """Hold the lock file ``path``; yield False where the file system's locks do not work.

    Args:
        path: the lock file; it is created, and stays behind.
        timeout: seconds to wait for another owner.
        on_wait: called once with ``"PID 123 on HOST"`` when another process or thread holds the lock.
        shared: whether other shared holders may have it too.
        stop: ends the wait when it is set.

    Raises:
        LockTimeoutError: the other owner did not finish in time.
        InterruptedError: ``stop`` was set.
        CacheError: the lock file cannot be created.
    """
    make_directory(path.parent)
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        descriptor = _open(path)
        works = _try(descriptor, path, shared=shared)
        if works is not None:
            break
        os.close(descriptor)
        if pause == _FIRST_PAUSE and timeout > 0:
            _log.info("waiting for %s, which holds %s", owner_of(path), path)
        if pause == _FIRST_PAUSE and on_wait is not None:
            on_wait(owner_of(path))
        if time.monotonic() >= deadline:
            what = f"timed out after {timeout:.0f} s waiting for {owner_of(path)} to release {path}"
            raise LockTimeoutError(what, hint="wait for that process to finish, then run again")
        if stop is None:
            time.sleep(pause)
        elif stop.wait(pause):
            raise InterruptedError
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    try:
        if works and not shared:
            _write_owner(descriptor)
        yield works
    finally:
        os.close(descriptor)  # which unlocks it


def _open(path: Path) -> int:
    """Open the lock file; another user's is opened for reading, which is enough to lock it."""
    with as_cache_error(path):
        try:
            return system.open_file(path, os.O_RDWR | os.O_CREAT | system.NO_LINK, 0o666)
        except PermissionError:
            if not path.is_file():
                raise
            return system.open_file(path, os.O_RDONLY | system.NO_LINK)


def _try(descriptor: int, path: Path, *, shared: bool) -> bool | None:
    """Lock an open file: True, False where locks do not work, None where another owner holds it."""
    try:
        system.lock(descriptor, shared=shared)
    except OSError as error:
        if error.errno in system.HELD:
            return None
        if error.errno in _BROKEN:
            return False
        os.close(descriptor)
        with as_cache_error(path):
            raise
    try:
        # a cleaner may have removed the file between opening and locking: then this locks nothing
        return True if os.path.samestat(os.fstat(descriptor), path.stat()) else None
    except OSError:
        return None


def _write_owner(descriptor: int) -> None:
    """Write who holds the lock; where that is not allowed, messages cannot name the owner."""
    with contextlib.suppress(OSError):
        text = f"{os.getpid()}@{socket.gethostname()}\n".encode()
        if os.fstat(descriptor).st_size != len(text):
            os.ftruncate(descriptor, 0)
        system.write_at(descriptor, text, 0)


def owner_of(path: Path) -> str:
    """Return who holds the lock, as far as its file says."""
    try:
        pid, _, host = path.read_text(encoding="utf-8", errors="replace").strip().partition("@")
    except OSError:
        pid, host = "", ""
    return f"PID {pid} on {host}" if pid.isdigit() and host else "another process"
