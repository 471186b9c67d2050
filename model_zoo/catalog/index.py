"""The compiled catalog: what was read from YAML, kept in a form that starts fast.

A pure derivative, one file per root in the writable layer's state: losing it costs time and nothing else. An
entry counts only while its file looks as it did when it was read, and the whole only for the version of this
package that wrote it. What changed moments before it was read is read again next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog.scan import OMZ_NAMES, Stamp, is_settled, read_entry, scan, stamp_of, unique_names
from model_zoo.errors import CacheError
from model_zoo.files import write_file
from model_zoo.schema import Model, Source
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1
WORTHWHILE = 8
"""Entries below which reading the YAML again costs less than keeping an index."""
_DIGEST = 32
"""Bytes of the sha256 that the file starts with: a disk's mistake must not become a wrong model."""


class _Entry(msgspec.Struct, array_like=True):
    """One model as it was read: from where, how that looked, and the struct as MessagePack."""

    path: str
    stamp: Stamp
    model: msgspec.Raw


class _Listing(msgspec.Struct, array_like=True):
    """Which folders there were, how they looked, and the entry of each name."""

    folders: dict[str, Stamp]
    files: dict[str, str]


class _Content(msgspec.Struct, array_like=True):
    """The whole file."""

    written_by: str
    root: str
    listing: _Listing | None
    entries: dict[str, msgspec.Raw]


class Index:
    """One root of a catalog: its names, and its models as far as they were ever asked for.

    Args:
        root: a folder or a file.
        folder: where the index is kept; None keeps none.
        prepare: called before the first write, to make the layer that ``folder`` is in.
    """

    def __init__(self, root: Path, folder: Path | None, prepare: Callable[[], object] | None = None) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._store = _Store(root, folder, prepare)
        self._read: dict[str, tuple[Stamp | None, Model]] = {}
        self._files: dict[str, Path] | None = None
        self._folders: dict[Path, Stamp | None] = {}
        weakref.finalize(self, self._store.save)

    @property
    def files(self) -> dict[str, Path]:
        """The entry of every model by name.

        Raises:
            CatalogError: the root is not there, or declares one name twice.
        """
        with self._lock:
            if self._files is not None and self._as_seen():
                return self._files
            kept = self._store.listing() if self._files is None else None
            if kept is not None:
                self._folders, self._files = kept
                return self._files
            paths, seen = scan(self.root)
            self._folders = {p: s if s is not None and is_settled(s) else None for p, s in seen.items()}
            self._files = unique_names(paths)
            self._forget_described()
            self._store.note_listing(self._folders, self._files)
            return self._files

    def _as_seen(self) -> bool:
        return all(stamp is not None and stamp_of(path) == stamp for path, stamp in self._folders.items())

    def _forget_described(self) -> None:
        """Forget what depends on more than its own file: Open Model Zoo's descriptions, on folders."""
        for path in [path for path in self._read if os.path.basename(path) in OMZ_NAMES]:  # noqa: PTH119
            del self._read[path]
        self._store.forget_described()

    def get(self, path: Path) -> Model:
        """Return the model of one entry, its labels file named but not read.

        Raises:
            CatalogError: the entry is wrong.
        """
        key, stamp = str(path), stamp_of(path)
        with self._lock:
            kept = self._read.get(key)
            if kept is not None and stamp is not None and kept[0] == stamp:
                return kept[1]
            model = self._store.find(key, stamp)
            if model is None:
                model = read_entry(path, self.root)
                if stamp is not None and is_settled(stamp):
                    self._store.note(key, stamp, model)
            settled = stamp is not None and is_settled(stamp)
            self._read[key] = (stamp if settled else None, model)
            return model

    def save(self) -> None:
        """Write what was learnt now, even if it is little: for a run that has written to the layer anyway."""
        with self._lock:
            self._store.save(few=True)


