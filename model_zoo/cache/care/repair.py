"""Repair, as far as that needs no catalog.

Damaged content is removed, foreign files are moved aside, notes are derived again. What then has to be
fetched or converted again is up to the caller. Only what ``verify`` found is touched, and a damaged blob is
replaced by a good copy where the cache has one.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.cache.care.gc import sweep_notes
from model_zoo.cache.care.pins import pin
from model_zoo.cache.manifest import is_named, is_whole, read_manifest
from model_zoo.cache.notes import Notes, files_manifests
from model_zoo.cache.proof import fault_of
from model_zoo.errors import CacheError, CacheReadOnlyError
from model_zoo.files import (
    READ_ONLY,
    as_cache_error,
    copy_file,
    has_digest,
    set_mode,
)
from model_zoo.schema import FilesManifest, IrManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from model_zoo.cache.care.verify import Problem
    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

_ORDER = {"foreign": 0, "state": 2}
"""What goes first, as it may be in the way; and last, as it follows from the rest."""
_GOOD = "already repaired by another process"
_log = logging.getLogger(__name__)


@dataclass
class Repaired:
    """What was done about each problem, or why nothing can be done here, and what is left to do.

    ``fetch`` and ``convert`` are the models and precisions to be fetched and converted again.
    """

    done: list[tuple[Problem, str]] = field(default_factory=list)
    fetch: set[tuple[str, str | None]] = field(default_factory=set)
    convert: set[tuple[str, str]] = field(default_factory=set)
    left: list[tuple[Problem, str]] = field(default_factory=list)


def repair(
    cache: Cache,
    problems: Iterable[Problem],
    *,
    on_wait: Callable[[str], None] | None = None,
    timeout: float = 3600.0,
) -> Repaired:
    """Remove what is damaged, while nobody uses the cache; raises as ``Cache.exclusive``."""
    repaired = Repaired()
    with contextlib.ExitStack() as trash, cache.exclusive(on_wait, timeout=timeout):
        run = _Repair(cache.writable, trash.enter_context(cache.staging("gc")), repaired)
        for problem in sorted(problems, key=lambda problem: _ORDER.get(problem.subject, 1)):
            try:
                if problem.layer != cache.top:
                    what = "it is in a read-only layer"
                    raise CacheReadOnlyError(what, hint="repair it in the cache that layer comes from")
                run.repair(problem)
            except CacheError as error:  # the others can still be repaired
                repaired.left.append((problem, "; ".join(filter(None, (error.what, error.hint)))))
        run.derive_notes()
    return repaired


class _Repair:
    """The state of one run: ``repaired`` is filled in."""

    def __init__(self, layer: Layer, trash: Path, repaired: Repaired) -> None:
        self.layer = layer
        self.trash = trash
        self.repaired = repaired
        self._count = 0
        self._notes = False

    def repair(self, problem: Problem) -> None:
        done = {
            "blob": self._blob,
            "files": self._files,
            "ir": self._ir,
            "env": self._env,
            "compiled": self._compiled,
            "foreign": self._foreign,
            "state": self._state,
        }[problem.subject](problem)
        _log.info("%s: %s: %s", problem.path, problem.cause, done)
        self.repaired.done.append((problem, done))

    def _blob(self, problem: Problem) -> str:
        path = self.layer.check_own(self.layer.blob(problem.name))
        if has_digest(path, problem.name):
            return _GOOD
        good = self._copy_of(problem.spare, problem.name) if problem.spare else None
        # first what may share the bad bytes, then the blob: killed in between, what is left is a known fault
        for directory, stored in list(files_manifests(self.layer)):
            if problem.name not in stored.manifest.blobs:
                continue
            if good is None or not _is_sound(self.layer, directory, FilesManifest):
                self._drop(directory)
                self.repaired.fetch.add((directory.parent.name, stored.manifest.precision))
        if good is None:
            self._drop(path)
            return "removed, to be fetched again" if problem.model else "removed; no model uses it"
        with as_cache_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drop(path)
            system.replace(good, path)
            system.flush_directory(path.parent)
        return "restored from a good copy in the cache"

    def _copy_of(self, spare: Path, sha256: str) -> Path | None:
        """Copy a file of the cache into the trash, if it has the content of a blob."""
        copy = self.trash / f"spare-{sha256}"
        with as_cache_error(copy):
            try:
                copy_file(spare, copy)
            except FileNotFoundError:
                return None
            if not has_digest(copy, sha256):
                return None
            set_mode(copy, READ_ONLY)
            system.flush_file(copy)
        return copy

    def _files(self, problem: Problem) -> str:
        model, _, declaration = problem.name.partition("/")
        directory = self.layer.files(model, declaration)
        if _is_sound(self.layer, directory, FilesManifest):
            return _GOOD
        self._drop(directory)
        self.repaired.fetch.add((model, problem.precision))
        return "removed, to be assembled again"

    def _ir(self, problem: Problem) -> str:
        directory = self.layer.ir(problem.name)
        if _is_sound(self.layer, directory, IrManifest):
            return _GOOD
        self._drop(directory)
        if problem.model and problem.precision:
            self.repaired.convert.add((problem.model, problem.precision))
            return "removed, to be converted again"
        return "removed; its model is unknown, so the next 'convert' of that model makes it again"

    def _env(self, problem: Problem) -> str:
        self._drop(self.layer.envs / problem.name)
        return "removed; the next conversion that needs it builds it again"

    def _compiled(self, problem: Problem) -> str:
        self._drop(problem.path.parent)
        return "removed; the next load compiles it again"

    def _foreign(self, problem: Problem) -> str:
        if not os.path.lexists(problem.path):
            return "removed together with its directory"
        directory = self.layer.check_own(self.layer.foreign)
        target = directory / f"{os.urandom(4).hex()}-{problem.path.name}"
        with as_cache_error(target):
            directory.mkdir(parents=True, exist_ok=True)
            self.layer.check_own(problem.path.parent)
            system.rename(problem.path, target)
        return f"moved to {target}"

    def _state(self, problem: Problem) -> str:
        self._drop(problem.path)
        if problem.path.parent in {self.layer.pins, self.layer.pin_twins}:
            self._drop(self.layer.pins / problem.path.name)
            model, _, precision = problem.path.name.partition("@")
            pin(self.layer, model, precision or None)
            return "written again"
        self._notes = True
        return "removed, to be derived again"

    def derive_notes(self) -> None:
        """Write again the notes that were removed, as far as they follow from the manifests."""
        if self._notes:
            self.layer.prepare()
            sweep_notes(self.layer)
            notes = Notes(self.layer)
            notes.write(notes.derive())

    def _drop(self, path: Path) -> None:
        """Move a file or directory into the trash, if it is still there."""
        self._count += 1
        self.layer.check_own(path.parent)
        try:
            system.rename(path, self.trash / str(self._count))
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"cannot move {path}: {error.strerror}"
            raise CacheError(what, hint="close the programs that use it and run again") from error


def _is_sound(layer: Layer, directory: Path, kind: type[FilesManifest | IrManifest]) -> bool:
    """Whether a published directory is all that its manifest says, content included."""
    stored = read_manifest(directory, kind, check=True)
    if stored is None or not stored.sealed or not layer.owns(directory):
        return False
    entries = stored.manifest.entries
    if isinstance(stored.manifest, FilesManifest) and fault_of(directory, stored.manifest, layer.blob):
        return False
    return (
        is_named(directory, stored.manifest)
        and is_whole(str(layer.root), str(directory), entries)
        and all(has_digest(directory / entry.path, entry.sha256) for entry in entries)
    )
