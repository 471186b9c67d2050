"""Which models a command selects: from the catalogs, or from a tree of ``model.yml`` files."""

from __future__ import annotations

import fnmatch
import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import CatalogError, UnknownModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.catalog import Catalog
    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo

PRECISIONS = ("FP16", "FP16-INT1", "FP16-INT8", "FP32", "FP32-INT1", "FP32-INT8")
"""The precisions that the commands know, sorted as they print them."""


@dataclass(frozen=True)
class Entry:
    """One model as the commands see it, with its stages if it is a composite."""

    model: Model
    file: Path
    stages: tuple[Entry, ...] = ()

    @property
    def parts(self) -> tuple[Model, ...]:
        """The models that have files: the stages, or else the model itself."""
        return tuple(stage.model for stage in self.stages) or (self.model,)


class OmzCatalog:
    """The models that the commands of Open Model Zoo know, sorted by name.

    They are those of the zoo's catalog, or of ``root``, a tree of ``model.yml`` files (default: ``OMZ_ROOT``,
    if set).
    """

    def __init__(self, zoo: Zoo, root: Path | None = None) -> None:
        self._zoo = zoo
        named = os.environ.get("OMZ_ROOT")
        self._root = root or (Path(named) if named else None)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog that contains the models; CatalogError if there is no such tree."""
        if self._root is None:
            return self._zoo.catalog
        from model_zoo.catalog import Catalog
        from model_zoo.catalog.omz import models_root

        return Catalog([models_root(self._root)])

    @cached_property
    def entries(self) -> list[Entry]:
        """Composites with their stages, and every model that is not a stage."""
        files = self.catalog.files
        single = {model.name: Entry(model, files[model.name]) for model in self.catalog if model.omz}
        staged = {stage for entry in single.values() for stage in entry.model.stages}
        found = []
        for name in sorted(single.keys() - staged):
            model = single[name].model
            missing = [stage for stage in model.stages if stage not in single]
            if missing:
                what = f"{files[name]}: stages: no catalog has a model named {missing[0]!r}"
                raise CatalogError(what, hint="correct the name or add the model")
            found.append(Entry(model, files[name], tuple(single[stage] for stage in model.stages)))
        return found

    def vouches_for(self, model: Model) -> bool:
        """Whether a model is of the shipped catalog, with a full digest for each file: its code may run."""
        from model_zoo.catalog import builtin_catalog
        from model_zoo.sources import integrity_of

        file = Path(self.catalog.files[model.name]).resolve()
        shipped = file.is_relative_to(builtin_catalog().resolve())
        return shipped and all(integrity_of(artifact) == "pinned" for artifact in model.artifacts)

    def matching(self, patterns: Iterable[str]) -> list[Entry]:
        """Return the models whose names match one of the shell patterns, in the order of the patterns.

        A stage is selected by its own name only if the name of its composite does not match.

        Raises:
            UnknownModelError: a pattern matches nothing; all such patterns are named.
        """
        selected: dict[str, Entry] = {}
        unmatched = []
        for pattern in patterns:
            found = [match for entry in self.entries for match in _matching(entry, pattern)]
            if not found and pattern not in unmatched:
                unmatched.append(pattern)
            for match in found:
                selected.setdefault(match.model.name, match)
        if unmatched:
            what = "No matching models: " + ", ".join(f'"{pattern}"' for pattern in unmatched)
            ours = [pattern for pattern in unmatched if pattern in self._zoo.catalog.files]
            raise UnknownModelError(what, hint=f"model-zoo fetch {' '.join(ours)}" if ours else None)
        return list(selected.values())


def _matching(entry: Entry, pattern: str) -> list[Entry]:
    if fnmatch.fnmatchcase(entry.model.name, pattern):
        return [entry]
    return [stage for stage in entry.stages if fnmatch.fnmatchcase(stage.model.name, pattern)]


def read_list(path: Path) -> list[str]:
    """Return the patterns in a list file: the first word of each line, perhaps quoted; ``#`` is a comment."""
    try:
        words = [shlex.split(line, comments=True) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        what = f"{path}: the list of models cannot be read: {error}"
        raise UsageError(what, hint="check --list") from error
    return [line[0] for line in words if line]


def parse_precisions(text: str | None) -> tuple[str, ...]:
    """Parse ``--precisions``; the default is all that are known."""
    if text is None:
        return PRECISIONS
    requested = set(text.split(","))
    unknown = sorted(requested - set(PRECISIONS))
    if unknown:
        raise UsageError(f"Unknown precisions specified: {', '.join(unknown)}.")
    return tuple(sorted(requested))


def subdirectory(model: Model) -> str:
    """Return the directory of a model's files below the output directory."""
    assert model.omz is not None  # noqa: S101 - the catalog contains no others
    return model.omz.subdirectory
