"""Adoption: bytes the user already has, in the caches of other programs or in trees made earlier.

A file is looked for by the names those programs give it, never by walking; only one of the declared size is
read, and only one with every declared digest is taken. It is cloned or copied, never linked: what other
programs may write to must not share bytes with the cache. What is hashed is our copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from model_zoo.errors import IntegrityError, ModelZooError
from model_zoo.files import as_cache_error, copy_file, fsync_file, hash_file, is_directory
from model_zoo.settings import Settings
from model_zoo.sources.base import HttpLocation, LocatedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from model_zoo.cache.store import Cache
    from model_zoo.schema import Artifact

_OMZ_FORMAT = "1"


class Place(NamedTuple):
    """A folder where files may be: ``kind`` is hub, torch, tfhub or tree."""

    kind: str
    folder: Path


class Wish(NamedTuple):
    """What is looked for.

    ``model`` helps in trees that have a folder for each; ``promised`` are file names that hold digits of the
    file's own digest, as torchvision's do, each with the check of that.
    """

    artifact: Artifact
    model: str | None
    promised: Mapping[str, Callable[[Path], None]]


def wish_for(artifact: Artifact, model: str | None) -> Wish:
    """Return what to look for."""
    promised = {}
    for source in artifact.sources:
        if isinstance(source, LocatedSource) and source.integrity == "prefix" and not source.floating:
            with contextlib.suppress(ModelZooError):
                location = source.locate(artifact, Settings())
                if isinstance(location, HttpLocation) and location.check is not None:
                    promised[_last_part(location.url)] = location.check
    return Wish(artifact, model, promised)


def places(environ: Mapping[str, str], folders: Sequence[Path] = ()) -> list[Place]:
    """Return the folders to look in that exist: those that were named, then other programs' caches.

    The variables are those programs' own: ``HF_HUB_CACHE``, ``HF_HOME``, ``TORCH_HOME``,
    ``TFHUB_CACHE_DIR``, ``XDG_CACHE_HOME``.
    """
    found = [Place("tree", folder) for folder in folders]
    caches = _user_caches(environ)
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    home = environ.get("HF_HOME")
    if hub or home or caches:
        found.append(Place("hub", Path(hub or Path(home or Path(caches, "huggingface"), "hub"))))
    home = environ.get("TORCH_HOME")
    if home or caches:
        found.append(Place("torch", Path(home or Path(caches, "torch"), "hub", "checkpoints")))
    module = environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    found.append(Place("tfhub", Path(module)))
    return [place for place in found if is_directory(place.folder)]


def _user_caches(environ: Mapping[str, str]) -> str:
    named = environ.get("XDG_CACHE_HOME")
    if named:
        return named
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - leaves ~ where there is no home
    return os.path.join(home, ".cache") if os.path.isabs(home) else ""  # noqa: PTH117, PTH118


def find_foreign(artifact: Artifact, found: Sequence[Place], model: str | None = None) -> Path | None:
    """Return a file that has the size and every digest that an artifact declares; None if there is none.

    Without a declared digest nothing is found but what torchvision's file names prove.
    """
    wish = wish_for(artifact, model)
    return next((path for path in candidates(wish, found) if _fits(path, path.name, wish)), None)


def adopt(
    cache: Cache,
    artifact: Artifact,
    found: Sequence[Place],
    model: str | None = None,
    on_found: Callable[[Path, Path], None] | None = None,
) -> Path | None:
    """Publish an artifact's blob from bytes that another program keeps, if there are any.

    Args:
        cache: where to.
        artifact: what is looked for.
        found: where to look, as ``places`` says.
        model: whose artifact it is.
        on_found: told where the bytes came from, and the blob.

    Returns:
        The blob, or None.

    Raises:
        CacheError: the writable layer cannot be written.
    """
    wish = wish_for(artifact, model)
    for path in candidates(wish, found):
        with cache.staging("adopt") as folder:
            staged = folder / "bytes"
            try:
                copy_file(path, staged)
            except PermissionError:
                continue
            except OSError as error:
                with as_cache_error(staged):
                    raise error from None
            if not _fits(staged, path.name, wish):
                continue
            with as_cache_error(staged):
                fsync_file(staged)
            sha256 = hash_file(staged)["sha256"].hex if artifact.sha256 is None else artifact.sha256
            blob = cache.publish_blob(staged, sha256, artifact)
        if on_found is not None:
            on_found(path, blob)
        return blob
    return None


def candidates(wish: Wish, found: Sequence[Place]) -> Iterator[Path]:
    """Yield the files of the declared size whose names say that they may be the artifact."""
    seen: set[tuple[int, int]] = set()
    for kind, folder in found:
        if not (wish.artifact.digests or (wish.promised and kind == "torch")):
            continue
        for path in _LOOK[kind](folder, wish):
            with contextlib.suppress(OSError, ValueError):
                status = path.stat()
                inode = (status.st_dev, status.st_ino)
                right = wish.artifact.size in {None, status.st_size} and inode not in seen
                if right and stat.S_ISREG(status.st_mode):
                    seen.add(inode)
                    yield path


def _fits(path: Path, name: str, wish: Wish) -> bool:
    """Whether bytes that were found under a name are the artifact's."""
    wanted = {digest.algorithm: digest for digest in wish.artifact.digests}
    try:
        if wanted:
            return hash_file(path, tuple(wanted)) == wanted
        wish.promised[name](path)
    except (OSError, KeyError, IntegrityError):
        return False
    return True


