"""The cache: whether it is writable, whether its locks lock, what is left in it, and its environments."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.cache import Cache, Layer
from model_zoo.cache.care.open_files import PROC
from model_zoo.cache.environments import KIND, environments
from model_zoo.cache.layout import TAG_NAME
from model_zoo.cli.checks import Finding, from_error, note, ok, wrong
from model_zoo.conversion.environment import fault_of
from model_zoo.conversion.stacks import stack_names
from model_zoo.download.adopt import search_roots
from model_zoo.errors import CacheError, LockTimeoutError
from model_zoo.files import cache_error, clone
from model_zoo.files.lock import lock, owner_of
from model_zoo.files.tree import walk
from model_zoo.settings import require_cache
from model_zoo.systems import system
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model_zoo.cache.environments import Environment
    from model_zoo.settings import Settings

_CODE = CacheError.exit_code
_LOW_SPACE = 1 << 30
"""Free bytes below which the next model may not fit."""
_MAX_SKEW = 300.0
"""Seconds that a file server's clock may differ from ours before times in the cache mean nothing."""
_LONG = 3600.0
"""Seconds after which a held lock deserves a look at its owner."""
_NETWORKED = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "lustre", "beegfs", "ceph"}


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Check the writable layer and those below it. Whatever a check writes is removed again."""
    if not os.environ.get(system.HOME):
        hint = (
            f"set {system.HOME}, or MODEL_ZOO_CACHE and MODEL_ZOO_CONFIG, "
            "so that all processes use the same paths"
        )
        yield note("cache", "home", f"{system.HOME} is not set", hint)
    try:
        layer = Layer(require_cache(settings))
    except CacheError as error:
        yield from_error("cache", "folder", error)
    else:
        yield from _writable_layer(layer, settings.max_size)
        yield _adoption(layer, settings.adopt)
    for root in settings.layers:
        yield _read_only_layer(root, settings.cache)


def _writable_layer(layer: Layer, budget: int | None) -> Iterator[Finding]:
    nearest = next((path for path in (layer.root, *layer.root.parents) if path.exists()), layer.root)
    exists = nearest == layer.root
    if not nearest.is_dir():
        hint = "point MODEL_ZOO_CACHE (or --cache) at a directory of your own"
        yield wrong("cache", "folder", f"{nearest} is a file, not a directory", hint, _CODE)
        return
    yield ok("cache", "folder", f"{layer.root}{'' if exists else ' (will be created)'}")
    kind = file_system(nearest)
    if kind in _NETWORKED:
        hint = "a local disk is faster, and its locks are more reliable"
        yield note("cache", "file system", f"{kind}, over a network", hint)
    elif kind is not None:
        yield ok("cache", "file system", kind)
    yield from _space(nearest, budget)
    try:
        with tempfile.TemporaryDirectory(prefix=".model-zoo-doctor-", dir=nearest) as scratch:
            yield ok("cache", "writable", "yes")
            yield from _try_features(Path(scratch))
    except OSError as error:
        yield from_error("cache", "writable", cache_error(error, nearest))
        return
    if exists:
        yield from _parts(layer)
        yield from _locks(layer)


def file_system(path: Path) -> str | None:
    """Return the type of the file system a path is on, where the platform tells (Linux)."""
    try:
        lines = (PROC / "self" / "mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real, best, kind = Path(os.path.realpath(path)), "", None
    for line in lines:
        _, point, found, *_ = line.replace("\\040", "\0").split(" ")
        point = point.replace("\0", " ")
        if real.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def _space(directory: Path, budget: int | None) -> Iterator[Finding]:
    usage = shutil.disk_usage(directory)
    found = f"{human_size(usage.free)} free of {human_size(usage.total)}"
    hint = "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk"
    if usage.free < _LOW_SPACE:
        yield wrong("cache", "space", found, hint, _CODE)
    else:
        yield ok("cache", "space", found)
    shown = human_size(budget) if budget is not None else "none (MODEL_ZOO_MAX_SIZE)"
    if budget is not None and budget > usage.total:
        hint = "lower MODEL_ZOO_MAX_SIZE, or 'cache gc' will never make room"
        yield wrong("cache", "budget", f"{shown}, more than the whole disk", hint, _CODE)
    else:
        yield ok("cache", "budget", shown)


def _try_features(scratch: Path) -> Iterator[Finding]:
    """Try out, in an empty directory, what the cache relies on."""
    file = scratch / "file"
    file.write_bytes(b"x")
    skew = file.stat().st_mtime - time.time()
    if abs(skew) > _MAX_SKEW:
        found = f"differs from this machine's by {skew:+.0f} s"
        hint = "set the clocks of this machine and its file server"
        yield wrong("cache", "clock of the disk", found, hint, _CODE)
    yield _try_lock(scratch / "lock")
    if links := list(_link_kinds(file, scratch)):
        yield ok("cache", "links", ", ".join(links))
    else:
        hint = "each model will be stored twice; a disk with hard or symbolic links avoids that"
        yield note("cache", "links", "neither hard links, nor reflinks, nor symbolic links", hint)


def _try_lock(path: Path) -> Finding:
    hint = "keep the cache on a local disk, or run one process at a time"
    with lock(path, timeout=0) as works:
        if not works:
            return note("cache", "locks", "not supported by this file system", hint)
        try:
            with lock(path, timeout=0):
                return wrong("cache", "locks", "two processes can hold the same lock", hint, _CODE)
        except LockTimeoutError:
            return ok("cache", "locks", "work")


def _link_kinds(file: Path, scratch: Path) -> Iterator[str]:
    makers: dict[str, Callable[[Path], bool | None]] = {
        "hard links": lambda target: os.link(file, target),
        "reflinks": lambda target: clone(file, target),
        "symbolic links": lambda target: target.symlink_to(file.name),
    }
    for kind, make in makers.items():
        with contextlib.suppress(OSError, NotImplementedError):
            if make(scratch / kind) is not False:
                yield kind


def _adoption(layer: Layer, directories: Sequence[Path]) -> Finding:
    """Say where other programs' files are looked for, and how many were adopted."""
    found = ", ".join(str(root.directory) for root in search_roots(os.environ, directories))
    found = found or "no directory: neither another program's cache nor a MODEL_ZOO_ADOPT directory exists"
    count = sum(1 for _ in walk(layer.state / "adopted"))
    return ok("cache", "adoption", f"{counted(count, 'file')} adopted so far; searches {found}")


