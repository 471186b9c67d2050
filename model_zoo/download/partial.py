"""A partial file: the bytes so far, and a sidecar that tells the next process which parts of it are done.

The bytes are written before the sidecar counts them, and it is rewritten after every ``STEP`` bytes, so a
killed process costs at most that much. It is a small JSON document, padded so that every version of it is
a single write of the same length: no reader sees half of one unless the machine itself went down, and then
the digest, which is checked over the whole file, decides.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import threading
from bisect import insort
from typing import TYPE_CHECKING

import msgspec

from model_zoo.download.failures import NOTHING_LEFT
from model_zoo.errors import CacheFullError
from model_zoo.files import as_cache_error
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from model_zoo.download.tasks import DownloadTask

_log = logging.getLogger(__name__)

STEP = 1 << 20
"""How many bytes may be on disk without being recorded as done."""
_PAD = 512


class Sidecar(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the next process needs to resume.

    Attributes:
        version: of this format.
        source: for people.
        address: a digest of the full URL, which may hold secrets.
        validator: the strong validator of the bytes: an ETag with quotes, or a date.
        expected: the declared digests.
        size: of the whole, in bytes, where it is known.
        done: the parts on disk, ``[first, end)``, in order and apart.
        boot: the boot of the machine that wrote it; bytes without a digest are trusted only within it.
    """

    version: int = 1
    source: str = ""
    address: str = ""
    validator: str = ""
    expected: tuple[str, ...] = ()
    size: int | None = None
    done: list[tuple[int, int]] = []
    boot: str = ""


