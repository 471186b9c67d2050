"""Scan: everything in a layer with its size and last use, read from the disk and not from the index.

Links are never followed, and whatever is not where the layout puts it is ignored: it is not ours to remove.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from model_zoo.cache.care.usage import Usage, allocated_size, files_below
from model_zoo.cache.environments import KIND, environments
from model_zoo.cache.layout import DAY
from model_zoo.cache.manifest import read_manifest
from model_zoo.files.tree import directory_names, is_real_directory, regular_files, walk
from model_zoo.schema import FilesManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.cache.layout import Layer

_STAGING = re.compile(r"stage-(?P<purpose>[a-z-]+)-(?P<pid>\d+)-[0-9a-f]+")
_USELESS = {"gc", "old", KIND}
"""Purposes of staging directories whose content is never resumed once their process has ended."""
_HEX = re.compile(r"[0-9a-f]{64}")

Inode = tuple[int, int]


class Name(NamedTuple):
    """One name of a file on disk: which file, its bytes, and how many names it has anywhere."""

    inode: Inode
    size: int
    links: int


@dataclass
class Item:
    """Something that can be removed as a whole.

    Attributes:
        kind: blob, files, ir, compiled, env, partial or staging.
        label: for people.
        location: the path of the file or directory; text, as there may be a hundred thousand.
        used: when it was last used, seconds since 1970.
        blobs: the sha256 of every blob that a model's files are made from.
        litter: left behind by a process that ended, and of no use to any other.
        fault: why it can no longer be used.
    """

    kind: str
    label: str
    location: str
    used: float
    names: list[Name]
    model: str | None = None
    precision: str | None = None
    blobs: frozenset[str] = frozenset()
    litter: bool = False
    fault: str | None = None

    @property
    def path(self) -> Path:
        """The file or directory."""
        return Path(self.location)


class Scan:
    """All items of one layer, as they were when they were scanned."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.items: list[Item] = []
        self.blobs: dict[str, Item] = {}
        self._scan_blobs()
        self._scan_files()
        self._scan_irs()
        self._scan_compiled()
        self._scan_environments()
        self._scan_partials()

    @property
    def everything(self) -> list[Item]:
        """Blobs and items."""
        return [*self.blobs.values(), *self.items]

    @property
    def size(self) -> int:
        """Bytes on disk; a file with several names counts once."""
        return sum({n.inode: n.size for item in self.everything for n in item.names}.values())

    def _scan_blobs(self) -> None:
        root = self.layer.blobs
        for directory in directory_names(root) if self.layer.owns(root) else ():
            for entry, found in regular_files(f"{root}{os.sep}{directory}"):
                if _HEX.fullmatch(entry.name):
                    name = _name(found, entry.path)
                    self.blobs[entry.name] = Item("blob", entry.name, entry.path, found.st_mtime, [name])

    def _scan_files(self) -> None:
        uses = Usage(self.layer, writable=False).uses("files")
        device = os.lstat(self.layer.models).st_dev if is_real_directory(self.layer.models) else None
        stored_blobs = (item.names[0] for item in self.blobs.values())
        known = {name.inode[1]: name for name in stored_blobs if name.inode[0] == device}
        root = str(self.layer.models)
        for model in directory_names(root):
            for declaration in directory_names(f"{root}{os.sep}{model}"):
                location = f"{root}{os.sep}{model}{os.sep}{declaration}"
                stored = read_manifest(location, FilesManifest)
                published = stored.published if stored else _changed(location)
                used = max(published, uses.get(f"{model}@{declaration}", 0.0))
                blobs = stored.manifest.blobs if stored else frozenset[str]()
                names = _names(location, known)
                self.items.append(Item("files", model, location, used, names, model=model, blobs=blobs))

    def _scan_irs(self) -> None:
        usage = Usage(self.layer, writable=False)
        rows, uses = usage.irs(), usage.uses("ir")
        root = str(self.layer.irs)
        for key in directory_names(root):
            location, row = f"{root}{os.sep}{key}", rows.get(key)
            used = max(row.published if row else _changed(location), uses.get(key, 0.0))
            item = Item("ir", key, location, used, _names(location))
            if row is not None:
                item.label = f"{row.model}@{row.precision}"
                item.model, item.precision = row.model, row.precision
            self.items.append(item)

    def _scan_compiled(self) -> None:
        root = str(self.layer.compiled)
        for name in directory_names(root):
            location = f"{root}{os.sep}{name}"
            used = max((found.st_mtime for found in files_below(location)), default=_changed(location))
            self.items.append(Item("compiled", name, location, used, _names(location)))

    def _scan_environments(self) -> None:
        for found in environments(self.layer):
            label, location = f"{KIND}:{found.stack}", str(found.directory)
            self.items.append(Item(KIND, label, location, found.used, _names(location), fault=found.fault))

    def _scan_partials(self) -> None:
        root = str(self.layer.partials)
        for name in directory_names(root):
            location, match = f"{root}{os.sep}{name}", _STAGING.fullmatch(name)
            used = _changed(location)
            dead = match is not None and not system.is_alive(int(match["pid"]))
            useless = match is not None and match["purpose"] in _USELESS
            litter = dead and (useless or time.time() - used > DAY)
            self.items.append(Item("staging", name, location, used, _names(location), litter=litter))
        for entry, found in regular_files(root) if is_real_directory(root) else ():
            only = _name(found, entry.path, allocated_size(found))
            self.items.append(Item("partial", entry.name, entry.path, found.st_mtime, [only]))


@contextlib.contextmanager
def without_cyclic_gc() -> Iterator[None]:
    """Pause Python's cyclic collector: with a million small objects it takes longer than all the rest."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _names(directory: str, known: Mapping[int, Name] = MappingProxyType({})) -> list[Name]:
    """Return the names below a directory; a file that is ``known`` by its inode is not examined again."""
    found: list[Name] = []
    for entry in walk(directory):
        if known and (name := known.get(entry.inode())) is not None:
            found.append(name)
            continue
        with contextlib.suppress(OSError):
            status = system.status(entry)
            if stat.S_ISREG(status.st_mode):
                found.append(_name(status, entry.path))
    return found


def _name(found: os.stat_result, path: str, size: int | None = None) -> Name:
    has_inode = found.st_ino != 0  # not in Windows' listings
    inode = (found.st_dev, found.st_ino) if has_inode else (-1, hash(path))
    return Name(inode, found.st_size if size is None else size, found.st_nlink or 1)


def _changed(location: str) -> float:
    try:
        return os.lstat(location).st_mtime
    except OSError:
        return 0.0
