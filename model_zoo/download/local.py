"""Judge bytes by what is declared of them, and copy files that are on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from model_zoo.download.failures import Stopped
from model_zoo.download.tasks import Arrival
from model_zoo.errors import DigestMismatchError, SizeMismatchError, SourceUnavailableError
from model_zoo.files import as_cache_error, clone, hash_file
from model_zoo.schema import Digest

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.download.progress import Tally
    from model_zoo.download.tasks import Wanted
    from model_zoo.sources.base import HttpLocation

_PIECE = 1 << 20


def check_bytes(
    wanted: Wanted,
    path: Path,
    size: int,
    found: Mapping[str, Digest],
    name: str,
    location: HttpLocation | None = None,
) -> None:
    """Compare what arrived with everything that is declared of it.

    Raises:
        SizeMismatchError: the number of bytes is another.
        DigestMismatchError: a digest is another, or the source's own check says so.
    """
    check_size(wanted, size, name)
    expected = list(wanted.artifact.digests)
    if location is not None and location.digest is not None:
        expected.append(location.digest)
    for digest in expected:
        actual = found.get(digest.algorithm) or hash_file(path, [digest.algorithm])[digest.algorithm]
        if actual != digest:
            what = f"{name} delivered other bytes than declared"
            raise DigestMismatchError(what, expected=digest, found=actual)
    if location is not None and location.check is not None:
        location.check(path)


def check_size(wanted: Wanted, size: int, name: str) -> None:
    """Compare a size with the declared one.

    Raises:
        SizeMismatchError: it is another.
    """
    declared = wanted.artifact.size
    if declared is not None and declared != size:
        what = f"{name} has a file of another size"
        raise SizeMismatchError(what, expected=f"{declared} bytes", found=f"{size} bytes")


def copy_local(
    wanted: Wanted, source: Path, target: Path, name: str, tally: Tally, stop: threading.Event
) -> Arrival:
    """Copy a file into the partial folder, sharing its extents where possible, and judge the copy.

    Raises:
        SourceUnavailableError: it cannot be read.
        IntegrityError: it is not what is declared.
        CacheError: the copy cannot be written.
        Stopped: the run was interrupted.
    """
    with as_cache_error(target):
        target.unlink(missing_ok=True)
    try:
        size = source.stat().st_size
        check_size(wanted, size, name)
        algorithms: set[str] = {"sha256", *(digest.algorithm for digest in wanted.artifact.digests)}
        found, size = _copy(source, target, algorithms, tally, stop)
        check_bytes(wanted, target, size, found, name)
    except BaseException as error:
        with contextlib.suppress(OSError):
            target.unlink()
        if isinstance(error, OSError):
            what = f"{name} cannot be read: {error.strerror or error}"
            raise SourceUnavailableError(what) from error
        raise
    return Arrival(wanted, target, size, found["sha256"].hex, name)


def _copy(
    source: Path, target: Path, algorithms: set[str], tally: Tally, stop: threading.Event
) -> tuple[dict[str, Digest], int]:
    hashes = {name: hashlib.new(name) for name in algorithms}
    size = 0
    with as_cache_error(target):
        shared = _clone(source, target)
    with source.open("rb") as reading, as_cache_error(target):
        writing = os.open(target, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            while data := _read(reading, source):
                if stop.is_set():
                    raise Stopped
                view = memoryview(data)
                while view and not shared:
                    view = view[os.write(writing, view) :]
                for one in hashes.values():
                    one.update(data)
                size += len(data)
                tally.at(size)
            os.fsync(writing)
        finally:
            os.close(writing)
    return {name: Digest(algorithm=name, hex=one.hexdigest()) for name, one in hashes.items()}, size  # type: ignore[arg-type]


def _read(reading: object, source: Path) -> bytes:
    try:
        data: bytes = reading.read(_PIECE)  # type: ignore[attr-defined]
    except OSError as error:  # the source's fault, not the cache's
        what = f"{source} cannot be read: {error.strerror}"
        raise SourceUnavailableError(what) from error
    return data


def _clone(source: Path, target: Path) -> bool:
    try:
        return clone(source, target)
    except PermissionError as error:
        if error.filename == str(source):
            what = f"{source} cannot be read: {error.strerror}"
            raise SourceUnavailableError(what) from error
        raise
