"""Locks between processes and threads, with a visible wait.

The lock is the operating system's (through filelock), so a dead owner's lock is free at once. The lock
file holds ``PID@HOST`` of its owner, for the message only. Where the file system has no working locks
the caller gets a degraded lock and must not rely on exclusion.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING

from model_zoo.errors import LockTimeoutError
from model_zoo.files import as_cache_error, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF, errno.EINVAL}
_POLL = 0.05


@contextlib.contextmanager
def lock(path: Path, *, timeout: float, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Hold the lock file ``path``; yield False where the file system's locks do not work.

    Args:
        path: the lock file; it is created, and left behind empty of meaning.
        timeout: seconds to wait for another owner.
        on_wait: called once with ``"PID 123 on HOST"`` when somebody else holds the lock.

    Raises:
        LockTimeoutError: the other owner did not finish in time.
        CacheError: the lock file cannot be created.
    """
    import filelock  # a hit needs no lock, and the import is not free

    make_folder(path.parent)
    held = filelock.FileLock(path, mode=0o666, thread_local=False)
    try:
        works = _acquire(held, path, timeout, on_wait)
    except filelock.Timeout as error:
        what = f"waited {timeout:.0f} s for {owner_of(path)}, which holds {path}"
        raise LockTimeoutError(what, hint="wait for that process, or end it, and run again") from error
    try:
        yield works
    finally:
        if works:
            held.release()


def _acquire(held: object, path: Path, timeout: float, on_wait: Callable[[str], None] | None) -> bool:
    import filelock

    assert isinstance(held, filelock.BaseFileLock)  # noqa: S101 - for the type checker
    deadline = time.monotonic() + timeout
    told = False
    while True:
        try:
            with as_cache_error(path):
                held.acquire(timeout=0)
        except filelock.Timeout:
            if time.monotonic() >= deadline:
                raise
            if not told and on_wait is not None:
                on_wait(owner_of(path))
                told = True
            time.sleep(_POLL)
            continue
        except Exception as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            if isinstance(cause, NotImplementedError) or getattr(cause, "errno", None) in _NO_LOCKS:
                return False
            raise
        with contextlib.suppress(OSError):
            path.write_text(f"{os.getpid()}@{socket.gethostname()}", encoding="utf-8")
        return True


def owner_of(path: Path) -> str:
    """Return who holds the lock, as far as its file tells."""
    try:
        pid, _, host = path.read_text(encoding="utf-8").partition("@")
    except OSError:
        pid, host = "", ""
    return f"PID {pid} on {host}" if pid and host else "another process"
