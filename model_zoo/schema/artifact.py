"""Artifacts: the declared files of a model, and what is done with them before they are used."""

from __future__ import annotations

import functools
import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from model_zoo.schema.base import (
    HEX_DIGITS,
    MAX_PATH,
    Digest,
    Integrity,
    Sha256,
    Sha384,
    Sha512,
    Size,
    Struct,
    check_precision,
    check_relative_path,
    read_digits,
)

MAX_COUNT = 10_000
MAX_PATTERN = 4096
"""Characters of a pattern, and of what replaces it."""

ArchiveFormat = Literal["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"]


class Source:
    """Where an artifact can be read from. Each kind is a struct of its own in ``model_zoo.sources``."""

    kind: ClassVar[str] = ""

    @property
    def floating(self) -> bool:
        """Whether the server must be asked what the address means now, before anything is fetched."""
        return False

    @property
    def several(self) -> bool:
        """Whether it stands for several files: a pattern, or a whole directory."""
        return False


class Unpack(Struct, frozen=True, kw_only=True):
    """How an artifact that is an archive becomes a tree. ``strip`` leading path parts are dropped.

    ``into`` is the directory for the tree, relative to the model's ("." for the model's own); the artifact's
    path is then only the name of the archive. Without ``into`` the artifact's path is that directory.
    """

    format: ArchiveFormat
    strip: Annotated[int, Meta(ge=0, le=MAX_PATH)] = 0
    into: str | None = None

    def __post_init__(self) -> None:
        """Check the directory."""
        if self.into not in {None, "."}:
            check_relative_path(str(self.into))


@functools.lru_cache(maxsize=4096)
def _digest(algorithm: str, digits: str) -> Digest:
    """Return a declared digest, which a run needs many times."""
    return Digest(algorithm=algorithm, hex=digits)  # type: ignore[arg-type]


class Artifact(Struct, frozen=True, kw_only=True):
    """One declared file of a model: path, size, digest, ordered sources.

    With ``unpack`` the digest is the archive's, and ``path`` is the directory for its tree ("." for the
    model's own) unless ``unpack.into`` names another. If the sources stand for several files, ``path`` is
    the directory for these, and nothing else can be declared about them.

    ``approximate_size`` is a rounded figure in bytes where nothing better is published: shown, never checked.
    """

    path: str
    size: Size | None = None
    approximate_size: Size | None = None
    sha256: Sha256 | None = None
    sha384: Sha384 | None = None
    sha512: Sha512 | None = None
    sources: tuple[Source, ...] = ()
    unpack: Unpack | None = None
    precision: str | None = None
    integrity: Integrity | None = None

    def __post_init__(self) -> None:
        """Check the path, the precision's spelling, and what goes with a pattern; make digests hex."""
        for name in HEX_DIGITS:
            if "-" in (stated := getattr(self, name) or ""):
                force_setattr(self, name, read_digits(stated))
        several = [source.several for source in self.sources]
        if not (self.path == "." and (self.unpack or any(several))):
            check_relative_path(self.path)
        if any(several) and not (all(several) and self.unpack is None):
            msg = "sources: a pattern stands for several files; the other sources must too, without unpack"
            raise ValueError(msg)
        if (self.digests or self.size is not None) and any(several):
            msg = "sources: a pattern stands for several files, which cannot share a size or a digest"
            raise ValueError(msg)
        if self.precision is not None:
            check_precision(self.precision, "precision")

    @property
    def title(self) -> str:
        """What to call it in messages: its path, or what "." means."""
        return "its files" if self.path == "." else self.path

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The declared digests, all of which the bytes must have."""
        pairs = (("sha256", self.sha256), ("sha384", self.sha384), ("sha512", self.sha512))
        return tuple(_digest(name, digits) for name, digits in pairs if digits)


class Replacement(Struct, frozen=True, kw_only=True):
    """A regular-expression edit applied to the materialised copy of a file, never to the blob.

    ``count`` is the number of replacements that must happen; 0 means at least one. ``omz`` edits as Open
    Model Zoo's downloader did: line endings become LF, and the original file is kept as ``FILE.orig``.
    """

    file: str
    pattern: str
    replacement: str
    count: Annotated[int, Meta(ge=0, le=MAX_COUNT)] = 0
    omz: bool = False

    def __post_init__(self) -> None:
        """Check the path, the sizes, and that pattern and replacement are valid and go together."""
        check_relative_path(self.file)
        if len(self.pattern) > MAX_PATTERN or len(self.replacement) > MAX_PATTERN:
            raise ValueError(f"pattern and replacement may have at most {MAX_PATTERN} characters each")
        try:
            compiled = re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"pattern {self.pattern!r} does not compile: {error}") from error
        try:
            # A pattern with the same groups that matches nothing: the replacement is read, and used once.
            groups = {number: name for name, number in compiled.groupindex.items()}
            names = (f"?P<{groups[n]}>" if n in groups else "" for n in range(1, compiled.groups + 1))
            re.sub("".join(f"({name})" for name in names), self.replacement, "")
        except (re.error, RecursionError, OverflowError, IndexError) as error:
            msg = f"replacement {self.replacement!r} does not go with the pattern: {error}"
            raise ValueError(msg) from error
