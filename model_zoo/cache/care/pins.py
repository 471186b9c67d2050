"""Pins: references whose files and IRs gc never removes.

Each pin is a small file. Unlike a note, it could not be derived again from anything. Pinning and unpinning
raise a CacheError where the layer cannot be written.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec

from model_zoo.files import as_cache_error, exists, write_file
from model_zoo.files.tree import scan

if TYPE_CHECKING:
    from model_zoo.cache.layout import Layer


def pins(layer: Layer) -> dict[str, set[str] | None]:
    """Return what is pinned: model → its pinned precisions, or None where the whole model is."""
    found: dict[str, set[str] | None] = {}
    for name in (entry.name for entry in scan(layer.pins) if entry.name[0] != "."):
        model, _, precision = name.partition("@")
        if not precision:
            found[model] = None
        elif (precisions := found.setdefault(model, set())) is not None:
            precisions.add(precision)
    return found


def pin(layer: Layer, model: str, precision: str | None) -> bool:
    """Pin a model, or one precision of it; return False if it was pinned already."""
    path = layer.check_own(layer.pins) / _name(model, precision)
    if exists(path):
        return False
    with as_cache_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, msgspec.json.encode({"pinned": int(time.time())}))
    return True


def unpin(layer: Layer, model: str, precision: str | None) -> bool:
    """Remove a pin, or with ``precision`` None all pins of the model; return False if there was none."""
    directory = layer.check_own(layer.pins)
    names = {_name(model, precision)}
    if precision is None:
        names |= {entry.name for entry in scan(directory) if entry.name.startswith(f"{model}@")}
    removed = False
    for name in sorted(names):
        path = directory / name
        with as_cache_error(path), contextlib.suppress(FileNotFoundError):
            path.unlink()
            removed = True
    return removed


def is_pinned(found: dict[str, set[str] | None], model: str, precision: str | None = None) -> bool:
    """Whether a model's files (``precision`` None), or its IR of one precision, must stay."""
    if model not in found:
        return False
    precisions = found[model]
    return precisions is None or precision is None or precision in precisions


def _name(model: str, precision: str | None) -> str:
    return f"{model}@{precision}" if precision else model
