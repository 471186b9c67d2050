"""Exchanges with one candidate: a request, and the check of its response against what is on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from model_zoo.download.failures import ContentChangedError, RangeError, TransientError
from model_zoo.download.http import redirect_target
from model_zoo.download.local import wrong_size
from model_zoo.download.partial import shortage_of
from model_zoo.download.response import PIECE, CheckedResponse, RangeRequest, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_zoo.download.http import Client
    from model_zoo.download.partial import Partial
    from model_zoo.download.progress import ProgressReporter
    from model_zoo.download.tasks import Candidate, DownloadTask
    from model_zoo.errors import SizeMismatchError
    from model_zoo.sources.base import HttpLocation

_MAX_PAGES = 3
_MAX_PAGE_SIZE = 1 << 20


@dataclass
class Exchange:
    """The requests of one attempt at one candidate; ``page_target`` is where the page before the file led."""

    client: Client
    task: DownloadTask
    candidate: Candidate
    location: HttpLocation
    partial: Partial
    progress: ProgressReporter
    page_target: str = ""

    @cached_property
    def address(self) -> str:
        """A digest of the URL, which may hold secrets."""
        return hashlib.sha256(self.location.url.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The candidate's name, for messages."""
        return self.candidate.name

    @property
    def verifiable(self) -> bool:
        """Whether a digest will decide about the bytes, so that parts need not vouch for one another."""
        return bool(self.task.artifact.digests) or self.location.digest is not None

    @property
    def declared(self) -> int | None:
        """The size that the artifact, or else the source, declares."""
        size = self.task.artifact.size
        return self.location.size if size is None else size

    def wrong_size(self, found: object) -> SizeMismatchError:
        """Return the error for a candidate whose file does not have the declared size."""
        return wrong_size(self.name, self.declared, found)

    def condition(self) -> str:
        """Return the validator that the bytes so far have at this address, for If-Range."""
        state = self.partial.state
        return state.validator if state.address == self.address and not self.candidate.unconditional else ""

    def send(self, request: RangeRequest) -> CheckedResponse:
        """Send a request and check the response; AttemptError where it is not what was requested."""
        url = self.location.url
        response = self.client.get(self.page_target or url, url, self.location.headers, request.headers())
        try:
            return check(response, request, self.name)
        except RangeError as error:
            if request.ranged:
                raise
            self.candidate.ranges = True
            raise TransientError(f"{error}, although no range was requested") from error

    def skip_pages(
        self, response: CheckedResponse, request: RangeRequest, onward: Callable[[str], str]
    ) -> CheckedResponse:
        """Go through the HTML pages that the server puts before the file."""
        for _ in range(_MAX_PAGES):
            if not (response.whole and response.html):
                return response
            page = b""
            while len(page) < _MAX_PAGE_SIZE and (data := response.body.read(PIECE)):
                page += data
            response.body.close()
            target = onward(page.decode("utf-8", errors="replace"))
            self.page_target = redirect_target(self.page_target or self.location.url, target)
            response = self.send(request)
        return response

    def identify(self, validator: str, total: int | None) -> None:
        """Note which content the bytes are parts of; CacheFullError where the disk turns out too small."""
        if total is not None and total != self.partial.state.size and self.task.artifact.size is None:
            short = shortage_of(total - self.partial.bytes_done(), self.partial.path.parent)
            if short is not None:
                raise short
        self.partial.identify(source=self.name, address=self.address, validator=validator, size=total)
        if total is not None:
            self.progress.total = total

    def accept_part(self, response: CheckedResponse) -> None:
        """Check that a part belongs to the declared content, and to the same as those before it."""
        state, declared = self.partial.state, self.declared
        expected = state.size if declared is None else declared
        if response.total is not None and expected is not None and response.total != expected:
            if declared is not None:
                raise self.wrong_size(response.total)
            raise ContentChangedError(f"{self.name}: the size of the file changed during the download")
        validator = state.validator if state.address == self.address else ""
        changed = bool(validator) and validator != response.validator
        if changed and not self.verifiable:
            raise ContentChangedError(f"{self.name}: the file changed during the download")
        if changed or self.partial.bytes_done():
            self.partial.mixed = True
        self.identify(validator or response.validator, expected or response.total)
