"""A model as a downloader left it in its output directory, which may differ from the catalog's entry."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog.uri import local_artifact
from model_zoo.errors import ConversionError
from model_zoo.files import has_digest

if TYPE_CHECKING:
    from model_zoo.schema import FileEntry, Model
    from model_zoo.zoo import Zoo


def local_model(model: Model, directory: Path, zoo: Zoo) -> Model:
    """Return the model with the files in ``directory`` as its artifacts.

    This is the catalog's own entry if every file is as in the cache. Otherwise the files are taken as they
    are: unpacked and edited already, perhaps by another program.
    """
    from model_zoo.zoo import Request

    known = zoo.planner.plan_files(Request(model)).cached
    entries = {entry.path: entry for entry in known.manifest.files} if known is not None else {}
    if entries and all(_matches(directory / path, entry) for path, entry in entries.items()):
        return model
    paths = (
        sorted(entries)
        if entries and all((directory / path).is_file() for path in entries)
        else needed_files(model, directory)
    )
    artifacts = tuple(local_artifact(path, (directory / path).absolute()) for path in paths)
    return msgspec.structs.replace(model, artifacts=artifacts, replace=())


def _matches(path: Path, entry: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and has_digest(path, entry.sha256)


def needed_files(model: Model, directory: Path) -> list[str]:
    """Return the files below ``directory`` that converting the model may read."""
    recipe = model.recipe
    start = recipe.model if recipe.builder is None else recipe.builder.weights
    if not directory.is_dir() or (start is not None and not (directory / start).exists()):
        what = f"{model.name}: {directory / (start or '')} does not exist"
        raise ConversionError(what, hint=f"download it with 'omz_downloader --name {model.name}'")
    if recipe.builder is None and recipe.model is not None:
        top = directory / recipe.model
        # A graph may keep its weights in files beside it that share the start of its name.
        beside = (
            top.parent.glob(f"{PurePosixPath(recipe.model).name.partition('.')[0]}*") if top.is_file() else ()
        )
        found = {top, *beside} if top.is_file() else set(top.rglob("*"))
    else:
        found = set(directory.rglob("*"))
    made = {directory / precision for precision in model.recipe.precisions}
    kept = [
        path for path in found if path.is_file() and not made & set(path.parents) and path.suffix != ".orig"
    ]
    return sorted(path.relative_to(directory).as_posix() for path in kept if "__pycache__" not in path.parts)
