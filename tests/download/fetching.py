"""One fetch as a process of its own, for tests that kill it or let several race.

``python -m tests.download.fetching ROOT URL SIZE SHA256 [SETTING=NUMBER …]``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.download import Download, DownloadTask, download
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources.url import UrlSource

if TYPE_CHECKING:
    from model_zoo.events import Event


def main() -> int:
    root, url, size, sha256, *rest = sys.argv[1:]
    settings = Settings(**{name: float(value) for name, _, value in (one.partition("=") for one in rest)})
    blobs = Path(root) / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)

    def publish(result: Download) -> None:
        result.path.replace(blobs / result.sha256)

    def report(event: Event) -> None:
        sys.stdout.write(f"{event.event} {event.bytes or ''} {event.message or ''}\n")
        sys.stdout.flush()

    artifact = Artifact(path="m.bin", size=int(size), sha256=sha256, sources=(UrlSource(url=url),))
    try:
        (outcome,) = download(
            [DownloadTask("model", artifact)],
            settings=settings,
            partials=Path(root) / "partial",
            locks=Path(root) / "locks",
            present=lambda task: (blobs / task.artifact.digests[0].hex).exists(),
            publish=publish,
            report=report,
        )
    except KeyboardInterrupt:
        return 130
    if outcome.error:
        sys.stdout.write(f"{outcome.error}\n")
        return outcome.error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
