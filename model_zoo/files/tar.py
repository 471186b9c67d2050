"""Tar files: written reproducibly, read without trusting whoever wrote them.

Nothing is compressed and nothing is copied first: an archive is a list of headers and of files yet to be
read, so it can be hashed, written and sent, from any offset, without a second copy on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from model_zoo.errors import CacheDamagedError, IntegrityError
from model_zoo.files import CHUNK
from model_zoo.schema import MANIFEST_NAME, UniquePaths, check_relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILE_MODE = 0o444
DIRECTORY_MODE = 0o755
MOST_MEMBERS = 200_000
LONGEST_PATH = 512
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, UnicodeError, OverflowError, ValueError)
_PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE}
Source = bytes | Path | Callable[[int], "Iterator[bytes]"]


@dataclass(frozen=True)
class Member:
    """One file to be written: its relative POSIX path, and its bytes.

    Attributes:
        source: the bytes, the file that has them, or a function that yields them from an offset on.
        size: of a file, in bytes; one of another size is refused when it is read.
        link: the earlier member whose bytes these are too (a hard link).
        sha256: the digest (hex) the bytes must have, where it is known.
    """

    path: str
    source: Source = b""
    size: int = 0
    link: str | None = None
    sha256: str | None = None


class Tar:
    """An archive that is not written anywhere yet.

    Args:
        members: the files; they are sorted, and their parent directories are added.
        mtime: seconds since 1970 stamped on everything.
    """

    def __init__(self, members: Sequence[Member], mtime: int = 0) -> None:
        self._parts: list[tuple[Source, int]] = []
        directories: set[str] = set()
        for member in sorted(members, key=lambda member: member.path.split("/")):
            for parent in reversed(PurePosixPath(member.path).parents[:-1]):
                if str(parent) not in directories:
                    directories.add(str(parent))
                    self._head(str(parent), tarfile.DIRTYPE, DIRECTORY_MODE, 0, mtime)
            if member.link is not None:
                self._head(member.path, tarfile.LNKTYPE, FILE_MODE, 0, mtime, member.link)
                continue
            size = len(member.source) if isinstance(member.source, bytes) else member.size
            self._head(member.path, tarfile.REGTYPE, FILE_MODE, size, mtime)
            self._add(member.source, size)
            self._add(bytes(-size % tarfile.BLOCKSIZE))
        self._add(bytes(2 * tarfile.BLOCKSIZE))
        self._add(bytes(-self.size % tarfile.RECORDSIZE))

    def _head(self, path: str, kind: bytes, mode: int, size: int, mtime: int, link: str = "") -> None:
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.size, info.mtime, info.linkname = kind, mode, size, mtime, link
        self._add(info.tobuf(tarfile.PAX_FORMAT))

    def _add(self, source: Source, size: int | None = None) -> None:
        length = len(source) if isinstance(source, bytes) else size or 0
        if length:
            self._parts.append((source, length))

    @property
    def size(self) -> int:
        """The archive's length in bytes."""
        return sum(length for _, length in self._parts)

    @cached_property
    def sha256(self) -> str:
        """The archive's digest, as hex; reads every file once."""
        found = hashlib.sha256()
        for data in self.chunks():
            found.update(data)
        return found.hexdigest()

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the archive's bytes from an offset on.

        Raises:
            CacheDamagedError: a file is not as long as it was said to be, or cannot be read.
        """
        for source, length in self._parts:
            if start >= length:
                start -= length
            elif isinstance(source, bytes):
                yield source[start:]
                start = 0
            else:
                yield from _file_chunks(source, length, start) if isinstance(source, Path) else source(start)
                start = 0


def _file_chunks(path: Path, size: int, start: int) -> Iterator[bytes]:
    left = size - start
    try:
        with path.open("rb", buffering=0) as stream:
            stream.seek(start)
            while left and (data := stream.read(min(CHUNK, left))):
                left -= len(data)
                yield data
            if left or stream.read(1):
                left = left or -1
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise CacheDamagedError(what, hint="run 'model-zoo cache verify'") from error
    if left:
        what = f"{path} changed while it was read"
        raise CacheDamagedError(what, expected=f"{size} bytes", hint="run 'model-zoo cache verify'")


@dataclass(frozen=True)
class TarEntry:
    """A member of an archive: a file of ``size`` bytes, or a hard link to the earlier member ``link``."""

    archive: str
    path: str
    size: int = 0
    stream: IO[bytes] | None = None
    link: str | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes, exactly as many as the archive says.

        Raises:
            IntegrityError: the archive is cut short or damaged.
        """
        left = self.size
        try:
            while left and self.stream is not None and (data := self.stream.read(min(CHUNK, left))):
                left -= len(data)
                yield data
        except _DAMAGE as error:
            raise _damaged(self.archive, error) from error
        if left:
            raise _damaged(self.archive, f"{self.path} is cut short")


def read_tar(path: Path, name: str) -> Iterator[TarEntry]:
    """Yield the files of an archive in their order; each must be read before the next one is requested.

    Directories are implied by the paths. Only regular files, directories and hard links to an earlier file of
    the archive are accepted; paths are relative, plain, and unique where case does not count. Some registries
    compress what passes through them, so gzip is undone; the caller limits how much it may unpack to.

    Raises:
        IntegrityError: ``name`` is damaged, or has a member that must not be unpacked.
        OSError: it cannot be read.
    """
    paths, files = UniquePaths(), set[str]()
    with path.open("rb") as raw, contextlib.ExitStack() as stack:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            tar = stack.enter_context(tarfile.open(fileobj=raw, mode="r|gz" if packed else "r|"))
            for info in tar:
                member = info.name.rstrip("/")
                _check_path(member, name)
                _add(paths, member, name, directory=info.isdir())
                if info.isdir():
                    continue
                if info.islnk() and info.linkname in files:
                    yield TarEntry(name, member, link=info.linkname)
                elif info.type in _PLAIN and not info.issparse():
                    yield TarEntry(name, member, info.size, tar.extractfile(info))
                else:
                    raise refused(name, "a link or a device", member)
                files.add(member)
        except _DAMAGE as error:
            raise _damaged(name, error) from error


def _damaged(name: str, why: object) -> IntegrityError:
    what = f"{name} is damaged, or not a tar file: {why}"
    return IntegrityError(what, left="nothing of it was published", hint="get a new copy")


def _check_path(path: str, name: str) -> None:
    if len(path) > LONGEST_PATH:
        raise refused(name, f"a path longer than {LONGEST_PATH} characters", f"{path[:80]}…")
    try:
        for part in path.split("/"):
            if part != MANIFEST_NAME:
                check_relative_path(part)
    except ValueError as error:
        leads_out = path.startswith("/") or ".." in path.split("/")
        why = "a path that leads out of the archive" if leads_out else f"a path that is not allowed: {error}"
        raise refused(name, why, path) from error


def _add(paths: UniquePaths, path: str, name: str, *, directory: bool) -> None:
    try:
        (paths.add_directory if directory else paths.add)(path)
    except ValueError as error:
        raise refused(name, f"clashing paths: {error}", path) from error
    if len(paths) > MOST_MEMBERS:
        raise refused(name, f"more than {MOST_MEMBERS} members", path)


def refused(name: str, why: str, member: str) -> IntegrityError:
    """Return the error for an archive that contains what it must not."""
    return IntegrityError(
        f"{name} was rejected: it contains {why}",
        found=member,
        left="nothing of it was published",
        hint="do not use this archive; inform its publisher",
    )
