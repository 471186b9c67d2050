"""Which models a command means: those of the catalogs, or those of a tree of ``model.yml`` files."""

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
    from collections.abc import Iterable, Sequence

    from model_zoo.catalog import Catalog
    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo

PRECISIONS = ("FP16", "FP16-INT1", "FP16-INT8", "FP32", "FP32-INT1", "FP32-INT8")
"""The precisions the commands know; sorted, as they print them."""
OMZ_FRAMEWORKS = {"openvino": "dldt", "tensorflow": "tf", "keras": "tf"}


@dataclass(frozen=True)
class Entry:
    """One model as the commands see it: with its stages, when it is made of several."""

    model: Model
    stages: tuple[Model, ...] = ()
    config: Path | None = None

    @property
    def parts(self) -> tuple[Model, ...]:
        """The models that have files: the stages, or the model itself."""
        return self.stages or (self.model,)


class Shelf:
    """The models that Open Model Zoo's commands know, sorted by name.

    Args:
        zoo: whose catalog they come from.
        root: a tree of ``model.yml`` files to use instead; default is ``OMZ_ROOT``, if that is set.
    """

    def __init__(self, zoo: Zoo, root: Path | None = None) -> None:
        self._zoo = zoo
        named = os.environ.get("OMZ_ROOT")
        self._root = root or (Path(named) if named else None)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog the models are in.

        Raises:
            CatalogError: there is no such tree.
        """
        if self._root is None:
            return self._zoo.catalog
        from model_zoo.catalog import Catalog
        from model_zoo.catalog.omz import models_root

        return Catalog([models_root(self._root)])

    @cached_property
    def entries(self) -> list[Entry]:
        """Composites with their stages, and everything that is no stage.

        Raises:
            CatalogError: an entry is wrong, or a composite lacks a stage.
        """
        files = self.catalog.files
        models = {name: model for name, model in self._all().items() if model.omz is not None}
        staged = {stage for model in models.values() for stage in model.stages}
        found = []
        for name, model in models.items():
            if name in staged:
                continue
            absent = [stage for stage in model.stages if stage not in models]
            if absent:
                what = f"{files[name]}: stages: no catalog has a model named {absent[0]!r}"
                raise CatalogError(what, hint="correct the name or add the model")
            found.append(Entry(model, tuple(models[stage] for stage in model.stages), files[name]))
        return sorted(found, key=lambda entry: entry.model.name)

    def _all(self) -> dict[str, Model]:
        return {model.name: model for model in self.catalog}

    def matching(self, patterns: Iterable[str]) -> list[Entry]:
        """Return the models whose names fit one of the shell patterns, in the order of the patterns.

        A stage is meant by its own name only where its composite's name does not fit.

        Raises:
            UnknownModelError: a pattern fits nothing; all such patterns are named.
        """
        chosen: dict[str, Entry] = {}
        unmatched = []
        for pattern in patterns:
            found = [one for entry in self.entries for one in self._fitting(entry, pattern)]
            if not found and pattern not in unmatched:
                unmatched.append(pattern)
            chosen |= {one.model.name: one for one in found if one.model.name not in chosen}
        if unmatched:
            what = "No matching models: " + ", ".join(f'"{one}"' for one in unmatched)
            ours = [one for one in unmatched if one in self._zoo.catalog.files]
            raise UnknownModelError(what, hint=f"model-zoo fetch {' '.join(ours)}" if ours else None)
        return list(chosen.values())

    def _fitting(self, entry: Entry, pattern: str) -> list[Entry]:
        if fnmatch.fnmatchcase(entry.model.name, pattern):
            return [entry]
        stages = [stage for stage in entry.stages if fnmatch.fnmatchcase(stage.name, pattern)]
        return [Entry(stage, (), self.catalog.files[stage.name]) for stage in stages]


def read_list(path: Path) -> list[str]:
    """Return the patterns of a list file: the first word of each line, quoted or not; ``#`` starts a comment.

    Raises:
        UsageError: the file cannot be read, or a quote in it is not closed.
    """
    try:
        words = [shlex.split(line, comments=True) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        what = f"{path}: the list of models cannot be read: {error}"
        raise UsageError(what, hint="check --list") from error
    return [line[0] for line in words if line]


def precisions_of(model: Model) -> tuple[str, ...]:
    """Return the precisions a model comes in or can be converted to, sorted as the commands print them."""
    return tuple(sorted(model.precisions))


def requested(text: str | None) -> tuple[str, ...]:
    """Read ``--precisions``: all that are known, unless some are named.

    Raises:
        UsageError: one is not known.
    """
    if text is None:
        return PRECISIONS
    wanted = set(text.split(","))
    unknown = sorted(wanted - set(PRECISIONS))
    if unknown:
        raise UsageError(f"Unknown precisions specified: {', '.join(unknown)}.")
    return tuple(sorted(wanted))


def subdirectory(model: Model) -> str:
    """Return the folder of a model's files below the output folder."""
    assert model.omz is not None  # noqa: S101 - a shelf holds no others
    return model.omz.subdirectory


def show_set(words: Sequence[str]) -> str:
    """Return words as the old commands printed a set of them: ``{'FP16', 'FP32'}``."""
    return "{" + ", ".join(f"'{word}'" for word in sorted(words)) + "}"
