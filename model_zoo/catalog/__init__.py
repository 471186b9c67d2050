"""Catalog: YAML → spec. Which models there are, and what each entry says.

Folders are listed once; a file is parsed only when its model is asked for, so that one broken entry
cannot stop the others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.catalog.reader import parse_model, read_model
from model_zoo.catalog.select import (
    Reference,
    match_names,
    parse_reference,
    pick_precision,
    unknown_model,
)
from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.spec import Model

__all__ = [
    "Catalog",
    "Reference",
    "builtin_catalog",
    "entry_files",
    "match_names",
    "parse_model",
    "parse_reference",
    "pick_precision",
    "read_model",
]


def builtin_catalog() -> Path:
    """Return the folder of the shipped catalog: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_catalog"
    return installed if installed.is_dir() else package.parent / "catalog"


class Catalog:
    """Models by name, from several folders or files; a later one overrides an earlier one."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self._files: dict[str, Path] | None = None
        self._models: dict[str, Model] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The file of every model, by name, sorted."""
        if self._files is None:
            found: dict[str, Path] = {}
            for root in self.roots:
                found.update(_unique_names(root))
            self._files = dict(sorted(found.items(), key=lambda item: (item[0].casefold(), item[0])))
        return self._files

    def names(self) -> list[str]:
        """Every model's name, sorted without regard to case."""
        return list(self.files)

    def get(self, name: str) -> Model:
        """Return one model.

        Raises:
            UnknownModelError: no catalog has it; near names are offered.
            CatalogError: its file is wrong.
        """
        if name not in self._models:
            path = self.files.get(name)
            if path is None:
                raise unknown_model(name, self.files)
            self._models[name] = read_model(path)
        return self._models[name]

    def __iter__(self) -> Iterator[Model]:
        """Yield every model, in the order of names."""
        return (self.get(name) for name in self.names())


def entry_files(root: Path) -> list[Path]:
    """Return the catalog files at or below ``root``, sorted; hidden ones do not count.

    Raises:
        CatalogError: there is nothing at ``root``.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        what = f"{root}: there is no such catalog"
        raise CatalogError(
            what, expected="a folder or a .yaml file", hint="check --catalog and MODEL_ZOO_CATALOG"
        )
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in files if name.endswith((".yaml", ".yml")) and name[0] != "."]
    return sorted(found)


def _unique_names(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in entry_files(root):
        other = found.setdefault(path.stem, path)
        if other is not path:
            what = f"{path}: the model {path.stem!r} is already declared in {other}"
            raise CatalogError(what, hint="give one of them another name, or put it in a catalog of its own")
    return found
