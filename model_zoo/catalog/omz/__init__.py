"""Open Model Zoo's own model descriptions: trees of ``model.yml`` and ``composite-model.yml`` as catalogs.

``tree`` finds the files, ``entry`` turns one into a ``Model``, ``recipe`` turns converter arguments into a
recipe or into the reason why there is none, and ``known`` holds what those arguments alone cannot tell.
"""

from __future__ import annotations

from model_zoo.catalog.omz.entry import Place, to_composite, to_model
from model_zoo.catalog.omz.tree import models_root, read_omz

__all__ = ["Place", "models_root", "read_omz", "to_composite", "to_model"]