class Partial:
    """One partial file; safe for several writers at once.

    ``expected`` are the declared digests as text. It is not ``shared`` where locks do not work: then it
    belongs to this run alone, and is not resumed. Making it raises a CacheError where that is not possible,
    as ``reset`` does; the other methods pass on what the disk refuses as an OSError.
    """

    def __init__(self, directory: Path, key: str, expected: tuple[str, ...], *, shared: bool = True) -> None:
        name = key if shared else f"{key}.{os.getpid()}.{secrets.token_hex(4)}"
        self.path = directory / f"{name}.part"
        self.sidecar = directory / f"{name}.json"
        self.state = Sidecar(expected=expected, boot=system.boot_id())
        self.mixed = False  # assembled from more than one response: a wrong digest may be our fault
        self.most_bytes = 0  # held at any time: what counts as progress
        self._guard = threading.Lock()
        self._unrecorded = 0
        self._recorded_length = 0
        self._recorder: int | None = None
        self._file = -1
        with as_cache_error(self.path):
            self._open()

    def _open(self) -> None:
        state = self._read_sidecar()
        if state is None:
            self._create()
            return
        self._file = system.open_file(self.path, os.O_RDWR)
        self.state = state
        self.mixed = bool(state.done)
        self.most_bytes = sum(end - first for first, end in state.done)
        _log.debug("%s: resuming with %d bytes", self.path.name, self.most_bytes)

    def _create(self) -> None:
        """Start a new file; never truncate an old one, whose bytes may have been published meanwhile."""
        for old in (self.path, self.sidecar):
            with contextlib.suppress(FileNotFoundError):
                system.unlink(old)
        self._file = system.open_file(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def _read_sidecar(self) -> Sidecar | None:
        try:
            known = msgspec.json.decode(self.sidecar.read_bytes(), type=Sidecar)
            length = self.path.lstat().st_size
        except (OSError, msgspec.DecodeError, ValueError):
            return None
        proven = bool(known.expected) or (known.boot and known.boot == self.state.boot)
        regular = self.path.is_file() and not self.path.is_symlink()
        if known.version != 1 or known.expected != self.state.expected or not proven or not regular:
            return None
        position = 0
        for first, end in known.done:
            if not position <= first < end <= length:
                return None
            position = end + 1
        return known

    def bytes_done(self) -> int:
        """Return how many bytes are done."""
        with self._guard:
            return sum(end - first for first, end in self.state.done)

    def prefix_length(self) -> int:
        """Return how many bytes are done from the start, without a gap."""
        with self._guard:
            done = self.state.done
            return done[0][1] if done and done[0][0] == 0 else 0

    def gaps(self, size: int) -> list[tuple[int, int]]:
        """Return what is missing of ``size`` bytes."""
        found, position = [], 0
        with self._guard:
            for first, end in self.state.done:
                if position < first and position < size:
                    found.append((position, min(first, size)))
                position = end
        return [*found, (position, size)] if position < size else found

    def write(self, data: bytes, offset: int) -> None:
        """Write bytes in place and count them as done."""
        view, position = memoryview(data), offset
        while view:
            written = system.write_at(self._file, view, position)
            view, position = view[written:], position + written
        with self._guard:
            self._mark(offset, position)
            self.most_bytes = max(self.most_bytes, sum(end - first for first, end in self.state.done))
            self._unrecorded += position - offset
            if self._unrecorded >= STEP:
                self._record()

    def _mark(self, first: int, end: int) -> None:
        done = self.state.done
        for index, (start, stop) in enumerate(done):  # the usual case: a part grows
            if stop == first:
                done[index] = (start, end)
                if index + 1 < len(done) and done[index + 1][0] <= end:
                    done[index] = (start, max(end, done.pop(index + 1)[1]))
                return
        insort(done, (first, end))
        merged: list[tuple[int, int]] = []
        for start, stop in done:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        self.state.done = merged

    def identify(self, *, source: str, address: str, validator: str, size: int | None) -> None:
        """Note which content the bytes are parts of."""
        with self._guard:
            state = self.state
            state.source, state.address, state.validator, state.size = source, address, validator, size

    def reset(self) -> None:
        """Start again from nothing, in a new file."""
        with self._guard, as_cache_error(self.path):
            self._close()
            self.state.done = []
            self.state.size = None
            self.state.validator = ""
            self.mixed = False
            self._unrecorded = 0
            self._create()

    def _record(self) -> None:
        if self._recorder is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            self._recorder = system.open_file(self.sidecar, flags, 0o666)
            self._recorded_length = 0
        text = msgspec.json.encode(self.state)
        room = max(self._recorded_length, -(-len(text) // _PAD) * _PAD)
        system.write_at(self._recorder, text.ljust(room), 0)
        self._recorded_length = room
        self._unrecorded = 0

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Read bytes back, usually from the page cache."""
        return system.read_at(self._file, buffer, offset)

    def flush(self) -> None:
        """Flush the bytes to the disk."""
        system.flush(self._file)

    def start_flush(self, first: int, end: int) -> None:
        """Start writing a part to disk without waiting, so that the final flush has less to do."""
        system.start_flush(self._file, first, end)

    def _close(self) -> None:
        for descriptor in (self._file, self._recorder):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._file, self._recorder = -1, None

    def close(self) -> None:
        """Close the files, recording what is done."""
        with contextlib.suppress(OSError), self._guard:
            if self._file >= 0 and self.state.done and (self._unrecorded or self._recorder is None):
                self._record()
        with self._guard:
            still_open = self._file >= 0
            self._close()
        if still_open and not self.bytes_done():
            self.delete()

    def release(self) -> None:
        """Close a file that now belongs to the cache."""
        with self._guard:
            self.state.done = []
            self._close()
        with contextlib.suppress(OSError):
            system.unlink(self.sidecar)

    def delete(self) -> None:
        """Remove its files."""
        for path in (self.path, self.sidecar):
            with contextlib.suppress(OSError):
                system.unlink(path)

    def describe_left(self) -> str:
        """Return what is on disk, for messages."""
        done = self.bytes_done()
        if not done:
            return NOTHING_LEFT
        size = "an unknown number of" if self.state.size is None else self.state.size
        return f"{done} of {size} bytes, kept for the next run"


@contextlib.contextmanager
def open_partial(directory: Path, key: str, expected: tuple[str, ...], *, shared: bool) -> Iterator[Partial]:
    """Hold a partial open; what is done is recorded at the end, however it ends."""
    partial = Partial(directory, key, expected, shared=shared)
    try:
        yield partial
    finally:
        partial.close()
        if not shared:
            partial.delete()


# --- space for them on the disk


def free_space(directory: Path) -> int | None:
    """Return the bytes that may be written below ``directory``; None if the file system does not say."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free if usage.total else None


def _kept_bytes(partials: Path, key: str) -> int:
    """Return the bytes that a partial of an earlier run already occupies."""
    try:
        return system.allocated((partials / f"{key}.part").stat())
    except OSError:
        return 0


def shortage(tasks: Iterable[DownloadTask], partials: Path) -> CacheFullError | None:
    """Return the error for a disk that cannot hold the files of some tasks, as far as sizes are declared.

    A task with local copies is not counted: a copy may share the extents of the original.
    """
    sizes = {task.key: task.artifact.size or 0 for task in tasks if not task.local_copies}
    missing = (max(0, size - _kept_bytes(partials, key)) for key, size in sizes.items())
    return shortage_of(sum(missing), partials)


def shortage_of(needed: int, partials: Path) -> CacheFullError | None:
    """Return the error for a disk that cannot hold so many bytes more; None for one that can."""
    free = free_space(partials)
    if free is None or needed <= free:
        return None
    more = needed - free
    return CacheFullError(
        f"not enough disk space in {partials}",
        expected=f"{needed} bytes free",
        found=f"{free} bytes free",
        left="everything as it was; nothing was downloaded",
        hint=f"free {more} bytes, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk",
    )