def _parts(layer: Layer) -> Iterator[Finding]:
    """Find parts of the cache that another user created, as a run with sudo does, and links."""
    parts = (layer.blobs, layer.models, layer.irs, layer.compiled, layer.envs, layer.partials, layer.locks)
    problems = []
    for part in (*parts, layer.state):
        try:
            layer.check_own(part)
        except CacheError as error:
            problems.append(from_error("cache", "parts", error))
        if part.exists() and not os.access(part, os.W_OK | os.X_OK):
            hint = "change its owner, remove it, or point MODEL_ZOO_CACHE elsewhere"
            problems.append(wrong("cache", "parts", f"{part} is not writable", hint, _CODE))
    yield from problems or [ok("cache", "parts", "all writable")]


def _locks(layer: Layer) -> Iterator[Finding]:
    """Find locks that have been held for long, and what dead processes left behind."""
    held, stale = [], 0
    for path in sorted(Path(entry.path) for entry in walk(layer.locks) if entry.name.endswith(".lock")):
        with contextlib.suppress(OSError, CacheError):
            owner, age = owner_of(path), time.time() - path.stat().st_mtime
            try:
                with lock(path, timeout=0, shared=True) as works:  # which leaves the owner's name alone
                    stale += path.parent.name == "users"
                    busy = not works and _is_running(owner)
            except LockTimeoutError:
                busy = True
            if busy and age > _LONG:
                held.append((path.name, owner, age))
    for name, owner, age in held:
        hint = "check that process; the lock is free when it ends"
        yield note("cache", "lock held", f"{name} by {owner}, for {age / 3600:.1f} h", hint)
    if stale:
        found = f"{stale} left by processes that have ended"
        yield note("cache", "stale locks", found, "harmless; 'model-zoo cache gc' removes them")
    elif not held:
        yield ok("cache", "stale locks", "none")


def _is_running(owner: str) -> bool:
    pid = owner.removeprefix("PID ").partition(" ")[0]
    return pid.isdigit() and system.is_alive(int(pid))


def _read_only_layer(root: Path, top: Path | None) -> Finding:
    if top is not None and root.absolute() == top.absolute():
        hint = "remove it from MODEL_ZOO_LAYERS"
        return note("layers", "layer", f"{root} is the writable cache itself", hint)
    try:
        names = {path.name for path in root.iterdir()}
    except OSError as error:
        hint = "correct MODEL_ZOO_LAYERS, or mount the directory and make it readable"
        return wrong("layers", "layer", f"cannot read {root}: {error.strerror}", hint, _CODE)
    if not names & {TAG_NAME, "blobs-v1", "ir-v1", "files-v1"}:
        hint = "name the directory that contains blobs-v1 and ir-v1, as 'model-zoo seed' writes it"
        return note("layers", "layer", f"{root} contains no models", hint)
    return ok("layers", "layer", str(root))


def check_environments(settings: Settings) -> Iterator[Finding]:
    """Check the cache's own environments by starting their interpreters; a layer's programs are not run."""
    where = "in environments (MODEL_ZOO_ISOLATE, settings)" if settings.isolate else "in this interpreter"
    found = f"{where}, unless --isolate, --no-isolate or --python says otherwise"
    yield ok("environments", "conversions", found)
    cache = Cache(settings.cache, settings.layers)
    own = environments(cache.top) if cache.top else []
    for environment in own:
        yield _environment(environment)
    for environment in (e for layer in cache.below for e in environments(layer)):
        unused = f"{environment.directory} is not used: it belongs to a read-only layer"
        yield ok("environments", _name(environment), unused)
    if not own:
        stacks = ", ".join(stack_names())
        yield ok("environments", "built", f"none; 'convert --isolate' builds them as needed: {stacks}")


def _environment(environment: Environment) -> Finding:
    name, python = _name(environment), environment.manifest.python
    fault = environment.fault or fault_of(environment.directory, python)
    if fault is not None:
        hint = "the next conversion that needs it rebuilds it; 'model-zoo cache gc' removes it"
        return note("environments", name, f"{environment.directory} is unusable: {fault}", hint)
    versions = ", ".join(f"{name} {version}" for name, version in environment.pinned_versions.items())
    size = human_size(environment.manifest.size)
    return ok("environments", name, f"Python {python}, {size}: {versions}")


def _name(environment: Environment) -> str:
    return f"{KIND}:{environment.stack} {environment.digest[:8]}"
