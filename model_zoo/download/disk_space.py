"""Free space on the disk, checked before the first byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from model_zoo.errors import CacheFullError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_zoo.download.tasks import DownloadTask


def free_space(directory: Path) -> int | None:
    """Return the bytes that may be written below ``directory``; None if the file system does not say."""
    try:
        state = os.statvfs(directory)
    except (OSError, AttributeError):
        return None
    return state.f_bavail * state.f_frsize if state.f_blocks else None


def _kept_bytes(partials: Path, key: str) -> int:
    """Return the bytes that a partial of an earlier run already occupies."""
    try:
        return (partials / f"{key}.part").stat().st_blocks * 512
    except (OSError, AttributeError):
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
