"""A tree of Open Model Zoo's descriptions → a directory of our own catalog files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog import find_entries, unique_names
from model_zoo.catalog.omz.entry import models_root, read_omz
from model_zoo.catalog.reader import read_without_labels
from model_zoo.catalog.writer import to_yaml
from model_zoo.errors import CatalogError
from model_zoo.files import as_cache_error, make_directory, write_file
from model_zoo.schema import Digest, Labels

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import Model

MANY_LABELS = 32
"""More labels than this go to a file of their own, which models with the same labels share."""


def import_tree(folder: Path, target: Path) -> list[Path]:
    """Write every model of a tree as ``target/NAME.yaml`` and return the files, sorted by name.

    ``folder`` is the tree, or a checkout that holds it as ``models``. Other files in ``target`` are left
    alone.

    Raises:
        CatalogError: there is no such tree, or a description is wrong; nothing was written.
        CacheError: the target cannot be written.
    """
    root = models_root(folder)
    entries = {
        name: path
        for name, path in unique_names(find_entries(root)[0]).items()
        if path.name.endswith("model.yml")
    }
    if not entries:
        what = f"{folder}: contains no model.yml"
        raise CatalogError(what, hint="name the folder 'models' of Open Model Zoo, or a copy of it")
    models = [read_omz(path, root) for _, path in sorted(entries.items())]
    texts: dict[str, str] = {}
    for model in models:
        texts |= _files_of(model)
    make_directory(target)
    for name, text in texts.items():
        path = target / name
        make_directory(path.parent)
        with as_cache_error(path):
            write_file(path, text.encode("utf-8"))
    written = [target / f"{model.name}.yaml" for model in models]
    for path in written:
        read_without_labels(path)
    return written


def _files_of(model: Model) -> dict[str, str]:
    """Return the text of a model's file, and of its labels where they are many, by name."""
    labels = model.labels
    if not isinstance(labels, tuple) or len(labels) <= MANY_LABELS:
        return {f"{model.name}.yaml": to_yaml(model)}
    file = f"labels/{len(labels)}-{Digest.of_json(list(labels)).hex[:8]}.txt"
    shared = msgspec.structs.replace(model, labels=Labels(file=file))
    return {f"{model.name}.yaml": to_yaml(shared), file: "".join(f"{label}\n" for label in labels)}
