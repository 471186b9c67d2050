"""Seed: a read-only layer for a container image, with the same bytes whoever writes it.

Names, bytes, modes and times depend only on the models and the versions of the tools, not on the date, the
user, the umask or the path. A second run changes nothing; what is no longer requested is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from model_zoo.cache import Layer
from model_zoo.cache.intake import SEED_NOTE
from model_zoo.cache.layout import TAG_NAME
from model_zoo.errors import CacheDamagedError, CacheError, CacheReadOnlyError
from model_zoo.export.views import PARALLEL_COPIES
from model_zoo.files import (
    ELSEWHERE,
    as_cache_error,
    copy_file,
    hash_file,
    is_begun,
    link_file,
    remove_tree,
    replacing,
    sweep_staged,
)
from model_zoo.files.lock import lock
from model_zoo.files.tar import DIRECTORY_MODE, FILE_MODE, Member
from model_zoo.files.tree import directories, is_real_directory, scan, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from model_zoo.cache import Cache
    from model_zoo.schema import ConvertedModel

_BUCKETS = ("blobs-v1", "files-v1", "ir-v1", "compiled-v1", "envs-v1", "partial-v1", "locks-v1", "state-v1")
_log = logging.getLogger(__name__)
_NOTE = f"state-v1/{SEED_NOTE}"


@dataclass(frozen=True)
class SeedResult:
    """The number of files that a seed has, that were written and that were removed, and its size in bytes."""

    files: int
    written: int
    removed: int
    size: int


def write_seed(
    dest: Path, members: Sequence[Member], cache: Cache, *, mtime: int, kept: Iterable[str] = ()
) -> SeedResult:
    """Make ``dest``, a new or empty directory or an earlier seed, a layer of exactly these files.

    Args:
        dest: where.
        members: every file of the layer.
        cache: the user's own, which must not be overwritten; its locks keep two seeds apart.
        mtime: the time of everything, in seconds since 1970.
        kept: directories below ``dest`` to leave as they are, such as compiled blobs.

    Raises:
        CacheError: ``dest`` is something else, cannot be written, or a file of the cache is damaged.
    """
    dest = dest.absolute()
    _check_dest(dest, cache)
    name = hashlib.sha256(os.fsencode(dest.resolve())).hexdigest()[:32]
    with (
        _alone(cache, f"seed-{name}.lock"),
        as_cache_error(dest, left="what was written so far; the next run goes on from there", hint=ELSEWHERE),
    ):
        dest.mkdir(parents=True, exist_ok=True)
        links = [member for member in members if member.link is not None]
        files = [member for member in members if member.link is None and member.path != _NOTE]
        note = [member for member in members if member.path == _NOTE]
        written = sum(_put(dest, member, mtime) for member in note)  # first: an interrupted seed is one too
        with ThreadPoolExecutor(PARALLEL_COPIES) as pool:
            written += sum(pool.map(lambda member: _put(dest, member, mtime), files))
        written += sum(_put(dest, member, mtime) for member in links)
        removed = _sweep(dest, {member.path for member in members}, tuple(kept))
        _stamp_folders(dest, mtime)
    return SeedResult(len(members), written, removed, sum(_size(member) for member in members))


@contextlib.contextmanager
def _alone(cache: Cache, name: str) -> Iterator[None]:
    """Keep out another seed to the same directory; nothing does where the cache can only be read."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(cache.writable.locks / name, timeout=60))
        except CacheReadOnlyError as error:
            _log.info("no lock against another seed: %s", error.what)
        yield


def _size(member: Member) -> int:
    return len(member.source) if isinstance(member.source, bytes) else member.size


def _check_dest(dest: Path, cache: Cache) -> None:
    real = dest.resolve()
    for layer in cache.layers:
        root = layer.root.resolve()
        own = layer is cache.top
        if (own and (real == root or root in real.parents)) or real in root.parents:
            what = f"{dest} overlaps the cache {layer.root}"
            raise CacheError(what, left="nothing was written", hint="choose another folder for the seed")
    if dest.exists() and not dest.is_dir():
        raise CacheError(f"{dest} is not a folder", left="it is untouched", hint="choose another path")
    if not is_begun(dest, _NOTE):
        what = f"{dest} exists and is not a seeded layer"
        raise CacheError(what, left="it is untouched", hint="choose an empty folder or an earlier seed")


