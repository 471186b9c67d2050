"""Which files below a catalog's root are entries, and how to tell later whether that still holds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.schema import Model

OMZ_NAMES = ("model.yml", "composite-model.yml")
"""Files of Open Model Zoo; they describe the model that their folder is named after."""
SUFFIXES = (".yaml", ".yml")
SETTLED_NS = 3_000_000_000
"""How old a change must be before a stamp tells one content from another: coarser than any clock of a file
system in use (FAT counts in steps of two seconds)."""


class Stamp(NamedTuple):
    """What a file or folder looked like: changes whenever its content does, unless that was just now."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int


def stamp_of(path: str | Path) -> Stamp | None:
    """Return the stamp of a file or folder; None where there is nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand of these at start-up
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def is_settled(stamp: Stamp) -> bool:
    """Whether a later change is certain to give another stamp.

    Within one tick of the file system's clock a second change may leave the stamp as it is. So what
    changed a moment ago, or in the future, is not trusted.
    """
    return max(stamp.mtime_ns, stamp.ctime_ns) < time.time_ns() - SETTLED_NS


def scan(root: Path) -> tuple[list[Path], dict[Path, Stamp | None]]:
    """Return the entries at or below ``root``, sorted, and the folders looked at with their stamps.

    Hidden files and folders do not count. In a folder that Open Model Zoo described a model in, only that
    description does.

    Raises:
        CatalogError: there is nothing at ``root``.
    """
    if root.is_file():
        return [root], {root: stamp_of(root)}
    if not root.is_dir():
        what = f"{root}: there is no such catalog"
        raise CatalogError(
            what, expected="a folder or a .yaml file", hint="check --catalog and MODEL_ZOO_CATALOG"
        )
    found: list[str] = []
    seen: dict[Path, Stamp | None] = {}
    # Stamped before it is listed: what is added in between is then seen as a change.
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        seen[Path(folder)] = stamp_of(folder)
        described = [name for name in OMZ_NAMES if os.path.isfile(f"{folder}/{name}")]  # noqa: PTH113
        found += [f"{folder}/{name}" for name in described]
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not described and entry.name.endswith(SUFFIXES):
                    found.append(entry.path)
    return [Path(path) for path in sorted(found)], seen


def name_of(path: Path) -> str:
    """Return the model an entry is about: the file's stem, or the folder of an Open Model Zoo description."""
    return path.parent.name if path.name in OMZ_NAMES else path.stem


def read_entry(path: Path, root: Path) -> Model:
    """Read an entry that ``scan(root)`` found, its labels file named but not read.

    Raises:
        CatalogError: it cannot be read or is wrong; the message starts with ``FILE:LINE: FIELD``.
    """
    if path.name in OMZ_NAMES:
        from model_zoo.catalog.omz import read_omz  # few catalogs are of this kind

        return read_omz(path, root)
    from model_zoo.catalog.reader import read_plain  # not needed where the index has it

    return read_plain(path)


def unique_names(entries: Sequence[Path]) -> dict[str, Path]:
    """Return the entry of each name.

    Raises:
        CatalogError: two entries of one root have the same name.
    """
    found: dict[str, Path] = {}
    for path in entries:
        name = name_of(path)
        other = found.setdefault(name, path)
        if other is not path:
            what = f"{path}: the model {name!r} is already declared in {other}"
            raise CatalogError(what, hint="give one of them another name, or put it in a catalog of its own")
    return found
