"""Sources: where model files come from, one module per kind.

``base.py`` is the whole plug-in contract. A kind is recognised by its own key (``url:``, ``wheel:`` …);
kinds from other packages register under the entry-point group ``model_zoo.sources``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

from model_zoo.schema import Source
from model_zoo.sources.base import BundleLocation, HttpLocation, LocalLocation, LocatedSource, Location

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from model_zoo.schema import Artifact, Integrity

LEVELS: tuple[Integrity, ...] = ("pinned", "revision", "prefix", "first-use")
ENTRY_POINT_GROUP = "model_zoo.sources"

KINDS = {
    "url": "model_zoo.sources.url:UrlSource",
    "file": "model_zoo.sources.file:FileSource",
    "gdrive": "model_zoo.sources.gdrive:GdriveSource",
    "wheel": "model_zoo.sources.wheel:WheelSource",
    "oci": "model_zoo.sources.oci.source:OciSource",
    "hf": "model_zoo.sources.hf.source:HfSource",
    "tfhub": "model_zoo.sources.tfhub:TfhubSource",
    "torchvision": "model_zoo.sources.torchvision:TorchvisionSource",
}

__all__ = [
    "BundleLocation",
    "HttpLocation",
    "LocalLocation",
    "LocatedSource",
    "Location",
    "integrity_of",
    "kind_of",
    "parse_source",
    "source_hook",
]

_loaded: dict[str, type[LocatedSource]] = {}


def known_names() -> list[str]:
    """Return the key of every kind, sorted, without importing any of them."""
    return sorted({*KINDS, *(point.name for point in _third_party())})


def _third_party() -> EntryPoints:
    """Return the kinds that other packages registered."""
    from importlib.metadata import entry_points  # a tenth of start-up, and rarely needed

    return entry_points(group=ENTRY_POINT_GROUP)


def kind_of(name: str) -> type[LocatedSource]:
    """Import one kind by its key; ValueError where no such kind is registered."""
    if name not in _loaded:
        if name in KINDS:
            module, _, attribute = KINDS[name].partition(":")
            _loaded[name] = getattr(import_module(module), attribute)
        else:
            points = [point for point in _third_party() if point.name == name]
            if not points:
                raise ValueError(f"unknown source kind {name!r}")
            _loaded[name] = points[0].load()
    return _loaded[name]


def parse_source(raw: object) -> LocatedSource:
    """Build the source that a mapping in a catalog describes.

    An ordinary field of one kind may be the key of another (``hf`` has ``file``); the kind is the one whose
    fields cover the whole mapping. A ValueError says what is wrong with the mapping, and names the field.
    """
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise ValueError("a source is a mapping such as {url: …}")
    found = [kind_of(key) for key in raw if key in KINDS]
    if not any(raw.keys() <= _fields(kind) for kind in found):
        names = known_names()
        found = [kind_of(key) for key in raw if key in names]
    if not found:
        raise ValueError(f"no known source kind in {{{', '.join(raw)}}}; known: {', '.join(known_names())}")
    owners = [kind for kind in found if not any(kind.kind in _fields(k) for k in found if k is not kind)]
    if len(owners) > 1:
        raise ValueError(f"a source is one kind, not several: {', '.join(kind.kind for kind in owners)}")
    try:
        return msgspec.convert(raw, owners[0])
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        raise ValueError(f"{field}: {what}" if field else what) from error


@cache
def _fields(kind: type[LocatedSource]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def source_hook(kind: type, value: object) -> LocatedSource:
    """Build the abstract ``Source`` of a struct's field, as msgspec asks for it."""
    if kind is not Source:
        raise NotImplementedError
    return parse_source(value)


def floating_sources(artifact: Artifact) -> list[LocatedSource]:
    """Return the sources that must be asked what their address means now, before anything is fetched."""
    return [source for source in artifact.sources if source.floating and isinstance(source, LocatedSource)]


def integrity_of(artifact: Artifact) -> Integrity:
    """Return how firmly an artifact's content is fixed: as declared, else as its weakest source does."""
    if artifact.digests:
        return "pinned"
    if artifact.integrity:
        return artifact.integrity
    levels = [s.integrity for s in artifact.sources if isinstance(s, LocatedSource)]
    return max(levels, key=LEVELS.index, default="first-use")