# --- where each program keeps things


def _in_hub(folder: Path, wish: Wish) -> Iterator[Path]:
    """Hugging Face: ``models--ORG--NAME/snapshots/COMMIT/FILE``, and large blobs named by their sha256."""
    for source in wish.artifact.sources:
        repo, file = getattr(source, "hf", None), getattr(source, "file", None)
        if isinstance(repo, str) and isinstance(file, str):
            snapshots = folder / f"models--{repo.replace('/', '--')}" / "snapshots"
            yield from (snapshot / file for snapshot in _sub(snapshots))
    if wish.artifact.sha256:
        for repository in _sub(folder):
            if repository.name.startswith(("models--", "datasets--", "spaces--")):
                yield repository / "blobs" / wish.artifact.sha256


def _in_checkpoints(folder: Path, wish: Wish) -> Iterator[Path]:
    """Torch: files by the last part of their address, usually ``NAME-XXXXXXXX.pth`` (8 digits of sha256)."""
    named = _file_names(wish.artifact) | wish.promised.keys()
    prefix = f"-{wish.artifact.sha256[:8]}" if wish.artifact.sha256 else None
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names only
            if name in named or (prefix and PurePosixPath(name).stem.endswith(prefix)):
                yield folder / name


def _in_modules(folder: Path, wish: Wish) -> Iterator[Path]:
    """TensorFlow Hub: a folder for each module, named by the sha1 of its handle."""
    handles = [getattr(source, "tfhub", None) for source in wish.artifact.sources]
    modules = [
        folder / hashlib.sha1(h.encode(), usedforsecurity=False).hexdigest()
        for h in handles
        if isinstance(h, str)
    ]
    for module in (*modules, *_sub(folder)):
        yield module / wish.artifact.path
        yield module / PurePosixPath(wish.artifact.path).name


def _in_tree(folder: Path, wish: Wish) -> Iterator[Path]:
    """Open Model Zoo's ``--cache_dir`` (format 1, by sha384) or ``--output_dir``, or just files."""
    if wish.artifact.sha384:
        yield folder / _OMZ_FORMAT / wish.artifact.sha384[:2] / wish.artifact.sha384[2:]
        yield folder / wish.artifact.sha384[:2] / wish.artifact.sha384[2:]
    paths = dict.fromkeys([wish.artifact.path, *sorted(_file_names(wish.artifact))])
    roots = [folder]
    if wish.model:
        roots += [folder / wish.model, *(group / wish.model for group in _sub(folder))]
    for root in roots:
        for path in paths:
            yield root / path
            yield root / f"{path}.orig"  # what Open Model Zoo's downloader edited and kept


_LOOK: dict[str, Callable[[Path, Wish], Iterator[Path]]] = {
    "hub": _in_hub,
    "torch": _in_checkpoints,
    "tfhub": _in_modules,
    "tree": _in_tree,
}


def _sub(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []


def _file_names(artifact: Artifact) -> set[str]:
    """Return the plain names a file may have: its own, and the last parts of its addresses."""
    names = {PurePosixPath(artifact.path).name}
    for source in artifact.sources:
        url = getattr(source, "url", None)
        if isinstance(url, str):
            names.add(_last_part(url))
    return names - {"", ".", ".."}


def _last_part(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name
