"""The JSON beside a result: read, sealed, compared with what is on disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

IR_MANIFEST = "manifest.json"
SEAL = "seal"
"""Key of a manifest under which the digest of the rest of it stands."""


class Manifest(NamedTuple):
    """A manifest as read: its data without the seal, whether that fits, and when it was published."""

    data: dict[str, Any]
    sealed: bool
    made: float


def seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the digest of itself, so that ``verify`` sees a change in it."""
    data = {key: value for key, value in manifest.items() if key != SEAL}
    return {**data, SEAL: Digest.of_json(data).hex}


def encode(manifest: Mapping[str, Any]) -> bytes:
    """Return the bytes of a sealed manifest: for people to read, and always the same."""
    data = msgspec.json.encode(seal(manifest), order="sorted")
    return msgspec.json.format(data, indent=1) + b"\n"


def read_manifest(path: Path | str, *, check: bool = False) -> Manifest | None:
    """Return a manifest, or None where it is absent or not one.

    Args:
        path: the file.
        check: compare it with its seal; without, ``sealed`` is True unread.
    """
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - text or path
            data = msgspec.json.decode(stream.readall())
            made = os.fstat(stream.fileno()).st_mtime
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    said = data.pop(SEAL, None)
    return Manifest(data, not check or said == Digest.of_json(data).hex, made)


def is_whole(root: str, folder: str, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every file that a manifest lists is there and as long as it says.

    A link may lead to another file below ``root``, the layer, but not out of it.
    """
    if not entries:
        return False
    seen = {folder}
    try:
        return all(size_below(root, folder, e["path"], seen) == e["size"] for e in entries)
    except (TypeError, KeyError, AttributeError):
        return False


def size_below(root: str, folder: str, path: str, seen: set[str]) -> int | None:
    """Return the size of the regular file ``folder/path``, or None for anything that must not be read.

    Args:
        root: the layer, which a link may not leave.
        folder: a folder of the layer.
        path: relative, POSIX; as some manifest says it.
        seen: folders known to be real ones; extended.
    """
    if not is_inside(path):
        return None
    parts = path.split("/")
    try:
        here = folder
        for part in parts[:-1]:
            here = f"{here}{os.sep}{part}"
            if here not in seen:
                if not stat.S_ISDIR(os.lstat(here).st_mode):
                    return None
                seen.add(here)
        file = f"{here}{os.sep}{parts[-1]}"
        found = os.lstat(file)
        if stat.S_ISLNK(found.st_mode):
            if link_target(root, file) is None:
                return None
            found = os.stat(file)  # noqa: PTH116 - strings: this is what a hit consists of
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def link_target(root: str, link: str) -> str | None:
    """Return the path a symbolic link leads to; None where it is absolute or leaves ``root``."""
    target = os.readlink(link)  # noqa: PTH115
    if os.path.isabs(target):  # noqa: PTH117
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(link), target))  # noqa: PTH118, PTH120
    return path if path.startswith(root + os.sep) else None


def entries_of(manifest: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """Return the files that a manifest lists: ``outputs`` of an IR, ``files`` of a model."""
    entries = manifest.get("outputs" if name == IR_MANIFEST else "files")
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def artifacts_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the artifacts that the manifest of a model's folder lists."""
    artifacts = manifest.get("artifacts")
    return [row for row in artifacts if isinstance(row, dict)] if isinstance(artifacts, list) else []


def digests_of(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the sha256 of every blob that a model's folder stands on."""
    return frozenset(str(row["sha256"]) for row in artifacts_of(manifest) if "sha256" in row)


def is_inside(path: object) -> bool:
    """Whether what a manifest says is a path that stays below its folder."""
    if not isinstance(path, str) or not path or "\0" in path or os.path.isabs(path):  # noqa: PTH117
        return False
    return ".." not in path.split("/")