def _put(dest: Path, member: Member, mtime: int) -> bool:
    """Write one file; return False if it is up to date already."""
    path = dest / member.path
    if _is_current(dest, path, member, mtime):
        return False
    for parent in reversed(path.parents[: len(Path(member.path).parents) - 1]):
        if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
            parent.unlink(missing_ok=True)
        parent.mkdir(exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    with replacing(path) as staged:
        if member.link is not None:
            link_file(dest / member.link, staged)
        else:
            _copy(member, staged)
        if not staged.is_symlink():
            staged.chmod(FILE_MODE)
        os.utime(staged, (mtime, mtime), follow_symlinks=not staged.is_symlink())
    return True


def _copy(member: Member, target: Path) -> None:
    """Copy a file out of the cache and verify it; hashing runs in parallel with the copying."""
    if isinstance(member.source, bytes):
        target.write_bytes(member.source)
        return
    assert isinstance(member.source, Path)  # noqa: S101 - a seed has no streams
    source = member.source.resolve()
    with ThreadPoolExecutor(1) as hasher:
        digest = hasher.submit(hash_file, source)
        copy_file(source, target)
        found = digest.result()["sha256"].hex
    if member.sha256 is not None and found != member.sha256:
        raise CacheDamagedError(
            f"{member.source} differs from its manifest",
            expected=f"sha256 {member.sha256}",
            found=f"sha256 {found}",
            hint="run 'model-zoo cache repair', then this command again",
        )


def _is_current(dest: Path, path: Path, member: Member, mtime: int) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    if member.link is not None:
        target = dest / member.link
        if path.is_symlink():
            return path.resolve() == target.resolve() and int(found.st_mtime) == mtime
        return target.is_file() and path.samefile(target)
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != FILE_MODE or found.st_mtime != mtime:
        return False
    if found.st_size != _size(member):
        return False
    if isinstance(member.source, bytes):
        return path.read_bytes() == member.source
    return member.sha256 is not None and hash_file(path)["sha256"].hex == member.sha256


def _sweep(dest: Path, wanted: set[str], kept: tuple[str, ...]) -> int:
    """Remove what earlier seeds, or programs that used this one as a cache, left in our directories.

    Links are removed, never followed.
    """
    sweep_staged(dest / TAG_NAME)
    folders = {str(above) for path in (*wanted, *kept) for above in PurePosixPath(path).parents}
    pending, removed = [name for name in _BUCKETS if os.path.lexists(dest / name)], 0
    while pending:
        here = pending.pop()
        path = dest / here
        if here in kept or here in wanted:
            continue
        if not is_real_directory(path):
            path.unlink()
            removed += 1
        elif here in folders:
            pending += [f"{here}/{entry.name}" for entry in scan(path)]
        else:
            removed += sum(1 for _ in walk(path))
            remove_tree(path)
    return removed


def _stamp_folders(dest: Path, mtime: int) -> None:
    """Set mode and time of the seed's directories, deepest first."""
    for here in map(Path, reversed([*directories(dest.resolve())])):
        found = here.stat()
        if stat.S_IMODE(found.st_mode) != DIRECTORY_MODE:
            here.chmod(DIRECTORY_MODE)
        if found.st_mtime != mtime:
            os.utime(here, (mtime, mtime))


def blob_folders(irs: Sequence[ConvertedModel], device: str) -> tuple[str, ...]:
    """Return the directories, relative to a layer, for the blobs of these IRs on a device."""
    from model_zoo.runtime import blobs  # it imports openvino, for its version

    layer = Layer(Path())
    single = (ir for ir in irs if not ir.is_folder)
    return tuple(blobs.directory_of(layer.compiled, ir.key, device, {}).as_posix() for ir in single)


def warm(irs: Sequence[ConvertedModel], dest: Path, device: str, *, mtime: int) -> None:
    """Compile each IR of a seed and keep OpenVINO's blobs in it; pipelines compile folder models themselves.

    They fit one version of OpenVINO and one kind of processor, and their bytes differ from run to run. The
    seed's files must have their times already: OpenVINO ignores a blob if its model's time differs.

    Raises:
        LoadError: the device does not exist, or refuses a model.
    """
    from model_zoo import runtime

    layer = Layer(dest.absolute())
    for ir in irs:
        if ir.is_folder:
            continue
        xml = layer.ir(ir.key) / ir.xml.name
        runtime.compile(xml, key=ir.key, device=device, compiled=layer.compiled)
    for entry in walk(layer.compiled):
        if entry.is_file(follow_symlinks=False):
            Path(entry.path).chmod(FILE_MODE)
            os.utime(entry.path, (mtime, mtime))
    _stamp_folders(layer.root, mtime)
