"""One layer on disk: which folder holds what. A version in a folder's name changes with its format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.errors import CacheDamagedError
from model_zoo.files import as_cache_error, exists, make_directory, write_file
from model_zoo.files.tree import is_link

if TYPE_CHECKING:
    from pathlib import Path

TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of model-zoo; backup programs may leave it out (bford.info/cachedir).\n"
)
TAG_NAME = "CACHEDIR.TAG"
COMPLETE = "complete"
"""The file in a folder of notes that says that every note is there: without it they are derived again."""
NOTES = ("aliases", "requests", "inputs", "resolutions")


@dataclass(frozen=True)
class Layer:
    """A cache directory, writable or not."""

    root: Path

    def blob(self, sha256: str) -> Path:
        """Where the bytes with that sha256 are."""
        return self.blobs / sha256[:2] / sha256

    def files(self, model: str, digest: str) -> Path:
        """Where a model's files are materialised, by the digest of their declaration."""
        return self.models / model / digest

    def ir(self, key: str) -> Path:
        """Where the IR with that key is."""
        return self.irs / key

    def alias(self, kind: str, digest: str) -> Path:
        """Where it is noted which sha256 another digest, or a declared address, stands for."""
        return self.state / "aliases" / kind / digest[:2] / digest

    def request(self, digest: str) -> Path:
        """Where the keys of all IRs are noted that answer the same request with any tool versions."""
        return self.state / "requests" / digest[:2] / digest

    def inputs(self, digest: str) -> Path:
        """Where the content of a declaration is noted, so that an IR is found without its files."""
        return self.state / "inputs" / digest[:2] / f"{digest}.json"

    def resolution(self, digest: str) -> Path:
        """Where it is noted which files, at an address that stays, a declaration was found to mean."""
        return self.state / "resolutions" / digest[:2] / f"{digest}.json"

    def adopted(self, sha256: str) -> Path:
        """Where it is noted from which file of another program a blob was adopted: a remark for people."""
        return self.state / "adopted" / sha256[:2] / sha256

    def used(self, kind: str, name: str) -> Path:
        """The empty file whose time is that of the last noted use of a model's files or an IR."""
        return self.state / "used" / kind / name

    def complete(self, notes: str) -> Path:
        """The mark that says that the notes of one kind are all there."""
        return self.state / notes / COMPLETE

    @property
    def blobs(self) -> Path:
        """Bytes by their sha256, in 256 folders."""
        return self.root / "blobs-v1" / "sha256"

    @property
    def models(self) -> Path:
        """Materialised folders by model."""
        return self.root / "files-v1"

    @property
    def irs(self) -> Path:
        """IRs by key."""
        return self.root / "ir-v1"

    @property
    def compiled(self) -> Path:
        """Compiled blobs of devices."""
        return self.root / "compiled-v1"

    @property
    def envs(self) -> Path:
        """Environments that converters run in."""
        return self.root / "envs-v1"

    @property
    def partials(self) -> Path:
        """Transfers and staging folders in progress."""
        return self.root / "partial-v1"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.root / "locks-v1"

    @property
    def state(self) -> Path:
        """Notes that can be rebuilt from the rest."""
        return self.root / "state-v1"

    @property
    def pins(self) -> Path:
        """One small file per pinned reference: a person's wish, which nothing could rebuild."""
        return self.root / "pins-v1"

    @property
    def foreign(self) -> Path:
        """What ``repair`` found in the cache and did not recognise: kept for its owner to look at."""
        return self.root / "foreign-v1"

    def prepare(self) -> None:
        """Create the layer's folder and its CACHEDIR.TAG.

        Raises:
            CacheError: it cannot be created or written.
        """
        tag = self.root / TAG_NAME
        if exists(tag):
            return
        make_directory(self.root)
        with as_cache_error(tag):
            if not (exists(self.models) or exists(self.irs) or self.state.is_symlink()):
                for notes in NOTES:
                    mark = self.complete(notes)
                    mark.parent.mkdir(parents=True, exist_ok=True)
                    mark.touch()
            write_file(tag, TAG.encode("ascii"))

    def owns(self, path: Path) -> bool:
        """Whether no part of ``path`` below the root is a link, which could lead anywhere.

        The root itself may be one: that was its owner's decision. Missing parts are no links.
        """
        here = str(self.root)
        for part in path.relative_to(self.root).parts:
            here = f"{here}{os.sep}{part}"
            try:
                found = os.lstat(here)
            except OSError:
                return True
            if is_link(found):
                return False
        return True

    def check_own(self, path: Path) -> Path:
        """Return ``path``, to be written to or deleted.

        Raises:
            CacheDamagedError: a part of it below the root is a link.
        """
        if not self.owns(path):
            what = f"{path} passes through a symbolic link inside the cache, and links are not followed there"
            raise CacheDamagedError(
                what,
                left="nothing was written",
                hint="see 'model-zoo cache verify'; 'cache repair' moves the link away. "
                "To keep the cache on another disk, point MODEL_ZOO_CACHE at it",
            )
        return path
