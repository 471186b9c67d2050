"""Cache: bytes stored once under their sha256, directories and IRs published by rename, layers below layers.

``layout`` says where things are, ``store`` looks them up and publishes them, ``manifest`` reads what lies
beside them. ``materialise`` and ``unpack`` turn blobs into a model's directory, ``intake`` imports what
another cache exported. ``notes`` holds what can be derived again, ``usage_lock`` keeps gc apart from users. A
look-up needs no more than these; ``care`` is what verifies, repairs and cleans up.
"""

from __future__ import annotations

from model_zoo.cache.layout import Layer
from model_zoo.cache.materialise import materialise
from model_zoo.cache.notes import address_digest, alias_names
from model_zoo.cache.proof import declaration_of
from model_zoo.cache.store import Cache

__all__ = ["Cache", "Layer", "address_digest", "alias_names", "declaration_of", "materialise"]
