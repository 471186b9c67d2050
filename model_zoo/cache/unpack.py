"""Archives → trees. Nothing leaves the folder, nothing is a link or a device, nothing explodes."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import shutil
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from model_zoo.errors import CacheFullError, IntegrityError
from model_zoo.files import CHUNK, as_cache_error
from model_zoo.schema import check_relative_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model_zoo.schema import Unpack

MAX_RATIO = 100
"""Most bytes an archive may unpack to, per byte of its own. Weights hardly shrink; bombs do by 1000."""
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
    NotImplementedError,  # zip: a compression that nobody knows
    ValueError,  # tar and zip: numbers and dates that are none
    struct.error,
    OverflowError,
    RecursionError,
)

Member = tuple[str, int, IO[bytes]]


def unpack(archive: Path, how: Unpack, folder: Path, name: str) -> list[str]:
    """Unpack an archive into ``folder`` and return the paths of its files below it, sorted.

    Args:
        archive: the file to read.
        how: its format, and how many leading parts of each path to drop.
        folder: an existing folder on the cache's file system.
        name: what to call the archive in errors.

    Raises:
        IntegrityError: the archive is damaged, or holds something that must not be unpacked.
        CacheFullError: what it unpacks to does not fit on the file system.
        CacheError: a file cannot be written.
        OSError: the archive cannot be read.
    """
    budget = archive.stat().st_size * MAX_RATIO + SLACK
    paths, limit = _Paths(name), _Limit(name, budget)
    try:
        with ExitStack() as stack:
            for path, size, stream in _members(archive, how, limit, stack):
                budget -= size
                if budget < 0 or len(paths.names) >= MAX_MEMBERS:
                    raise _too_much(name, path)
                if shutil.disk_usage(folder).free < size:
                    what = f"{name}: no space to unpack {path}"
                    raise CacheFullError(what, expected=f"{size} bytes free", hint="free space and run again")
                paths.add(path)
                _write(stream, folder / path, size)
            limit.drain()
    except _DAMAGED as error:
        raise _damaged(name, how, error) from error
    except OSError as error:
        # gzip and bz2 say with the first that the data is not theirs, zip follows wrong offsets to the other
        if error.errno in {None, errno.EINVAL}:
            raise _damaged(name, how, error) from error
        raise
    if not paths.names:
        what = f"{name}: the archive holds no file" + (f" below {how.strip} folders" if how.strip else "")
        raise IntegrityError(what, hint="check unpack.strip in the catalog")
    return sorted(paths.names)


class _Paths:
    """The paths met so far; refuses one that leaves the folder or that clashes with another."""

    def __init__(self, archive: str) -> None:
        self.archive = archive
        self.names: list[str] = []
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, path: str) -> None:
        try:
            check_relative_path(path)
        except ValueError as error:
            raise _refused(self.archive, str(error), path) from error
        low = PurePosixPath(unicodedata.normalize("NFC", path).casefold())
        parents = {str(parent) for parent in low.parents if str(parent) != "."}
        if str(low) in self._files | self._folders or parents & self._files:
            raise _refused(self.archive, "two members have the same path where case does not count", path)
        self._files.add(str(low))
        self._folders |= parents
        self.names.append(path)


class _Limit:
    """Reads decompressed bytes on and stops where they get too many, be they of files, headers or nothing."""

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
        """Read to the end, where compressed data says whether it was whole."""
        while self.raw is not None and self.read(CHUNK):
            pass


class _Entry(tarfile.TarInfo):
    """A member of a tar whose headers are of a sane size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        special = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE}
        if self.type in special | {tarfile.SOLARIS_XHDTYPE} and self.size > MAX_HEADER:
            msg = f"the header of {self.name!r} is absurdly large"
            raise tarfile.ReadError(msg)
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
            raise _refused(name, "it holds a link, a device or a sparse file", entry.name)
        stream = tar.extractfile(entry)
        if path is not None and stream is not None:
            yield path, entry.size, stream


def _zip_members(file: zipfile.ZipFile, strip: int, name: str) -> Iterator[Member]:
    for entry in file.infolist():
        path = _stripped(entry.filename, strip, name)
        if entry.is_dir() or path is None:
            continue
        if entry.create_system == _UNIX and entry.external_attr >> 28 not in _REGULAR:
            raise _refused(name, "it holds a link or a device", entry.filename)
        if entry.flag_bits & 1:
            raise _refused(name, "it is encrypted", entry.filename)
        with file.open(entry) as stream:
            yield path, entry.file_size, stream


def _stripped(path: str, strip: int, name: str) -> str | None:
    """Drop leading parts of a member's path; None for one that has no more than these."""
    parts = path.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts:
        raise _refused(name, "a member's path leaves its folder", path)
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
        msg = f"{target.name} is not as long as the archive says"
        raise EOFError(msg)


def _damaged(name: str, how: Unpack, error: Exception) -> IntegrityError:
    what = f"{name}: not a whole {how.format} archive: {error}"
    return IntegrityError(what, left="nothing of it was published", hint="check unpack in the catalog")


def _too_much(name: str, member: str) -> IntegrityError:
    return _refused(name, "it unpacks to far more than an archive of its size may", member)


def _refused(name: str, why: str, member: str) -> IntegrityError:
    return IntegrityError(
        f"{name}: refused to unpack it: {why}",
        found=member,
        left="nothing of it was published",
        hint="do not use this archive; tell its publisher",
    )
