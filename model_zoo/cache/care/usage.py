"""Disk usage of a layer: counts, sizes, models, last uses, without walking it each time.

The index in ``state-v1/index`` keeps what was counted in each directory, with the time of the directory's
last change. While that is the same nothing was added or removed, because published files never change; any
other directory is counted again. So publishing does not have to update the index, and the index cannot become
stale when a process is killed or files are copied in by hand. It may be deleted.
"""

from __future__ import annotations

import contextlib
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from model_zoo.cache.manifest import read_manifest
from model_zoo.errors import CacheError
from model_zoo.files import is_directory, read_checked, with_checksum, write_file
from model_zoo.files.tree import directory_names, is_real_directory, regular_files, scan, walk
from model_zoo.schema import FilesManifest, IrManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.schema import FileEntry

_SETTLED = 2_000_000_000
"""Nanoseconds after which a directory's time is trusted: some file systems count in steps of two seconds."""


class Count(msgspec.Struct, array_like=True):
    """How many files a directory held when its time was ``changed``, and their bytes."""

    changed: int
    count: int
    size: int


class FilesRow(msgspec.Struct, array_like=True):
    """The files of one declaration: ``size`` as the manifest says, ``own`` bytes shared with no blob."""

    declaration: str
    count: int
    size: int
    own: int
    published: float


class ModelRow(msgspec.Struct, array_like=True):
    """The files of one model, as they were when the time of its directory was ``changed``."""

    changed: int
    files: list[FilesRow]


class IrRow(msgspec.Struct, array_like=True):
    """One IR: what it was made of, ``size`` as its manifest says, ``own`` bytes shared with nothing."""

    model: str
    precision: str
    framework: str
    size: int
    own: int
    published: float


Row = TypeVar("Row", Count, ModelRow, IrRow)


@dataclass
class ModelUsage:
    """A model in a layer: its files, its IRs by key, and when any of them was last used."""

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

    def note(self, name: str, published: float, used: float | None) -> None:
        """Note when one of its parts was last used; publishing counts as a use."""
        self.uses[name] = max(published, used or 0.0)
        self.used = max(self.used, self.uses[name])


