"""What is wanted, what arrived, and the places to try, in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from model_zoo.schema import Digest
from model_zoo.sources.base import HttpLocation, LocatedSource, Location
from model_zoo.sources.url import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.errors import ModelZooError
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """One artifact of one model that is not in the cache."""

    model: str
    artifact: Artifact

    @property
    def key(self) -> str:
        """What names its partial and its lock.

        The hex of the first declared digest (sha256, sha384, sha512), so that every source and every model
        that wants the same bytes shares them; without one, a sha256 over the sources.
        """
        if self.artifact.digests:
            return self.artifact.digests[0].hex
        described = [[source.kind, msgspec.to_builtins(source)] for source in self.artifact.sources]
        return Digest.of_json(described).hex

    @property
    def label(self) -> str:
        """``model: path``, the start of every message about it; without the path where it is all files."""
        return self.model if self.artifact.path == "." else f"{self.model}: {self.artifact.path}"


@dataclass(frozen=True)
class Arrival:
    """Verified bytes, flushed to the disk, in the partial folder: ready to be renamed into the cache.

    ``source`` is the description of the source that delivered them.
    """

    wanted: Wanted
    path: Path
    size: int
    sha256: str
    source: str


@dataclass(frozen=True)
class Outcome:
    """How one wanted artifact ended: an error, an arrival, or neither where it was found present."""

    wanted: Wanted
    error: ModelZooError | None
    arrival: Arrival | None


@dataclass
class Candidate:
    """One place to try, and how it has done so far.

    Attributes:
        name: for messages; holds no secret.
        location: where the bytes are; None where the source could not say.
        failures: attempts in a row that brought nothing new.
        ready: the monotonic time before which it asked not to be tried again.
        ranges: whether parts may be asked for.
        blind: ask for parts without If-Range, and let the digest judge.
        blind_tried: that was begun.
        clean: the bytes were once put together wrongly; take them in one piece from here.
        ended_with: the digest of what came before an end that proves nothing.
        connections: how many it may be asked over at once; fewer once it refused some.
        changes: how often its content changed under way.
        encoded: take a compressed body as it is instead of unpacking it.
        reason: why it failed last.
    """

    name: str
    location: Location | None
    failures: int = 0
    ready: float = 0.0
    ranges: bool = True
    blind: bool = False
    blind_tried: bool = False
    clean: bool = False
    encoded: bool = False
    ended_with: object = None
    connections: int = 1
    changes: int = 0
    reason: ModelZooError | None = None


def candidates(source: LocatedSource, artifact: Artifact, settings: Settings) -> Iterator[Candidate]:
    """Yield the places of one source: its mirrors, then the original.

    Raises:
        SourceUnavailableError: the source can already tell that it does not have the artifact.
    """
    location = source.locate(artifact, settings)
    if isinstance(location, HttpLocation):
        for before, after in settings.mirrors:
            if location.url.startswith(before):
                url = after + location.url[len(before) :]
                mirrored = replace(location, url=url, headers={})
                name = f"{safe_url(url)} (mirror)"
                yield Candidate(name, mirrored, connections=settings.connections)
    yield Candidate(source.describe(), location, connections=settings.connections)
