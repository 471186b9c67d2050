"""Open Model Zoo's own model descriptions: trees of ``model.yml`` and ``composite-model.yml`` as catalogs.

``entry`` turns one into a ``Model``, ``recipe`` turns converter arguments into a recipe or the reason why
there is none, and ``special_cases`` has what those arguments do not tell. A wrong
description is a CatalogError.
"""

from __future__ import annotations

from model_zoo.catalog.omz.entry import OmzOrigin, models_root, read_omz, to_model

__all__ = ["OmzOrigin", "models_root", "read_omz", "to_model"]
