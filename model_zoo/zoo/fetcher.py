"""Fetching: catalog → download → cache. Which files are missing, get them, put them where they belong."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from model_zoo.cache import Cache, alias_names, declaration_of, materialise
from model_zoo.errors import CacheMissError, IntegrityError, ModelZooError, OfflineError
from model_zoo.events import Event, Report, ignore
from model_zoo.files.lock import lock
from model_zoo.schema import ArtifactRecord, FetchedModel, FileEntry, FilesManifest
from model_zoo.sources import LocatedSource, integrity_of
from model_zoo.text import counted
from model_zoo.zoo.request import Fetched, Request
from model_zoo.zoo.resolving import Resolving, resolution_of

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


class Fetching:
    """Models' files on one cache with one set of settings."""

    def __init__(self, settings: Settings, cache: Cache, *, require_pinned: bool) -> None:
        self.settings = settings
        self.cache = cache
        self.require_pinned = require_pinned
        self.resolving = Resolving(settings, cache)

    def fetch_all(self, requests: Sequence[Request], report: Report = ignore) -> list[Fetched]:
        """Fetch several models through one pool of transfers; a failure of one does not stop the others."""
        hits = [self.find(request) for request in requests]
        if all(hits) and not self.require_pinned:
            return [Fetched(request, result=hit) for request, hit in zip(requests, hits, strict=True)]
        with self.using(report):
            return self._fetch_missing(requests, report)

    def using(self, report: Report) -> contextlib.AbstractContextManager[bool]:
        """Keep the cache's collector away while something is made available."""

        def waiting(owner: str) -> None:
            report(Event(event="wait", message=f"waiting for {owner}, which is cleaning the cache"))

        return self.cache.use(waiting, timeout=self.settings.lock_timeout)

    def _fetch_missing(self, asked: Sequence[Request], report: Report) -> list[Fetched]:
        requests = list(asked)
        work = _Arriving(requests, self._finish, report)
        missing: list[tuple[int, Artifact]] = []
        for index, one in enumerate(asked):
            try:
                self.check_pinned(one)
                request = requests[index] = self.resolving.resolve_request(one)
                if self.find(request) is None:
                    missing += [(index, a) for a in request.artifacts if self.cache.find_blob(a) is None]
            except ModelZooError as error:
                work.failed(index, error)
        if missing:
            self._download(requests, missing, work)
        return work.finish()

    def _download(
        self, requests: Sequence[Request], missing: Sequence[tuple[int, Artifact]], work: _Arriving
    ) -> None:
        """Bring the missing artifacts over; a model is materialised as soon as it has all of its own."""
        from model_zoo.download import Arrival, Outcome, Wanted, download

        layer = self.cache.writable
        missing = [
            (index, artifact)
            for index, artifact in missing
            if self.cache.adopt(
                artifact,
                requests[index].model.name,
                folders=(*requests[index].places, *self.settings.adopt),
                report=work.report,
            )
            is None
        ]
        for index, refused in offline_errors(requests, missing).items() if self.settings.offline else ():
            work.failed(index, refused)
        missing = [(index, artifact) for index, artifact in missing if not work.has_failed(index)]
        wanted = [Wanted(requests[index].model.name, artifact) for index, artifact in missing]
        totals: dict[str, list[int | None]] = {}
        for one in wanted:
            totals.setdefault(one.model, []).append(one.artifact.size)
        for name, sizes in totals.items():
            known = [size for size in sizes if size is not None]
            total = sum(known) if len(known) == len(sizes) else None
            work.report(
                Event(event="fetch_begin", model=name, total=total, message=counted(len(sizes), "file"))
            )

        def publish(arrival: Arrival) -> None:
            self.cache.publish_blob(arrival.path, arrival.sha256, arrival.wanted.artifact)

        def settled(position: int, outcome: Outcome) -> None:
            work.arrived(missing[position][0], outcome.error)

        work.expect(index for index, _ in missing)
        download(
            wanted,
            settings=self.settings,
            partials=layer.partials,
            locks=layer.locks,
            present=lambda one: self.cache.find_blob(one.artifact) is not None,
            publish=publish,
            settled=settled,
            report=work.report,
        )

    def _finish(self, request: Request, report: Report) -> FetchedModel:
        """Materialise a model whose blobs are all there."""
        found = self.find(request)
        if found is not None:
            return found
        model, digest = request.model, declaration_of(request.model, request.artifacts)
        layer = self.cache.writable
        with self.locked(f"files-{model.name}-{digest[:16]}", model.name, report):
            found = self.find(request)
            if found is not None:
                return found
            blobs = {}
            for artifact in request.artifacts:
                blob = self.cache.find_blob(artifact)
                if blob is None:
                    what = f"{model.name}: {artifact.title} left the cache while it was being used"
                    raise CacheMissError(what, hint="run the same command again")
                blobs[artifact.path] = blob
            with self.cache.staging("files") as folder:
                staged = folder / "tree"
                staged.mkdir()
                entries = materialise(model, request.artifacts, blobs, staged, layer.root)
                manifest = _files_manifest(request, digest, entries, blobs)
                self.cache.publish_directory(staged, layer.files(model.name, digest), manifest)
            self.cache.note_inputs(digest, entries)
        report(Event(event="fetch_end", model=model.name, bytes=sum(e.size for e in entries)))
        found = self.find(request)
        if found is None:
            what = f"{model.name}: its folder left the cache while it was being used"
            raise CacheMissError(what, hint="run the same command again")
        return found

    def find(self, request: Request) -> FetchedModel | None:
        """Return a model's files if they are all in the cache; look only, write nothing."""
        settled = self.resolving.settle(request)
        if settled is None:
            return None
        request = settled
        digest = declaration_of(request.model, request.artifacts)
        hit = self.cache.find_files(request.model.name, digest)
        if hit is None:
            return None
        directory, manifest = hit
        files = {entry.path: directory / entry.path for entry in manifest.files}
        return FetchedModel(model=request.model, directory=directory, files=files, manifest=manifest)

    def check_pinned(self, request: Request) -> None:
        """Refuse a model that has an artifact no full digest fixes, where that was asked for.

        Raises:
            IntegrityError: names the artifact and its level.
        """
        if not self.require_pinned:
            return
        for artifact in request.artifacts:
            level = integrity_of(artifact)
            if level != "pinned":
                raise IntegrityError(
                    f"{request.model.name}: not pinned: {artifact.title}; --require-pinned demands it",
                    expected="pinned: a full digest in the catalog or the lock",
                    found=level,
                    hint="add its sha256 to the catalog entry, or lock the model with 'model-zoo lock'",
                )

    def locked(self, name: str, model: str, report: Report) -> contextlib.AbstractContextManager[bool]:
        """Hold a lock of the writable layer, reporting a wait."""

        def waiting(owner: str) -> None:
            report(Event(event="wait", model=model, message=f"waiting for {owner}"))

        path = self.cache.writable.locks / f"{name}.lock"
        return lock(path, timeout=self.settings.lock_timeout, on_wait=waiting)


