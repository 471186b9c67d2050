"""File-system primitives: hash, flush, publish by rename, link, lock. They know nothing of models."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError, CacheFullError, CacheReadOnlyError
from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK = 1 << 20
ELSEWHERE = "free space there and make it writable, or name another place to write to"
"""The way out where what cannot be written is no part of the cache."""
_AT_ONCE = 1 << 30
_STATUS = "/proc/self/status"
_FICLONE = 0x40049409  # linux/fs.h: share the extents of one file with another


def hash_file(path: Path, algorithms: Iterable[str] = ("sha256",)) -> dict[str, Digest]:
    """Read a file once and return its digest in each algorithm.

    Raises:
        OSError: the file cannot be read.
    """
    hashes = {name: hashlib.new(name) for name in algorithms}
    with path.open("rb", buffering=0) as stream:
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        while count := stream.readinto(buffer):
            for one in hashes.values():
                one.update(view[:count])
    return {name: Digest(algorithm=name, hex=one.hexdigest()) for name, one in hashes.items()}  # type: ignore[arg-type]


def has_digest(path: Path, sha256: str) -> bool:
    """Whether a file can be read and has that sha256 (hex)."""
    try:
        return hash_file(path)["sha256"].hex == sha256
    except OSError:
        return False


def current_umask() -> int:
    """Return the process's umask, without changing it where the kernel tells it."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(_STATUS, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            text = os.read(descriptor, 256)  # it stands in the second line
        finally:
            os.close(descriptor)
        return int(text.partition(b"\nUmask:")[2].split(maxsplit=1)[0], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def set_mode(path: Path, mode: int) -> None:
    """Give a file or folder ``mode`` less the umask; a folder keeps its setgid bit.

    File systems without modes are left as they are.
    """
    with contextlib.suppress(OSError, NotImplementedError):
        kept = path.stat().st_mode & 0o2000 if path.is_dir() else 0
        path.chmod((mode & ~current_umask()) | kept)


def exists(path: Path) -> bool:
    """Whether something can be found at ``path``; False, not an error, where nobody lets us look."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib's raises PermissionError


def is_folder(path: Path) -> bool:
    """Whether there is a folder, or a link to one; False where nobody lets us look."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether there is a file, or a link to one; False where nobody lets us look."""
    return os.path.isfile(path)  # noqa: PTH113


def fsync_file(path: Path) -> None:
    """Flush a file's bytes to the disk.

    Raises:
        OSError: the disk refused them.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(path: Path) -> None:
    """Flush a folder's names to the disk, where the platform can."""
    if sys.platform == "win32":  # pragma: no cover - a folder cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents with the umask's modes.

    Raises:
        CacheError: it cannot be created.
    """
    with as_cache_error(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a small file whole or not at all: beside its name, flushed, then renamed onto it.

    Args:
        path: where; a link there is replaced, not followed.
        data: its bytes.
        durable: False leaves the flushing to the system, for what can be made again.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    staged = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with staged.open("xb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        staged.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


def clone(source: Path, target: Path) -> bool:
    """Make ``target`` share the extents of ``source`` (reflink); return False where that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # not on every platform

    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            pass
        else:
            return True
    target.unlink()
    return False


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes to a new file of its own: reflink where possible, else in the kernel, else by hand.

    Raises:
        OSError: the target exists or cannot be written.
    """
    if not clone(source, target):
        with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
            with contextlib.suppress(OSError, AttributeError):  # not everywhere, not between all file systems
                while os.copy_file_range(reading.fileno(), writing.fileno(), _AT_ONCE):
                    pass
            shutil.copyfileobj(reading, writing, CHUNK)


def link_file(source: Path, target: Path, *, symlink: bool = True) -> None:
    """Make ``target`` the same content: hard link, else reflink, else relative symlink, else copy.

    Raises:
        OSError: the target exists or none of these is possible.
    """
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    if clone(source, target):
        return
    if not symlink:
        copy_file(source, target)
        return
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except (OSError, NotImplementedError):
        if target.is_symlink() or target.exists():
            raise
        copy_file(source, target)


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
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
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
    return CacheError(
        f"cannot use {where}: {error.strerror or error}",
        left=left,
        hint=hint or "check the disk and the path",
    )


def write_stream(chunks: Iterator[bytes], out: Path) -> Path:
    """Write a file whole or not at all, and return its absolute path.

    Raises:
        CacheError: it cannot be written.
    """
    out = out.absolute()
    staged = out.with_name(f".{out.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with as_cache_error(out, hint=ELSEWHERE):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with staged.open("xb") as stream:
                for data in chunks:
                    stream.write(data)
            fsync_file(staged)
            staged.replace(out)
        finally:
            staged.unlink(missing_ok=True)
    return out
