"""Deadlines for answers of servers: each byte that arrives starts a socket's own timeout again."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@contextlib.contextmanager
def deadline(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Call ``end``, which must make the block return, unless that is done after so many seconds.

    Raises:
        TimeoutError: it was not, whatever the block has read by then.
    """
    late = threading.Event()

    def run() -> None:
        late.set()
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # it is over at this moment
            end()

    timer = threading.Timer(seconds, run)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise _too_late(seconds)


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises, unless that takes longer.

    It then goes on in a thread of its own, which does not keep the process alive.

    Raises:
        TimeoutError: it is not done after so many seconds.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise _too_late(seconds)
    return done[0]


def _too_late(seconds: float) -> TimeoutError:
    return TimeoutError(f"no complete answer after {seconds:g} s")
