"""Cache: bytes stored once under their sha256, folders and IRs published by rename, layers below layers.

``layout`` says where things are, ``layers`` looks them up and publishes them, ``materialise`` and
``unpack`` turn blobs into a model's folder.
"""

from __future__ import annotations

from model_zoo.cache.layers import IR_MANIFEST, Cache, address_digest, alias_names, declaration_of
from model_zoo.cache.layout import Layer
from model_zoo.cache.materialise import materialise

__all__ = ["IR_MANIFEST", "Cache", "Layer", "address_digest", "alias_names", "declaration_of", "materialise"]
