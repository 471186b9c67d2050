"""One layer on disk: which directory holds what. The version in a directory's name is that of its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.errors import CacheDamagedError
from model_zoo.files import as_cache_error, exists, has_link, make_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path

TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of model-zoo; backup programs may leave it out (bford.info/cachedir).\n"
)
TAG_NAME = "CACHEDIR.TAG"
COMPLETE = "complete"
"""The file in a directory of notes that says that none is missing; without it they are derived again."""
NOTES = ("aliases", "requests", "inputs", "resolutions")


@dataclass(frozen=True)
class Layer:
    """A cache directory, writable or not."""

    root: Path

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

    @property
    def blobs(self) -> Path:
        """Blobs by their sha256, in 256 directories."""
        return self.root / "blobs-v1" / "sha256"

    @property
    def models(self) -> Path:
        """The files of models, by model and declaration."""
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
        """Converter environments by digest."""
        return self.root / "envs-v1"

    @property
    def partials(self) -> Path:
        """Unfinished transfers and staging directories."""
        return self.root / "partial-v1"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.root / "locks-v1"

    @property
    def state(self) -> Path:
        """Notes, which can be derived again from the rest."""
        return self.root / "state-v1"

    @property
    def pins(self) -> Path:
        """One small file for each pinned reference; nothing could derive these again."""
        return self.root / "pins-v1"

    @property
    def foreign(self) -> Path:
        """Files that ``repair`` found in the cache and did not recognise, kept for their owner."""
        return self.root / "foreign-v1"

    def prepare(self) -> None:
        """Create the layer's directory and its CACHEDIR.TAG.

        Raises:
            CacheError: it cannot be created or written.
        """
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
        """Return ``path``, to be written to or deleted.

        Raises:
            CacheDamagedError: a part of it below the root is a symlink.
        """
        if not self.owns(path):
            what = f"{path} is behind a symlink inside the cache, where symlinks are not followed"
            raise CacheDamagedError(
                what,
                left="nothing was written",
                hint="see 'model-zoo cache verify'; 'model-zoo cache repair' moves the symlink away. "
                "To keep the cache on another disk, point MODEL_ZOO_CACHE at it",
            )
        return path
