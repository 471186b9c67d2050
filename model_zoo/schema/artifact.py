"""Artifacts: the declared files of a model, and what is done with them before anybody sees them."""

from __future__ import annotations

import functools
import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from model_zoo.schema.base import (
    Digest,
    Integrity,
    Sha256,
    Sha384,
    Sha512,
    Size,
    Struct,
    check_relative_path,
)
from model_zoo.schema.precision import check_precision

ArchiveFormat = Literal["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]


class Source:
    """One place an artifact can be read from. Each kind is a struct of its own in ``model_zoo.sources``."""

    kind: ClassVar[str] = ""

    @property
    def several(self) -> bool:
        """Whether it stands for several files: a pattern, or a whole folder."""
        return False


class Unpack(Struct, frozen=True, kw_only=True):
    """How an artifact that is an archive becomes a tree. ``strip`` leading path parts are dropped.

    ``into`` is the folder, relative to the model's, that the tree is put in ("." for the model's own); the
    artifact's path is then only what the archive is called. Without it the artifact's path is that folder.
    """

    format: ArchiveFormat
    strip: Annotated[int, Meta(ge=0)] = 0
    into: str | None = None

    def __post_init__(self) -> None:
        """Check the folder."""
        if self.into not in {None, "."}:
            check_relative_path(str(self.into))


@functools.lru_cache(maxsize=4096)
def _digest(algorithm: str, digits: str) -> Digest:
    """Return a declared digest, which is asked for many times in a run."""
    return Digest(algorithm=algorithm, hex=digits)  # type: ignore[arg-type]


class Artifact(Struct, frozen=True, kw_only=True):
    """One declared file of a model: path, size, digest, ordered sources.

    With ``unpack`` the digest is the archive's, and ``path`` is the folder its tree is put in ("." for
    the model's own folder) unless ``unpack.into`` names another. Where the sources stand for several files,
    ``path`` is the folder these are put in, and nothing else can be declared of them.
    """

    path: str
    size: Size | None = None
    sha256: Sha256 | None = None
    sha384: Sha384 | None = None
    sha512: Sha512 | None = None
    sources: tuple[Source, ...] = ()
    unpack: Unpack | None = None
    precision: str | None = None
    integrity: Integrity | None = None

    def __post_init__(self) -> None:
        """Check the path, the precision's spelling, and what a pattern may say."""
        several = [source.several for source in self.sources]
        if not (self.path == "." and (self.unpack or any(several))):
            check_relative_path(self.path)
        if any(several) and not (all(several) and self.unpack is None):
            msg = "sources: a pattern stands for several files, and so must all sources beside it, unpacked"
            raise ValueError(msg)
        if any(several) and (self.digests or self.size is not None):
            msg = "sources: a pattern stands for several files, which cannot share a size or a digest"
            raise ValueError(msg)
        if self.precision is not None:
            check_precision(self.precision, "precision")

    @property
    def title(self) -> str:
        """What messages call it: its path, or what "." stands for."""
        return "its files" if self.path == "." else self.path

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The declared digests, all of which the bytes must have."""
        pairs = (("sha256", self.sha256), ("sha384", self.sha384), ("sha512", self.sha512))
        return tuple(_digest(name, digits) for name, digits in pairs if digits)


class Replacement(Struct, frozen=True, kw_only=True):
    """A regular-expression edit applied to the materialised copy of a file, never to the blob.

    ``count`` is the number of replacements that must happen; 0 means any number but none. ``omz`` edits as
    Open Model Zoo's downloader did: line ends become LF, and the file as it came stays beside it as
    ``FILE.orig``.
    """

    file: str
    pattern: str
    replacement: str
    count: Annotated[int, Meta(ge=0)] = 0
    omz: bool = False

    def __post_init__(self) -> None:
        """Check the path and that the pattern compiles."""
        check_relative_path(self.file)
        try:
            re.compile(self.pattern)
        except re.error as error:
            msg = f"pattern {self.pattern!r} does not compile: {error}"
            raise ValueError(msg) from error
