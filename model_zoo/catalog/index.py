"""Which files below a catalog's root are entries, and the compiled catalog: what was read, in a fast form.

The index is purely derived data, one file per root in the state of the writable layer: losing it costs time
and nothing else. An entry counts only while its file looks as it did when it was read, and the whole index
only for the version of this package that wrote it. A file that changed moments before it was read is read
again next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
import weakref
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from model_zoo.catalog.reader import read_without_labels
from model_zoo.errors import CacheError, CatalogError
from model_zoo.files import has_link, read_checked, with_checksum, write_file
from model_zoo.schema import Model
from model_zoo.sources import source_hook
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OMZ_NAMES = ("model.yml", "composite-model.yml")
"""Files of Open Model Zoo; they describe the model that their directory is named after."""
SUFFIXES = (".yaml", ".yml")
SETTLED_NS = 3_000_000_000
"""How old a change must be before a stamp identifies one content: coarser than the clock of any file system
in use (FAT counts in steps of two seconds)."""
FORMAT = 2
WORTHWHILE = 8
"""Below this number of entries, reading the YAML again costs less than keeping an index."""
_log = logging.getLogger(__name__)


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


def unique_names(entries: Sequence[Path]) -> dict[str, Path]:
    """Return the entry of each name: the file's stem, or the directory of Open Model Zoo's descriptions."""
    by_name: dict[str, Path] = {}
    for path in entries:
        name = path.parent.name if path.name in OMZ_NAMES else path.stem
        other = by_name.setdefault(name, path)
        if other is not path:
            what = f"{path}: the model {name!r} is already declared in {other}"
            raise CatalogError(what, hint="rename one of them, or move it to a catalog of its own")
    return by_name


class _Entry(msgspec.Struct, array_like=True):
    """One model as it was read: what its file looked like, and the struct as MessagePack."""

    stamp: Stamp
    model: msgspec.Raw


class _Content(msgspec.Struct, array_like=True):
    """The whole file; ``files`` is None where the listing cannot be trusted."""

    written_by: str
    root: str
    directories: dict[str, Stamp] = {}
    files: dict[str, str] | None = None
    entries: dict[str, _Entry] = {}


def read_entry(path: Path, root: Path) -> Model:
    """Read an entry that ``find_entries(root)`` found; its labels file is named but not read."""
    _log.debug("reading %s", path)
    if path.name in OMZ_NAMES:
        from model_zoo.catalog.omz import read_omz  # few catalogs are of this kind

        return read_omz(path, root)
    return read_without_labels(path)


class Index:
    """One root of a catalog: its names, and those of its models that were ever asked for.

    ``root`` is a directory or a file. The index is kept in ``directory``, if there is one; ``prepare`` is
    called before the first write, to create the layer that it is in.
    """

    def __init__(
        self, root: Path, directory: Path | None, prepare: Callable[[], object] | None = None
    ) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._index_file = _IndexFile(root, directory, prepare)
        self._models: dict[str, tuple[Stamp | None, Model]] = {}
        self._files: dict[str, Path] | None = None
        self._directories: Mapping[str, Stamp | None] = {}
        weakref.finalize(self, self._index_file.save)

    @property
    def files(self) -> dict[str, Path]:
        """The entry of every model by name.

        Raises:
            CatalogError: the root does not exist, or declares one name twice.
        """
        with self._lock:
            if self._files is None:
                self._files, self._directories = self._index_file.listing()
            if self._files is None or any(
                stamp is None or stamp_of(path) != stamp for path, stamp in self._directories.items()
            ):
                entries, stamps = find_entries(self.root)
                _log.debug("%s: listed %d entries", self.root, len(entries))
                self._directories = {str(path): stamp for path, stamp in stamps.items()}
                self._files = unique_names(entries)
                # What a description of Open Model Zoo means also depends on the directories around it.
                self._models = {path: m for path, m in self._models.items() if not _is_described(path)}
                self._index_file.set_listing(self._directories, self._files)
            return self._files

    def get(self, path: Path) -> Model:
        """Return the model of one entry; its labels file is named but not read."""
        key, stamp = str(path), settled_stamp_of(path)
        with self._lock:
            kept_stamp, kept = self._models.get(key, (None, None))
            if kept is not None and stamp is not None and kept_stamp == stamp:
                return kept
            model = self._index_file.find(key, stamp)
            if model is None:
                model = read_entry(path, self.root)
                if stamp is not None:
                    self._index_file.add(key, stamp, model)
            self._models[key] = (stamp, model)
            return model

    def save(self) -> None:
        """Write what was read, even if it is little: for a run that has written to the layer anyway."""
        with self._lock:
            self._index_file.save(few=True)


class _IndexFile:
    """The index file: read once, written when there is enough to add and at the end."""

    def __init__(self, root: Path, directory: Path | None, prepare: Callable[[], object] | None) -> None:
        self._prepare = prepare
        self._root = str(root.absolute())
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._path = directory / f"{name}.msgpack" if directory is not None else None
        self._unsaved = 0
        self._saved = 0

    @cached_property
    def _content(self) -> _Content:
        content = None
        if self._path is not None:
            with contextlib.suppress(ValueError, RecursionError):  # damaged or absent: it is made again
                content = msgspec.msgpack.decode(read_checked(self._path) or b"", type=_Content)
        if content is None or (content.written_by, content.root) != (_writer(), self._root):
            content = _Content(_writer(), self._root)
        self._saved = len(content.entries)
        return content

    def listing(self) -> tuple[dict[str, Path] | None, Mapping[str, Stamp]]:
        """Return the entries by name, and the directories that were searched for them with their stamps."""
        files, directories = self._content.files, self._content.directories
        return None if files is None else {name: Path(path) for name, path in files.items()}, directories

    def set_listing(self, directories: Mapping[str, Stamp | None], files: Mapping[str, Path]) -> None:
        """Keep a listing if it can be trusted later; forget entries that are gone or may have changed."""
        content = self._content
        paths = {name: str(path) for name, path in files.items()}
        gone = content.entries.keys() - paths.values()
        for path in gone | {path for path in content.entries if _is_described(path)}:
            del content.entries[path]
        stamps = {path: stamp for path, stamp in directories.items() if stamp is not None}
        listing = (stamps, paths) if len(stamps) == len(directories) else ({}, None)
        if gone or listing != (content.directories, content.files):
            content.directories, content.files = listing
            self._unsaved += 1

    def find(self, path: str, stamp: Stamp | None) -> Model | None:
        """Return a model as it was read, if its file still looks the same."""
        entry = self._content.entries.get(path)
        if entry is None or entry.stamp != stamp:
            return None
        try:
            return _decoder().decode(entry.model)
        except (ValueError, TypeError, RecursionError):
            return None

    def add(self, path: str, stamp: Stamp, model: Model) -> None:
        self._content.entries[path] = _Entry(stamp, msgspec.Raw(msgspec.msgpack.encode(model)))
        self._unsaved += 1
        if self._unsaved > max(self._saved, WORTHWHILE):
            self.save()

    def save(self, *, few: bool = False) -> None:
        """Write what was added; where the layer cannot be written, the next run reads the YAML again.

        Args:
            few: write even a few entries, if the root has many and the layer is in use already.
        """
        if self._path is None or not self._unsaved:
            return
        content = self._content
        if len(content.entries) < WORTHWHILE:
            many = content.files is not None and len(content.files) >= WORTHWHILE
            if not (few and many and self._path.parent.parent.is_dir()):
                return
        self._unsaved = 0
        with contextlib.suppress(OSError, CacheError):
            if self._prepare is not None:
                self._prepare()
            if has_link(self._path.parents[2], self._path.parent):  # the layer, of which this is a directory
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._path, with_checksum(msgspec.msgpack.encode(content)))
            self._saved = len(content.entries)


def _is_described(path: str) -> bool:
    return os.path.basename(path) in OMZ_NAMES  # noqa: PTH119


@cache
def _writer() -> str:
    """Return what an index depends on besides the catalog: this code and its version."""
    package = Path(__file__).parent.parent
    patterns = ("schema/*.py", "catalog/**/*.py", "sources/**/*.py")
    code = sorted(path for pattern in patterns for path in package.glob(pattern))
    stamps = [(str(path), stamp_of(path)) for path in code]
    return hashlib.sha256(repr((FORMAT, __version__, msgspec.__version__, stamps)).encode()).hexdigest()[:32]


@cache
def _decoder() -> msgspec.msgpack.Decoder[Model]:
    return msgspec.msgpack.Decoder(Model, dec_hook=source_hook)
