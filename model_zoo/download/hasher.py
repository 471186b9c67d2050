"""Hash a file while it is still being written: a thread follows the writers over what is complete so far.

It reads the bytes back, usually from the page cache, so they need not arrive in order and several connections
can write at once.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from typing import TYPE_CHECKING

from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.download.partial import Partial

_PIECE = 512 << 10
_THREAD_FROM = 4 << 20
"""Bytes to hash from which a thread pays off."""
_FLUSH_EVERY = 16 << 20


class StreamHasher:
    """Hashes a partial from its start, as far as the writers have come."""

    def __init__(self, partial: Partial, algorithms: Iterable[str]) -> None:
        self._partial = partial
        self._algorithms = tuple(dict.fromkeys(algorithms))
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._reset()

    def _reset(self) -> None:
        self.stop()
        self._hashes = {name: hashlib.new(name) for name in self._algorithms}
        self._position = self._target = self._flushed = 0
        self._error: OSError | None = None

    def advance(self) -> None:
        """Note that the writers have come further."""
        target = self._partial.prefix_length()
        if target - self._target < _THREAD_FROM:
            return
        with self._wake:
            self._target = target
            if self._thread is None:
                self._ended = False
                self._thread = threading.Thread(target=self._run, name="model-zoo-hash", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._target <= self._position and not self._ended:
                    self._wake.wait()
                if self._ended:
                    return
                target = self._target
            try:
                self._hash_up_to(target)
                if self._position - self._flushed >= _FLUSH_EVERY:
                    self._partial.start_flush(self._flushed, self._position)
                    self._flushed = self._position
            except OSError as error:
                self._error = error
                return

    def _hash_up_to(self, target: int) -> None:
        buffer = memoryview(bytearray(min(_PIECE, max(0, target - self._position))))
        while self._position < target and not self._ended:
            room = min(len(buffer), target - self._position)
            count = self._partial.read_into(buffer[:room], self._position)
            if not count:
                what = "the partial file is shorter than what was written to it"
                raise OSError(errno.EIO, what, str(self._partial.path))
            for state in self._hashes.values():
                state.update(buffer[:count])
            self._position += count

    def stop(self) -> None:
        """End the thread; what is hashed so far is kept."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def restart(self) -> None:
        """Forget everything, and start the partial again from nothing."""
        self._reset()
        self._partial.reset()

    def digests(self, size: int) -> dict[str, Digest]:
        """Hash the rest and return the digests of the first ``size`` bytes; OSError where that fails."""
        self.stop()
        if self._error is not None:
            raise self._error
        self._ended = False
        self._hash_up_to(size)
        return {
            name: Digest(algorithm=name, hex=state.copy().hexdigest())  # type: ignore[arg-type]
            for name, state in self._hashes.items()
        }
