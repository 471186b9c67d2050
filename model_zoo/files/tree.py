"""Directories: what is in them. Links in them are never followed, and what cannot be read is not there."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from model_zoo.files.read import is_link
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def exists(path: Path) -> bool:
    """Whether something can be found at ``path``; False, not an error, where that may not be looked at."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib's raises PermissionError


def is_directory(path: Path) -> bool:
    """Whether there is a directory, or a link to one; otherwise as ``exists``."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether there is a file, or a link to one; otherwise as ``exists``."""
    return os.path.isfile(path)  # noqa: PTH113


def is_real_directory(path: Path | str) -> bool:
    """Whether there is a directory, and not a link to one."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and not is_link(found)


def scan(path: Path | str) -> list[os.DirEntry[str]]:
    """Return what a directory holds, sorted by name; nothing where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def directory_names(path: Path | str) -> list[str]:
    """Return the names of the directories in a directory, sorted; none where it is itself a link."""
    if not is_real_directory(path):
        return []
    return [entry.name for entry in scan(path) if entry.is_dir(follow_symlinks=False)]


def walk(path: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield all but directories below a directory, links included; nothing where it is itself a link."""
    pending: list[Path | str] = [path] if is_real_directory(path) else []
    while pending:
        for entry in scan(pending.pop()):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and not is_link(entry.stat(follow_symlinks=False)):
                    pending.append(entry.path)
                else:
                    yield entry


def directories(path: Path | str) -> Iterator[str]:
    """Yield a directory and all below it, each before what is in it; links are not followed."""
    pending = [os.fspath(path)]
    while pending:
        here = pending.pop()
        yield here
        pending += [f"{here}{os.sep}{name}" for name in directory_names(here)]


def regular_files(path: Path | str) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """Yield the regular files in a directory, with their ``lstat``."""
    for entry in scan(path):
        with contextlib.suppress(OSError):
            found = system.status(entry)
            if stat.S_ISREG(found.st_mode):
                yield entry, found


def measure(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files below a folder; links to files count as themselves."""
    size = count = 0
    for entry in walk(folder):
        with contextlib.suppress(OSError):  # it may be growing, or being emptied
            if not entry.is_dir():
                size += entry.stat(follow_symlinks=False).st_size
                count += 1
    return size, count


def remove_tree(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a directory with all that is in it, however deep; links in it are removed, not followed.

    A directory in a directory is moved up to ``path`` before it is emptied, so nothing here is recursive and
    no path becomes too long.

    Raises:
        OSError: something cannot be removed, unless ``ignore_errors``.
    """
    failures = contextlib.suppress(OSError) if ignore_errors else contextlib.nullcontext()
    pending = [str(path)] if is_real_directory(path) else []
    emptied = list(pending)
    while pending:
        here = pending.pop()
        with failures, os.scandir(here) as entries:
            for entry in list(entries):
                with failures:
                    if not entry.is_dir(follow_symlinks=False) or is_link(os.lstat(entry.path)):
                        system.unlink(entry.path)
                    elif not _is_removed(entry.path):
                        inner = entry.path
                        if here != emptied[0]:
                            inner = f"{path}{os.sep}.{len(emptied)}-{os.urandom(4).hex()}"
                            system.rename(entry.path, inner)
                        pending.append(inner)
                        emptied.append(inner)
    for here in reversed(emptied):
        with failures:
            os.rmdir(here)  # noqa: PTH106


def _is_removed(directory: str) -> bool:
    """Remove a directory if it is empty."""
    try:
        os.rmdir(directory)  # noqa: PTH106
    except OSError:
        return False
    return True
