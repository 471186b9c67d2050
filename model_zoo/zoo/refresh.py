"""Pinning what floats in catalog files: a branch becomes its commit, a pattern the files it matches."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.catalog.reader import parse_model
from model_zoo.catalog.writer import to_yaml
from model_zoo.errors import OfflineError, SourceUnavailableError
from model_zoo.files import CHUNK
from model_zoo.sources import LocatedSource, floating_sources
from model_zoo.sources.base import HttpLocation
from model_zoo.zoo.resolver import floating

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

LARGEST = 32 << 20
"""Bytes of a file that is read for its digest, where the server states none: texts and configurations."""
_ARTIFACTS = re.compile(r"^artifacts:.*\n(?:(?:[ \t#].*)?\n|- .*\n)*", re.MULTILINE)


def refreshed(path: Path, settings: Settings) -> str | None:
    """Return the text of a catalog file with everything pinned that floats; None where nothing does.

    Only ``artifacts`` is written anew; the rest of the file, comments included, stays.

    Raises:
        CatalogError: the file is no valid entry.
        DownloadError: a source does not answer, or does not have the files.
        OfflineError: this run is offline.
    """
    text = path.read_text(encoding="utf-8")
    model = parse_model(text, str(path))
    if not floating(model.artifacts):
        return None
    if settings.offline:
        what = f"{path}: cannot resolve its sources: this run is offline"
        raise OfflineError(what, left="the file is as it was", hint="run again without --offline")
    seen: dict[object, Any] = {}
    artifacts = tuple(
        _pinned(one, settings, seen)
        for artifact in model.artifacts
        for one in _resolved(artifact, settings, seen)
    )
    changed = msgspec.structs.replace(model, artifacts=artifacts)
    block = _ARTIFACTS.search(to_yaml(changed))
    assert block is not None  # noqa: S101 - the model has artifacts
    new = _ARTIFACTS.sub(lambda _: block[0], text, count=1)
    parse_model(new, str(path))
    return new


def _resolved(artifact: Artifact, settings: Settings, seen: dict[object, Any]) -> tuple[Artifact, ...]:
    """Return the files that an artifact stands for, at fixed addresses."""
    candidates = floating_sources(artifact)
    if not candidates:
        return (artifact,)
    rest = tuple(source for source in artifact.sources if source not in candidates[1:])
    return candidates[0].resolve(msgspec.structs.replace(artifact, sources=rest), settings, seen)


def _pinned(artifact: Artifact, settings: Settings, seen: dict[object, Any]) -> Artifact:
    """Return a file with the size and sha256 that its server states, or its bytes have if they are few."""
    if artifact.digests and artifact.size is not None:
        return artifact
    source = artifact.sources[0]
    if not isinstance(source, LocatedSource) or not source.listed:
        return artifact
    stated = source.look(artifact, settings, seen)
    assert isinstance(stated, HttpLocation)  # noqa: S101 - the listed kinds are on servers
    size = artifact.size if stated.size is None else stated.size
    changes: dict[str, object] = {"size": size, "integrity": None}
    if not artifact.digests:
        if stated.digest is not None:
            changes[stated.digest.algorithm] = stated.digest.hex
        elif size is not None and size <= LARGEST:
            location = source.locate(artifact, settings)
            assert isinstance(location, HttpLocation)  # noqa: S101
            changes["sha256"] = _sha256(location, settings)
    return msgspec.structs.replace(artifact, **changes)


def _sha256(location: HttpLocation, settings: Settings) -> str:
    """Read a small file, check it as its source can, and return its digest (hex)."""
    import threading

    from model_zoo.download.failures import AttemptError
    from model_zoo.download.http import Client

    client = Client(settings, threading.Event())
    digest = hashlib.sha256()
    try:
        response = client.get(location.url, location.url, location.headers, {})
        with tempfile.TemporaryDirectory() as scratch, response:
            response.raise_for_status()
            copy = Path(scratch) / "file"
            with copy.open("wb") as out:
                _copy(response.iter_content(CHUNK), digest.update, out.write)
            if location.check is not None:
                location.check(copy)
    except (AttemptError, OSError) as error:
        what = f"cannot read the file to take its digest: {error}"
        raise SourceUnavailableError(
            what, left="the catalog file is as it was", hint="try again later"
        ) from None
    finally:
        client.close()
    return digest.hexdigest()


def _copy(pieces: Any, *sinks: Callable[[bytes], object]) -> None:  # noqa: ANN401 - requests has no types
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > LARGEST:
            raise OSError("it is larger than its server said")
        for sink in sinks:
            sink(piece)
