"""What is wrong with the small files of a layer: notes, indexes, pins, and OpenVINO's compiled blobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.cache.layout import COMPLETE, NOTES, TAG, TAG_NAME
from model_zoo.cache.notes import Notes, read_alias
from model_zoo.files import DIGESTS, exists, is_file, read_checked, read_json, tree_digest
from model_zoo.files.read import UNREADABLE, read_bounded
from model_zoo.files.tree import regular_files, scan, walk
from model_zoo.schema import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model_zoo.cache.layout import Layer


def state_faults(layer: Layer) -> Iterator[tuple[Path, str, str]]:
    """Compare small files with what the manifests say they must be; well-formed extra ones may stay.

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
        yield from _note_faults(layer)
    for entry in walk(layer.state):
        path = Path(entry.path)
        read = _READERS.get(path.relative_to(layer.state).parts[0])
        ours = path.name[0] != "." and path.name != COMPLETE and not entry.is_symlink()
        if ours and read is not None and read(path) is None:
            yield path, "damaged: it is not of the form of its kind", path.name
    for entry, _ in regular_files(layer.pins) if layer.owns(layer.pins) else ():
        if read_json(entry.path, dict[str, int]) is None:
            yield Path(entry.path), "the content of a pin is damaged", entry.name


def _note_faults(layer: Layer) -> Iterator[tuple[Path, str, str]]:
    derived = Notes(layer).derive()
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
        if _bytes(path) != msgspec.json.encode(entries):
            yield path, "the note of a declaration's content is missing or wrong", declaration
    for declared, alternatives in derived.resolutions.items():
        path = layer.resolution(declared)
        if read_json(path, list[Any]) not in alternatives:
            yield path, "the note of what floating artifacts mean is missing or wrong", declared


_READERS: dict[str, Callable[[Path], object]] = {
    "aliases": read_alias,
    "inputs": lambda path: read_json(path, tuple[FileEntry, ...]),
    "resolutions": lambda path: read_json(path, list[dict[str, Any]]),
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
