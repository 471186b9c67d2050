"""Fetching: which files are missing, download them, put them where they belong."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from model_zoo.cache import alias_names, materialise
from model_zoo.errors import ModelZooError, OfflineError
from model_zoo.events import Event, ignore
from model_zoo.outcome import Outcome
from model_zoo.schema import ArtifactRecord, FetchedModel, FileEntry, FilesManifest
from model_zoo.settings import ALLOW_ALL
from model_zoo.sources import LocatedSource, integrity_of
from model_zoo.text import counted, human_size
from model_zoo.zoo.policy import check_request, edited_files
from model_zoo.zoo.resolver import resolution_of
from model_zoo.zoo.waiting import locked, using_cache, vanished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from model_zoo.cache import Cache
    from model_zoo.download import Download, DownloadTask
    from model_zoo.events import Report
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings
    from model_zoo.zoo.plan import FilesPlan, Request
    from model_zoo.zoo.resolver import Resolver


@dataclass(frozen=True)
class Fetcher:
    """Brings models' files into one cache with one set of settings."""

    settings: Settings
    cache: Cache
    resolver: Resolver
    plan: Callable[[Request], FilesPlan]
    require_pinned: bool

    def fetch_all(self, requests: Sequence[Request], report: Report = ignore) -> list[Outcome[FetchedModel]]:
        """Fetch several models through one pool of transfers; a failure of one does not stop the others."""
        hits = [self._find(request).cached for request in requests]
        edited = any(edited_files(request, self.cache) for request in requests)
        if all(hits) and self.settings.policy == ALLOW_ALL and not (self.require_pinned or edited):
            return [Outcome(hit) for hit in hits]
        with using_cache(self.cache, self.settings, report):
            return self._fetch_missing(requests, report)

    def _find(self, request: Request) -> FilesPlan:
        """Return where a model's files are; what another cache made only if its bytes are right."""
        plan = self.plan(request)
        if plan.cached is None or self.cache.proofs.is_proven(plan.cached.directory, plan.cached.manifest):
            return plan
        return replace(plan, cached=None)

    def _fetch_missing(self, requests: Sequence[Request], report: Report) -> list[Outcome[FetchedModel]]:
        batch = _Batch(requests, self._finish, report)
        missing: list[tuple[int, Artifact]] = []
        for index, asked in enumerate(requests):
            try:
                check_request(asked, self.cache, self.settings.policy, require_pinned=self.require_pinned)
                request = batch.requests[index] = self.resolver.resolve(asked)
                if self._find(request).cached is None:
                    lacking = [(index, a) for a in request.artifacts if self.cache.find_blob(a) is None]
                    if lacking and request.model.notice:
                        name, text = request.model.name, request.model.notice
                        report(Event(event="note", model=name, message=text))
                    missing += lacking
            except ModelZooError as error:
                batch.errors.setdefault(index, error)
        if missing:
            self._download(missing, batch)
        return batch.finish()

    def _download(self, missing: Sequence[tuple[int, Artifact]], batch: _Batch) -> None:
        """Bring the missing artifacts over; a model is materialised as soon as it has all of its own."""
        from model_zoo.download import download

        layer = self.cache.writable
        pairs = self._tasks(missing, batch)

        def publish(result: Download) -> None:
            self.cache.publish_blob(result.path, result.sha256, result.task.artifact)
            if result.adopted_from is not None:
                self.cache.note_adopted(result.sha256, result.adopted_from)

        def settled(position: int, outcome: Outcome[Download]) -> None:
            batch.arrived(pairs[position][0], outcome.error)

        batch.expected.update(index for index, _ in pairs)
        download(
            [task for _, task in pairs],
            settings=self.settings,
            partials=layer.partials,
            locks=layer.locks,
            present=lambda task: self.cache.find_blob(task.artifact) is not None,
            publish=publish,
            settled=settled,
            report=batch.report,
        )

    def _tasks(
        self, missing: Sequence[tuple[int, Artifact]], batch: _Batch
    ) -> list[tuple[int, DownloadTask]]:
        """Return what to download; offline, models whose files only the network has fail here."""
        from model_zoo.download import DownloadTask
        from model_zoo.download.adopt import find_local_copies, search_roots

        pairs: list[tuple[int, DownloadTask]] = []
        for index, artifact in missing:
            request = batch.requests[index]
            name = request.model.name
            roots = search_roots(os.environ, (*request.adopt_from, *self.settings.adopt))
            copies = tuple(find_local_copies(artifact, roots, name))
            pairs.append((index, DownloadTask(name, artifact, copies)))
        if self.settings.offline:
            remote = [(index, task.artifact) for index, task in pairs if not task.local_copies]
            for index, error in offline_errors(batch.requests, remote).items():
                batch.errors.setdefault(index, error)
            pairs = [(index, task) for index, task in pairs if index not in batch.errors]
        _announce([task for _, task in pairs if not task.local_copies], batch.report)
        return pairs

    def _finish(self, request: Request, report: Report) -> FetchedModel:
        """Materialise a model whose blobs are all there."""
        plan = self._find(request)
        if plan.cached is not None:
            return plan.cached
        model, key = request.model, str(plan.key)
        layer = self.cache.writable
        with locked(self.cache, self.settings, f"files-{model.name}-{key[:16]}", model.name, report):
            found = self._find(request).cached
            if found is not None:
                return found
            blobs = {}
            for artifact in request.artifacts:
                blob = self.cache.find_blob(artifact)
                if blob is None:
                    raise vanished(f"{model.name}: {artifact.title}")
                blobs[artifact.path] = blob
            with self.cache.staging("files") as directory:
                staged = directory / "tree"
                staged.mkdir()
                entries = materialise(model, request.artifacts, blobs, staged, layer.root)
                manifest = _manifest(request, key, entries, blobs)
                self.cache.publish_directory(staged, layer.files(model.name, key), manifest)
        report(Event(event="fetch_end", model=model.name, bytes=sum(e.size for e in entries)))
        found = self._find(request).cached
        if found is None:
            raise vanished(f"{model.name}: its directory")
        return found


