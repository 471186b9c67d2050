"""Writing a file whole or not at all, and flushing it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.files.failures import ELSEWHERE, as_cache_error
from model_zoo.files.tree import exists, is_directory, is_file, scan, walk
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STEM = 100
"""Characters of a file's name that its staging file keeps: a name may have 255."""


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a path beside ``path``; what is written there becomes ``path`` unless the block fails.

    A link at ``path`` is replaced, not followed. ``durable`` flushes the bytes and the name to the disk.

    Raises:
        OSError: it cannot be written, or is a device or a pipe, which a file must never take the place of;
            what was there before is untouched.
    """
    path = path if path.name else path.absolute()  # of "." nothing could be beside it
    if not is_file(path) and exists(path) and not is_directory(path):
        raise OSError(errno.EEXIST, "it is a device or a pipe, not a file", str(path))
    staged = path.with_name(f".{path.name[:_STEM]}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        yield staged
        if durable:
            system.flush_file(staged)
        system.replace(staged, path)
    except BaseException:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise
    if durable:
        system.flush_directory(path.parent)


def sweep_staged(path: Path) -> None:
    """Remove what ``replacing`` left beside ``path`` when a process of this machine was killed."""
    staged = re.compile(rf"\.{re.escape(path.name[:_STEM])}\.(\d+)\.[0-9a-f]{{8}}")
    for entry in scan(path.parent):
        match = staged.fullmatch(entry.name)
        if match and not system.is_alive(int(match[1])):
            with contextlib.suppress(OSError):
                path.with_name(entry.name).unlink()


def is_begun(directory: Path, marker: str) -> bool:
    """Whether a directory may be filled by us: it is absent, has no file at all, or an earlier run began it.

    ``marker`` is the file that is written there first; what a killed process left of it counts as none.
    """
    if not is_directory(directory):
        return not os.path.lexists(directory)
    staged = f".{Path(marker).name}."
    return is_file(directory / marker) or all(e.name.startswith(staged) for e in walk(directory.resolve()))


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file whole or not at all; arguments and errors as of ``replacing``."""
    with replacing(path, durable=durable) as staged:
        staged.write_bytes(data)


def write_stream(chunks: Iterable[bytes], out: Path) -> Path:
    """Write a file whole or not at all, and return its absolute path; else raise a CacheError."""
    out = out.absolute()
    with as_cache_error(out, hint=ELSEWHERE):
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep_staged(out)
        with replacing(out, durable=True) as staged, staged.open("xb") as stream:
            for data in chunks:
                stream.write(data)
    return out


def make_directory(path: Path) -> Path:
    """Create a directory and its parents with the umask's modes, or raise a CacheError."""
    with as_cache_error(path):
        path.mkdir(parents=True, exist_ok=True)
    return path
