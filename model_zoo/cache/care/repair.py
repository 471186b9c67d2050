"""Repair, as far as that needs no catalog.

What is damaged goes, what is foreign is moved aside, notes are made again. What then has to be fetched or
converted again is the caller's to do. Only what ``check`` found is touched, and a good copy of a damaged blob
is used before anything is dropped.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.cache.care.gc import sweep_notes
from model_zoo.cache.care.verify import is_sound
from model_zoo.cache.manifest import IR_MANIFEST, digests_of
from model_zoo.cache.notes import Notes, files_manifests
from model_zoo.errors import CacheError
from model_zoo.files import as_cache_error, copy_file, fsync_file, fsync_folder, hash_file, set_mode
from model_zoo.schema import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from model_zoo.cache.care.verify import Problem
    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

READ_ONLY = 0o444
_GOOD = "is good again: somebody was faster"


@dataclass
class Mended:
    """What was done, and what is left to do.

    Attributes:
        done: each problem with what was done about it.
        fetch: models, with the precision whose files were there, to be fetched again.
        convert: models and precisions to be converted again.
        left: each problem that cannot be mended here, with the reason.
    """

    done: list[tuple[Problem, str]] = field(default_factory=list)
    fetch: set[tuple[str, str | None]] = field(default_factory=set)
    convert: set[tuple[str, str]] = field(default_factory=set)
    left: list[tuple[Problem, str]] = field(default_factory=list)


def mend(
    cache: Cache,
    problems: Iterable[Problem],
    *,
    on_wait: Callable[[str], None] | None = None,
    timeout: float = 3600.0,
) -> Mended:
    """Take away what is damaged, while nobody uses the cache.

    Raises:
        LockTimeoutError: somebody used the cache for too long.
        CacheError: the layer cannot be written.
    """
    mended = Mended()
    with contextlib.ExitStack() as trash, cache.exclusive(on_wait, timeout=timeout):
        mending = _Mending(cache.writable, trash.enter_context(cache.staging("gc")), mended)
        for problem in sorted(problems, key=lambda problem: problem.subject == "state"):
            if problem.layer == cache.top:
                mending.do(problem)
            else:
                mended.left.append(
                    (problem, "it is in a layer that is only read; mend it where that is made")
                )
    return mended


class _Mending:
    def __init__(self, layer: Layer, trash: Path, mended: Mended) -> None:
        self.layer = layer
        self.trash = trash
        self.mended = mended
        self._count = 0
        self._notes = False

    def do(self, problem: Problem) -> None:
        done = {
            "blob": self._blob,
            "files": self._files,
            "ir": self._ir,
            "env": self._env,
            "foreign": self._foreign,
            "state": self._state,
        }[problem.subject](problem)
        self.mended.done.append((problem, done))

    def _blob(self, problem: Problem) -> str:
        path = self.layer.check_own(self.layer.blob(problem.name))
        if _has_digest(path, problem.name):
            return _GOOD
        good = self._copy_of(problem.spare, problem.name) if problem.spare else None
        # first what may share the bad bytes, then the blob: killed in between, what is left is a known fault
        for model, declaration, manifest, _ in list(files_manifests(self.layer)):
            folder = self.layer.files(model, declaration)
            if problem.name not in digests_of(manifest):
                continue
            if good is None or not is_sound(self.layer, folder, MANIFEST_NAME):
                precision = manifest.get("precision")
                self._drop(folder)
                self.mended.fetch.add((model, precision if isinstance(precision, str) else None))
        if good is None:
            self._drop(path)
            return "removed, to be fetched again" if problem.model else "removed; nothing stands on it"
        with as_cache_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drop(path)
            good.replace(path)
            fsync_folder(path.parent)
        return "restored from a good copy in the cache"

    def _copy_of(self, spare: Path, sha256: str) -> Path | None:
        """Copy other bytes of the cache into the trash, if they are those of a blob."""
        copy = self.trash / f"spare-{sha256}"
        with as_cache_error(copy):
            try:
                copy_file(spare, copy)
            except FileNotFoundError:
                return None
            if not _has_digest(copy, sha256):
                return None
            set_mode(copy, READ_ONLY)
            fsync_file(copy)
        return copy

    def _files(self, problem: Problem) -> str:
        model, _, declaration = problem.name.partition("/")
        folder = self.layer.files(model, declaration)
        if is_sound(self.layer, folder, MANIFEST_NAME):
            return _GOOD
        self._drop(folder)
        self.mended.fetch.add((model, problem.precision))
        return "removed, to be put together again"

    def _ir(self, problem: Problem) -> str:
        folder = self.layer.ir(problem.name)
        if is_sound(self.layer, folder, IR_MANIFEST):
            return _GOOD
        self._drop(folder)
        if problem.model and problem.precision:
            self.mended.convert.add((problem.model, problem.precision))
            return "removed, to be converted again"
        return "removed; what it was made from is not known, the next convert makes it again"

    def _env(self, problem: Problem) -> str:
        self._drop(self.layer.envs / problem.name)
        return "removed; the next conversion in it builds it again"

    def _foreign(self, problem: Problem) -> str:
        if not os.path.lexists(problem.path):
            return "gone with what it was in"
        folder = self.layer.check_own(self.layer.foreign)
        target = folder / f"{os.urandom(4).hex()}-{problem.path.name}"
        with as_cache_error(target):
            folder.mkdir(parents=True, exist_ok=True)
            self.layer.check_own(problem.path.parent)
            problem.path.rename(target)
        return f"moved to {target}"

    def _state(self, problem: Problem) -> str:
        del problem
        if not self._notes:
            sweep_notes(self.layer)
            notes = Notes(self.layer)
            notes.write(notes.derive())
            self._notes = True
        return "noted again"

    def _drop(self, path: Path) -> None:
        """Move something into the trash, if it is still there."""
        self._count += 1
        self.layer.check_own(path.parent)
        try:
            path.rename(self.trash / str(self._count))
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"cannot move {path}: {error.strerror}"
            raise CacheError(what, hint="close the programs that use it and run again") from error


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        return hash_file(path)["sha256"].hex == sha256
    except OSError:
        return False
