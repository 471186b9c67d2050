"""The usage lock: any number of users of a layer, or one process (gc, rm, repair) that must be alone.

A user holds a lock file of its own in ``locks-v1/users``. It gets it while holding the entry lock, which an
exclusive process keeps while it waits for each user's lock. Only exclusive locks are needed, so this works
the same on every platform, and the operating system frees what a killed process held. Every ``SLICE`` seconds
the exclusive process releases the entry lock for a moment: a user may be waiting for a child that is a user
as well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError, LockTimeoutError
from model_zoo.files.lock import lock, owner_of
from model_zoo.files.tree import scan
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model_zoo.cache.layout import Layer

SLICE = 10.0
"""Seconds an exclusive process keeps the entry lock while it waits for users."""
_PAUSE = 0.3
_QUIET = 0.3
"""Seconds of waiting that are not reported: other users hold the entry lock for milliseconds."""
_STALE = 86400.0


class UsageLock:
    """Both sides of the lock of one layer, in one process."""

    def __init__(self, layer: Layer) -> None:
        self.entry = layer.locks / "gate.lock"
        self.users = layer.check_own(layer.locks / "users")
        self._guard = threading.Lock()
        self._inside = 0
        self._works = False
        self._registration = contextlib.ExitStack()

    @contextlib.contextmanager
    def use(self, timeout: float, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
        """Be one of the users, or raise a LockTimeoutError; the threads of a process count as one.

        Yields False where locks do not work, or the layer cannot be written.
        """
        with self._guard:
            if self._inside == 0:
                self._works = self._register(timeout, on_wait)
            self._inside += 1
        try:
            yield self._works
        finally:
            with self._guard:
                self._inside -= 1
                if self._inside == 0:
                    self._registration.close()

    def _register(self, timeout: float, on_wait: Callable[[str], None] | None) -> bool:
        own = self.users / f"{os.getpid()}-{os.urandom(4).hex()}.lock"
        try:
            with _quietly(self.entry, timeout, on_wait) as works:
                self._registration.enter_context(_held(own, works=works))
        except LockTimeoutError:
            raise
        except CacheError:
            return False  # the next write reports what is wrong
        return works

    @contextlib.contextmanager
    def exclusive(self, timeout: float, on_wait: Callable[[str], None] | None = None) -> Iterator[bool]:
        """Be alone, or raise a LockTimeoutError; yields False where locks do not work."""
        deadline = time.monotonic() + timeout
        while True:
            with _quietly(self.entry, max(0.0, deadline - time.monotonic()), on_wait) as works:
                end = min(deadline, time.monotonic() + SLICE)
                if all(_gone(path, end, on_wait, works=works) for path in self._registered()):
                    yield works
                    return
            if time.monotonic() >= deadline:
                names = ", ".join(owner_of(path) for path in self._registered())
                what = f"timed out after {timeout:.0f} s waiting for other users of the cache: {names}"
                raise LockTimeoutError(what, hint="wait for them to finish, then run again")
            time.sleep(_PAUSE)

    def _registered(self) -> list[Path]:
        return [self.users / entry.name for entry in scan(self.users) if entry.name.endswith(".lock")]


@contextlib.contextmanager
def _quietly(path: Path, timeout: float, on_wait: Callable[[str], None] | None) -> Iterator[bool]:
    """Hold a lock; report only a wait that takes longer than usual."""
    with contextlib.ExitStack() as stack:
        try:
            works = stack.enter_context(lock(path, timeout=min(_QUIET, timeout)))
        except LockTimeoutError:
            works = stack.enter_context(lock(path, timeout=max(0.0, timeout - _QUIET), on_wait=on_wait))
        yield works


@contextlib.contextmanager
def _held(own: Path, *, works: bool) -> Iterator[None]:
    """Hold a user's own lock file, and remove it before releasing it."""
    with lock(own, timeout=_QUIET):
        if not works:  # then the file itself stands for the user
            with contextlib.suppress(OSError):
                own.write_text(f"{os.getpid()}@{socket.gethostname()}", encoding="utf-8")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                system.unlink(own)


def _gone(path: Path, end: float, on_wait: Callable[[str], None] | None, *, works: bool) -> bool:
    """Wait until ``end`` (monotonic) for the user with that lock file to be gone."""
    if not works:
        return _wait_for_file(path, end, on_wait)
    try:
        with lock(path, timeout=max(0.0, end - time.monotonic()), on_wait=on_wait):
            with contextlib.suppress(OSError):
                system.unlink(path)
            return True
    except LockTimeoutError:
        return False


def _wait_for_file(path: Path, end: float, on_wait: Callable[[str], None] | None) -> bool:
    """Without locks, the file counts while its owner lives, or for a day where that cannot be told."""
    while _is_fresh(path):
        if time.monotonic() >= end:
            return False
        if on_wait is not None:
            on_wait(owner_of(path))
            on_wait = None
        time.sleep(0.05)
    return True


def _is_fresh(path: Path) -> bool:
    try:
        pid, _, host = path.read_text(encoding="utf-8").partition("@")
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    if host == socket.gethostname() and pid.isdigit():
        return system.is_alive(int(pid))
    return age < _STALE
