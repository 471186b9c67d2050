"""Reading files: their digests; small ones of others, or of an earlier run, whatever is in them.

Such a reader takes no device, no pipe, and no more than was agreed; where it must not be led elsewhere, it
asks ``has_link`` first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, TypeVar

import msgspec

from model_zoo.schema import Digest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read at once."""
_PIECE = 2 << 20
_THREADS = min(8, os.cpu_count() or 1)
DIGESTS = "digests.json"
"""The file beside compiled blobs with the ``tree_digest`` of each."""
LIMIT = 64 << 20
"""Bytes of the largest file that is read at once; a manifest of 100,000 files has 20 MB."""
UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading and decoding a damaged file raises; the errors of msgspec and of UTF-8 are ValueErrors."""
JUNCTION = 0xA0000003  # winnt.h: IO_REPARSE_TAG_MOUNT_POINT
T = TypeVar("T")
_DIGEST_SIZE = 32
_SEAL = b"sha256:"


def hash_file(path: Path, algorithms: Iterable[str] = ("sha256",)) -> dict[str, Digest]:
    """Read a file once and return its digest in each algorithm; OSError where it cannot be read."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    for piece in read_pieces(path):
        for state in hashes.values():
            state.update(piece)
    return {name: Digest(algorithm=name, hex=state.hexdigest()) for name, state in hashes.items()}  # type: ignore[arg-type]


def read_pieces(path: Path) -> Generator[memoryview, None, None]:
    """Yield the bytes of a file, piece by piece; each is overwritten by the next.

    Raises:
        OSError: it cannot be read, or gives other than the bytes that its size states. Some files of the
            system do, without end or whenever there is news; so does a file that is being written to.
    """
    with open(path, "rb", buffering=0, opener=_open) as stream:
        left = os.fstat(stream.fileno()).st_size
        view = memoryview(bytearray(CHUNK))
        while count := stream.readinto(view):
            left -= count
            if left < 0:
                break
            yield view[:count]
        if left or count is None:
            raise OSError(
                errno.EINVAL, "its content does not have the size that the system states", str(path)
            )


def has_digest(path: Path, sha256: str) -> bool:
    """Whether a file can be read and has that sha256 (hex)."""
    try:
        return hash_file(path)["sha256"].hex == sha256
    except OSError:
        return False


def tree_digest(path: Path) -> str:
    """Return the sha256 (hex) of the sha256 digests of every 2 MiB of a file, computed on all cores."""
    from concurrent.futures import ThreadPoolExecutor  # not needed without blobs

    def digest_of(start: int) -> bytes:
        with path.open("rb", buffering=0) as stream:
            stream.seek(start)
            return hashlib.sha256(stream.read(_PIECE)).digest()

    starts = range(0, max(1, path.stat().st_size), _PIECE)
    with ThreadPoolExecutor(_THREADS) as pool:
        return hashlib.sha256(b"".join(pool.map(digest_of, starts))).hexdigest()


class TooLargeError(ValueError):
    """A file has more bytes than its reader takes."""


def read_bounded(path: Path | str, limit: int = LIMIT) -> tuple[bytes, float]:
    """Return the bytes of a regular file and when it was written, in seconds since 1970.

    Raises:
        OSError: it cannot be read, or is no regular file.
        TooLargeError: it has more than ``limit`` bytes; the message states both sizes.
        ValueError: no file can have that name.
    """
    with open(path, "rb", buffering=0, opener=_open) as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = b""
        while chunk := stream.read(max(min(found.st_size, limit) + 1 - len(data), 1 << 16)):
            data += chunk
            if len(data) > limit:
                raise TooLargeError(f"{max(found.st_size, len(data))} bytes, at most {limit} are read")
    return data, found.st_mtime


def _open(path: str, flags: int) -> int:
    return system.open_file(path, flags | system.NO_WAIT)  # a pipe must not keep us waiting


def read_json(path: Path | str, kind: type[T]) -> T | None:
    """Return what a JSON file says; None where it is absent, damaged, too large or of another shape."""
    try:
        return msgspec.json.decode(read_bounded(path)[0], type=kind)
    except UNREADABLE:
        return None


def sealed_json(value: object) -> bytes:
    """Return what to write so that ``read_sealed`` notices any damage: a line with the sha256, then JSON."""
    data = msgspec.json.encode(value)
    return b"%s%s\n%s" % (_SEAL, hashlib.sha256(data).hexdigest().encode("ascii"), data)


def read_sealed(path: Path | str, kind: type[T]) -> T | None:
    """Return what a sealed JSON file says, or one from before there were seals; otherwise None."""
    try:
        data = read_bounded(path)[0]
        if data.startswith(_SEAL):
            seal, _, data = data.removeprefix(_SEAL).partition(b"\n")
            if seal != hashlib.sha256(data).hexdigest().encode("ascii"):
                return None
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        return None


def with_checksum(data: bytes) -> bytes:
    """Return what to write so that ``read_checked`` notices any damage: the sha256, then the data."""
    return hashlib.sha256(data).digest() + data


def read_checked(path: Path) -> bytes | None:
    """Return the data of a file with a checksum; None where it is absent or damaged."""
    try:
        stored, _ = read_bounded(path)
    except UNREADABLE:
        return None
    data = stored[_DIGEST_SIZE:]
    return data if with_checksum(data) == stored else None


def is_link(found: os.stat_result) -> bool:
    """Whether an ``lstat`` found a symbolic link, or a junction of Windows."""
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) == JUNCTION


def has_link(root: Path, path: Path) -> bool:
    """Whether a part of ``path`` below ``root`` is a link, which could lead anywhere; missing parts are not.

    The root itself may be one: that is the decision of whoever named it.
    """
    here = str(root)
    for part in path.relative_to(root).parts:
        here = f"{here}{os.sep}{part}"
        try:
            found = os.lstat(here)
        except OSError:
            return False
        if is_link(found):
            return True
    return False
