"""``file``: a file on this machine or on a mounted share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from model_zoo.errors import SourceUnavailableError
from model_zoo.sources.base import LocalLocation, LocatedSource

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


class FileSource(LocatedSource, frozen=True, kw_only=True):
    """A path, relative to the directory of the catalog file that names it."""

    kind: ClassVar[str] = "file"
    online: ClassVar[bool] = False
    file: str

    def __post_init__(self) -> None:
        """Refuse an empty path."""
        if not self.file or "\0" in self.file:
            raise ValueError("file must name a path")

    def locate(self, artifact: Artifact, settings: Settings) -> LocalLocation:
        """The path, if a regular file is there; else SourceUnavailableError."""
        del artifact, settings
        path = Path(self.file)
        if not path.is_file():
            found = "not a regular file" if path.exists() else "no such file"
            hint = "correct the path in the catalog entry, or restore the file"
            raise SourceUnavailableError(
                f"cannot read {path}", expected="a regular file", found=found, hint=hint
            )
        return LocalLocation(path)

    @property
    def local(self) -> Path:
        """The path."""
        return Path(self.file)

    def describe(self) -> str:
        """Return the path."""
        return self.file

    def rooted(self, folder: Path) -> FileSource:
        """Resolve the path relative to the catalog file's directory."""
        return msgspec.structs.replace(self, file=_normalized(folder / Path(self.file).expanduser()))


def _normalized(path: Path) -> str:
    """Return a path without "..", unless a symlink makes that a different file."""
    short = os.path.normpath(path)
    return short if ".." in path.parts and os.path.realpath(short) == os.path.realpath(path) else str(path)
