"""Making room: what goes, in which order, and taking it away so that a kill at any moment harms nothing.

A plan is made from a survey; carrying it out renames each item into a folder of trash while nobody uses the
cache, and deletes the trash afterwards. What a killed run leaves in the trash the next one removes.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.cache.care.open_files import held_below
from model_zoo.cache.care.pins import is_pinned, pins
from model_zoo.cache.care.scan import DAY, Inode, Item, Survey, no_cycles
from model_zoo.cache.environments import ENV_MANIFEST
from model_zoo.cache.manifest import IR_MANIFEST
from model_zoo.errors import CacheError, CacheFullError, CacheMissError, LockTimeoutError
from model_zoo.files.lock import lock
from model_zoo.schema import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.cache.store import Cache

PARTIAL_GRACE = 7 * DAY
"""How long an unfinished transfer is kept for the next run to go on with."""
BLOB_GRACE = 3600.0
"""How long a blob may be without a folder that stands on it: it may have just arrived."""
ENV_GRACE = 30 * DAY
"""How long a converter environment is kept that nothing is converted in: it is made again within minutes."""
_RANK = {"compiled": 0, "env": 1, "partial": 2, "staging": 2, "blob": 3, "ir": 4, "files": 5}
"""What goes first of things used equally long ago: the cheapest to make again."""


@dataclass
class Removal:
    """One item to go: why, and how many bytes that frees."""

    item: Item
    why: str
    size: int


@dataclass
class Plan:
    """What is to go, what would have had to but stays, and the bytes before and after."""

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


class _Choice:
    """A plan being made; knows how many names each file still has and who stands on each blob."""

    def __init__(self, survey: Survey, budget: int | None) -> None:
        self.survey = survey
        self.plan = Plan(survey.layer, survey.size, budget)
        self._remaining = self.plan.before
        self._chosen: set[str] = set()
        self._links: dict[Inode, int] = {n.inode: n.links for i in survey.everything for n in i.names}
        self._standing = Counter(sha for item in survey.items for sha in item.blobs)
        known = Counter(n.inode for i in survey.everything for n in i.names)
        self._elsewhere = {inode for inode, count in known.items() if self._links[inode] > count}

    def take(self, item: Item, why: str) -> None:
        """Choose an item, and the blobs that nothing stands on without it."""
        if item.where in self._chosen:
            return
        self._chosen.add(item.where)
        size = 0
        for name in item.names:
            self._links[name.inode] -= 1
            if self._links[name.inode] == 0:
                size += name.size
        self.plan.removals.append(Removal(item, why, size))
        self._remaining -= size
        for sha in sorted(item.blobs):
            self._standing[sha] -= 1
            if self._standing[sha] == 0 and sha in self.survey.blobs:
                self.take(self.survey.blobs[sha], why)

    def fits(self) -> bool:
        """Whether what remains is within the budget."""
        return self.plan.budget is None or self._remaining <= self.plan.budget

    def has(self, item: Item) -> bool:
        """Whether an item was chosen already."""
        return item.where in self._chosen

    def orphans(self) -> list[Item]:
        """Return the blobs that no folder stands on, of this layer or by a name outside it."""
        damaged = {n.inode for i in self.survey.items if i.kind == "files" and not i.blobs for n in i.names}
        return [
            item
            for sha, item in self.survey.blobs.items()
            if not self._standing[sha]
            and item.names[0].inode not in damaged
            and item.names[0].inode not in self._elsewhere
        ]


@no_cycles()
def plan_collection(layer: Layer, budget: int | None, *, min_age: float = 0.0) -> Plan:
    """Decide what ``gc`` removes: litter always, then the least recently used down to the budget.

    Args:
        layer: the writable layer.
        budget: bytes the layer may take; None removes litter only.
        min_age: seconds since its last use that an item must at least have; where locks do not work, a day.
    """
    survey = Survey(layer)
    choice = _Choice(survey, budget)
    now = time.time()
    candidates = [*survey.items, *choice.orphans()]
    for item in candidates:
        if (why := _why_litter(item, now - item.used, min_age)) is not None:
            choice.take(item, why)
    plan = choice.plan
    plan.locks = len(_old_locks(layer))
    if not choice.fits():
        guard = _Guard(layer, now - min_age if min_age else math.inf)
        candidates.sort(key=lambda item: (item.used, _RANK[item.kind], item.where))
        for item in candidates:
            if choice.fits():
                break
            if (why := guard.why_kept(item)) is not None and not choice.has(item):
                plan.kept.append((item, why))
            else:
                choice.take(item, "least recently used, over the budget")
    return plan


def _why_litter(item: Item, age: float, min_age: float) -> str | None:
    if item.litter and (not min_age or age > min_age):
        return "left behind by a process that ended"
    if item.fault is not None:
        return item.fault
    if item.kind == "env" and age > ENV_GRACE:
        return "nothing was converted in it for 30 days"
    if item.kind == "partial" and age > PARTIAL_GRACE:
        return "an unfinished transfer that nobody went on with"
    if item.kind == "blob" and age > max(BLOB_GRACE, min_age):
        return "no model's files stand on it"
    return None


class _Guard:
    """Knows what must stay however old it is."""

    def __init__(self, layer: Layer, since: float) -> None:
        self.pinned = pins(layer)
        self.held = held_below(layer.root)
        self.since = since

    def why_kept(self, item: Item) -> str | None:
        if item.kind == "staging":
            return "in progress"
        if item.model is not None and is_pinned(self.pinned, item.model, item.precision):
            return "pinned"
        if (process := self.held.get(item.where)) is not None:
            return f"in use by PID {process}"
        if item.used > self.since:
            return "used lately, and locks do not work on this file system"
        return None


@no_cycles()
def plan_removal(
    layer: Layer, wanted: Sequence[tuple[str, str | None]], environments: Sequence[str] = ()
) -> Plan:
    """Decide what ``rm`` removes: models' folders, IRs, and the blobs only they stand on.

    Args:
        layer: the writable layer.
        wanted: models; with a precision only its IR.
        environments: of these stacks, or with these digests.

    Raises:
        CacheMissError: there is nothing of one of them.
        CacheError: one is pinned.
    """
    survey = Survey(layer)
    choice, pinned = _Choice(survey, None), pins(layer)
    for model, precision in wanted:
        if is_pinned(pinned, model, precision):
            hint = f"run 'model-zoo cache unpin {model}' first"
            raise CacheError(f"{model} is pinned", left="nothing was removed", hint=hint)
        found = [
            item
            for item in survey.items
            if item.model == model and (precision is None or (item.kind, item.precision) == ("ir", precision))
        ]
        if not found:
            name = f"{model}@{precision}" if precision else model
            what = f"{name} is not in the cache {layer.root}"
            raise CacheMissError(what, left="nothing was removed", hint="see 'model-zoo cache ls'")
        for item in found:
            choice.take(item, "asked for")
    for name in environments:
        envs = [item for item in survey.items if item.kind == "env"]
        found = [item for item in envs if name in {item.label.partition(":")[2], item.path.name}]
        if not found:
            what = f"there is no converter environment {name!r} in the cache {layer.root}"
            raise CacheMissError(what, left="nothing was removed", hint="see 'model-zoo cache ls'")
        for item in found:
            choice.take(item, "asked for")
    return choice.plan


def carry_out(
    cache: Cache,
    make: Callable[[float], Plan],
    *,
    on_wait: Callable[[str], None] | None = None,
    timeout: float = 3600.0,
) -> Plan:
    """Wait until nobody uses the cache, make the plan, and take away what it says.

    Args:
        cache: whose writable layer it is about.
        make: makes the plan; given the age in seconds that everything to go must have, 0 where locks work.
        on_wait: called with who is waited for.
        timeout: seconds to wait.

    Returns:
        The plan as far as it could be carried out; what could not be removed is among ``kept``.

    Raises:
        LockTimeoutError: somebody used the cache for longer than that.
        CacheError: the layer cannot be written.
    """
    layer = cache.writable
    with contextlib.ExitStack() as trash, cache.exclusive(on_wait, timeout=timeout) as alone:
        plan = make(0.0 if alone else DAY)
        if plan.removals:
            _take_away(plan, _enter_trash(cache, trash))
            sweep_notes(layer)
        if alone:
            plan.locks = _sweep_locks(layer)
    return plan


def _enter_trash(cache: Cache, stack: contextlib.ExitStack) -> Path | None:
    """Return a folder of trash that is emptied when the stack ends, and nobody is kept waiting any more.

    None where the disk is so full that no folder can be made: then things are deleted where they are.
    """
    try:
        return stack.enter_context(cache.staging("gc"))
    except CacheFullError:
        return None


def _remove(path: Path, target: Path | None) -> None:
    if target is not None:
        path.rename(target)
    elif path.is_dir():
        for name in (MANIFEST_NAME, IR_MANIFEST, ENV_MANIFEST):  # without it, what is left counts for nothing
            (path / name).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink()


def _take_away(plan: Plan, trash: Path | None) -> None:
    done: list[Removal] = []
    needed: set[str] = set()
    for number, removal in enumerate(plan.removals):
        item = removal.item
        if item.label in needed and item.kind == "blob":
            plan.kept.append((item, "what stands on it could not be removed"))
            continue
        try:
            plan.layer.check_own(item.path.parent)
            _remove(item.path, trash / str(number) if trash else None)
        except FileNotFoundError:
            continue
        except (OSError, CacheError) as error:  # Windows: open files cannot be moved
            plan.kept.append((item, f"cannot be moved: {getattr(error, 'strerror', None) or error}"))
            needed |= item.blobs
            continue
        done.append(removal)
        if item.kind == "files":
            with contextlib.suppress(OSError):  # other declarations of the model are still there
                item.path.parent.rmdir()
    plan.removals = done


def sweep_notes(layer: Layer) -> None:
    """Remove notes about things that are gone; nobody may be using the cache."""
    if not layer.owns(layer.state / "used"):
        return
    for path in _below(layer.state):
        with contextlib.suppress(OSError):
            if path.name[0] == "." and time.time() - path.lstat().st_mtime > DAY:
                path.unlink()  # half written by a process that was killed
    for path in _below(layer.state / "aliases"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if len(path.name) > len("complete") and not layer.blob(path.read_text("ascii").strip()).exists():
                path.unlink()
    for path in _below(layer.state / "requests"):
        _unlink_unless(path, layer.ir(path.name))
    for path in _below(layer.state / "used" / "ir"):
        _unlink_unless(path, layer.ir(path.name))
    for path in _below(layer.state / "used" / "env"):
        _unlink_unless(path, layer.envs / path.name)
    for path in _below(layer.state / "used" / "files"):
        model, _, declaration = path.name.rpartition("@")
        _unlink_unless(path, layer.files(model, declaration))


def _unlink_unless(note: Path, subject: Path) -> None:
    with contextlib.suppress(OSError):
        if note.name != "complete" and not subject.is_dir():
            note.unlink()


def _below(root: Path) -> list[Path]:
    return [root / folder / file for folder, _, files in os.walk(root) for file in files]


def _old_locks(layer: Layer) -> list[Path]:
    """Return the lock files that nobody touched for a day; the gate stays."""
    found: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(layer.locks) as entries:
        for entry in entries:
            old = entry.is_file(follow_symlinks=False) and time.time() - entry.stat().st_mtime > DAY
            if old and entry.name.endswith(".lock") and entry.name != "gate.lock":
                found.append(layer.locks / entry.name)
    return found


def _sweep_locks(layer: Layer) -> int:
    count = 0
    for path in _old_locks(layer):
        with contextlib.suppress(LockTimeoutError, CacheError, OSError), lock(path, timeout=0) as works:
            if works:
                path.unlink()
                count += 1
    return count
