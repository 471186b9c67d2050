"""Resolving: what floats (a branch, a pattern) becomes files at an address that stays, once.

What a place answered is noted in the cache: a later run, offline or not, means the same files. ``fresh``
asks anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.catalog import artifacts_from
from model_zoo.catalog.hf_layout import required_files
from model_zoo.errors import DownloadError, ModelZooError, OfflineError
from model_zoo.schema import EXPORTED, Digest
from model_zoo.sources import LocatedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cache import Cache
    from model_zoo.schema import Artifact, Model
    from model_zoo.settings import Settings
    from model_zoo.zoo.request import Request


class Resolving:
    """Floating artifacts on one cache with one set of settings."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self.settings = settings
        self.cache = cache

    def known(self, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...] | None:
        """Return what the artifacts were found to mean, themselves if none floats; look only."""
        if not floating(artifacts):
            return tuple(artifacts)
        noted = self.cache.find_resolution(key_of(artifacts))
        return None if noted is None else artifacts_from(noted)

    def resolve(
        self, artifacts: Sequence[Artifact], label: str, reference: str, *, fresh: bool = False
    ) -> tuple[Artifact, ...]:
        """Return what the artifacts mean, asking their places where that is not known; all at one state.

        Args:
            artifacts: of one model.
            label: what messages call the model.
            reference: what to type to fetch it.
            fresh: ask even where an answer is noted.

        Raises:
            OfflineError: a place would have to be asked, and the run is offline.
            DownloadError: none of an artifact's sources has it.
            CacheError: the answer cannot be noted.
        """
        found = None if fresh and not self.settings.offline else self.known(artifacts)
        if found is not None:
            return found
        if self.settings.offline:
            asked = ", ".join(s.describe() for a in artifacts for s in _floating_of(a))
            raise OfflineError(
                f"{label}: which files {asked} means was never asked here, and the run is offline",
                left="nothing of it",
                hint=f"run 'model-zoo fetch {reference}' once without --offline (MODEL_ZOO_OFFLINE)",
            )
        seen: dict[object, Any] = {}
        resolved = tuple(one for artifact in artifacts for one in self._resolve(artifact, label, seen))
        self.cache.note_resolution(key_of(artifacts), plain(resolved))
        return resolved

    def settle(self, request: Request) -> Request | None:
        """Return a request with what its floating artifacts are known to mean; None if they are not."""
        if not floating(request.model.artifacts):
            return request
        known = self.known(request.model.artifacts)
        return None if known is None else _settled(request, known)

    def resolve_request(self, request: Request, *, fresh: bool = False) -> Request:
        """Return a request with what its floating artifacts mean, asking if needed; raises as ``resolve``."""
        if not floating(request.model.artifacts):
            return request
        model = request.model
        return _settled(request, self.resolve(model.artifacts, model.name, request.name, fresh=fresh))

    def _resolve(self, artifact: Artifact, label: str, seen: dict[object, Any]) -> tuple[Artifact, ...]:
        """Settle one artifact on the first of its floating sources that answers; drop the other ones."""
        floats = _floating_of(artifact)
        if not floats:
            return (artifact,)
        failures: list[ModelZooError] = []
        for source in floats:
            rest = tuple(one for one in artifact.sources if one is source or one not in floats)
            alone = msgspec.structs.replace(artifact, sources=rest)
            try:
                return source.resolve(alone, self.settings, seen)
            except ModelZooError as error:
                failures.append(error)
        others = tuple(source for source in artifact.sources if source not in floats)
        if others:
            return (msgspec.structs.replace(artifact, sources=others),)
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(failure.what for failure in failures)
        raise DownloadError(
            f"{label}: no source of {artifact.title} answers", found=reasons, hint=failures[0].hint
        )


def _settled(request: Request, artifacts: tuple[Artifact, ...]) -> Request:
    if request.model.framework in EXPORTED:
        artifacts = _needed(request.model, artifacts)
    model = msgspec.structs.replace(request.model, artifacts=artifacts)
    return replace(request, model=model, resolution=(key_of(request.model.artifacts), artifacts))


def _needed(model: Model, artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """Leave out weights that the model's framework has no use for, unless the entry names them."""
    paths = [artifact.path for artifact in artifacts]
    wanted = {*required_files(str(model.framework), paths), *(artifact.path for artifact in model.artifacts)}
    return tuple(artifact for artifact in artifacts if artifact.path in wanted)


def resolution_of(request: Request) -> dict[str, Any]:
    """Return what a manifest says of how the request's artifacts were found, so that notes can be rebuilt."""
    if request.resolution is None:
        return {}
    key, artifacts = request.resolution
    return {"resolution": {"of": key, "artifacts": plain(artifacts)}}


def floating(artifacts: Sequence[Artifact]) -> bool:
    """Whether any place has to be asked what the artifacts mean."""
    return any(_floating_of(artifact) for artifact in artifacts)


def _floating_of(artifact: Artifact) -> list[LocatedSource]:
    return [source for source in artifact.sources if isinstance(source, LocatedSource) and source.floating]


def plain(artifacts: Sequence[Artifact]) -> list[Any]:
    """Return artifacts as plain data."""
    return [msgspec.to_builtins(artifact) for artifact in artifacts]


def key_of(artifacts: Sequence[Artifact]) -> str:
    """Return what an answer is noted under: a digest (hex) of the artifacts as declared."""
    return Digest.of_json(plain(artifacts)).hex