class _Arriving:
    """Several models under way: each is finished by whichever thread brings the last of its files.

    Args:
        requests: what is wanted; an element may still be replaced before any of its files is expected.
        finish: materialises a model whose files are all there.
        report: receives events; calls do not overlap.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        finish: Callable[[Request, Report], FetchedModel],
        report: Report,
    ) -> None:
        self._requests = requests
        self._finish = finish
        self._listener = report
        self._telling = threading.Lock()
        self._counting = threading.Lock()
        self._awaited: Counter[int] = Counter()
        self._errors: dict[int, ModelZooError] = {}
        self._done: dict[int, Fetched] = {}

    def report(self, event: Event) -> None:
        """Pass an event on, one at a time."""
        with self._telling:
            self._listener(event)

    def failed(self, index: int, error: ModelZooError) -> None:
        """Note why a model will not be there; the first reason counts."""
        self._errors.setdefault(index, error)

    def has_failed(self, index: int) -> bool:
        """Whether a model is known not to come."""
        return index in self._errors

    def expect(self, indices: Iterable[int]) -> None:
        """Say which models' files are about to arrive, once for each file."""
        self._awaited.update(indices)

    def arrived(self, index: int, error: ModelZooError | None) -> None:
        """Take note of one file's end; the last one of a model that lacks nothing finishes it."""
        with self._counting:
            if error is not None:
                self.failed(index, error)
            self._awaited[index] -= 1
            whole = self._awaited[index] == 0 and index not in self._errors
        if whole:
            self._complete(index)

    def finish(self) -> list[Fetched]:
        """Finish the models that nothing had to arrive for, and return all in order."""
        for index in range(len(self._requests)):
            if index not in self._done:
                self._complete(index)
        return [self._done[index] for index in range(len(self._requests))]

    def _complete(self, index: int) -> None:
        request = self._requests[index]
        try:
            if index in self._errors:
                raise self._errors[index]
            self._done[index] = Fetched(request, result=self._finish(request, self.report))
        except ModelZooError as error:
            self.report(Event(event="failed", model=request.model.name, message=str(error)))
            self._done[index] = Fetched(request, error=error)


def offline_errors(
    requests: Sequence[Request], missing: Sequence[tuple[int, Artifact]]
) -> dict[int, ModelZooError]:
    """Return, by index, the errors of requests that have missing files which only the network has."""
    lacking: dict[int, list[Artifact]] = {}
    for index, artifact in missing:
        if not any(isinstance(s, LocatedSource) and not s.online for s in artifact.sources):
            lacking.setdefault(index, []).append(artifact)
    errors: dict[int, ModelZooError] = {}
    for index, artifacts in lacking.items():
        request = requests[index]
        names = ", ".join(a.path if a.size is None else f"{a.path} ({a.size} bytes)" for a in artifacts)
        count = f"{len(artifacts)} of its {len(request.artifacts)} files"
        errors[index] = OfflineError(
            f"{request.name}: {count} not in the cache, and the run is offline: {names}",
            left="the files that are in the cache stay there",
            hint=f"run 'model-zoo fetch {request.name}' once without --offline (MODEL_ZOO_OFFLINE)",
        )
    return errors


def _files_manifest(
    request: Request, digest: str, entries: Sequence[FileEntry], blobs: Mapping[str, Path]
) -> FilesManifest:
    return FilesManifest(
        schema=1,
        model=request.model.name,
        declaration=digest,
        precision=request.precision,
        integrity={a.path: integrity_of(a) for a in request.artifacts},
        artifacts=tuple(
            ArtifactRecord(
                path=a.path,
                size=blobs[a.path].stat().st_size,
                sha256=blobs[a.path].name,
                digests=tuple(str(d) for d in a.digests),
                names=tuple(f"{kind}:{name}" for kind, name in alias_names(a)),
                sources=tuple(s.describe() for s in a.sources if isinstance(s, LocatedSource)),
            )
            for a in request.artifacts
        ),
        files=tuple(entries),
        resolution=resolution_of(request),
    )
