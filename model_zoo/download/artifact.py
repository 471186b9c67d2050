"""Obtain one artifact: its places in order, again where that can help, until its digest is proven."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.download.failures import (
    LONGEST_RETRY_AFTER,
    AttemptError,
    Changed,
    Interrupted,
    NoRanges,
    Stopped,
    delay,
)
from model_zoo.download.hasher import Follower
from model_zoo.download.local import check_bytes, copy_local
from model_zoo.download.tasks import Arrival, Candidate, candidates
from model_zoo.download.verdict import verdict
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
from model_zoo.sources.base import BundleLocation, HttpLocation, LocalLocation

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.download.bundle import Bundles
    from model_zoo.download.http import Client
    from model_zoo.download.partial import Partial
    from model_zoo.download.progress import Tally
    from model_zoo.download.tasks import Wanted
    from model_zoo.download.transfer import Transfer
    from model_zoo.settings import Settings
    from model_zoo.sources.base import LocatedSource

_PATIENCE = 5.0
"""Seconds of waiting for one place for which another one is not tried first."""
_CHANGES = 3


@dataclass
class Run:
    """What the artifacts of one call share."""

    settings: Settings
    partials: Path
    stop: threading.Event
    client: Callable[[], Client]
    bundles: Bundles
    budget: threading.BoundedSemaphore


class Obtaining:
    """One artifact on its way through its places."""

    def __init__(self, wanted: Wanted, run: Run, partial: Partial, tally: Tally) -> None:
        self.wanted = wanted
        self.run = run
        self.partial = partial
        self.tally = tally
        self.failed: list[Candidate] = []
        self._sources: deque[LocatedSource] = deque()
        self._next: deque[Candidate] = deque()  # places of the source in turn
        self._later: list[Candidate] = []  # places that asked for time, or did not react
        algorithms = ["sha256", *(digest.algorithm for digest in wanted.artifact.digests)]
        self.follower = Follower(partial, algorithms)

    def arrive(self) -> Arrival:
        """Try the places until one delivers.

        Raises:
            DownloadError, IntegrityError: none did.
            CacheError: the disk does not take the bytes.
            Stopped: the run was interrupted.
        """
        self._line_up()
        try:
            while (candidate := self._pick()) is not None:
                if (arrival := self._try(candidate)) is not None:
                    return arrival
        except CacheError as error:
            self._complete(error)
            raise
        finally:
            self.follower.stop()
        raise verdict(self.wanted, self.failed, self.partial.left())

    def _complete(self, error: CacheError) -> None:
        """Add to an error of the disk what is kept, and how much room the rest needs."""
        error.left = error.left or self.partial.left()
        if isinstance(error, CacheFullError) and error.expected is None and self.partial.size is not None:
            error.expected = f"room for {self.partial.size - self.partial.have()} more bytes"

    # -- the order of places ----------------------------------------------------------------------

    def _line_up(self) -> None:
        settings = self.run.settings
        for source in self.wanted.artifact.sources:
            if not settings.offline or not getattr(source, "online", True):
                self._sources.append(source)  # type: ignore[arg-type]
        if not self._sources:
            if settings.offline:
                raise offline(self.wanted)
            what = f"{self.wanted.label} has no source"
            raise SourceUnavailableError(what, hint="add a source to the catalog entry")

    def _pick(self) -> Candidate | None:
        while True:
            if self._next:
                return self._next.popleft()
            if not self._sources:
                break
            source = self._sources.popleft()
            try:
                self._next.extend(candidates(source, self.wanted.artifact, self.run.settings))
            except ModelZooError as error:
                self._give_up(Candidate(source.describe(), None), error)
        if not self._later:
            return None
        self._later.sort(key=lambda one: one.ready)
        candidate = self._later.pop(0)
        self._wait(candidate.ready - time.monotonic())
        return candidate

    def _others(self) -> bool:
        return bool(self._next or self._sources or self._later)

    def _wait(self, seconds: float) -> None:
        if seconds > 0 and self.run.stop.wait(seconds):
            raise Stopped

    def _give_up(self, candidate: Candidate, reason: ModelZooError) -> None:
        candidate.reason = reason
        self.failed.append(candidate)
        self.tally.say("source_failed", reason.what)

    # -- one place --------------------------------------------------------------------------------

    def _try(self, candidate: Candidate) -> Arrival | None:
        """Try one place until it delivers, fails for good, or another one is worth trying first."""
        while True:
            before = self.partial.most
            try:
                return self._bring(candidate)
            except Stopped:
                raise
            except AttemptError as error:
                if self.run.stop.is_set():  # a connection that was ended on purpose did not fail
                    raise Stopped from None
                if self.partial.most > before:
                    candidate.failures = 0
                if not self._again(candidate, error):
                    return None
            except (IntegrityError, DownloadError) as error:
                self._give_up(candidate, error)
                return None

    def _again(self, candidate: Candidate, error: AttemptError) -> bool:
        """Say whether to try the place once more, now; otherwise it was given up or put aside."""
        if isinstance(error, Interrupted):
            return self._after_a_while(candidate, error)
        if isinstance(error, Changed) and candidate.changes < _CHANGES:
            candidate.changes += 1
            self._start_again()
        elif isinstance(error, NoRanges) and candidate.blind and not candidate.blind_tried:
            candidate.blind_tried = True
        elif isinstance(error, NoRanges) and candidate.ranges:
            candidate.ranges = False
        else:
            self._give_up(candidate, SourceUnavailableError(str(error)))
            return False
        self.tally.say("retry", str(error), 0.0)
        return True

    def _after_a_while(self, candidate: Candidate, error: Interrupted) -> bool:
        """Wait and say True, or give the place up or put it aside."""
        candidate.failures += 2 if error.dead else 1
        if candidate.failures >= self.run.settings.attempts:
            self._give_up(candidate, TransferInterruptedError(str(error)))
            return False
        seconds = delay(candidate.failures, error.after)
        self.tally.say("retry", str(error), round(seconds, 1))
        absurd = error.after is not None and error.after > LONGEST_RETRY_AFTER
        if self._others() and (error.dead or absurd or seconds > _PATIENCE):
            candidate.ready = time.monotonic() + seconds
            self._later.append(candidate)
            return False
        self._wait(seconds)
        return True

    def _bring(self, candidate: Candidate) -> Arrival | None:
        location = candidate.location
        if isinstance(location, HttpLocation):
            return self._transfer(candidate, location)
        if isinstance(location, LocalLocation):
            return self._copy(location.path, candidate.name)
        assert isinstance(location, BundleLocation)  # noqa: S101 - there are three kinds
        with self.run.bundles.member(location, self.wanted, self.tally) as path:
            return self._copy(path, candidate.name)

    def _copy(self, path: Path, name: str) -> Arrival:
        """Copy a local file beside the partial, whose bytes may still be needed if it is wrong."""
        self.tally.begin()
        target = self.partial.path.with_suffix(".copy")
        return copy_local(self.wanted, path, target, name, self.tally, self.run.stop)

    def _transfer(self, candidate: Candidate, location: HttpLocation) -> Arrival:
        from model_zoo.download.transfer import Transfer  # brings requests along

        self.tally.begin()
        transfer = Transfer(
            client=self.run.client(),
            wanted=self.wanted,
            partial=self.partial,
            follower=self.follower,
            candidate=candidate,
            location=location,
            tally=self.tally,
            settings=self.run.settings,
            others=self._others,
            budget=self.run.budget,
        )
        transfer.check_declared()
        transfer.run()
        size = self.partial.size
        if (
            size is None or self.partial.prefix() != size
        ):  # whatever happened: never publish a file with holes
            what = f"{candidate.name}: parts are missing"
            raise Interrupted(what)
        with as_cache_error(self.partial.path):
            found = self.follower.finish(size)
        try:
            check_bytes(self.wanted, self.partial.path, size, found, candidate.name, location)
        except IntegrityError as error:
            raise self._distrust(candidate, error, transfer) from error
        with as_cache_error(self.partial.path, left=self.partial.left()):
            self.partial.flush()
        return Arrival(self.wanted, self.partial.path, size, found["sha256"].hex, candidate.name)

    def _distrust(self, candidate: Candidate, error: IntegrityError, transfer: Transfer) -> Exception:
        """Return what wrong bytes amount to: put together wrongly, ended early, or the place is wrong."""
        if transfer.unproven and candidate.ended_with != error.found:
            candidate.ended_with = error.found  # the same once more means that it did end there
            self.partial.state.size = None
            return Interrupted(
                f"{candidate.name} closed the connection, and the bytes so far are not the file"
            )
        mixed = self.partial.mixed
        self._start_again()
        if mixed and not candidate.clean:
            candidate.clean = True
        elif transfer.compressed and not candidate.encoded:
            candidate.encoded = True
        else:
            return error
        return Changed(f"{error.what}; taking it again")

    def _start_again(self) -> None:
        self.follower.restart()
        self.partial.reset()


def offline(wanted: Wanted) -> OfflineError:
    """Return the error for a file that the network would be needed for."""
    what = f"{wanted.label} is not in the cache, and the run is offline"
    hint = f"run 'model-zoo fetch {wanted.model}' once without --offline (MODEL_ZOO_OFFLINE)"
    return OfflineError(what, left="nothing of it", hint=hint)
