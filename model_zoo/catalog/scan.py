"""Which files below a catalog's root are entries, and how to tell later whether that still holds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Sequence

OMZ_NAMES = ("model.yml", "composite-model.yml")
"""Files of Open Model Zoo; they describe the model that their directory is named after."""
SUFFIXES = (".yaml", ".yml")
SETTLED_NS = 3_000_000_000
"""How old a change must be before a stamp identifies one content: coarser than the clock of any file system
in use (FAT counts in steps of two seconds)."""


class Stamp(NamedTuple):
    """What a file or directory looked like: changes whenever its content does, unless that was just now."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int


def stamp_of(path: str | Path) -> Stamp | None:
    """Return the stamp of a file or directory, or None if it does not exist."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a thousand of these at start-up
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def settled_stamp_of(path: str | Path) -> Stamp | None:
    """Return the stamp of a file or directory, or None if a later change might leave it as it is.

    A second change within one tick of the file system's clock can go unnoticed. So the stamp of something
    that changed a moment ago, or in the future, is not trusted.
    """
    stamp = stamp_of(path)
    if stamp is None or max(stamp.mtime_ns, stamp.ctime_ns) >= time.time_ns() - SETTLED_NS:
        return None
    return stamp


def find_entries(root: Path) -> tuple[list[Path], dict[Path, Stamp | None]]:
    """Return the entries at or below ``root``, sorted, and every directory searched with its stamp.

    A stamp is None where it cannot be trusted. Hidden files and directories are skipped. In a directory with
    one of Open Model Zoo's descriptions, only that is an entry.

    Raises:
        CatalogError: ``root`` does not exist, or is a file that is no entry.
    """
    if os.path.isfile(root):  # noqa: PTH113 - a name that no path can have is none
        if root.suffix not in SUFFIXES:
            raise CatalogError(
                f"{root}: not a catalog",
                expected="a folder or a .yaml file",
                found=f"a file whose name ends in {root.suffix!r}"
                if root.suffix
                else "a file without suffix",
                hint="check --catalog and MODEL_ZOO_CATALOG",
            )
        return [root], {root: settled_stamp_of(root)}
    if not os.path.isdir(root):  # noqa: PTH112
        what = f"{root}: no such catalog"
        raise CatalogError(
            what, expected="a folder or a .yaml file", hint="check --catalog and MODEL_ZOO_CATALOG"
        )
    entries: list[str] = []
    stamps: dict[Path, Stamp | None] = {}
    pending = [str(root)]
    while pending:
        directory = pending.pop()
        # Stamped before it is listed, so that a file added in between counts as a change.
        stamps[Path(directory)] = settled_stamp_of(directory)
        described = [name for name in OMZ_NAMES if os.path.isfile(f"{directory}/{name}")]  # noqa: PTH113
        entries += [f"{directory}/{name}" for name in described]
        with os.scandir(directory) as children:
            for child in children:
                if child.name.startswith("."):
                    continue
                if child.is_dir(follow_symlinks=False):
                    pending.append(child.path)
                elif not described and child.name.endswith(SUFFIXES):
                    entries.append(child.path)
    return [Path(path) for path in sorted(entries)], stamps


def name_of(path: Path) -> str:
    """Return the name of the model an entry declares.

    It is the file's stem, or the directory of a description of Open Model Zoo.
    """
    return path.parent.name if path.name in OMZ_NAMES else path.stem


def unique_names(entries: Sequence[Path]) -> dict[str, Path]:
    """Return the entry of each name.

    Raises:
        CatalogError: two entries of one root have the same name.
    """
    by_name: dict[str, Path] = {}
    for path in entries:
        name = name_of(path)
        other = by_name.setdefault(name, path)
        if other is not path:
            what = f"{path}: the model {name!r} is already declared in {other}"
            raise CatalogError(what, hint="rename one of them, or move it to a catalog of its own")
    return by_name
