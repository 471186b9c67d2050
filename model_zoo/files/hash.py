"""Digests of files."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read at once."""
_PIECE = 2 << 20
_THREADS = min(8, os.cpu_count() or 1)
DIGESTS = "digests.json"
"""The file beside compiled blobs with the ``tree_digest`` of each."""


def hash_file(path: Path, algorithms: Iterable[str] = ("sha256",)) -> dict[str, Digest]:
    """Read a file once and return its digest in each algorithm; OSError where it cannot be read."""
    hashes = {name: hashlib.new(name) for name in algorithms}
    with path.open("rb", buffering=0) as stream:
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        while count := stream.readinto(buffer):
            for state in hashes.values():
                state.update(view[:count])
    return {name: Digest(algorithm=name, hex=state.hexdigest()) for name, state in hashes.items()}  # type: ignore[arg-type]


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
