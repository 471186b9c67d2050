"""A tree of model descriptions on disk: which folder is which model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.catalog.omz.entry import Place, to_composite, to_model
from model_zoo.catalog.reader import load_yaml, read_text
from model_zoo.catalog.scan import OMZ_NAMES
from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import Model

MODEL, COMPOSITE = OMZ_NAMES


def read_omz(path: Path, root: Path) -> Model:
    """Read one ``model.yml`` or ``composite-model.yml`` of a tree.

    Args:
        path: the file.
        root: the root of the tree, which holds ``intel`` and ``public``.

    Raises:
        CatalogError: it cannot be read, or is not such a description.
    """
    text = read_text(path)
    raw = load_yaml(text, str(path))
    folder = path.parent
    if not isinstance(raw, dict):
        raise CatalogError(f"{path}: not a model description of Open Model Zoo", hint="correct the file")
    above = folder.parent
    composite = above.name if (above / COMPOSITE).is_file() else None
    place = Place(folder.name, folder.relative_to(root).as_posix(), composite, str(path))
    if path.name == MODEL:
        return to_model(raw, place, text=text)
    model = to_composite(raw, place, text=text)
    for stage in model.stages:
        if not stage.startswith(f"{folder.name}-") or not (folder / stage / MODEL).is_file():
            what = f"{path}: stages_order names {stage}, which is not a model below it"
            expected = f"a folder {folder.name}-… with a {MODEL}"
            raise CatalogError(what, expected=expected, hint="correct the file")
    return model


def models_root(folder: Path) -> Path:
    """Return the root of the tree in a checkout of Open Model Zoo, or the folder itself.

    Raises:
        CatalogError: there is no such folder.
    """
    for candidate in (folder / "models", folder):
        if candidate.is_dir():
            return candidate
    what = f"{folder}: there is no such tree of models"
    raise CatalogError(what, hint="check OMZ_ROOT or --models_root")
