"""Room on the disk, asked for before the first byte."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from model_zoo.errors import CacheFullError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_zoo.download.tasks import Wanted


def free_space(folder: Path) -> int | None:
    """Return the bytes that may be written below ``folder``; None where the file system does not say."""
    try:
        state = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return state.f_bavail * state.f_frsize if state.f_blocks else None


def kept_bytes(partials: Path, key: str) -> int:
    """Return the bytes that a partial of an earlier run already takes up."""
    try:
        return (partials / f"{key}.part").stat().st_blocks * 512
    except (OSError, AttributeError):
        return 0


def shortage(wanted: Iterable[Wanted], partials: Path) -> CacheFullError | None:
    """Return the error for a disk that cannot hold what is wanted, as far as sizes are declared."""
    sizes = {one.key: one.artifact.size or 0 for one in wanted}
    need = sum(max(0, size - kept_bytes(partials, key)) for key, size in sizes.items() if size)
    free = free_space(partials)
    if free is None or need <= free:
        return None
    return full(partials, need, free)


def require_room(partials: Path, need: int) -> None:
    """Refuse a file whose size only its source told, if it does not fit.

    Raises:
        CacheFullError: names the folder and both figures.
    """
    free = free_space(partials)
    if free is not None and need > free:
        raise full(partials, need, free)


def full(partials: Path, need: int, free: int) -> CacheFullError:
    """Return the error that names the folder and both figures."""
    return CacheFullError(
        f"{partials} has too little room",
        expected=f"{need} bytes free",
        found=f"{free} bytes free",
        left="what was there before; nothing was fetched",
        hint=f"free {need - free} bytes, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk",
    )
