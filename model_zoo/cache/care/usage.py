"""What a layer holds: counts, sizes, models, last uses, without walking it each time.

The index in ``state-v1/index`` keeps what was counted in each folder together with the folder's time of last
change. A folder whose time is still the same was neither added to nor taken from since, because published
things never change; any other folder is counted again. So the index needs no writing when something is
published, cannot go stale when a process is killed or files are copied in by hand, and may be deleted.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from model_zoo.cache.layout import Layer, is_link
from model_zoo.cache.manifest import IR_MANIFEST, entries_of, read_manifest
from model_zoo.errors import CacheError
from model_zoo.files import is_folder, write_file
from model_zoo.schema import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_SETTLED = 2_000_000_000
"""Nanoseconds after which a folder's time is trusted: some file systems count in steps of two seconds."""


class Shelf(msgspec.Struct, array_like=True):
    """What one folder held when its time was ``stamp``: how many files, and their bytes."""

    stamp: int
    count: int
    size: int


class FilesRow(msgspec.Struct, array_like=True):
    """One materialised folder: ``size`` as its manifest says, ``own`` bytes shared with no blob."""

    declaration: str
    count: int
    size: int
    own: int
    made: float


class ModelRow(msgspec.Struct, array_like=True):
    """The materialised folders of one model, as they were when its folder's time was ``stamp``."""

    stamp: int
    folders: list[FilesRow]


class IrRow(msgspec.Struct, array_like=True):
    """One IR: what it was made of, ``size`` as its manifest says, ``own`` bytes shared with nothing."""

    model: str
    precision: str
    framework: str
    size: int
    own: int
    made: float


Shelves = dict[str, Shelf]
Models = dict[str, ModelRow]
Irs = dict[str, IrRow]
Index = TypeVar("Index", Shelves, Models, Irs)


