"""Everything in a layer with its size and last use, read from the disk and not from the index.

Links are never followed, and whatever is not where the layout puts it is not seen: it is not ours to remove.
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

from model_zoo.cache.care.usage import Inventory, files_below, is_real, names, taken
from model_zoo.cache.environments import KIND, environments
from model_zoo.cache.layout import is_link
from model_zoo.cache.manifest import digests_of, read_manifest
from model_zoo.cache.usage_lock import is_alive
from model_zoo.schema import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from model_zoo.cache.layout import Layer

DAY = 86400.0
_STAGING = re.compile(r"stage-(?P<purpose>[a-z-]+)-(?P<pid>\d+)-[0-9a-f]+")
_USELESS = {"gc", "old", KIND}
"""Purposes of staging folders out of which nobody takes anything back once their process has ended."""
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
        where: the path of the file or folder; text, as there may be a hundred thousand.
        used: when it was last used, seconds since 1970.
        names: its files.
        model: whose it is, if it is a model's.
        precision: of an IR.
        blobs: the sha256 of every blob that a model's folder stands on.
        litter: nobody can want it any more.
        fault: why nobody can use it any more.
    """

    kind: str
    label: str
    where: str
    used: float
    names: list[Name]
    model: str | None = None
    precision: str | None = None
    blobs: frozenset[str] = frozenset()
    litter: bool = False
    fault: str | None = None

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self.where)


class Survey:
    """The items of one layer: everything there is, as it was when it was looked at."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.items: list[Item] = []
        self.blobs: dict[str, Item] = {}
        self._look_at_blobs()
        self._look_at_models()
        self._look_at_irs()
        self._look_at_folders("compiled", layer.compiled)
        self._look_at_environments()
        self._look_at_partials()

    @property
    def everything(self) -> list[Item]:
        """Blobs and items."""
        return [*self.blobs.values(), *self.items]

    @property
    def size(self) -> int:
        """Bytes on disk; a file with several names counts once."""
        return sum({n.inode: n.size for item in self.everything for n in item.names}.values())

    def _look_at_blobs(self) -> None:
        for shelf in names(self.layer.blobs) if self.layer.owns(self.layer.blobs) else ():
            for entry, found in _files(f"{self.layer.blobs}{os.sep}{shelf}"):
                if _HEX.fullmatch(entry.name):
                    name = _name(found, entry.path)
                    self.blobs[entry.name] = Item("blob", entry.name, entry.path, found.st_mtime, [name])

    def _look_at_models(self) -> None:
        uses = Inventory(self.layer, writable=False).uses("files")
        device = _device(self.layer.models)
        known = {
            i.names[0].inode[1]: i.names[0] for i in self.blobs.values() if i.names[0].inode[0] == device
        }
        root = str(self.layer.models)
        for model in names(root):
            folder = f"{root}{os.sep}{model}"
            for declaration in names(folder):
                where = f"{folder}{os.sep}{declaration}"
                manifest = read_manifest(f"{where}{os.sep}{MANIFEST_NAME}")
                data, made = (manifest.data, manifest.made) if manifest else ({}, _changed(where))
                used = max(made, uses.get(f"{model}@{declaration}", 0.0))
                blobs = digests_of(data)
                self.items.append(
                    Item("files", model, where, used, _names(where, known), model=model, blobs=blobs)
                )

    def _look_at_irs(self) -> None:
        inventory = Inventory(self.layer, writable=False)
        rows, uses = inventory.irs(), inventory.uses("ir")
        root = str(self.layer.irs)
        for key in names(root):
            where, row = f"{root}{os.sep}{key}", rows.get(key)
            made = row.made if row else _changed(where)
            used = max(made, uses.get(key, 0.0))
            if row is None:
                self.items.append(Item("ir", key, where, used, _names(where)))
                continue
            label = f"{row.model}@{row.precision}"
            self.items.append(
                Item("ir", label, where, used, _names(where), model=row.model, precision=row.precision)
            )

    def _look_at_folders(self, kind: str, root: Path) -> None:
        for name in names(root):
            where = f"{root}{os.sep}{name}"
            used = max((found.st_mtime for found in files_below(where)), default=_changed(where))
            self.items.append(Item(kind, name, where, used, _names(where)))

    def _look_at_environments(self) -> None:
        for one in environments(self.layer):
            where = str(one.folder)
            self.items.append(
                Item(KIND, f"{KIND}:{one.stack}", where, one.used, _names(where), fault=one.fault)
            )

    def _look_at_partials(self) -> None:
        root = self.layer.partials
        for name in names(root):
            where, match = f"{root}{os.sep}{name}", _STAGING.fullmatch(name)
            used = _changed(where)
            dead = match is not None and not is_alive(int(match["pid"]))
            useless = match is not None and match["purpose"] in _USELESS
            litter = dead and (useless or time.time() - used > DAY)
            self.items.append(Item("staging", name, where, used, _names(where), litter=litter))
        for entry, found in _files(str(root)) if is_real(str(root)) else ():
            only = _name(found, entry.path, taken(found))
            self.items.append(Item("partial", entry.name, entry.path, found.st_mtime, [only]))


@contextlib.contextmanager
def no_cycles() -> Iterator[None]:
    """Pause Python's search for cycles: among a million small objects it takes longer than all the rest."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _files(folder: str) -> Iterable[tuple[os.DirEntry[str], os.stat_result]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield entry, found


def _names(folder: str, known: Mapping[int, Name] = MappingProxyType({})) -> list[Name]:
    """Return the names below a folder; a file that is ``known`` by its inode is not looked at again."""
    found: list[Name] = []
    pending = [folder] if is_real(folder) else []
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if known and (name := known.get(entry.inode())) is not None:
                    found.append(name)
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found.append(_name(status, entry.path))
                elif stat.S_ISDIR(status.st_mode) and not is_link(status):
                    pending.append(entry.path)
    return found


def _name(found: os.stat_result, path: str, size: int | None = None) -> Name:
    inode = (
        (found.st_dev, found.st_ino) if found.st_ino else (-1, hash(path))
    )  # no inodes in Windows' listings
    return Name(inode, found.st_size if size is None else size, found.st_nlink or 1)


def _device(path: Path) -> int | None:
    try:
        return path.lstat().st_dev
    except OSError:
        return None


def _changed(where: str) -> float:
    try:
        return os.lstat(where).st_mtime
    except OSError:
        return 0.0
