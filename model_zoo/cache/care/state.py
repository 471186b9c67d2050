"""What is wrong with the small files of a layer: notes, indexes, pins, and OpenVINO's compiled blobs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.cache.care.pins import pin_faults
from model_zoo.cache.layout import COMPLETE, DAY, NOTES, TAG, TAG_NAME
from model_zoo.cache.notes import Notes, read_alias
from model_zoo.files import (
    DIGESTS,
    exists,
    has_digest,
    hash_file,
    is_file,
    read_checked,
    read_json,
    read_sealed,
    sealed_json,
    tree_digest,
)
from model_zoo.files.read import UNREADABLE, read_bounded
from model_zoo.files.tree import regular_files, scan, walk
from model_zoo.schema import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_zoo.cache.layout import Layer
    from model_zoo.cache.notes import Derived


def state_faults(layer: Layer) -> Iterator[tuple[Path, str, str]]:
    """Compare small files with what the manifests say they must be.

    Where no kind of note is known to be complete they are not relied on, but derived when needed. Yields the
    file, what is wrong with it, and what people know it by.
    """
    tag = layer.root / TAG_NAME
    if scan(layer.root) and _bytes(tag) != TAG.encode("ascii"):
        yield tag, "the mark by which backup programs know a cache is missing or damaged", TAG_NAME
    marks = [layer.complete(notes) for notes in NOTES]
    while marks and not is_file(marks[-1]):  # they are written in this order: a kill leaves a beginning
        marks.pop()
    if marks:
        for lost in (mark for mark in marks if not is_file(mark)):
            yield lost, "the mark that no note is missing is itself missing", lost.parent.name
        derived = Notes(layer).derive()
        yield from _note_faults(layer, derived)
        yield from _other_notes(layer, derived)
    for entry in walk(layer.state):
        path = Path(entry.path)
        read = _READERS.get(path.relative_to(layer.state).parts[0])
        ours = path.name[0] != "." and path.name != COMPLETE and not entry.is_symlink()
        if ours and read is not None and read(path) is None:
            yield path, "damaged: it is not of the form of its kind", path.name
    yield from pin_faults(layer)


def _note_faults(layer: Layer, derived: Derived) -> Iterator[tuple[Path, str, str]]:
    for (kind, digest), sha256 in derived.aliases.items():
        path = layer.alias(kind, digest)
        if _bytes(path) != f"{sha256}\n".encode("ascii"):
            yield path, "the note of another name of a blob is missing or wrong", digest
    for request, keys in derived.requests.items():
        for key in keys:
            path = layer.request(request) / key
            if not exists(path):
                yield path, "the note of the request that an IR answers is missing", key
    for declaration, entries in derived.inputs.items():
        path = layer.inputs(declaration)
        if _bytes(path) not in {sealed_json(entries), msgspec.json.encode(entries)}:
            yield path, "the note of a declaration's content is missing or wrong", declaration
    for declared, alternatives in derived.resolutions.items():
        path = layer.resolution(declared)
        if read_sealed(path, list[Any]) not in alternatives:
            yield path, "the note of what floating artifacts mean is missing or wrong", declared


def _other_notes(layer: Layer, derived: Derived) -> Iterator[tuple[Path, str, str]]:
    for path in unfounded(layer, derived, age=DAY):
        yield path, "no manifest says what this note says", path.name.removesuffix(".json")
    for path, sha256 in _aliases(layer):
        kind, blob = path.parent.parent.name, layer.blob(sha256)
        if kind not in _DIGESTS or (kind, path.name) in derived.aliases or not is_file(blob):
            continue
        if _digest(blob, kind) != path.name and has_digest(blob, sha256):
            yield path, "the blob that this note names has another digest", path.name


def unfounded(layer: Layer, derived: Derived, *, age: float = 0.0) -> Iterator[Path]:
    """Yield the notes that no manifest gives, as far as they are so old (in seconds).

    Notes are written before what they are about. A resolution stands for itself: it is made before anything
    is fetched, which may be much later.
    """
    state = layer.state
    found = [p for p in _notes(state / "inputs") if p.name.removesuffix(".json") not in derived.inputs]
    requests = derived.requests
    found += [p for p in _notes(state / "requests") if p.name not in requests.get(p.parent.name, {})]
    for path, sha256 in _aliases(layer):
        if (path.parent.parent.name, path.name) not in derived.aliases and not is_file(layer.blob(sha256)):
            found.append(path)
    for path in found:
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime >= age:
                yield path


def _notes(directory: Path) -> list[Path]:
    """Return the notes of one kind; those that are being written, and links, are none."""
    found = (Path(one.path) for one in walk(directory) if one.name[0] != "." and not one.is_symlink())
    return [path for path in found if path.name != COMPLETE]


def _aliases(layer: Layer) -> Iterator[tuple[Path, str]]:
    for path in _notes(layer.state / "aliases"):
        if (sha256 := read_alias(path)) is not None:  # damaged ones are found by their form
            yield path, sha256


def _digest(path: Path, algorithm: str) -> str | None:
    try:
        return hash_file(path, [algorithm])[algorithm].hex
    except OSError:
        return None


_DIGESTS = ("sha384", "sha512")
_READERS: dict[str, Callable[[Path], object]] = {
    "aliases": read_alias,
    "inputs": lambda path: read_sealed(path, tuple[FileEntry, ...]),
    "resolutions": lambda path: read_sealed(path, list[dict[str, Any]]),
    "index": lambda path: path if path.suffix != ".counts" else read_checked(path),
    "catalogs": read_checked,
}
"""Reads a file of each kind of state; None where it is damaged."""


def compiled_faults(directory: Path) -> Iterator[tuple[Path, str]]:
    """Compare OpenVINO's compiled blobs with the digests recorded beside them."""
    blobs = {entry.name for entry, _ in regular_files(directory)} - {DIGESTS}
    known = read_json(directory / DIGESTS, dict[str, str])
    if known is None and (blobs or is_file(directory / DIGESTS)):
        yield directory / DIGESTS, "the digests of compiled blobs are missing or damaged"
    for name, digest in sorted((known or {}).items()):
        if name not in blobs:
            yield directory / name, "deleted: the file is missing"
        elif not _has_tree_digest(directory / name, digest):
            yield directory / name, "damaged: its content changed"


def _bytes(path: Path) -> bytes | None:
    try:
        return read_bounded(path)[0]
    except UNREADABLE:
        return None


def _has_tree_digest(path: Path, digest: str) -> bool:
    try:
        return tree_digest(path) == digest
    except OSError:
        return False