@dataclass
class Entry:
    """A model in a layer: its folders of files, its IRs by key, and when any of them was last used."""

    name: str
    layer: Layer
    files: list[FilesRow] = field(default_factory=list)
    irs: dict[str, IrRow] = field(default_factory=dict)
    used: float = 0.0
    uses: dict[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of files and IRs, as if nothing was shared."""
        return sum(f.size for f in self.files) + sum(i.size for i in self.irs.values())


class Inventory:
    """Counts of one layer; what had to be counted again is written down where the layer can be written."""

    def __init__(self, layer: Layer, *, writable: bool) -> None:
        self.layer = layer
        self.writable = writable and layer.owns(layer.state / "index")

    # --- counts

    def totals(self) -> dict[str, Shelf]:
        """Return how many files and bytes each folder of the layer holds; a shared byte counts once."""
        layer = self.layer
        models, irs = self.models(), self.irs()
        rows = [row for model in models.values() for row in model.folders]
        return {
            "blobs": _sum(self._shelves("blobs", layer.blobs, _count_flat)),
            "files": Shelf(0, len(rows), sum(row.own for row in rows)),
            "ir": Shelf(0, len(irs), sum(row.own for row in irs.values())),
            "compiled": _sum(self._shelves("compiled", layer.compiled, count_deep)),
            "envs": _sum(self._shelves("envs", layer.envs, count_deep)),
            "partial": count_deep(str(layer.partials)),
            "foreign": count_deep(str(layer.foreign)),
        }

    def _shelves(self, name: str, root: Path, count: Callable[[str], Shelf]) -> Shelves:
        known: Shelves = self._read(name, Shelves)
        found: Shelves = {}
        for folder, stamp in stamps(root) if self.layer.owns(root) else ():
            old = known.get(folder)
            if old is None or stamp == 0 or old.stamp != stamp:
                old = count(str(root / folder))
                old.stamp = stamp
            found[folder] = old
        self._write(name, known, found)
        return found

    # --- models and IRs

    def models(self) -> Models:
        """Return the materialised folders by model."""
        known: Models = self._read("models", Models)
        found: Models = {}
        for model, stamp in stamps(self.layer.models):
            old = known.get(model)
            if old is None or stamp == 0 or old.stamp != stamp:
                rows = (self._files_row(model, name) for name, _ in stamps(self.layer.models / model))
                old = ModelRow(stamp, [row for row in rows if row is not None])
            found[model] = old
        self._write("models", known, found)
        return {model: row for model, row in found.items() if row.folders}

    def _files_row(self, model: str, declaration: str) -> FilesRow | None:
        folder = self.layer.files(model, declaration)
        manifest = read_manifest(folder / MANIFEST_NAME)
        if manifest is None:
            return None
        entries = entries_of(manifest.data, MANIFEST_NAME)
        return FilesRow(declaration, len(entries), _said(entries), own_bytes(str(folder)), manifest.made)

    def irs(self) -> Irs:
        """Return what is known of every IR by its key; a key stands for one content for ever."""
        known: Irs = self._read("irs", Irs)
        found: Irs = {}
        for key in names(self.layer.irs):
            row = known.get(key) or self._ir_row(key)
            if row is not None:
                found[key] = row
        self._write("irs", known, found)
        return found

    def _ir_row(self, key: str) -> IrRow | None:
        folder = self.layer.ir(key)
        manifest = read_manifest(folder / IR_MANIFEST)
        if manifest is None:
            return None
        model, precision, framework = (
            str(manifest.data.get(name) or "") for name in ("model", "precision", "framework")
        )
        size = _said(entries_of(manifest.data, IR_MANIFEST))
        return IrRow(model, precision, framework, size, own_bytes(str(folder)), manifest.made)

    def entries(self) -> list[Entry]:
        """Return every model that the layer has something of, sorted by name."""
        found: dict[str, Entry] = {}
        uses = self.uses("files")
        for model, row in self.models().items():
            entry = found.setdefault(model, Entry(model, self.layer))
            for folder in row.folders:
                entry.files.append(folder)
                _used(entry, folder.declaration, folder.made, uses.get(f"{model}@{folder.declaration}"))
        uses = self.uses("ir")
        for key, ir in self.irs().items():
            entry = found.setdefault(ir.model, Entry(ir.model, self.layer))
            entry.irs[key] = ir
            _used(entry, key, ir.made, uses.get(key))
        return [found[name] for name in sorted(found)]

    def uses(self, kind: str) -> dict[str, float]:
        """Return the noted last uses of one kind of entry, seconds since 1970."""
        return {name: stamp / 1e9 for name, stamp in _times(self.layer.state / "used" / kind)}

    # --- the index on disk

    def _read(self, name: str, kind: type[Index]) -> Index:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self.layer.state / "index" / f"{name}.json").read_bytes(), type=kind)
        return kind()

    def _write(self, name: str, known: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        if not self.writable or known == found or not is_folder(self.layer.state):
            return
        path = self.layer.state / "index" / f"{name}.json"
        with contextlib.suppress(OSError, CacheError):
            path.parent.mkdir(exist_ok=True)
            write_file(path, msgspec.json.encode(found), durable=False)


def stamps(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each folder below ``root`` with the time of its last change, 0 where that is too recent to tell.

    Links are not folders. Times are nanoseconds since 1970.
    """
    now = time.time_ns()
    if not is_real(str(root)):
        return
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    stamp = entry.stat(follow_symlinks=False).st_mtime_ns
                    yield entry.name, stamp if now - stamp > _SETTLED else 0


def is_real(folder: str) -> bool:
    """Whether there is a folder, and not a link to one."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and not is_link(found)


def names(root: Path | str) -> list[str]:
    """Return the names of the folders below ``root``, links not among them; none where it is one itself."""
    if not is_real(str(root)):
        return []
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _times(root: Path) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield entry.name, entry.stat(follow_symlinks=False).st_mtime_ns


def _count_flat(folder: str) -> Shelf:
    count = size = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                count += 1
                size += found.st_size
    return Shelf(0, count, size)


def count_deep(folder: str) -> Shelf:
    """Count the files of a tree and the bytes they take, without following links out of it."""
    count = size = 0
    for found in files_below(folder):
        count += 1
        size += taken(found)
    return Shelf(0, count, size)


def own_bytes(folder: str) -> int:
    """Return the bytes of a tree that no other name shares."""
    return sum(found.st_size for found in files_below(folder) if found.st_nlink == 1)


def files_below(folder: str) -> Iterator[os.stat_result]:
    """Yield the ``lstat`` of every regular file of a tree; nothing where its root is a link."""
    pending = [folder] if is_real(folder) else []
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield found
                elif stat.S_ISDIR(found.st_mode) and not is_link(found):
                    pending.append(entry.path)


def taken(found: os.stat_result) -> int:
    """Return the bytes a file takes: its length, or less where it has holes as a transfer under way does."""
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)


def _sum(shelves: Shelves) -> Shelf:
    return Shelf(0, sum(s.count for s in shelves.values()), sum(s.size for s in shelves.values()))


def _said(entries: Any) -> int:  # noqa: ANN401 - a manifest's list
    return sum(size for e in entries if isinstance(size := e.get("size"), int))


def _used(entry: Entry, name: str, made: float, noted: float | None) -> None:
    used = max(made, noted or 0.0)
    entry.uses[name] = used
    entry.used = max(entry.used, used)
