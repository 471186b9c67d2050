"""Catalog: YAML → spec. Which models there are, and what each entry says.

Folders are listed once; a file is parsed only when its model is asked for, so that one broken entry
cannot stop the others, and what was parsed is kept in an index. A tree of Open Model Zoo's ``model.yml``
files is a catalog too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.catalog.index import Index
from model_zoo.catalog.reader import artifacts_from, parse_model, read_model, with_labels
from model_zoo.catalog.references import (
    Reference,
    match_names,
    parse_reference,
    pick_precision,
    unknown_model,
)
from model_zoo.catalog.scan import is_settled, name_of, read_entry, scan, stamp_of
from model_zoo.schema import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from model_zoo.catalog.scan import Stamp
    from model_zoo.schema import Model

__all__ = [
    "Catalog",
    "Reference",
    "artifacts_from",
    "builtin_catalog",
    "match_names",
    "name_of",
    "parse_model",
    "parse_reference",
    "pick_precision",
    "read_entry",
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

    What was read is kept as long as neither the folders nor the file changed since, in memory and, with
    ``index``, on disk.

    Args:
        roots: folders or files, built-in first.
        index: a folder for what was compiled; None keeps it in memory only.
        prepare: called before that folder is written to.
    """

    def __init__(
        self, roots: Sequence[Path], index: Path | None = None, prepare: Callable[[], object] | None = None
    ) -> None:
        self.roots = tuple(roots)
        self._indexes = tuple(Index(root, index, prepare) for root in self.roots)
        self._merged: tuple[list[dict[str, Path]], dict[str, Path], dict[str, Index]] = ([], {}, {})
        self._labelled: dict[Path, tuple[Model, Stamp | None, Model]] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The file of every model by name, sorted without regard to case.

        Raises:
            CatalogError: a root is not there, or declares one name twice.
        """
        return self._merge()[1]

    def _merge(self) -> tuple[list[dict[str, Path]], dict[str, Path], dict[str, Index]]:
        parts = [index.files for index in self._indexes]
        kept = self._merged
        if len(kept[0]) == len(parts) and all(a is b for a, b in zip(kept[0], parts, strict=True)):
            return kept
        found: dict[str, Path] = {}
        owners: dict[str, Index] = {}
        for index, files in zip(self._indexes, parts, strict=True):
            found.update(files)
            owners.update(dict.fromkeys(files, index))
        files = {name: found[name] for name in sorted(sorted(found), key=str.casefold)}
        self._merged = (parts, files, owners)
        return self._merged

    def names(self) -> list[str]:
        """Every model's name, sorted without regard to case."""
        return list(self.files)

    def get(self, name: str) -> Model:
        """Return one model.

        Raises:
            UnknownModelError: no catalog has it; near names are offered.
            CatalogError: its file is wrong.
        """
        return next(self.get_all([name]))

    def get_all(self, names: Iterable[str]) -> Iterator[Model]:
        """Yield the models of these names; the folders are looked at once.

        Raises:
            UnknownModelError: no catalog has one of them.
            CatalogError: the file of one is wrong.
        """
        _, files, owners = self._merge()
        for name in names:
            path = files.get(name)
            if path is None:
                raise unknown_model(name, files)
            yield self._with_labels(owners[name].get(path), path)

    def _with_labels(self, model: Model, path: Path) -> Model:
        """Return the model with its labels read, from memory while neither entry nor labels changed."""
        if not (isinstance(model.labels, Labels) and model.labels.file is not None):
            return model
        stamp = stamp_of(model.labels.file)
        kept = self._labelled.get(path)
        if kept is not None and kept[0] is model and stamp is not None and kept[1] == stamp:
            return kept[2]
        full = with_labels(model, path)
        self._labelled[path] = (model, stamp if stamp is not None and is_settled(stamp) else None, full)
        return full

    def save(self) -> None:
        """Write the index now, where the cache is in use; otherwise it is written once it is large."""
        for index in self._indexes:
            index.save()

    def __iter__(self) -> Iterator[Model]:
        """Yield every model, in the order of names."""
        return self.get_all(self.names())
