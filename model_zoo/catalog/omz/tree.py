"""A tree of model descriptions on disk: which directory is which model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.catalog.omz.entry import OmzOrigin, to_composite, to_model
from model_zoo.catalog.plain_yaml import load_yaml
from model_zoo.catalog.reader import read_text
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
    directory = path.parent
    if not isinstance(raw, dict):
        raise CatalogError(f"{path}: not a model description of Open Model Zoo", hint="correct the file")
    composite = directory.parent.name if (directory.parent / COMPOSITE).is_file() else None
    origin = OmzOrigin(directory.name, directory.relative_to(root).as_posix(), composite, str(path))
    if path.name == MODEL:
        return to_model(raw, origin, text=text)
    model = to_composite(raw, origin, text=text)
    for stage in model.stages:
        if not stage.startswith(f"{directory.name}-") or not (directory / stage / MODEL).is_file():
            what = f"{path}: stages_order names {stage}, which is not a model below it"
            expected = f"a folder {directory.name}-… with a {MODEL}"
            raise CatalogError(what, expected=expected, hint="correct the file")
    return model


def models_root(directory: Path) -> Path:
    """Return the root of the tree in a checkout of Open Model Zoo, or the directory itself.

    Raises:
        CatalogError: there is no such directory.
    """
    for candidate in (directory / "models", directory):
        if candidate.is_dir():
            return candidate
    what = f"{directory}: no such tree of models"
    raise CatalogError(what, hint="check the path (OMZ_ROOT, --models_root)")
