"""Pins: references whose files and IRs gc never removes.

Each pin is a small file. Unlike a note, it could not be derived again from anything, so each has a twin in
``state-v1``: an empty file of the same name, written before the pin and removed before it. By its twin a lost
pin is found, and still counts. Pinning and unpinning raise a CacheError where the layer cannot be written.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec

from model_zoo.cache.notes import write_twins
from model_zoo.files import as_cache_error, exists, read_json, write_file
from model_zoo.files.read import read_bounded
from model_zoo.files.tree import regular_files, scan
from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.cache.layout import Layer


class _Pin(msgspec.Struct):
    pinned: int
    seal: str | None = None


def pins(layer: Layer) -> dict[str, set[str] | None]:
    """Return what is pinned: model → its pinned precisions, or None where the whole model is."""
    found: dict[str, set[str] | None] = {}
    names = {entry.name for root in (layer.pins, layer.pin_twins) for entry in scan(root)}
    for name in sorted(name for name in names if name[0] != "."):
        model, _, precision = name.partition("@")
        if not precision:
            found[model] = None
        elif (precisions := found.setdefault(model, set())) is not None:
            precisions.add(precision)
    return found


def pin(layer: Layer, model: str, precision: str | None) -> bool:
    """Pin a model, or one precision of it; return False if it was pinned already."""
    name = _name(model, precision)
    path, twin = layer.check_own(layer.pins) / name, layer.check_own(layer.pin_twins) / name
    if exists(path):
        return False
    with as_cache_error(path):
        write_twins(layer)
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.touch()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _content(name, int(time.time())))
    return True


def unpin(layer: Layer, model: str, precision: str | None) -> bool:
    """Remove a pin, or with ``precision`` None all pins of the model; return False if there was none."""
    directory, twins = layer.check_own(layer.pins), layer.check_own(layer.pin_twins)
    names = {_name(model, precision)}
    if precision is None:
        there = {entry.name for root in (directory, twins) for entry in scan(root)}
        names |= {name for name in there if name.startswith(f"{model}@")}
    removed = False
    for path in [root / name for name in sorted(names) for root in (twins, directory)]:
        with as_cache_error(path), contextlib.suppress(FileNotFoundError):
            path.unlink()
            removed = True
    return removed


def pin_faults(layer: Layer) -> Iterator[tuple[Path, str, str]]:
    """Yield each pin that is damaged or lost, as ``state_faults`` does.

    Pins of versions that knew neither seals nor twins have none.
    """
    if not (layer.owns(layer.pins) and layer.owns(layer.pin_twins)):
        return
    twins = {entry.name for entry, _ in regular_files(layer.pin_twins)}
    has_twins = exists(layer.pin_twins)  # else somebody removed all that can be derived
    found = {entry.name for entry, _ in regular_files(layer.pins) if entry.name[0] != "."}
    for name in sorted(found):
        path = layer.pins / name
        pinned = read_json(path, _Pin)
        if pinned is None or read_bounded(path)[0] not in {
            _content(name, pinned.pinned),
            _old(pinned.pinned),
        }:
            yield path, "the content of a pin is damaged", name
        elif pinned.seal is not None and name not in twins and has_twins:
            yield layer.pin_twins / name, "the second copy of a pin is missing", name
    for name in sorted(twins - found):
        yield layer.pins / name, "the pin is missing", name


def _content(name: str, pinned: int) -> bytes:
    """Return a pin: when it was made, in seconds since 1970, and the digest of that and of its name."""
    return msgspec.json.encode(_Pin(pinned, Digest.of_json([name, pinned]).hex))


def _old(pinned: int) -> bytes:
    return msgspec.json.encode({"pinned": pinned})


def is_pinned(found: dict[str, set[str] | None], model: str, precision: str | None = None) -> bool:
    """Whether a model's files (``precision`` None), or its IR of one precision, must stay."""
    if model not in found:
        return False
    precisions = found[model]
    return precisions is None or precision is None or precision in precisions


def _name(model: str, precision: str | None) -> str:
    return f"{model}@{precision}" if precision else model
