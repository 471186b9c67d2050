"""``shelf: NAME``: files on the shelf that MODEL_ZOO_SHELF names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from model_zoo.errors import SourceUnavailableError
from model_zoo.sources import LocalLocation, LocatedSource

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


class ShelfSource(LocatedSource, frozen=True, kw_only=True):
    """A file on the shelf."""

    kind: ClassVar[str] = "shelf"
    online: ClassVar[bool] = False
    shelf: str

    def locate(self, artifact: Artifact, settings: Settings) -> LocalLocation:
        """Say where on the shelf it is."""
        path = Path(os.environ.get("MODEL_ZOO_SHELF", ".")) / self.shelf
        if not path.is_file():
            what = f"{artifact.path}: the shelf has no {self.shelf}"
            raise SourceUnavailableError(what, hint="set MODEL_ZOO_SHELF")
        return LocalLocation(path)

    def describe(self) -> str:
        """Return the name on the shelf."""
        return f"shelf {self.shelf}"
