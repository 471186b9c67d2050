"""Resolving: what floats (a branch, a pattern) becomes files at an address that stays, once.

What a source answered is noted in the cache: a later run, offline or not, means the same files. ``fresh``
asks again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog import artifacts_from
from model_zoo.catalog.detect import required_files
from model_zoo.errors import DownloadError, ModelZooError, OfflineError, SourceUnavailableError
from model_zoo.schema import EXPORTED, Digest, Resolution
from model_zoo.sources import floating_sources
from model_zoo.sources.base import UNUSABLE
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from model_zoo.cache import Cache
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings
    from model_zoo.zoo.plan import Request

_log = logging.getLogger(__name__)
_DOCUMENTS = (".md", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf", ".ipynb")
_SHOWN = 80


@dataclass(frozen=True)
class Resolver:
    """What floating artifacts mean, on one cache with one set of settings."""

    settings: Settings
    cache: Cache

    def known(self, request: Request) -> Request | None:
        """Return a floating request with what its artifacts are known to mean; None if that is unknown."""
        known = self._noted(request.model.artifacts)
        return None if known is None else _with_artifacts(request, known)

    def resolve(self, request: Request, *, fresh: bool = False) -> Request:
        """Return a request with what its floating artifacts mean, asking their sources where needed.

        Errors are those of ``resolve_artifacts``.
        """
        model = request.model
        if not floating(model.artifacts):
            return request

        def needed(names: Sequence[str]) -> Collection[str]:
            exported = model.framework in EXPORTED
            return required_files(str(model.framework), names) if exported else names

        found = self.resolve_artifacts(model.artifacts, model.name, request.name, needed, fresh=fresh)
        return _with_artifacts(request, found)

    def resolve_artifacts(
        self,
        artifacts: Sequence[Artifact],
        label: str,
        reference: str,
        needed: Callable[[Sequence[str]], Collection[str]],
        *,
        fresh: bool = False,
    ) -> tuple[Artifact, ...]:
        """Return what the artifacts mean, all at one state of their sources.

        ``label`` is what messages call the model, ``reference`` what to type to fetch it. ``needed`` returns
        which of all files the model consists of, by their names. ``fresh`` asks even where an answer is
        noted.

        Raises:
            OfflineError: a source would have to be asked, and the run is offline.
            DownloadError: no source has it, or the name of a file is unusable.
            CacheError: the answer cannot be noted.
        """
        if not floating(artifacts):
            return tuple(artifacts)
        known = None if fresh and not self.settings.offline else self._noted(artifacts)
        if known is not None:
            return known
        if self.settings.offline:
            sources = ", ".join(s.describe() for a in artifacts for s in floating_sources(a))
            raise OfflineError(
                f"{label}: this run is offline, and no earlier run resolved {sources}",
                left="nothing was fetched",
                hint=f"run 'model-zoo fetch {reference}' once without --offline (MODEL_ZOO_OFFLINE)",
            )
        seen: dict[object, Any] = {}
        resolved = tuple(found for artifact in artifacts for found in self._resolve(artifact, label, seen))
        _refuse_unusable(seen.get(UNUSABLE, ()), resolved, label, needed)
        self.cache.note_resolution(key_of(artifacts), plain(resolved))
        return resolved

    def _noted(self, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...] | None:
        noted = self.cache.find_resolution(key_of(artifacts))
        return None if noted is None else artifacts_from(noted)

    def _resolve(self, artifact: Artifact, label: str, seen: dict[object, Any]) -> tuple[Artifact, ...]:
        """Settle one artifact on the first of its floating sources that answers; drop the other ones."""
        candidates = floating_sources(artifact)
        if not candidates:
            return (artifact,)
        failures: list[ModelZooError] = []
        for source in candidates:
            rest = tuple(other for other in artifact.sources if other is source or other not in candidates)
            alone = msgspec.structs.replace(artifact, sources=rest)
            try:
                return source.resolve(alone, self.settings, seen)
            except ModelZooError as error:
                _log.info("%s: %s does not answer: %s", label, source.describe(), error.what)
                failures.append(error)
        others = tuple(source for source in artifact.sources if source not in candidates)
        if others:
            return (msgspec.structs.replace(artifact, sources=others),)
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(failure.what for failure in failures)
        raise DownloadError(
            f"{label}: all sources of {artifact.title} failed", found=reasons, hint=failures[0].hint
        )


def _refuse_unusable(
    unusable: Sequence[str],
    resolved: Sequence[Artifact],
    label: str,
    needed: Callable[[Sequence[str]], Collection[str]],
) -> None:
    """Refuse names that no path can have, unless nothing needs these files."""
    if not unusable:
        return
    wanted = needed([*(artifact.path for artifact in resolved), *unusable])
    bad = [n for n in unusable if n in wanted and not n.lower().rstrip(" .").endswith(_DOCUMENTS)]
    if bad or not resolved:
        shown = ", ".join(ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…") for name in bad[:5])
        raise SourceUnavailableError(
            f"{label}: names that files cannot have on every system",
            found=shown or counted(len(unusable), "such name"),
            hint="rename them in the repository, or name a file or a pattern that leaves them out",
        )


def _with_artifacts(request: Request, artifacts: tuple[Artifact, ...]) -> Request:
    declared = request.model
    if declared.framework in EXPORTED:  # weights it has no use for are left out, unless the entry names them
        paths = [artifact.path for artifact in artifacts]
        wanted = {*required_files(declared.framework, paths), *(a.path for a in declared.artifacts)}
        artifacts = tuple(artifact for artifact in artifacts if artifact.path in wanted)
    try:
        model = msgspec.structs.replace(declared, artifacts=artifacts)
    except ValueError as error:  # names that differ in case only
        what = f"{declared.name}: {error}"
        raise SourceUnavailableError(what, hint="name a file or a pattern that leaves one out") from error
    return replace(request, model=model, resolution=(key_of(declared.artifacts), artifacts))


def resolution_of(request: Request) -> Resolution | None:
    """Return what a manifest says of how the request's artifacts were found, so that notes can be rebuilt."""
    if request.resolution is None:
        return None
    key, artifacts = request.resolution
    return Resolution(of=key, artifacts=tuple(plain(artifacts)))


def floating(artifacts: Sequence[Artifact]) -> bool:
    """Whether any source has to be asked what the artifacts mean."""
    return any(floating_sources(artifact) for artifact in artifacts)


def plain(artifacts: Sequence[Artifact]) -> list[Any]:
    """Return artifacts as plain data."""
    return [msgspec.to_builtins(artifact) for artifact in artifacts]


def key_of(artifacts: Sequence[Artifact]) -> str:
    """Return what an answer is noted under: a digest (hex) of the artifacts as declared."""
    return Digest.of_json(plain(artifacts)).hex
