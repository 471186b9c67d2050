"""One layer on disk: which directory holds what. The version in a directory's name is that of its format."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from model_zoo.errors import CacheDamagedError, CacheError
from model_zoo.files import as_cache_error, exists, has_link, make_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of model-zoo; backup programs may leave it out (bford.info/cachedir).\n"
)
TAG_NAME = "CACHEDIR.TAG"
COMPLETE = "complete"
"""The file in a directory of notes that says that none is missing; without it they are derived again."""
NOTES = ("aliases", "requests", "inputs", "resolutions")


def _below(path: str) -> cached_property[Path]:
    return cached_property(lambda layer: layer.root / path)


@dataclass(frozen=True)
class Layer:
    """A cache directory, writable or not."""

    root: Path

    blobs = _below("blobs-v1/sha256")
    """Blobs by their sha256, in 256 directories."""
    models = _below("files-v1")
    """The files of models, by model and declaration."""
    irs = _below("ir-v1")
    """IRs by key."""
    compiled = _below("compiled-v1")
    """Compiled blobs of devices."""
    envs = _below("envs-v1")
    """Converter environments by digest."""
    partials = _below("partial-v1")
    """Unfinished transfers and staging directories."""
    locks = _below("locks-v1")
    """Lock files."""
    state = _below("state-v1")
    """Notes, which can be derived again from the rest."""
    pins = _below("pins-v1")
    """One small file for each pinned reference; nothing could derive these again."""
    pin_twins = _below("state-v1/pins")
    """An empty file for each pin, by which a lost one is found."""
    foreign = _below("foreign-v1")
    """Files that ``repair`` found in the cache and did not recognise, kept for their owner."""

    def blob(self, sha256: str) -> Path:
        """The blob with that sha256."""
        return self.blobs / sha256[:2] / sha256

    def files(self, model: str, digest: str) -> Path:
        """The directory of a model's files, by the digest of their declaration."""
        return self.models / model / digest

    def ir(self, key: str) -> Path:
        """The directory of the IR with that key."""
        return self.irs / key

    def alias(self, kind: str, digest: str) -> Path:
        """The note of the sha256 that another digest, or a declared address, stands for."""
        return self.state / "aliases" / kind / digest[:2] / digest

    def request(self, digest: str) -> Path:
        """The notes of the keys of all IRs that answer the same request, whatever the tool versions."""
        return self.state / "requests" / digest[:2] / digest

    def inputs(self, digest: str) -> Path:
        """The note of the content of a declaration, so that an IR is found without its files."""
        return self.state / "inputs" / digest[:2] / f"{digest}.json"

    def resolution(self, digest: str) -> Path:
        """The note of the artifacts, at permanent addresses, that floating ones were found to mean."""
        return self.state / "resolutions" / digest[:2] / f"{digest}.json"

    def adopted(self, sha256: str) -> Path:
        """The note of the file of another program that a blob was adopted from; for people only."""
        return self.state / "adopted" / sha256[:2] / sha256

    def proven(self, digest: str) -> Path:
        """The empty file that says that a directory of another layer was read and found right."""
        return self.state / "proven" / digest[:2] / digest

    def used(self, kind: str, name: str) -> Path:
        """The empty file whose time is that of the last noted use."""
        return self.state / "used" / kind / name

    def complete(self, notes: str) -> Path:
        """The mark that no note of one kind is missing."""
        return self.state / notes / COMPLETE

    def note_use(self, kind: str, name: str, published: float) -> None:
        """Note that an entry is used, at most once a day and if that can be written.

        Having been ``published``, in seconds since 1970, counts as a use.
        """
        now = time.time()
        if abs(now - published) < DAY:
            return
        mark = self.used(kind, name)
        with contextlib.suppress(OSError):
            if abs(now - mark.lstat().st_mtime) < DAY:
                return
        with contextlib.suppress(OSError, CacheError):
            self.check_own(mark).parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def prepare(self) -> None:
        """Create the layer's directory and its CACHEDIR.TAG, or raise a CacheError."""
        tag = self.root / TAG_NAME
        if exists(tag):
            return
        make_directory(self.root)
        with as_cache_error(tag):
            if not (exists(self.models) or exists(self.irs)):
                for mark in filter(self.owns, map(self.complete, NOTES)):
                    mark.parent.mkdir(parents=True, exist_ok=True)
                    mark.touch()
            write_file(tag, TAG.encode("ascii"))

    def owns(self, path: Path) -> bool:
        """Whether no part of ``path`` below the root is a symlink, which could lead anywhere."""
        return not has_link(self.root, path)

    def check_own(self, path: Path) -> Path:
        """Return ``path``, to be written to or deleted; CacheDamagedError where it is behind a symlink."""
        if not self.owns(path):
            what = f"{path} is behind a symlink inside the cache, where symlinks are not followed"
            raise CacheDamagedError(
                what,
                left="nothing was written",
                hint="see 'model-zoo cache verify'; 'model-zoo cache repair' moves the symlink away. "
                "To keep the cache on another disk, point MODEL_ZOO_CACHE at it",
            )
        return path
