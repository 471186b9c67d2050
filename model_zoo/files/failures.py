"""What the operating system refuses, as errors that name the path and the way out."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError, CacheFullError, CacheReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = "free space there and make it writable, or choose another place to write to"
"""The hint where what cannot be written is not in the cache."""
_OTHER_FOLDER = "use another folder (for the cache: MODEL_ZOO_CACHE or --cache), or move that file away"


@contextlib.contextmanager
def as_cache_error(path: Path, *, left: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a CacheError; ``left`` is on disk then.

    ``hint`` is the way out where ``path`` is not in the cache.
    """
    try:
        yield
    except OSError as error:
        raise cache_error(error, path, left=left, hint=hint) from error


def _file_at(path: str | bytes | int | Path) -> Path | None:
    """Return the path, or the directory above it, that is a file; None if there is none."""
    if isinstance(path, (bytes, int)):
        return None
    return next((one for one in (Path(path), *Path(path).parents) if one.is_file()), None)


def cache_error(
    error: OSError, path: Path, *, left: str | None = None, hint: str | None = None
) -> CacheError:
    """Return the CacheError that an ``OSError`` at ``path`` stands for."""
    where = error.filename or path
    kind, what = CacheError, f"cannot use {where}: {error.strerror or error}"
    usual = "check the disk and the path"
    if error.errno in {errno.EEXIST, errno.ENOTDIR} and (file := _file_at(where)) is not None:
        what = f"{file} is a file, not a folder"
        hint = "choose another folder, or move that file away" if hint else _OTHER_FOLDER
    elif error.errno == errno.EFBIG:
        kind = CacheFullError
        what = f"{where} would be larger than this file system or the limit of this process allows"
        hint = "raise the limit (ulimit -f), or use another file system"
    elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
        kind, what = CacheFullError, f"no space left for {where}: {error.strerror}"
        usual = "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk"
    elif error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        kind, what = CacheReadOnlyError, f"cannot write {where}: {error.strerror}"
        usual = "make the folder writable, or point MODEL_ZOO_CACHE (or --cache) at one that is"
    elif error.errno in {errno.EMFILE, errno.ENFILE}:
        hint = "raise the limit on open files (ulimit -n), or do less at once (-j)"
    return kind(what, left=left, hint=hint or usual)
