"""What to download, what was downloaded, and the candidates to try for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from model_zoo.schema import Digest
from model_zoo.sources.base import HttpLocation, LocatedSource, Location
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.download.adopt import LocalCopy
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


@dataclass(frozen=True)
class DownloadTask:
    """One artifact of one model that is not in the cache.

    ``local_copies`` are files of other programs that may be the artifact (``adopt``), tried first.
    """

    model: str
    artifact: Artifact
    local_copies: tuple[LocalCopy, ...] = ()

    @property
    def key(self) -> str:
        """The name of its partial file and its lock.

        The hex of the first declared digest (sha256, sha384, sha512), so that every source and every model
        that needs the same bytes shares them; without one, a sha256 over the sources.
        """
        if self.artifact.digests:
            return self.artifact.digests[0].hex
        described = [[source.kind, msgspec.to_builtins(source)] for source in self.artifact.sources]
        return Digest.of_json(described).hex

    @property
    def label(self) -> str:
        """``model: path``, the start of every message; without the path if it stands for all files."""
        return self.model if self.artifact.path == "." else f"{self.model}: {self.artifact.path}"


@dataclass(frozen=True)
class Download:
    """Verified bytes, flushed to the disk, in the partial directory: ready to be renamed into the cache.

    They come from a source, or are ``adopted_from`` a file of another program.
    """

    task: DownloadTask
    path: Path
    size: int
    sha256: str
    source: str
    adopted_from: Path | None = None


@dataclass
class Candidate:
    """One location to try, and how it has done so far.

    Attributes:
        name: for messages; holds no secret.
        location: where the bytes are.
        failures: attempts in a row that brought nothing new.
        retry_at: the monotonic time before which it is not tried again.
        ranges: whether ranges may be requested.
        unconditional: request ranges without If-Range, and let the digest decide.
        unconditional_tried: that has been started.
        restarted: the file was once assembled wrongly; only parts with a matching validator may be joined.
        keep_encoding: take a compressed body as it is instead of decoding it.
        last_digest: the digest found after the last end of a body that proves nothing.
        connections: how many may be open to it at once; fewer after it refused some.
        changes: how often its content changed during the transfer.
    """

    name: str
    location: Location
    failures: int = 0
    retry_at: float = 0.0
    ranges: bool = True
    unconditional: bool = False
    unconditional_tried: bool = False
    restarted: bool = False
    keep_encoding: bool = False
    last_digest: object = None
    connections: int = 1
    changes: int = 0


def candidates(source: LocatedSource, artifact: Artifact, settings: Settings) -> Iterator[Candidate]:
    """Yield the candidates of one source: its mirrors, then the original; raises what ``locate`` does."""
    location = source.locate(artifact, settings)
    if isinstance(location, HttpLocation):
        for prefix, replacement in settings.mirrors:
            if location.url.startswith(prefix):
                url = replacement + location.url[len(prefix) :]
                mirrored = replace(location, url=url, headers={})
                yield Candidate(f"{safe_url(url)} (mirror)", mirrored, connections=settings.connections)
    yield Candidate(source.describe(), location, connections=settings.connections)
