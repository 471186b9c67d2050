"""Prove bytes by what is declared of them, and copy files that are on this machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import TYPE_CHECKING

from model_zoo.download.failures import CancelledError
from model_zoo.download.tasks import Download
from model_zoo.errors import DigestMismatchError, SizeMismatchError, SourceUnavailableError
from model_zoo.files import CHUNK, as_cache_error, clone, hash_file
from model_zoo.files.read import read_pieces
from model_zoo.schema import Digest
from model_zoo.systems import system

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from model_zoo.download.tasks import DownloadTask


def check_content(
    task: DownloadTask,
    path: Path,
    size: int,
    digests: Mapping[str, Digest],
    source: str,
    *,
    vouched: Digest | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Compare a complete file with everything that is declared of it; IntegrityError where that differs.

    ``digests`` are those already known, by algorithm; others are computed. ``vouched`` and ``check`` are the
    source's own digest and check, if it has one.
    """
    check_size(task, size, source)
    for expected in (*task.artifact.digests, *([vouched] if vouched is not None else [])):
        algorithm = expected.algorithm
        actual = digests.get(algorithm) or hash_file(path, [algorithm])[algorithm]
        if actual != expected:
            what = f"{source} delivered a file whose digest differs from the declared one"
            raise DigestMismatchError(what, expected=expected, found=actual)
    if check is not None:
        check(path)


def check_size(task: DownloadTask, size: int, source: str) -> None:
    """Raise a SizeMismatchError unless a size is the declared one."""
    declared = task.artifact.size
    if declared is not None and declared != size:
        raise wrong_size(source, declared, size)


def wrong_size(source: str, declared: int | None, found: object) -> SizeMismatchError:
    """Return the error for a source whose file does not have the declared size."""
    what = f"the file from {source} has the wrong size"
    return SizeMismatchError(what, expected=f"{declared} bytes", found=f"{found} bytes")


def copy_file(
    task: DownloadTask,
    original: Path,
    target: Path,
    source: str,
    stop: threading.Event,
    *,
    on_progress: Callable[[int], None] | None = None,
    check: Callable[[Path], None] | None = None,
) -> Download:
    """Copy a file into the partial directory, sharing its extents if possible, and prove the copy.

    Raises:
        SourceUnavailableError, IntegrityError: it cannot be read, or is not what is declared.
        CacheError: the copy cannot be written.
    """
    hashes = {name: hashlib.new(name) for name in {"sha256", *(d.algorithm for d in task.artifact.digests)}}
    size = 0
    with as_cache_error(target):
        target.unlink(missing_ok=True)
    try:
        for data in _copy(task, original, target, source):
            if stop.is_set():
                raise CancelledError  # noqa: TRY301
            for state in hashes.values():
                state.update(data)
            size += len(data)
            if on_progress is not None:
                on_progress(size)
        digests: dict[str, Digest] = {
            name: Digest(algorithm=name, hex=state.hexdigest()) for name, state in hashes.items()
        }
        check_content(task, target, size, digests, source, check=check)
    except BaseException:
        with contextlib.suppress(OSError):
            target.unlink()
        raise
    return Download(task, target, size, digests["sha256"].hex, source)


def _copy(task: DownloadTask, original: Path, target: Path, source: str) -> Iterator[memoryview]:
    """Copy a file and yield what was read back of the copy, piece by piece; it is on the disk at the end."""
    with contextlib.ExitStack() as files:
        with _as_unavailable(source):
            check_size(task, original.stat().st_size, source)
            reading = files.enter_context(contextlib.closing(read_pieces(original)))
            data: bytes | memoryview = next(reading, b"")
        with as_cache_error(target):
            shared = clone(original, target)
            writing = system.open_file(target, os.O_RDWR | os.O_CREAT, 0o666)
            files.callback(os.close, writing)
        buffer, position = memoryview(bytearray(CHUNK)), 0
        while True:
            with as_cache_error(target):
                written = position
                while not shared and written < position + len(data):
                    written += system.write_at(writing, data[written - position :], written)
                count = system.read_at(writing, buffer, position)
                if not shared and count < len(data):
                    raise OSError(errno.EIO, "less was read back than was written", str(target))
            if not count:
                break
            position += count
            yield buffer[:count]
            if not shared:
                with _as_unavailable(source):
                    data = next(reading, b"")
        with as_cache_error(target):
            system.flush(writing)


@contextlib.contextmanager
def _as_unavailable(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceUnavailableError(f"cannot read {source}: {error.strerror or error}") from error
