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
    "match_names",
    "parse_model",
    "parse_reference",
    "pick_precision",
    "read_model",
    "scan",
]


def builtin_catalog() -> Path:
    """Return the folder of the shipped catalog: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_catalog"
    return installed if installed.is_dir() else package.parent / "catalog"


class Catalog:
    """Models by name, from several folders or files; a later one overrides an earlier one.

    What was read is kept as long as neither the folders nor the file changed since.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self._files: dict[str, Path] = {}
        self._folders: dict[Path, int] = {}
        self._models: dict[Path, tuple[tuple[int, int], Model]] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The file of every model by name, sorted without regard to case.

        Raises:
            CatalogError: a root is not there, or declares one name twice.
        """
        if not self._folders or any(_stamp(path) != stamp for path, stamp in self._folders.items()):
            found: dict[str, Path] = {}
            folders: dict[Path, int] = {}
            for root in self.roots:
                entries, seen = scan(root)
                folders.update(seen)
                found.update(_unique_names(entries))
            self._files = dict(sorted(found.items(), key=lambda item: (item[0].casefold(), item[0])))
            self._folders = folders
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
        path = self.files.get(name)
        if path is None:
            raise unknown_model(name, self.files)
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = (0, 0)
        kept = self._models.get(path)
        if kept is None or kept[0] != stamp:
            kept = (stamp, read_model(path))
            self._models[path] = kept
        return kept[1]

    def __iter__(self) -> Iterator[Model]:
        """Yield every model, in the order of names."""
        return (self.get(name) for name in self.names())


def scan(root: Path) -> tuple[list[Path], dict[Path, int]]:
    """Return the catalog files at or below ``root``, sorted, and the folders looked at with their stamps.

    Hidden files and folders do not count.

    Raises:
        CatalogError: there is nothing at ``root``.
    """
    if root.is_file():
        return [root], {root: _stamp(root)}
    if not root.is_dir():
        what = f"{root}: there is no such catalog"
        raise CatalogError(
            what, expected="a folder or a .yaml file", hint="check --catalog and MODEL_ZOO_CATALOG"
        )
    found: list[Path] = []
    seen: dict[Path, int] = {}
    for folder, folders, files in os.walk(root):
        seen[Path(folder)] = _stamp(Path(folder))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in files if name.endswith((".yaml", ".yml")) and name[0] != "."]
    return sorted(found), seen


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _unique_names(entries: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in entries:
        other = found.setdefault(path.stem, path)
        if other is not path:
            what = f"{path}: the model {path.stem!r} is already declared in {other}"
            raise CatalogError(what, hint="give one of them another name, or put it in a catalog of its own")
    return found
