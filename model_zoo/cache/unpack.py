"""Archives → trees. Nothing leaves the directory, nothing is a link or a device, nothing is a bomb."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, cast

from model_zoo.errors import CacheFullError, IntegrityError
from model_zoo.files import CHUNK, as_cache_error
from model_zoo.files.tar import refused
from model_zoo.schema import UniquePaths, check_relative_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model_zoo.schema import Unpack

MAX_RATIO = 100
"""Most bytes an archive may unpack to, per byte of its own. Weights hardly compress; bombs do by 1000."""
SLACK = 64 << 20
"""Bytes an archive may unpack to whatever its ratio."""
MAX_MEMBERS = 100_000
MAX_HEADER = 1 << 20
"""Bytes of a header of a tar member; such headers are read into memory as a whole."""
_UNIX = 3  # zip: the system whose modes external_attr holds
_REGULAR = {0, 8}  # S_IFREG >> 12, and 0 where the writer stored no type

_OPENERS: dict[str, Callable[..., object]] = {
    "tar": open,
    "tar.gz": gzip.open,
    "tar.bz2": bz2.open,
    "tar.xz": lzma.open,
}
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # zip: an unknown compression
    ValueError,  # tar and zip: invalid numbers and dates
    struct.error,
    OverflowError,
    RecursionError,
)

Member = tuple[str, int, IO[bytes]]


def unpack(archive: Path, how: Unpack, directory: Path, name: str) -> list[str]:
    """Unpack an archive, which errors call ``name``, into a directory; return the paths of its files, sorted.

    Raises:
        IntegrityError: the archive is damaged, or holds something that must not be unpacked.
        CacheFullError: what it unpacks to does not fit on the file system.
        CacheError: a file cannot be written.
        OSError: the archive cannot be read.
    """
    budget = archive.stat().st_size * MAX_RATIO + SLACK
    paths, limit = UniquePaths(), _Limit(name, budget)
    try:
        with ExitStack() as stack:
            for path, size, stream in _members(archive, how, limit, stack):
                budget -= size
                if budget < 0 or len(paths) >= MAX_MEMBERS:
                    raise _too_much(name, path)
                if shutil.disk_usage(directory).free < size:
                    what = f"{name}: not enough space to unpack {path}"
                    raise CacheFullError(what, expected=f"{size} bytes free", hint="free space and run again")
                try:
                    check_relative_path(path)
                    paths.add(path)
                except ValueError as error:
                    raise refused(name, f"clashing paths: {error}", path) from error
                _write(stream, directory / path, size)
            limit.drain()
    except _DAMAGED as error:
        raise _damaged(name, how, error) from error
    except OSError as error:
        # gzip and bz2 raise the first where the data is not theirs, zip the second after wrong offsets
        if error.errno in {None, errno.EINVAL}:
            raise _damaged(name, how, error) from error
        raise
    if not paths:
        what = f"{name}: the archive contains no file" + (f" below {how.strip} folders" if how.strip else "")
        raise IntegrityError(what, hint="check unpack.strip in the catalog")
    return paths.files


class _Limit:
    """Reads decompressed bytes and stops where there are too many of them, in files, headers or padding."""

    def __init__(self, name: str, budget: int) -> None:
        self.name = name
        self.left = budget + MAX_MEMBERS * 1024
        self.raw: IO[bytes] | None = None

    def read(self, count: int) -> bytes:
        assert self.raw is not None  # noqa: S101 - set before anybody reads
        data = self.raw.read(count)
        self.left -= len(data)
        if self.left < 0:
            raise _too_much(self.name, "its data")
        return data

    def drain(self) -> None:
        """Read to the end, where compressed data has its checksum."""
        while self.raw is not None and self.read(CHUNK):
            pass


class _Entry(tarfile.TarInfo):
    """A member of a tar; refuses headers of an absurd size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        special = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE}
        if self.type in special | {tarfile.SOLARIS_XHDTYPE} and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"the header of {self.name!r} is absurdly large")
        return cast("tarfile.TarInfo", super()._proc_member(archive))  # type: ignore[misc]


def _members(archive: Path, how: Unpack, limit: _Limit, stack: ExitStack) -> Iterator[Member]:
    if how.format == "zip":
        return _zip_members(stack.enter_context(zipfile.ZipFile(archive)), how.strip, limit.name)
    limit.raw = stack.enter_context(cast("IO[bytes]", _OPENERS[how.format](archive, "rb")))
    stream = cast("IO[bytes]", limit)
    return _tar_members(
        stack.enter_context(tarfile.open(fileobj=stream, mode="r|", tarinfo=_Entry)), how.strip, limit.name
    )


def _tar_members(tar: tarfile.TarFile, strip: int, name: str) -> Iterator[Member]:
    for entry in tar:
        path = _stripped(entry.name, strip, name)
        if entry.isdir():
            continue
        if not entry.isfile() or entry.issparse():
            raise refused(name, "a link, a device or a sparse file", entry.name)
        stream = tar.extractfile(entry)
        if path is not None and stream is not None:
            yield path, entry.size, stream


def _zip_members(file: zipfile.ZipFile, strip: int, name: str) -> Iterator[Member]:
    for entry in file.infolist():
        path = _stripped(entry.filename, strip, name)
        if entry.is_dir() or path is None:
            continue
        if entry.create_system == _UNIX and entry.external_attr >> 28 not in _REGULAR:
            raise refused(name, "a link or a device", entry.filename)
        if entry.flag_bits & 1:
            raise refused(name, "an encrypted member", entry.filename)
        with file.open(entry) as stream:
            yield path, entry.file_size, stream


def _stripped(path: str, strip: int, name: str) -> str | None:
    """Drop leading parts of a member's path; None for one that has no more than these."""
    parts = path.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts:
        raise refused(name, "a path that leads out of the folder", path)
    return "/".join([part for part in parts if part not in {"", "."}][strip:]) or None


def _write(stream: IO[bytes], target: Path, size: int) -> None:
    """Write exactly ``size`` bytes; an archive that has fewer or more of them is damaged."""
    left = size
    with ExitStack() as stack:
        with as_cache_error(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(target.open("xb"))
        while data := stream.read(min(CHUNK, left + 1)):
            left -= len(data)
            if left < 0:
                break
            with as_cache_error(target):
                out.write(data)
    if left:
        raise EOFError(f"{target.name} does not have the size that the archive states")


def _damaged(name: str, how: Unpack, error: Exception) -> IntegrityError:
    what = f"{name}: damaged, or not a {how.format} archive: {error}"
    return IntegrityError(what, left="nothing of it was published", hint="check unpack in the catalog")


def _too_much(name: str, member: str) -> IntegrityError:
    return refused(name, "far more than an archive of its size should", member)
