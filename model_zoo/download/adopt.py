"""Adoption: bytes the user already has, in the caches of other programs or in directory trees made earlier.

A file is looked for by the names those programs give it, never by walking, and only one of the declared size
counts. What is found are candidates: the engine copies one and publishes it only if every declared digest
fits. It is cloned or copied, never linked: what other programs may write to shares no bytes with the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from model_zoo.errors import ModelZooError
from model_zoo.files import is_directory
from model_zoo.files.tree import scan
from model_zoo.settings import Settings
from model_zoo.sources.base import HttpLocation, LocatedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from model_zoo.schema import Artifact

_OMZ_FORMAT = "1"


class SearchRoot(NamedTuple):
    """A directory that may hold files, and how it is laid out."""

    layout: Literal["hub", "torch", "tfhub", "tree"]
    directory: Path


class LocalCopy(NamedTuple):
    """A file that may be the artifact; without a declared digest, ``check`` has to prove it."""

    path: Path
    check: Callable[[Path], None] | None = None


def search_roots(environ: Mapping[str, str], directories: Sequence[Path] = ()) -> list[SearchRoot]:
    """Return the directories to look in that exist: those given, then where other programs' variables say."""
    roots = [SearchRoot("tree", directory) for directory in directories]
    caches = _user_caches(environ)
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    home = environ.get("HF_HOME")
    if hub or home or caches:
        roots.append(SearchRoot("hub", Path(hub or Path(home or Path(caches, "huggingface"), "hub"))))
    home = environ.get("TORCH_HOME")
    if home or caches:
        roots.append(SearchRoot("torch", Path(home or Path(caches, "torch"), "hub", "checkpoints")))
    modules = environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    roots.append(SearchRoot("tfhub", Path(modules)))
    return [root for root in roots if is_directory(root.directory)]


def _user_caches(environ: Mapping[str, str]) -> str:
    named = environ.get("XDG_CACHE_HOME")
    if named:
        return named
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - leaves ~ if there is no home
    return os.path.join(home, ".cache") if os.path.isabs(home) else ""  # noqa: PTH117, PTH118


def find_local_copies(
    artifact: Artifact, roots: Sequence[SearchRoot], model: str | None = None
) -> Iterator[LocalCopy]:
    """Yield the files of the declared size whose names say that they may be the artifact.

    Without a declared digest, only checkpoints whose names hold digits of their own digest, as torchvision's
    do, are found. The ``model`` helps in trees that have a directory for each.
    """
    checks = {} if artifact.digests else _name_checks(artifact)
    seen: set[tuple[int, int]] = set()
    for layout, directory in roots:
        if not (artifact.digests or (checks and layout == "torch")):
            continue
        for path in _FINDERS[layout](directory, artifact, model, checks.keys()):
            with contextlib.suppress(OSError, ValueError):
                status = path.stat()
                inode = (status.st_dev, status.st_ino)
                if artifact.size not in {None, status.st_size} or not stat.S_ISREG(status.st_mode):
                    continue
                if inode not in seen and (artifact.digests or path.name in checks):
                    seen.add(inode)
                    yield LocalCopy(path, checks.get(path.name))


def _name_checks(artifact: Artifact) -> dict[str, Callable[[Path], None]]:
    """Return the file names that promise digits of the file's digest, each with the check of that."""
    checks = {}
    for source in artifact.sources:
        if isinstance(source, LocatedSource) and source.integrity == "prefix" and not source.floating:
            with contextlib.suppress(ModelZooError):
                location = source.locate(artifact, Settings())
                if isinstance(location, HttpLocation) and location.check is not None:
                    checks[_last_part(location.url)] = location.check
    return checks


# --- where each program keeps things


def _in_hub(directory: Path, artifact: Artifact, *_: object) -> Iterator[Path]:
    """Hugging Face: ``models--ORG--NAME/snapshots/COMMIT/FILE``, and large blobs named by their sha256."""
    for source in artifact.sources:
        repo, file = getattr(source, "hf", None), getattr(source, "file", None)
        if isinstance(repo, str) and isinstance(file, str):
            snapshots = directory / f"models--{repo.replace('/', '--')}" / "snapshots"
            yield from (snapshot / file for snapshot in _subdirectories(snapshots))
    if artifact.sha256:
        for repository in _subdirectories(directory):
            if repository.name.startswith(("models--", "datasets--", "spaces--")):
                yield repository / "blobs" / artifact.sha256


def _in_checkpoints(
    directory: Path, artifact: Artifact, _: str | None, promised: Collection[str]
) -> Iterator[Path]:
    """Torch: files by the last part of their URL, usually ``NAME-XXXXXXXX.pth`` (8 digits of sha256)."""
    names = _file_names(artifact).union(promised)
    suffix = f"-{artifact.sha256[:8]}" if artifact.sha256 else None
    for name in (entry.name for entry in scan(directory)):
        if name in names or (suffix and PurePosixPath(name).stem.endswith(suffix)):
            yield directory / name


def _in_modules(directory: Path, artifact: Artifact, *_: object) -> Iterator[Path]:
    """TensorFlow Hub: a directory for each module, named by the sha1 of its handle."""
    handles = [getattr(source, "tfhub", None) for source in artifact.sources]
    modules = [
        directory / hashlib.sha1(handle.encode(), usedforsecurity=False).hexdigest()
        for handle in handles
        if isinstance(handle, str)
    ]
    for module in (*modules, *_subdirectories(directory)):
        yield module / artifact.path
        yield module / PurePosixPath(artifact.path).name


def _in_tree(directory: Path, artifact: Artifact, model: str | None, _: object) -> Iterator[Path]:
    """Open Model Zoo's ``--cache_dir`` (format 1, by sha384) or ``--output_dir``, or just files."""
    if artifact.sha384:
        yield directory / _OMZ_FORMAT / artifact.sha384[:2] / artifact.sha384[2:]
        yield directory / artifact.sha384[:2] / artifact.sha384[2:]
    paths = dict.fromkeys([artifact.path, *sorted(_file_names(artifact))])
    parents = [directory]
    if model:
        parents += [directory / model, *(group / model for group in _subdirectories(directory))]
    for parent in parents:
        for path in paths:
            yield parent / path
            yield parent / f"{path}.orig"  # what Open Model Zoo's downloader edited and kept


_FINDERS: dict[str, Callable[[Path, Artifact, str | None, Collection[str]], Iterator[Path]]] = {
    "hub": _in_hub,
    "torch": _in_checkpoints,
    "tfhub": _in_modules,
    "tree": _in_tree,
}


def _subdirectories(directory: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [directory / entry.name for entry in scan(directory) if entry.is_dir()]
    return []


def _file_names(artifact: Artifact) -> set[str]:
    """Return the plain names a file may have: its own, and the last parts of its URLs."""
    urls = [getattr(source, "url", None) for source in artifact.sources]
    names = {PurePosixPath(artifact.path).name, *(_last_part(url) for url in urls if isinstance(url, str))}
    return names - {"", ".", ".."}


def _last_part(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name