class Usage:
    """Counts of one layer; the index is brought up to date where the layer is writable."""

    def __init__(self, layer: Layer, *, writable: bool) -> None:
        self.layer = layer
        self.writable = writable and layer.owns(layer.state / "index")

    # --- counts

    def totals(self) -> dict[str, Count]:
        """Return how many files and bytes each directory of the layer holds; a shared byte counts once."""
        layer = self.layer
        models, irs = self.models(), self.irs()
        rows = [row for model in models.values() for row in model.files]
        return {
            "blobs": self._counted("blobs", layer.blobs, _count_files),
            "files": Count(0, len(rows), sum(row.own for row in rows)),
            "ir": Count(0, len(irs), sum(row.own for row in irs.values())),
            "compiled": self._counted("compiled", layer.compiled, count_tree),
            "envs": self._counted("envs", layer.envs, count_tree),
            "partial": count_tree(str(layer.partials)),
            "foreign": count_tree(str(layer.foreign)),
        }

    def _counted(self, name: str, root: Path, count: Callable[[str], Count]) -> Count:
        """Return the sum over the directories in ``root``, counting only those that changed."""
        known = self._read(name, Count)
        found: dict[str, Count] = {}
        for directory, changed in directory_times(root) if self.layer.owns(root) else ():
            row = known.get(directory)
            if row is None or changed == 0 or row.changed != changed:
                row = count(str(root / directory))
                row.changed = changed
            found[directory] = row
        self._write(name, known, found)
        return Count(0, sum(row.count for row in found.values()), sum(row.size for row in found.values()))

    # --- models and IRs

    def models(self) -> dict[str, ModelRow]:
        """Return the files of each model."""
        known = self._read("models", ModelRow)
        found: dict[str, ModelRow] = {}
        for model, changed in directory_times(self.layer.models):
            row = known.get(model)
            if row is None or changed == 0 or row.changed != changed:
                names = directory_names(self.layer.models / model)
                rows = (self._files_row(model, declaration) for declaration in names)
                row = ModelRow(changed, [row for row in rows if row is not None])
            found[model] = row
        self._write("models", known, found)
        return {model: row for model, row in found.items() if row.files}

    def _files_row(self, model: str, declaration: str) -> FilesRow | None:
        directory = self.layer.files(model, declaration)
        stored = read_manifest(directory, FilesManifest)
        if stored is None:
            return None
        files, own = stored.manifest.files, unshared_size(str(directory))
        return FilesRow(declaration, len(files), _total(files), own, stored.published)

    def irs(self) -> dict[str, IrRow]:
        """Return what is known of every IR by its key; a key stands for one content for ever."""
        known = self._read("irs", IrRow)
        found: dict[str, IrRow] = {}
        for key in directory_names(self.layer.irs):
            if (row := known.get(key) or self._ir_row(key)) is not None:
                found[key] = row
        self._write("irs", known, found)
        return found

    def _ir_row(self, key: str) -> IrRow | None:
        directory = self.layer.ir(key)
        stored = read_manifest(directory, IrManifest)
        if stored is None:
            return None
        ir, own = stored.manifest, unshared_size(str(directory))
        return IrRow(ir.model, ir.precision, ir.framework, _total(ir.outputs), own, stored.published)

    def by_model(self) -> list[ModelUsage]:
        """Return every model that the layer has something of, sorted by name."""
        found: dict[str, ModelUsage] = {}
        uses = self.uses("files")
        for model, row in self.models().items():
            usage = found.setdefault(model, ModelUsage(model, self.layer))
            for files in row.files:
                usage.files.append(files)
                usage.note(files.declaration, files.published, uses.get(f"{model}@{files.declaration}"))
        uses = self.uses("ir")
        for key, ir in self.irs().items():
            usage = found.setdefault(ir.model, ModelUsage(ir.model, self.layer))
            usage.irs[key] = ir
            usage.note(key, ir.published, uses.get(key))
        return [found[name] for name in sorted(found)]

    def uses(self, kind: str) -> dict[str, float]:
        """Return the noted last uses of one kind of entry, in seconds since 1970."""
        found: dict[str, float] = {}
        for entry in scan(self.layer.state / "used" / kind):
            with contextlib.suppress(OSError):
                found[entry.name] = entry.stat(follow_symlinks=False).st_mtime
        return found

    # --- the index on disk

    def _path(self, name: str) -> Path:
        return self.layer.state / "index" / f"{name}.counts"

    def _read(self, name: str, kind: type[Row]) -> dict[str, Row]:
        data = read_checked(self._path(name))
        with contextlib.suppress(ValueError, RecursionError):
            return msgspec.json.decode(data or b"{}", type=dict[str, kind])  # type: ignore[valid-type]
        return {}

    def _write(self, name: str, known: dict[str, Row], found: dict[str, Row]) -> None:
        if not self.writable or known == found or not is_directory(self.layer.state):
            return
        path = self._path(name)
        with contextlib.suppress(OSError, CacheError):
            path.parent.mkdir(exist_ok=True)
            write_file(path, with_checksum(msgspec.json.encode(found)), durable=False)


def directory_times(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each real directory in ``root`` with the time of its last change, in nanoseconds since 1970.

    The time is 0 where it is too recent to be trusted.
    """
    now = time.time_ns()
    for entry in scan(root) if is_real_directory(root) else ():
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                changed = entry.stat(follow_symlinks=False).st_mtime_ns
                yield entry.name, changed if now - changed > _SETTLED else 0


def _count_files(directory: str) -> Count:
    sizes = [found.st_size for _, found in regular_files(directory)]
    return Count(0, len(sizes), sum(sizes))


def count_tree(directory: str) -> Count:
    """Count the files of a tree and the bytes they occupy, without following links out of it."""
    sizes = [allocated_size(found) for found in files_below(directory)]
    return Count(0, len(sizes), sum(sizes))


def unshared_size(directory: str) -> int:
    """Return the bytes of a tree that no other name shares."""
    return sum(found.st_size for found in files_below(directory) if found.st_nlink == 1)


def files_below(directory: str) -> Iterator[os.stat_result]:
    """Yield the ``lstat`` of every regular file of a tree; nothing where its root is a link."""
    for entry in walk(directory):
        with contextlib.suppress(OSError):
            found = system.status(entry)
            if stat.S_ISREG(found.st_mode):
                yield found


def allocated_size(found: os.stat_result) -> int:
    """Return the bytes a file occupies: less than its length where it is sparse, as partials are."""
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)


def _total(entries: Iterable[FileEntry]) -> int:
    return sum(entry.size for entry in entries)
