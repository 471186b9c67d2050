"""The cache: can it be written, on what does it lie, do its locks lock, what is left of dead processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.cache import Cache
from model_zoo.cache.care.open_files import PROC
from model_zoo.cache.layout import TAG_NAME
from model_zoo.cache.usage_lock import is_alive
from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.download.adopt import search_roots
from model_zoo.errors import CacheError, LockTimeoutError
from model_zoo.files import clone
from model_zoo.files.lock import lock, owner_of
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_zoo.cache import Layer
    from model_zoo.settings import Settings

CODE = CacheError.exit_code
LITTLE = 1 << 30
"""Free bytes below which the next model may not fit."""
SKEW = 300.0
"""Seconds that a file server's clock may differ from ours before times in the cache mean nothing."""
LONG = 3600.0
"""Seconds a lock may be held before somebody should look at its owner."""
ELSEWHERE = "point MODEL_ZOO_CACHE (or --cache) at a folder that is yours"
NETWORKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "lustre", "beegfs", "ceph"}


def examine_storage(settings: Settings) -> Iterator[Finding]:
    """Examine the writable layer and those below it. What is written for a try is removed again."""
    yield from _home()
    if settings.cache is None:
        hint = "set MODEL_ZOO_CACHE, or HOME"
        yield wrong("cache", "folder", "none: this account has no home directory", hint, CODE)
    else:
        yield from _writable(Cache(settings.cache), settings.max_size)
        yield _adoption(Cache(settings.cache), settings.adopt)
    for root in settings.layers:
        yield _layer(root, settings.cache)


def _home() -> Iterator[Finding]:
    if os.name == "posix" and not os.environ.get("HOME"):
        hint = (
            "set HOME, or MODEL_ZOO_CACHE and MODEL_ZOO_CONFIG, so that every process uses the same folders"
        )
        yield note("cache", "home", "HOME is not set", hint)


def _writable(cache: Cache, budget: int | None) -> Iterator[Finding]:
    assert cache.top is not None  # noqa: S101 - it was made with one
    layer = cache.top
    there = _nearest(layer.root)
    if not there.is_dir():
        yield wrong("cache", "folder", f"{there} is a file, not a folder", ELSEWHERE, CODE)
        return
    new = there != layer.root
    yield ok("cache", "folder", f"{layer.root}{' (will be created)' if new else ''}")
    kind = file_system(there)
    if kind in NETWORKS:
        yield note(
            "cache", "file system", f"{kind}, over a network", "a local disk is quicker and locks better"
        )
    elif kind is not None:
        yield ok("cache", "file system", kind)
    yield from _space(there, budget)
    try:
        with tempfile.TemporaryDirectory(prefix=".model-zoo-doctor-", dir=there) as scratch:
            yield ok("cache", "writable", "yes")
            yield from _try_out(Path(scratch))
    except OSError as error:
        owner = _owner(there)
        found = f"{there} cannot be written: {error.strerror or error}{owner}"
        yield wrong("cache", "writable", found, f"make it writable, or {ELSEWHERE}", CODE)
        return
    if not new:
        yield from _shelves(layer)
        yield from _locks(layer)


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next((one for one in (path, *path.parents) if one.exists()), path)


def _owner(path: Path) -> str:
    try:
        uid = path.stat().st_uid
    except OSError:
        return ""
    mine = os.getuid() if hasattr(os, "getuid") else uid
    return "" if uid == mine else f"; it belongs to user {uid}, and this is user {mine}"