class _Store:
    """The index file: read once, written when there is enough to add and at the end."""

    def __init__(self, root: Path, folder: Path | None, prepare: Callable[[], object] | None) -> None:
        self._prepare = prepare
        self._root = str(root.absolute())
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._file = folder / f"{name}.msgpack" if folder is not None else None
        self._loaded: _Content | None = None
        self._unsaved = 0
        self._saved = 0

    @property
    def _content(self) -> _Content:
        if self._loaded is None:
            self._loaded = self._load() or _Content(_writer(), self._root, None, {})
            self._saved = len(self._loaded.entries)
        return self._loaded

    def _load(self) -> _Content | None:
        if self._file is None:
            return None
        try:
            data = self._file.read_bytes()
            digest, packed = data[:_DIGEST], memoryview(data)[_DIGEST:]
            if hashlib.sha256(packed).digest() != digest:
                return None
            content = msgspec.msgpack.decode(packed, type=_Content)
        except (OSError, ValueError):
            return None
        return content if (content.written_by, content.root) == (_writer(), self._root) else None

    def listing(self) -> tuple[dict[Path, Stamp | None], dict[str, Path]] | None:
        """Return folders and files as listed once, if every folder still looks the same."""
        kept = self._content.listing
        if kept is None or any(stamp_of(path) != stamp for path, stamp in kept.folders.items()):
            return None
        return {Path(p): s for p, s in kept.folders.items()}, {n: Path(p) for n, p in kept.files.items()}

    def note_listing(self, folders: dict[Path, Stamp | None], files: dict[str, Path]) -> None:
        stamps = {str(path): stamp for path, stamp in folders.items() if stamp is not None}
        complete = len(stamps) == len(folders)
        wanted = _Listing(stamps, {n: str(p) for n, p in files.items()}) if complete else None
        content = self._content
        gone = content.entries.keys() - {str(path) for path in files.values()}
        for path in gone:
            del content.entries[path]
        if wanted != content.listing or gone:
            content.listing = wanted
            self._unsaved += 1

    def forget_described(self) -> None:
        entries = self._content.entries
        for path in [path for path in entries if os.path.basename(path) in OMZ_NAMES]:  # noqa: PTH119
            del entries[path]

    def find(self, path: str, stamp: Stamp | None) -> Model | None:
        """Return a model as it was read, if its file still looks the same."""
        raw = self._content.entries.get(path)
        if raw is None or stamp is None:
            return None
        try:
            entry = msgspec.msgpack.decode(raw, type=_Entry)
            if entry.path != path or entry.stamp != stamp:
                return None
            return _decoder().decode(entry.model)
        except (ValueError, TypeError):
            return None

    def note(self, path: str, stamp: Stamp, model: Model) -> None:
        entry = _Entry(path, stamp, msgspec.Raw(msgspec.msgpack.encode(model)))
        self._content.entries[path] = msgspec.Raw(msgspec.msgpack.encode(entry))
        self._unsaved += 1
        if self._unsaved > max(self._saved, WORTHWHILE):
            self.save()

    def save(self, *, few: bool = False) -> None:
        """Write what was added; where the layer cannot be written, the next run reads the YAML again.

        Args:
            few: write even a few entries, if the root has many and the layer is in use already.
        """
        if self._file is None or not self._unsaved:
            return
        if len(self._content.entries) < WORTHWHILE:
            listing = self._content.listing
            many = listing is not None and len(listing.files) >= WORTHWHILE
            if not (few and many and self._file.parent.parent.is_dir()):
                return
        self._unsaved = 0
        with contextlib.suppress(OSError, CacheError):
            if self._prepare is not None:
                self._prepare()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            packed = msgspec.msgpack.encode(self._content)
            write_file(self._file, hashlib.sha256(packed).digest() + packed)
            self._saved = len(self._content.entries)


@cache
def _writer() -> str:
    """Return what an index depends on besides the catalog: this code and its version."""
    package = Path(__file__).parent.parent
    parts = ("spec/*.py", "catalog/**/*.py", "sources/*.py")
    code = sorted(path for part in parts for path in package.glob(part))
    stamps = [(str(path), stamp_of(path)) for path in code]
    digest = hashlib.sha256(repr((FORMAT, __version__, msgspec.__version__, stamps)).encode()).hexdigest()
    return digest[:32]


@cache
def _decoder() -> msgspec.msgpack.Decoder[Model]:
    from model_zoo.sources import parse_source

    def source(kind: type, value: object) -> object:
        if kind is not Source:
            raise NotImplementedError
        return parse_source(value)

    return msgspec.msgpack.Decoder(Model, dec_hook=source)
