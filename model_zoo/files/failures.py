"""What the operating system refuses, as errors that name the path and the way out."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError, CacheFullError, CacheReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ELSEWHERE = "free space there and make it writable, or choose another place to write to"
"""The hint where what cannot be written is not in the cache."""


@contextlib.contextmanager
def as_cache_error(path: Path, *, left: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn an ``OSError`` of the block into the CacheError that names the path and the way out.

    Args:
        path: what is written or read.
        left: what is on disk then.
        hint: the way out, where ``path`` is not in the cache.
    """
    try:
        yield
    except OSError as error:
        raise cache_error(error, path, left=left, hint=hint) from error


def cache_error(
    error: OSError, path: Path, *, left: str | None = None, hint: str | None = None
) -> CacheError:
    """Return the CacheError that an ``OSError`` at ``path`` stands for."""
    where = error.filename or path
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return CacheFullError(
            f"no space left for {where}: {error.strerror}",
            left=left,
            hint=hint or "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk",
        )
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return CacheReadOnlyError(
            f"cannot write {where}: {error.strerror}",
            left=left,
            hint=hint or "make the folder writable, or point MODEL_ZOO_CACHE (or --cache) at one that is",
        )
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        hint = "raise the limit on open files (ulimit -n), or do less at once (-j)"
    return CacheError(
        f"cannot use {where}: {error.strerror or error}",
        left=left,
        hint=hint or "check the disk and the path",
    )
