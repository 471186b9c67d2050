"""A model as it lies in a downloader's output folder, which need not be what the catalog declares."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from model_zoo.errors import ConversionError
from model_zoo.files import hash_file
from model_zoo.schema import Artifact
from model_zoo.sources import parse_source

if TYPE_CHECKING:
    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo


def local_model(model: Model, folder: Path, zoo: Zoo) -> Model:
    """Return the model with what is in ``folder`` as its files.

    That is the catalog's own entry where every file is as the cache has it. Otherwise the files count as
    they are: unpacked and edited already, perhaps by somebody else.

    Args:
        model: the catalog's entry.
        folder: the folder of the model's files.
        zoo: whose cache knows what they should be.

    Raises:
        ConversionError: the files that the conversion needs are not there.
    """
    from model_zoo.zoo import Request

    known = zoo.plan_files(Request(model)).cached
    entries = {entry.path: entry for entry in known.manifest.files} if known is not None else {}
    if entries and all(_is(folder / path, entry.size, entry.sha256) for path, entry in entries.items()):
        return model
    paths = (
        sorted(entries)
        if entries and all((folder / path).is_file() for path in entries)
        else needed(model, folder)
    )
    artifacts = tuple(_artifact(folder, path) for path in paths)
    return msgspec.structs.replace(model, artifacts=artifacts, replace=())


def _is(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and hash_file(path)["sha256"].hex == sha256


def needed(model: Model, folder: Path) -> list[str]:
    """Return the files below ``folder`` that converting the model may read.

    Raises:
        ConversionError: the one it starts from is not there.
    """
    recipe = model.recipe
    start = recipe.model if recipe.builder is None else recipe.builder.weights
    if not folder.is_dir() or (start is not None and not (folder / start).exists()):
        what = f"{model.name}: {folder / (start or '')} is not there"
        raise ConversionError(what, hint=f"download it with 'omz_downloader --name {model.name}'")
    if recipe.builder is None and recipe.model is not None:
        top = folder / recipe.model
        # A graph may keep its weights in files beside it, whose names start like its own.
        beside = (
            top.parent.glob(f"{PurePosixPath(recipe.model).name.partition('.')[0]}*") if top.is_file() else ()
        )
        found = {top, *beside} if top.is_file() else set(top.rglob("*"))
    else:
        found = set(folder.rglob("*"))
    made = {folder / precision for precision in model.recipe.precisions}
    kept = [
        path for path in found if path.is_file() and not made & set(path.parents) and path.suffix != ".orig"
    ]
    return sorted(path.relative_to(folder).as_posix() for path in kept if "__pycache__" not in path.parts)


def _artifact(folder: Path, path: str) -> Artifact:
    file = (folder / path).absolute()
    return Artifact(
        path=path,
        size=file.stat().st_size,
        sha256=hash_file(file)["sha256"].hex,
        sources=(parse_source({"file": str(file)}),),
    )
