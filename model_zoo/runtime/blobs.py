"""OpenVINO's compiled blobs, each proven by our own digest before it is used.

OpenVINO accepts a blob with a flipped bit and computes wrong results from it, so ``digests.json`` beside
the blobs records what it wrote, and whatever differs is thrown away before OpenVINO sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from model_zoo.files import set_mode, write_file
from model_zoo.runtime.core import version
from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIGESTS = "digests.json"
_PIECE = 2 << 20
_THREADS = min(8, os.cpu_count() or 1)


def folder_of(compiled: Path, key: str, device: str, config: Mapping[str, Any]) -> Path:
    """Return the folder for the blobs of one IR on one device with these properties."""
    stated = {name: str(value) for name, value in config.items()}
    digest = Digest.of_json({"key": key, "device": device, "openvino": version(), "config": stated})
    return compiled / digest.hex


def prepare(folder: Path) -> bool:
    """Make the folder usable and throw away what is not proven; False when it cannot be used at all.

    A folder that can only be read is usable as long as everything in it is proven.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
        known = _known(folder)
        for path in _blobs(folder):
            if path.name not in known or tree_digest(path) != known[path.name]:
                path.unlink()
                known.pop(path.name, None)
                _write(folder, known)  # or the blob that comes in its place would not be recorded
    except OSError:
        return False
    return True


def record(folder: Path) -> None:
    """Write down the digests of the blobs OpenVINO just wrote, if any and if it can be written."""
    with contextlib.suppress(OSError):
        known, found = _known(folder), _blobs(folder)
        if {path.name for path in found} == set(known):
            return
        for path in found:
            set_mode(path, 0o444)  # OpenVINO keeps others of the machine from reading it
        digests = {path.name: tree_digest(path) for path in found}
        _write(folder, digests)


def tree_digest(path: Path) -> str:
    """Return the sha256 (hex) of the sha256 of every 2 MiB of a file, in order, hashed on all cores.

    A blob is hashed each time it is loaded, and may be as large as the model.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    count = max(1, -(-size // _PIECE))
    digests = [b""] * count
    turn = itertools.count()

    def work() -> None:
        buffer = memoryview(bytearray(min(size, _PIECE)))
        with path.open("rb", buffering=0) as stream:
            while (index := next(turn)) < count:
                stream.seek(index * _PIECE)
                digests[index] = hashlib.sha256(buffer[: stream.readinto(buffer)]).digest()

    def quietly() -> None:
        with contextlib.suppress(OSError):  # the piece it leaves out makes the digest wrong
            work()

    others = [threading.Thread(target=quietly) for _ in range(min(_THREADS, count) - 1)]
    for one in others:
        one.start()
    try:
        work()
    finally:
        for one in others:
            one.join()
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _write(folder: Path, digests: dict[str, str]) -> None:
    write_file(folder / DIGESTS, json.dumps(digests, sort_keys=True).encode())


def _blobs(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.name.endswith((".blob", ".cl_cache")))


def _known(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / DIGESTS).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