class _Batch:
    """Several models under way: each is finished by whichever thread brings the last of its files.

    Attributes:
        requests: what is wanted; one may still be replaced before its files are expected.
        expected: how many files of a model are about to arrive, by its index in ``requests``.
        errors: why a model will not be there; the first reason counts.
    """

    def __init__(
        self, requests: Sequence[Request], finish: Callable[[Request, Report], FetchedModel], report: Report
    ) -> None:
        self.requests = list(requests)
        self._finish = finish
        self._report = report
        self._reporting = threading.Lock()
        self._counting = threading.Lock()
        self.expected: Counter[int] = Counter()
        self.errors: dict[int, ModelZooError] = {}
        self._outcomes: dict[int, Outcome[FetchedModel]] = {}

    def report(self, event: Event) -> None:
        """Pass an event on, one at a time."""
        with self._reporting:
            self._report(event)

    def arrived(self, index: int, error: ModelZooError | None) -> None:
        """Take note of one file's end; the last one of a model that lacks nothing finishes it."""
        with self._counting:
            if error is not None:
                self.errors.setdefault(index, error)
            self.expected[index] -= 1
            whole = self.expected[index] == 0 and index not in self.errors
        if whole:
            self._complete(index)

    def finish(self) -> list[Outcome[FetchedModel]]:
        """Finish the models that nothing had to arrive for, and return all in order."""
        for index in range(len(self.requests)):
            if index not in self._outcomes:
                self._complete(index)
        return [self._outcomes[index] for index in range(len(self.requests))]

    def _complete(self, index: int) -> None:
        request = self.requests[index]
        try:
            if index in self.errors:
                raise self.errors[index]
            self._outcomes[index] = Outcome(self._finish(request, self.report))
        except ModelZooError as error:
            self.report(Event(event="failed", model=request.model.name, message=str(error)))
            self._outcomes[index] = Outcome(error=error)


def _announce(tasks: Sequence[DownloadTask], report: Report) -> None:
    """Report, for each model, how many files and bytes are about to be transferred."""
    totals: dict[str, list[int | None]] = {}
    for task in tasks:
        totals.setdefault(task.model, []).append(task.artifact.size)
    for name, sizes in totals.items():
        total = None if None in sizes else sum(size for size in sizes if size is not None)
        report(Event(event="fetch_begin", model=name, total=total, message=counted(len(sizes), "file")))


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
        names = ", ".join(a.path if a.size is None else f"{a.path} ({human_size(a.size)})" for a in artifacts)
        total, verb = len(request.artifacts), "is" if len(artifacts) == 1 else "are"
        share = names if total == 1 else f"{len(artifacts)} of {total} files"
        listed = "" if total == 1 else f": {names}"
        errors[index] = OfflineError(
            f"{request.name}: {share} {verb} not cached, and this run is offline{listed}",
            left="cached files are untouched",
            hint=f"run 'model-zoo fetch {request.name}' once without --offline (MODEL_ZOO_OFFLINE)",
        )
    return errors


def _manifest(
    request: Request, key: str, entries: Sequence[FileEntry], blobs: Mapping[str, Path]
) -> FilesManifest:
    return FilesManifest(
        schema=1,
        model=request.model.name,
        declaration=key,
        precision=request.precision,
        integrity={a.path: integrity_of(a) for a in request.artifacts},
        artifacts=tuple(
            ArtifactRecord(
                path=a.path,
                size=blobs[a.path].stat().st_size,
                sha256=blobs[a.path].name,
                digests=tuple(str(d) for d in a.digests),
                unpack=a.unpack,
                names=tuple(f"{kind}:{name}" for kind, name in alias_names(a)),
                sources=tuple(s.describe() for s in a.sources if isinstance(s, LocatedSource)),
            )
            for a in request.artifacts
        ),
        files=tuple(entries),
        replace=tuple(msgspec.to_builtins(request.model.replace)),
        resolution=resolution_of(request),
    )
