"""Obtain one artifact: its candidates in order, again where that can help, until its digest is proven."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from model_zoo.download.failures import (
    MAX_RETRY_AFTER,
    NOTHING_LEFT,
    AttemptError,
    CancelledError,
    ContentChangedError,
    RangeError,
    TransientError,
    backoff,
    summarize,
)
from model_zoo.download.hasher import StreamHasher
from model_zoo.download.local import check_content, copy_file
from model_zoo.download.tasks import Candidate, Download, candidates
from model_zoo.errors import (
    CacheError,
    CacheFullError,
    DownloadError,
    IntegrityError,
    ModelZooError,
    OfflineError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from model_zoo.files import as_cache_error
from model_zoo.sources.base import HttpLocation, LocalLocation, LocatedSource

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.download.bundle import Bundles
    from model_zoo.download.http import Client
    from model_zoo.download.partial import Partial
    from model_zoo.download.progress import ProgressReporter
    from model_zoo.download.tasks import DownloadTask
    from model_zoo.download.transfer import Transfer
    from model_zoo.settings import Settings

_log = logging.getLogger(__name__)

_MAX_WAIT = 5.0
"""Seconds of waiting for one candidate above which another one is tried first."""
_MAX_CHANGES = 3


@dataclass
class Context:
    """What the artifacts of one call share."""

    settings: Settings
    stop: threading.Event
    client: Callable[[], Client]
    bundles: Bundles
    budget: threading.BoundedSemaphore


class ArtifactDownload:
    """One artifact on its way through its candidates."""

    def __init__(
        self, task: DownloadTask, context: Context, partial: Partial, progress: ProgressReporter
    ) -> None:
        self.task = task
        self.context = context
        self.partial = partial
        self.progress = progress
        self._errors: list[ModelZooError] = []
        self._sources: deque[LocatedSource] = deque()
        self._next: deque[Candidate] = deque()  # candidates of the current source
        self._deferred: list[Candidate] = []  # candidates that asked for time, or did not react
        algorithms = ["sha256", *(digest.algorithm for digest in task.artifact.digests)]
        self._hasher = StreamHasher(partial, algorithms)

    def run(self) -> Download:
        """Try local copies, then the candidates of every source, until one delivers; else raise why not."""
        if (adopted := self._adopt()) is not None:
            return adopted
        self._queue_sources()
        try:
            while (candidate := self._pick()) is not None:
                if (download := self._try(candidate)) is not None:
                    _log.info("%s: obtained from %s", self.task.label, candidate.name)
                    return download
        except CacheError as error:
            self._add_state(error)
            raise
        finally:
            self._hasher.stop()
        raise summarize(self.task.label, self._errors, self.partial.describe_left())

    def _add_state(self, error: CacheError) -> None:
        """Add to a disk error what is kept, and how much space the rest needs."""
        error.left, size = error.left or self.partial.describe_left(), self.partial.state.size
        if isinstance(error, CacheFullError) and error.expected is None and size is not None:
            error.expected = f"space for {size - self.partial.bytes_done()} more bytes"

    def _adopt(self) -> Download | None:
        """Return the first local copy that is proven to be the artifact; the others say nothing wrong."""
        for path, check in self.task.local_copies:
            try:
                download = self._copy(path, str(path), check=check)
            except (SourceUnavailableError, IntegrityError) as error:
                _log.debug("%s: not adopted: %s", self.task.label, error.what)
            else:
                _log.info("%s: adopted from %s", self.task.label, path)
                return replace(download, adopted_from=path)
        return None

    def _queue_sources(self) -> None:
        offline, sources = self.context.settings.offline, self.task.artifact.sources
        located = [source for source in sources if isinstance(source, LocatedSource)]
        self._sources.extend(source for source in located if not (offline and source.online))
        if self._sources:
            return
        if offline:
            raise OfflineError(
                f"{self.task.label} is not in the cache, and the run is offline",
                left=NOTHING_LEFT,
                hint=f"run 'model-zoo fetch {self.task.model}' once without --offline (MODEL_ZOO_OFFLINE)",
            )
        what = f"{self.task.label} has no source"
        raise SourceUnavailableError(what, hint="add a source to the catalog entry")

    def _pick(self) -> Candidate | None:
        while not self._next and self._sources:
            source = self._sources.popleft()
            try:
                self._next.extend(candidates(source, self.task.artifact, self.context.settings))
            except ModelZooError as error:
                self._give_up(error)
        if self._next:
            return self._next.popleft()
        if not self._deferred:
            return None
        self._deferred.sort(key=lambda candidate: candidate.retry_at)
        candidate = self._deferred.pop(0)
        self._wait(candidate.retry_at - time.monotonic())
        return candidate

    def _has_alternatives(self) -> bool:
        return bool(self._next or self._sources or self._deferred)

    def _wait(self, seconds: float) -> None:
        if seconds > 0 and self.context.stop.wait(seconds):
            raise CancelledError

    def _give_up(self, error: ModelZooError) -> None:
        self._errors.append(error)
        self.progress.message("source_failed", error.what)
        _log.info("%s: giving up on a source: %s", self.task.label, error.what)

    def _try(self, candidate: Candidate) -> Download | None:
        """Try one candidate until it delivers, fails for good, or another is worth trying first."""
        _log.debug("%s: trying %s", self.task.label, candidate.name)
        while True:
            before = self.partial.most_bytes
            try:
                return self._obtain(candidate)
            except CancelledError:
                raise
            except AttemptError as error:
                if self.context.stop.is_set():  # a connection that was closed on purpose did not fail
                    raise CancelledError from None
                if self.partial.most_bytes > before:
                    candidate.failures = 0
                if not self._retry(candidate, error):
                    return None
            except (IntegrityError, DownloadError) as error:
                self._give_up(error)
                return None

    def _retry(self, candidate: Candidate, error: AttemptError) -> bool:
        """Whether to try the candidate again now; otherwise it was given up or deferred."""
        if isinstance(error, TransientError):
            return self._retry_later(candidate, error)
        if isinstance(error, ContentChangedError) and candidate.changes < _MAX_CHANGES:
            candidate.changes += 1
            self._hasher.restart()
        elif isinstance(error, RangeError) and candidate.unconditional and not candidate.unconditional_tried:
            candidate.unconditional_tried = True
        elif isinstance(error, RangeError) and candidate.ranges:
            candidate.ranges = False
        else:
            self._give_up(SourceUnavailableError(str(error)))
            return False
        self._report_retry(error, 0.0)
        return True

    def _retry_later(self, candidate: Candidate, error: TransientError) -> bool:
        """Wait and return True, or give the candidate up or defer it."""
        candidate.failures += 2 if error.unresponsive else 1
        if candidate.failures >= self.context.settings.attempts:
            self._give_up(TransferInterruptedError(str(error)))
            return False
        seconds = backoff(candidate.failures, error.retry_after)
        self._report_retry(error, seconds)
        unreasonable = error.retry_after is not None and error.retry_after > MAX_RETRY_AFTER
        if self._has_alternatives() and (error.unresponsive or unreasonable or seconds > _MAX_WAIT):
            candidate.retry_at = time.monotonic() + seconds
            self._deferred.append(candidate)
            return False
        self._wait(seconds)
        return True

    def _report_retry(self, error: AttemptError, seconds: float) -> None:
        self.progress.message("retry", str(error), round(seconds, 1))
        _log.info("%s: trying again in %.1f s: %s", self.task.label, seconds, error)

    def _obtain(self, candidate: Candidate) -> Download:
        location = candidate.location
        if isinstance(location, HttpLocation):
            return self._transfer(candidate, location)
        if isinstance(location, LocalLocation):
            path = location.path
        else:
            path = self.context.bundles.member(location, self.task, self.progress)
        self.progress.begin()
        return self._copy(path, candidate.name, on_progress=self.progress.update)

    def _copy(
        self,
        path: Path,
        source: str,
        *,
        on_progress: Callable[[int], None] | None = None,
        check: Callable[[Path], None] | None = None,
    ) -> Download:
        """Copy a file to beside the partial, whose bytes may still be needed if the copy is wrong."""
        target, stop = self.partial.path.with_suffix(".copy"), self.context.stop
        return copy_file(self.task, path, target, source, stop, on_progress=on_progress, check=check)

    def _transfer(self, candidate: Candidate, location: HttpLocation) -> Download:
        self.progress.begin()
        transfer = self._prepare(candidate, location)
        transfer.run()
        size = self.partial.state.size
        if size is None or self.partial.prefix_length() != size:  # never publish a file with holes
            raise TransientError(f"{candidate.name}: parts of the file are missing")
        with as_cache_error(self.partial.path):
            digests = self._hasher.digests(size)
        try:
            vouched, check = location.digest, location.check
            check_content(
                self.task, self.partial.path, size, digests, candidate.name, vouched=vouched, check=check
            )
        except IntegrityError as error:
            raise self._judge(error, candidate, transfer) from error
        with as_cache_error(self.partial.path, left=self.partial.describe_left()):
            self.partial.flush()
        return Download(self.task, self.partial.path, size, digests["sha256"].hex, candidate.name)

    def _prepare(self, candidate: Candidate, location: HttpLocation) -> Transfer:
        from model_zoo.download.body_writer import BodyWriter  # these bring requests along
        from model_zoo.download.exchange import Exchange
        from model_zoo.download.transfer import Transfer

        context, settings = self.context, self.context.settings
        exchange = Exchange(context.client(), self.task, candidate, location, self.partial, self.progress)
        writer = BodyWriter(
            exchange, self._hasher, context.stop, settings.stall_timeout, self._has_alternatives
        )
        return Transfer(exchange, writer, settings.parallel_from, context.budget)

    def _judge(self, error: IntegrityError, candidate: Candidate, transfer: Transfer) -> Exception:
        """Return what wrong bytes amount to: assembled wrongly, cut short, or the candidate's are wrong."""
        if transfer.end_unproven and candidate.last_digest != error.found:
            candidate.last_digest = error.found  # the same once more means that it did end there
            self.partial.state.size = None
            return TransientError(f"{candidate.name} closed the connection before the end of the file")
        mixed = self.partial.mixed
        self._hasher.restart()
        if mixed and not candidate.restarted:
            candidate.restarted = True
        elif transfer.compressed and not candidate.keep_encoding:
            candidate.keep_encoding = True
        else:
            return error
        return ContentChangedError(f"{error.what}; downloading it again")
