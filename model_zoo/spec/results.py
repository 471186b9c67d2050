"""Results: what the pipeline reports and hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_zoo.spec.base import Noun
from model_zoo.spec.model import Model


class FileEntry(Noun, frozen=True, kw_only=True):
    """One file of a manifest: where, how long, and the sha256 (hex) of its bytes."""

    path: str
    size: int
    sha256: str


class Event(Noun, frozen=True, kw_only=True):
    """What a progress callable receives; ``--progress json`` prints one a line.

    ``bytes`` counts what is proven to be on disk of ``file`` (or of the model where ``file`` is unset)
    and never goes backwards; ``total`` is the declared size, when there is one.
    """

    event: str
    model: str | None = None
    file: str | None = None
    bytes: int | None = None
    total: int | None = None
    message: str | None = None
    seconds: float | None = None


class FetchedModel(Noun, frozen=True, kw_only=True):
    """A model's files in the cache: the folder, each file by its declared path, and the manifest."""

    model: Model
    directory: Path
    files: dict[str, Path]
    manifest: dict[str, Any]


class ConvertedModel(Noun, frozen=True, kw_only=True):
    """An IR in the cache: the two files, the IR key they are stored under, and the manifest."""

    model: Model
    precision: str
    xml: Path
    bin: Path
    key: str
    manifest: dict[str, Any]

    @property
    def directory(self) -> Path:
        """The folder that holds the IR."""
        return self.xml.parent
