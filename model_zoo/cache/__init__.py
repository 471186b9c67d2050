"""Cache: bytes stored once under their sha256, folders and IRs published by rename, layers below layers.

``layout`` says where things are, ``layers`` looks them up and publishes them, ``materialise`` and
``unpack`` turn blobs into a model's folder, ``state`` keeps notes that can be made again, ``sharing`` keeps
collectors and users apart. ``inventory`` counts, ``check`` re-hashes, ``mend`` takes away what is damaged,
``collect`` makes room, ``pins`` remembers what must stay.
"""

from __future__ import annotations

from model_zoo.cache.layout import Layer
from model_zoo.cache.materialise import materialise
from model_zoo.cache.notes import address_digest, alias_names
from model_zoo.cache.store import Cache, declaration_of

__all__ = [
    "Cache",
    "Layer",
    "address_digest",
    "alias_names",
    "declaration_of",
    "materialise",
]
