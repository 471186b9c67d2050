"""gc and rm: decide what to remove, then remove it so that a kill at any moment does no harm.

``plan_gc`` and ``plan_rm`` decide from a scan. ``apply`` renames each chosen item into a trash directory
while no process uses the cache, and deletes the trash afterwards. What a killed run leaves in the trash, the
next one deletes.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.cache.care.open_files import open_files_below
from model_zoo.cache.care.pins import is_pinned, pins
from model_zoo.cache.care.scan import Inode, Item, Scan, without_cyclic_gc
from model_zoo.cache.care.state import unfounded
from model_zoo.cache.layout import COMPLETE, DAY
from model_zoo.cache.notes import Notes, read_alias
from model_zoo.errors import CacheError, CacheFullError, CacheMissError, LockTimeoutError
from model_zoo.files import is_file
from model_zoo.files.lock import lock
from model_zoo.files.tree import regular_files, remove_tree, walk
from model_zoo.schema import EnvironmentManifest, FilesManifest, IrManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

PARTIAL_GRACE = 7 * DAY
"""How long an unfinished transfer is kept so that a later run can resume it."""
BLOB_GRACE = 3600.0
"""How long a blob that no model uses is kept: it may have just arrived."""
ENV_GRACE = 30 * DAY
"""How long an unused converter environment is kept: it is built again within minutes."""
_RANK = {"compiled": 0, "env": 1, "partial": 2, "staging": 2, "blob": 3, "ir": 4, "files": 5}
"""What is removed first of items last used at the same time: the cheapest to make again."""
_log = logging.getLogger(__name__)


@dataclass
class Removal:
    """One item to remove: why, and how many bytes that frees."""

    item: Item
    why: str
    size: int


@dataclass
class Removals:
    """What to remove, what is over the budget but kept, and the bytes before and after."""

    layer: Layer
    before: int
    budget: int | None = None
    removals: list[Removal] = field(default_factory=list)
    kept: list[tuple[Item, str]] = field(default_factory=list)
    locks: int = 0

    @property
    def freed(self) -> int:
        """Bytes that become free."""
        return sum(removal.size for removal in self.removals)

    @property
    def after(self) -> int:
        """Bytes that remain."""
        return self.before - self.freed

    @property
    def over(self) -> int:
        """Bytes that remain beyond the budget."""
        return max(0, self.after - self.budget) if self.budget is not None else 0


class _Selection:
    """Removals being chosen; counts how many names each file still has and how many items use each blob."""

    def __init__(self, layer: Layer, budget: int | None = None) -> None:
        self.scan = scan = Scan(layer)
        self.result = Removals(layer, scan.size, budget)
        self._remaining = scan.size
        self._chosen: set[str] = set()
        self._links: dict[Inode, int] = {n.inode: n.links for i in scan.everything for n in i.names}
        self._users = Counter(sha256 for item in scan.items for sha256 in item.blobs)
        known = Counter(n.inode for i in scan.everything for n in i.names)
        self._linked_elsewhere = {inode for inode, count in known.items() if self._links[inode] > count}

    def add(self, item: Item, why: str) -> None:
        """Choose an item, and the blobs that nothing else uses."""
        if item.location in self._chosen:
            return
        self._chosen.add(item.location)
        size = 0
        for name in item.names:
            self._links[name.inode] -= 1
            if self._links[name.inode] == 0:
                size += name.size
        self.result.removals.append(Removal(item, why, size))
        self._remaining -= size
        for sha256 in sorted(item.blobs):
            self._users[sha256] -= 1
            if self._users[sha256] == 0 and sha256 in self.scan.blobs:
                self.add(self.scan.blobs[sha256], why)

    def fits(self) -> bool:
        """Whether what remains is within the budget."""
        return self.result.budget is None or self._remaining <= self.result.budget

    def has(self, item: Item) -> bool:
        """Whether an item was chosen already."""
        return item.location in self._chosen

    def orphans(self) -> list[Item]:
        """Return the blobs that nothing uses, in this layer or through a link from outside it."""
        damaged = {n.inode for i in self.scan.items if i.kind == "files" and not i.blobs for n in i.names}
        kept = damaged | self._linked_elsewhere
        return [
            item
            for sha256, item in self.scan.blobs.items()
            if not self._users[sha256] and item.names[0].inode not in kept
        ]


@without_cyclic_gc()
def plan_gc(layer: Layer, budget: int | None, *, min_age: float = 0.0) -> Removals:
    """Decide what ``gc`` removes: litter always, then the least recently used down to a budget in bytes.

    ``min_age`` is how many seconds its last use must at least be ago: a day where locks do not work.
    """
    selection = _Selection(layer, budget)
    now = time.time()
    candidates = [*selection.scan.items, *selection.orphans()]
    for item in candidates:
        if (why := _why_litter(item, now - item.used, min_age)) is not None:
            selection.add(item, why)
    selection.result.locks = len(_old_locks(layer))
    if not selection.fits():
        why_kept = _protection(layer, now - min_age if min_age else math.inf)
        candidates.sort(key=lambda item: (item.used, _RANK[item.kind], item.location))
        for item in candidates:
            if selection.fits():
                break
            if (why := why_kept(item)) is not None and not selection.has(item):
                _log.debug("kept %s: %s", item.location, why)
                selection.result.kept.append((item, why))
            else:
                selection.add(item, "least recently used, over the budget")
    return selection.result


def _why_litter(item: Item, age: float, min_age: float) -> str | None:
    if item.litter and (not min_age or age > min_age):
        return "left behind by a process that ended"
    if item.fault is not None:
        return item.fault
    if item.kind == "env" and age > ENV_GRACE:
        return "not used for 30 days"
    if item.kind == "partial" and age > PARTIAL_GRACE:
        return "an unfinished transfer that was not resumed"
    if item.kind == "blob" and age > max(BLOB_GRACE, min_age):
        return "not used by any model"
    return None


def _protection(layer: Layer, since: float) -> Callable[[Item], str | None]:
    """Return what says why an item must be kept however old it is; None for one that may be removed."""
    pinned, open_files = pins(layer), open_files_below(layer.root)

    def why_kept(item: Item) -> str | None:
        if item.kind == "staging":
            return "in progress"
        if item.model is not None and is_pinned(pinned, item.model, item.precision):
            return "pinned"
        if (process := open_files.get(item.location)) is not None:
            return f"in use by PID {process}"
        return "recently used, and locks do not work on this file system" if item.used > since else None

    return why_kept


@without_cyclic_gc()
def plan_rm(
    layer: Layer, models: Sequence[tuple[str, str | None]], environments: Sequence[str] = ()
) -> Removals:
    """Decide what ``rm`` removes: models' files, IRs, and the blobs that only they use.

    A precision beside a model's name means only that IR; environments go by name of stack, or by digest.

    Raises:
        CacheMissError: one of them is not in the layer.
        CacheError: one is pinned.
    """
    selection, pinned = _Selection(layer), pins(layer)
    for model, precision in models:
        if is_pinned(pinned, model, precision):
            hint = f"run 'model-zoo cache unpin {model}' first"
            raise CacheError(f"{model} is pinned", left="nothing was removed", hint=hint)
        found = [
            item
            for item in selection.scan.items
            if item.model == model and (precision is None or (item.kind, item.precision) == ("ir", precision))
        ]
        _add_all(selection, found, f"{model}@{precision}" if precision else model)
    envs = [item for item in selection.scan.items if item.kind == "env"]
    for name in environments:
        found = [item for item in envs if name in {item.label.partition(":")[2], item.path.name}]
        _add_all(selection, found, f"the converter environment {name!r}")
    return selection.result


def _add_all(selection: _Selection, items: Sequence[Item], name: str) -> None:
    if not items:
        what = f"{name} is not in the cache {selection.result.layer.root}"
        raise CacheMissError(what, left="nothing was removed", hint="see 'model-zoo cache ls'")
    for item in items:
        selection.add(item, "requested")


def apply(
    cache: Cache,
    make: Callable[[float], Removals],
    *,
    on_wait: Callable[[str], None] | None = None,
    timeout: float = 3600.0,
) -> Removals:
    """Wait until no process uses the cache, decide what to remove, and remove it from the writable layer.

    ``make`` decides; it is called with the age in seconds that everything removed must have, 0 where locks
    work. What could not be removed is among ``kept`` of what is returned.

    Raises:
        LockTimeoutError: another process used the cache for longer than ``timeout`` seconds.
        CacheError: the layer cannot be written.
    """
    layer = cache.writable
    # the trash is deleted with the stack, when no process is kept waiting any more
    with contextlib.ExitStack() as stack, cache.exclusive(on_wait, timeout=timeout) as alone:
        planned = make(0.0 if alone else DAY)
        if planned.removals:
            trash = None
            with contextlib.suppress(CacheFullError):  # then things are deleted where they are
                trash = stack.enter_context(cache.staging("gc"))
            _remove_all(planned, trash)
            sweep_notes(layer)
        if alone:
            planned.locks = _sweep_locks(layer)
    return planned


def _remove(path: Path, target: Path | None) -> None:
    if target is not None:
        system.rename(path, target)
    elif path.is_dir():
        for kind in (
            FilesManifest,
            IrManifest,
            EnvironmentManifest,
        ):  # what is left does not count without it
            with contextlib.suppress(FileNotFoundError):
                system.unlink(path / kind.FILE_NAME)
        remove_tree(path)
    else:
        system.unlink(path)


def _remove_all(planned: Removals, trash: Path | None) -> None:
    done: list[Removal] = []
    needed: set[str] = set()
    for number, removal in enumerate(planned.removals):
        item = removal.item
        if item.label in needed and item.kind == "blob":
            planned.kept.append((item, "a model that uses it could not be removed"))
            continue
        try:
            planned.layer.check_own(item.path.parent)
            _remove(item.path, trash / str(number) if trash else None)
        except FileNotFoundError:
            continue
        except (OSError, CacheError) as error:  # Windows: open files cannot be moved
            planned.kept.append((item, f"cannot be moved: {getattr(error, 'strerror', None) or error}"))
            needed |= item.blobs
            continue
        _log.info("removed %s: %s (%d bytes)", item.location, removal.why, removal.size)
        done.append(removal)
        if item.kind == "files":
            with contextlib.suppress(OSError):  # other declarations of the model are still there
                item.path.parent.rmdir()
    planned.removals = done


def sweep_notes(layer: Layer) -> None:
    """Remove notes about what is gone; no other process may be using the cache."""
    if not layer.owns(layer.state / "used"):
        return
    is_needed: dict[str, Callable[[Path], bool]] = {
        "": lambda path: path.name[0] != "." or time.time() - path.lstat().st_mtime <= DAY,  # half written
        "aliases": lambda path: (sha256 := read_alias(path)) is not None and is_file(layer.blob(sha256)),
        "used/ir": lambda path: layer.ir(path.name).is_dir(),
        "used/env": lambda path: (layer.envs / path.name).is_dir(),
        "used/files": lambda path: layer.files(*path.name.rpartition("@")[::2]).is_dir(),
    }
    for notes, needed in is_needed.items():
        for path in [Path(entry.path) for entry in walk(layer.state / notes)]:
            with contextlib.suppress(OSError):
                if path.name != COMPLETE and not needed(path):
                    path.unlink()
    for path in [*unfounded(layer, Notes(layer).derive())]:
        with contextlib.suppress(OSError):
            path.unlink()


def _old_locks(layer: Layer) -> list[Path]:
    """Return the lock files that are older than a day, except the one that every user of the cache passes."""
    old = [e.name for e, found in regular_files(layer.locks) if time.time() - found.st_mtime > DAY]
    return [layer.locks / name for name in old if name.endswith(".lock") and name != "gate.lock"]


def _sweep_locks(layer: Layer) -> int:
    count = 0
    for path in _old_locks(layer):
        with contextlib.suppress(LockTimeoutError, CacheError, OSError), lock(path, timeout=0) as works:
            if works:
                path.unlink()
                count += 1
    return count