def file_system(path: Path) -> str | None:
    """Return the kind of file system a path is on, where the platform tells (Linux)."""
    try:
        lines = (PROC / "self" / "mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real, best, kind = os.path.realpath(path), "", None
    for line in lines:
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _space(there: Path, budget: int | None) -> Iterator[Finding]:
    usage = shutil.disk_usage(there)
    found = f"{human_size(usage.free)} free of {human_size(usage.total)}"
    full = "free some, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk"
    if usage.free < LITTLE:
        yield wrong("cache", "space", found, full, CODE)
    else:
        yield ok("cache", "space", found)
    if hasattr(os, "statvfs"):
        nodes = os.statvfs(there)
        if nodes.f_files and not nodes.f_favail:
            yield wrong("cache", "inodes", "none left: no file can be created", full, CODE)
    if budget is None:
        yield ok("cache", "budget", "none (MODEL_ZOO_MAX_SIZE)")
    elif budget > usage.total:
        hint = "set MODEL_ZOO_MAX_SIZE to less than the disk holds, or 'cache gc' will never make room"
        yield wrong("cache", "budget", f"{human_size(budget)}, more than the whole disk", hint, CODE)
    else:
        yield ok("cache", "budget", human_size(budget))


def _try_out(scratch: Path) -> Iterator[Finding]:
    """Try in an empty folder what the cache relies on."""
    first = scratch / "first"
    first.write_bytes(b"x")
    skew = first.stat().st_mtime - time.time()
    if abs(skew) > SKEW:
        found = f"differs from this machine's by {skew:+.0f} s"
        yield wrong(
            "cache", "clock of the disk", found, "set the clocks of this machine and its file server", CODE
        )
    yield _lock_finding(scratch / "lock")
    ways = list(_links(first, scratch))
    if ways:
        yield ok("cache", "links", ", ".join(ways))
    else:
        hint = "each model will take its space twice: a disk with hard links or symbolic links saves that"
        yield note("cache", "links", "neither hard links, nor reflinks, nor symbolic links", hint)


def _lock_finding(path: Path) -> Finding:
    hint = "keep the cache on a local disk, or run one process at a time"
    with lock(path, timeout=0) as works:
        if not works:
            return note("cache", "locks", "not supported by this file system", hint)
        try:
            with lock(path, timeout=0):
                return wrong("cache", "locks", "two owners hold one lock at once", hint, CODE)
        except LockTimeoutError:
            return ok("cache", "locks", "work")


def _links(first: Path, scratch: Path) -> Iterator[str]:
    try:
        os.link(first, scratch / "hard")
        yield "hard links"
    except OSError:
        pass
    try:
        if clone(first, scratch / "clone"):
            yield "reflinks"
    except OSError:
        pass
    try:
        (scratch / "soft").symlink_to("first")
        yield "symbolic links"
    except (OSError, NotImplementedError):
        pass


def _adoption(cache: Cache, folders: Sequence[Path]) -> Finding:
    """Say where bytes of other programs are looked for, and whether any were taken from there."""
    found = ", ".join(str(root.directory) for root in search_roots(os.environ, folders))
    found = found or "nothing: neither those programs' caches nor MODEL_ZOO_ADOPT name a folder that is there"
    notes = [path for layer in cache.layers for path in (layer.state / "adopted").rglob("*")]
    count = sum(1 for path in notes if path.is_file())
    return ok("cache", "adoption", f"{counted(count, 'file')} adopted so far; looks in {found}")


def _shelves(layer: Layer) -> Iterator[Finding]:
    """Find parts of the cache that somebody else made, as a run with sudo does."""
    parts = [layer.blobs, layer.models, layer.irs, layer.compiled, layer.envs]
    parts += [layer.partials, layer.locks, layer.state]
    foreign = [part for part in parts if part.exists() and not os.access(part, os.W_OK | os.X_OK)]
    linked = [part for part in parts if not layer.owns(part)]
    for part in foreign:
        found = f"{part} cannot be written{_owner(part)}"
        yield wrong("cache", "parts", found, f"chown or remove it, or {ELSEWHERE}", CODE)
    for part in linked:
        hint = "point MODEL_ZOO_CACHE at the other disk instead; links inside the cache are not followed"
        yield wrong("cache", "parts", f"{part} passes through a symbolic link", hint, CODE)
    if not foreign and not linked:
        yield ok("cache", "parts", "all ours")


def _locks(layer: Layer) -> Iterator[Finding]:
    """Find locks held for long, and what processes that died left behind."""
    held, left = [], 0
    for path in sorted(layer.locks.rglob("*.lock")) if layer.locks.is_dir() else []:
        owner, age = owner_of(path), _age(path)
        try:
            with lock(path, timeout=0, shared=True) as works:  # which signs nothing
                left += path.parent.name == "users"
                if not works and _is_ours(owner) and age > LONG:
                    held.append((path, owner, age))
        except LockTimeoutError:
            if age > LONG:
                held.append((path, owner, age))
        except CacheError:
            continue
    for path, owner, age in held:
        hint = "look at that process; when it ends, the lock is free"
        yield note("cache", "lock held", f"{path.name} by {owner}, for {age / 3600:.1f} h", hint)
    if left:
        text = f"{left} of processes that have ended"
        yield note("cache", "stale locks", text, "harmless: 'model-zoo cache gc' removes them")
    if not held and not left:
        yield ok("cache", "stale locks", "none")


def _is_ours(owner: str) -> bool:
    pid = owner.removeprefix("PID ").partition(" ")[0]
    return pid.isdigit() and is_alive(int(pid))


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _layer(root: Path, top: Path | None) -> Finding:
    if top is not None and root.absolute() == top.absolute():
        return note(
            "layers", "layer", f"{root} is the writable cache itself", "take it out of MODEL_ZOO_LAYERS"
        )
    try:
        names = {path.name for path in root.iterdir()}
    except OSError as error:
        hint = "correct MODEL_ZOO_LAYERS, or mount the folder and make it readable"
        return wrong("layers", "layer", f"{root} cannot be read: {error.strerror}", hint, CODE)
    if not names & {TAG_NAME, "blobs-v1", "ir-v1", "files-v1"}:
        hint = "name the folder that holds blobs-v1 and ir-v1, as 'model-zoo seed' writes it"
        return note("layers", "layer", f"{root} holds no models", hint)
    return ok("layers", "layer", str(root))
