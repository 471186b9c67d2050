"""Digests of files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes that are read at once."""


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
            for state in hashes.values():
                state.update(view[:count])
    return {name: Digest(algorithm=name, hex=state.hexdigest()) for name, state in hashes.items()}  # type: ignore[arg-type]


def has_digest(path: Path, sha256: str) -> bool:
    """Whether a file can be read and has that sha256 (hex)."""
    try:
        return hash_file(path)["sha256"].hex == sha256
    except OSError:
        return False
