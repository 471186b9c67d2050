"""Manifests on disk: read, sealed, compared with the files they list."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from model_zoo.files import READ_ONLY, set_mode
from model_zoo.files.read import UNREADABLE, read_bounded
from model_zoo.schema import Digest, FilesManifest, IrManifest, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import FileEntry

SEAL = "seal"
"""Key of a manifest under which the digest of the rest of it stands."""
M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True)
class Stored(Generic[M]):
    """A manifest as read from disk, and when it was published, in seconds since 1970.

    ``sealed`` is whether the file is as it was written, unknown fields included.
    """

    manifest: M
    sealed: bool
    published: float


def encode(manifest: Manifest | Mapping[str, Any]) -> bytes:
    """Return the bytes of a sealed manifest: for people to read, and always the same."""
    data = manifest.to_json() if isinstance(manifest, Manifest) else dict(manifest)
    sealed = msgspec.json.encode({**data, SEAL: Digest.of_json(data).hex}, order="sorted")
    return msgspec.json.format(sealed, indent=1) + b"\n"


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write a sealed manifest, which nobody may change, into a staged directory; return its path."""
    path = directory / manifest.FILE_NAME
    path.write_bytes(encode(manifest))
    set_mode(path, READ_ONLY)
    return path


def read_manifest(directory: Path | str, kind: type[M], *, check: bool = False) -> Stored[M] | None:
    """Return the manifest of a directory, or None where it is absent or of another shape.

    Only with ``check`` it is compared with its seal; without, ``sealed`` is True unread.
    """
    try:
        data, published = read_bounded(f"{directory}{os.sep}{kind.FILE_NAME}")
        manifest = msgspec.json.decode(data, type=kind)
        return Stored(manifest, not check or _is_sealed(data), published)
    except UNREADABLE:
        return None


def _is_sealed(raw: bytes) -> bool:
    """Whether a manifest is byte for byte what was written: seal, order and spaces included."""
    data = msgspec.json.decode(raw, type=dict[str, Any])
    data.pop(SEAL, None)
    return encode(data) == raw


def is_named(directory: Path, manifest: Manifest) -> bool:
    """Whether the directory of a sealed manifest has the name that follows from what the manifest says."""
    if isinstance(manifest, IrManifest):
        return directory.name == manifest.key == Digest.of_json(manifest.parts).hex
    if isinstance(manifest, FilesManifest):
        return (directory.parent.name, directory.name) == (manifest.model, manifest.declaration)
    return True


def is_whole(root: str, directory: str, entries: Sequence[FileEntry]) -> bool:
    """Whether every file that a manifest lists is there and as long as it says.

    A link may lead to another file below ``root``, the layer, but not out of it.
    """
    seen = {directory}
    return bool(entries) and all(
        size_below(root, directory, entry.path, seen) == entry.size for entry in entries
    )


def size_below(root: str, directory: str, path: str, seen: set[str]) -> int | None:
    """Return the size of the regular file ``directory/path``, or None for anything that must not be read.

    ``path`` is what some manifest says; a link may not leave the layer ``root``. ``seen`` collects the
    directories known to be real ones.
    """
    if not is_inside(path):
        return None
    parts = path.split("/")
    try:
        here = directory
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


def is_inside(path: str) -> bool:
    """Whether what a manifest says is a path that stays below its directory."""
    if not path or "\0" in path or os.path.isabs(path):  # noqa: PTH117
        return False
    return ".." not in path.split("/")
