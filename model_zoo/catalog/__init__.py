"""Catalog: YAML → model. Which models there are, and what each entry says.

Directories are listed once. A file is parsed only when its model is requested, so that one broken entry does
not affect the others, and what was parsed is kept in an index. A tree of Open Model Zoo's ``model.yml`` files
is a catalog too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.catalog.index import OMZ_NAMES, Index, find_entries, read_entry, settled_stamp_of, unique_names
from model_zoo.catalog.reader import artifacts_from, parse_model, read_model, with_labels
from model_zoo.catalog.references import (
    Reference,
    match_names,
    parse_reference,
    pick_precision,
    unknown_model,
)
from model_zoo.schema import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from model_zoo.catalog.index import Stamp
    from model_zoo.schema import Model

__all__ = [
    "OMZ_NAMES",
    "Catalog",
    "Reference",
    "artifacts_from",
    "builtin_catalog",
    "find_entries",
    "match_names",
    "parse_model",
    "parse_reference",
    "pick_precision",
    "read_entry",
    "read_model",
    "unique_names",
]


def builtin_catalog() -> Path:
    """Return the directory of the shipped catalog: inside the wheel, or next to the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_catalog"
    return installed if installed.is_dir() else package.parent / "catalog"


class Catalog:
    """Models by name, from several directories or files; a later one overrides an earlier one.

    What was read is kept, in memory and with ``index`` on disk, until the directories or the file change.

    Roots are directories or files, built-in first. ``index`` is a directory for the compiled catalog, None
    keeps it in memory only; ``prepare`` is called before that directory is written to.
    """

    def __init__(
        self, roots: Sequence[Path], index: Path | None = None, prepare: Callable[[], object] | None = None
    ) -> None:
        self.roots = tuple(roots)
        self._indexes = tuple(Index(root, index, prepare) for root in self.roots)
        self._listings: list[dict[str, Path]] = []
        self._files: dict[str, Path] = {}
        self._owners: dict[str, Index] = {}
        self._labelled: dict[Path, tuple[Model, Stamp | None, Model]] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The file of every model by name, sorted without regard to case.

        Raises:
            CatalogError: a root does not exist, or declares one name twice.
        """
        listings = [index.files for index in self._indexes]
        if [*map(id, listings)] != [*map(id, self._listings)]:
            files = {name: path for listing in listings for name, path in listing.items()}
            self._owners = {name: index for index in self._indexes for name in index.files}
            self._files = {name: files[name] for name in sorted(sorted(files), key=str.casefold)}
            self._listings = listings
        return self._files

    def names(self) -> list[str]:
        """Every model's name, sorted without regard to case."""
        return list(self.files)

    def get(self, name: str) -> Model:
        """Return one model.

        Raises:
            UnknownModelError: no catalog has it; similar names are suggested.
            CatalogError: its file is wrong.
        """
        return next(self.get_all([name]))

    def get_all(self, names: Iterable[str]) -> Iterator[Model]:
        """Yield the models of these names; the directories are checked for changes once.

        Raises:
            UnknownModelError: no catalog has one of them.
            CatalogError: the file of one is wrong.
        """
        files = self.files
        for name in names:
            path = files.get(name)
            if path is None:
                raise unknown_model(name, files)
            yield self._with_labels(self._owners[name].get(path), path)

    def _with_labels(self, model: Model, path: Path) -> Model:
        """Return the model with its labels read, from memory while neither entry nor labels changed."""
        if not (isinstance(model.labels, Labels) and model.labels.file is not None):
            return model
        stamp = settled_stamp_of(model.labels.file)
        entry, kept_stamp, kept = self._labelled.get(path, (None, None, None))
        if kept is not None and entry is model and stamp is not None and kept_stamp == stamp:
            return kept
        labelled = with_labels(model, path)
        self._labelled[path] = (model, stamp, labelled)
        return labelled

    def save(self) -> None:
        """Write the index now if the cache is in use; otherwise it is written once it is large."""
        for index in self._indexes:
            index.save()

    def __iter__(self) -> Iterator[Model]:
        """Yield every model, in the order of names."""
        return self.get_all(self.names())
