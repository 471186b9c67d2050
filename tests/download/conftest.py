"""A loopback server, and a cache small enough to look through: a folder of blobs named by their sha256."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from model_zoo.download import Download, DownloadTask, download, failures
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources.url import UrlSource
from tests.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.events import Event
    from model_zoo.outcome import Outcome
    from model_zoo.sources import LocatedSource

QUICK = Settings(connect_timeout=2, stall_timeout=0.4, lock_timeout=20)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the way delays grow, and make the unit small."""
    monkeypatch.setattr(failures, "_FIRST_DELAY", 0.005)
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass
class Store:
    """The download stage over a tiny cache."""

    root: Path
    settings: Settings = QUICK
    events: list[Event] = field(default_factory=list)
    published: list[Download] = field(default_factory=list)

    @property
    def partials(self) -> Path:
        return self.root / "partial"

    def blob(self, content: bytes) -> Path:
        return self.root / "blobs" / hashlib.sha256(content).hexdigest()

    def artifact(
        self,
        content: bytes,
        *sources: str | LocatedSource,
        size: bool = True,
        digest: bool = True,
        path: str = "m.bin",
    ) -> Artifact:
        return Artifact(
            path=path,
            size=len(content) if size else None,
            sha256=hashlib.sha256(content).hexdigest() if digest else None,
            sources=tuple(UrlSource(url=one) if isinstance(one, str) else one for one in sources),
        )

    def publish(self, result: Download) -> None:
        folder = self.root / "blobs"
        folder.mkdir(exist_ok=True)
        assert hashlib.sha256(result.path.read_bytes()).hexdigest() == result.sha256
        result.path.replace(folder / result.sha256)
        self.published.append(result)

    def present(self, task: DownloadTask) -> bool:
        digests = task.artifact.digests
        return bool(digests) and (self.root / "blobs" / digests[0].hex).exists()

    def run(
        self, *artifacts: Artifact, settings: Settings | None = None, **changes: object
    ) -> list[Outcome[Download]]:
        self.events.clear()
        chosen = msgspec.structs.replace(settings or self.settings, **changes)
        return download(
            [DownloadTask("model", one) for one in artifacts],
            settings=chosen,
            partials=self.partials,
            locks=self.root / "locks",
            present=self.present,
            publish=self.publish,
            report=self.events.append,
        )

    def get(
        self,
        content: bytes,
        *sources: str | LocatedSource,
        size: bool = True,
        digest: bool = True,
        path: str = "m.bin",
        **changes: object,
    ) -> Outcome[Download]:
        """Fetch one artifact; what is published must be its content, whatever the outcome."""
        artifact = self.artifact(content, *sources, size=size, digest=digest, path=path)
        (outcome,) = self.run(artifact, **changes)
        self.check_events()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("model-zoo")]
        if outcome.error is None:
            assert self.blob(content).read_bytes() == content
            assert not list(self.partials.iterdir()), "nothing is left in the partial folder"
        else:
            assert not self.blob(content).exists()
        return outcome

    def check_events(self) -> None:
        most: dict[tuple[str | None, str | None], int] = {}
        for event in self.events:
            if event.bytes is not None:
                key = (event.model, event.file)
                assert event.bytes >= most.get(key, 0), "bytes never go backwards"
                most[key] = event.bytes

    def messages(self, event: str) -> list[str]:
        return [one.message or "" for one in self.events if one.event == event]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)
