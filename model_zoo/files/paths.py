"""Asking about paths, where a directory that may not be entered answers no instead of raising."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def exists(path: Path) -> bool:
    """Whether something can be found at ``path``."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib's raises PermissionError


def is_directory(path: Path) -> bool:
    """Whether there is a directory, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether there is a file, or a link to one."""
    return os.path.isfile(path)  # noqa: PTH113
