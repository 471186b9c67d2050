"""Bring one file over from one HTTP address into a partial, in one piece or over several connections."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.download.body_writer import PIECE, Opened, Pouring
from model_zoo.download.disk_space import require_room
from model_zoo.download.failures import Changed, Interrupted, NoRanges, Refused, Stopped
from model_zoo.download.http import next_address
from model_zoo.download.parallel import Parts
from model_zoo.download.response import Ask, Body, Reply, Unpacked, check, looks_like_html
from model_zoo.download.segments import Segments, segment_size
from model_zoo.errors import SizeMismatchError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from model_zoo.download.hasher import Follower
    from model_zoo.download.http import Client
    from model_zoo.download.partial import Partial
    from model_zoo.download.progress import Tally
    from model_zoo.download.tasks import Candidate, Wanted
    from model_zoo.settings import Settings
    from model_zoo.sources.base import HttpLocation

_PAGES = 3
_LONGEST_PAGE = 1 << 20
_WORTH_KEEPING = 1 << 20
"""Bytes on disk from which it is worth finding out whether they still fit a name that changed."""


@dataclass
class Transfer:
    """One attempt at one place; ``run`` returns when the partial is complete.

    Attributes:
        others: says whether there is another place to try.
        budget: limits the connections beyond the first, over all files.
        unproven: the end of the file is only assumed; the digest must prove it.
        compressed: the answer came in an encoding that was not asked for.
        onward: where the page before the file led to.
    """

    client: Client
    wanted: Wanted
    partial: Partial
    follower: Follower
    candidate: Candidate
    location: HttpLocation
    tally: Tally
    settings: Settings
    others: Callable[[], bool]
    budget: threading.BoundedSemaphore
    unproven: bool = False
    compressed: bool = False
    onward: str = ""
    address: str = field(init=False)
    pouring: Pouring = field(init=False)

    def __post_init__(self) -> None:
        """Name the address in a way that reveals nothing, and lay out where bodies go."""
        self.address = hashlib.sha256(self.location.url.encode()).hexdigest()
        self.pouring = Pouring(
            self.candidate.name,
            self.partial,
            self.follower,
            self.tally,
            self.client.watch.stop,
            self.settings.stall_timeout,
            self.others,
            self.wrong_size,
        )

    @property
    def proven(self) -> bool:
        """Whether a digest will judge the bytes, so that parts need not vouch for one another."""
        return bool(self.wanted.artifact.digests) or self.location.digest is not None

    @property
    def declared(self) -> int | None:
        """The size that the artifact, or else the source, declares."""
        size = self.wanted.artifact.size
        return self.location.size if size is None else size

    def check_declared(self) -> None:
        """Compare what the artifact and the source declare, before anything is sent.

        Raises:
            SizeMismatchError: they cannot both be right.
        """
        size = self.location.size
        if size is not None and self.declared != size:
            raise self.wrong_size(size)

    # -- one attempt ------------------------------------------------------------------------------

    def run(self) -> None:
        """Fetch what is missing.

        Raises:
            AttemptError: by what to do about it.
            IntegrityError: the place has something else than what is declared.
            CacheError: the disk does not take the bytes.
        """
        self._check_kept()
        size = self.partial.size if self.declared is None else self.declared
        if size is not None and self.partial.have() and self.partial.prefix() == size:
            self._describe("", size)
            return
        ask, segments = self._first_ask(size)
        try:
            reply = self.open(ask)
        except NoRanges as error:
            if not (ask.first and error.total == ask.first == self.partial.have()):
                raise
            self._describe(self.partial.state.validator, error.total)  # it was complete already
            return
        if self.location.onward is not None:
            reply = self._pass_pages(reply, ask, self.location.onward)
        try:
            if reply.whole:
                self._take_whole(reply, ask)
            else:
                self._take_parts(reply, ask, segments)
        except BaseException:
            reply.body.close()
            raise

    def _pass_pages(self, reply: Reply, ask: Ask, onward: Callable[[str], str]) -> Reply:
        """Go through the pages that the place puts before the file."""
        for _ in range(_PAGES):
            if not (reply.whole and reply.html):
                return reply
            page = b""
            while len(page) < _LONGEST_PAGE and (data := reply.body.read(PIECE)):
                page += data
            reply.body.close()
            target = onward(page.decode("utf-8", errors="replace"))
            self.onward = next_address(self.onward or self.location.url, target)
            reply = self.open(ask)
        return reply

    def _check_kept(self) -> None:
        """Start again where what is there cannot be continued from this place."""
        partial = self.partial
        same = partial.state.address in {"", self.address}
        too_long = self.declared is not None and partial.have() and not self._fits(self.declared)
        if partial.have() and (too_long or not (self.proven or (same and partial.state.validator))):
            self.reset()

    def _fits(self, size: int) -> bool:
        return self.partial.size in {None, size} and all(end <= size for _, end in self.partial.state.done)

    def reset(self) -> None:
        """Start again from nothing."""
        self.follower.restart()
        self.partial.reset()

    def condition(self) -> str:
        """Return the validator that the bytes so far have at this address, for If-Range."""
        state = self.partial.state
        return state.validator if state.address == self.address and not self.candidate.blind else ""

    def _first_ask(self, size: int | None) -> tuple[Ask, Segments | None]:
        """Return the first request, and the parts that are to follow it."""
        candidate, have = self.candidate, self.partial.have()
        if not candidate.ranges or (not have and not self._parallel(size)):
            return Ask(), None
        condition = self.condition()
        if candidate.clean and not condition:
            return Ask(), None  # once put together wrongly: only parts that vouch for one another
        if size is None:
            return Ask(self.partial.prefix(), None, ranged=True, condition=condition), None
        step = segment_size(size, candidate.connections) if self._parallel(size) else size
        segments = Segments(self.partial.gaps(size), step)
        first = segments.claim()
        assert first is not None  # noqa: S101 - a complete partial was dealt with
        return Ask(first[0], first[1], ranged=True, condition=condition), segments

    def _parallel(self, size: int | None) -> bool:
        """Say whether the first request may already be for a part."""
        candidate = self.candidate
        large = size is not None and size >= self.settings.parallel_from
        return large and self.proven and candidate.connections > 1 and not candidate.clean

    def open(self, ask: Ask) -> Reply:
        """Send a request and check its answer, asking again where only its form was refused."""
        home = self.location.url
        response = self.client.get(self.onward or home, home, self.location.headers, ask.headers())
        try:
            return check(response, ask, self.candidate.name)
        except NoRanges as error:
            if not ask.ranged:
                what = f"{error}, unasked"
                self.candidate.ranges = True
                raise Interrupted(what) from error
            raise

    def _describe(self, validator: str, total: int | None) -> None:
        if total is not None and total != self.partial.size and self.wanted.artifact.size is None:
            require_room(self.partial.path.parent, total - self.partial.have())
        self.partial.describe(
            source=self.candidate.name, address=self.address, validator=validator, size=total
        )
        if total is not None:
            self.tally.size(total)

    # -- the whole --------------------------------------------------------------------------------

    def _take_whole(self, reply: Reply, ask: Ask) -> None:
        declared = self.declared
        self._encoding(reply)
        if reply.total is not None and declared is not None and reply.total != declared:
            reply.body.close()
            if reply.html and not self._html_wanted():
                raise self._html()
            raise self.wrong_size(reply.total)
        if self._worth_asking_blindly(reply, ask):
            reply.body.close()
            self.candidate.blind = True
            what = f"{self.candidate.name} names its content differently now"
            raise NoRanges(what)
        if not reply.framed and declared is None and not self.proven:
            reply.body.close()
            what = f"{self.candidate.name} does not say where the file ends, and nothing is declared about it"
            raise Refused(what)
        body = Unpacked(reply.body, reply.encoding) if reply.encoding else reply.body
        head = self._refuse_html(body, reply)
        if self.partial.have() or self.partial.mixed:
            self.reset()  # a whole answer starts from zero
        size = reply.total if declared is None else declared
        self._describe("" if reply.encoding else reply.validator, size)
        segments, end = self._split_off(reply)
        if segments:
            Parts(self, segments).fetch(Opened(body, head, 0, end))
        else:
            self._pour_whole(body, head, reply)

    def _encoding(self, reply: Reply) -> None:
        """Decide whether a compressed answer is the file itself, or has to be unpacked."""
        if not reply.encoding:
            return
        self.compressed = True
        stored = self.declared is not None and reply.length == self.declared
        stored = stored or self.wanted.artifact.path.endswith((".gz", ".tgz"))
        if stored != self.candidate.encoded:
            reply.encoding = ""
            reply.total = reply.length
        elif reply.encoding not in {"gzip", "deflate"}:
            reply.body.close()
            what = (
                f"{self.candidate.name} answered in the encoding {reply.encoding!r}, which was not asked for"
            )
            raise Refused(what)

    def _worth_asking_blindly(self, reply: Reply, ask: Ask) -> bool:
        """Say whether other nodes of one network may have named the same bytes differently.

        The parts asked for next come without If-Range; the digest tells whether they fit.
        """
        candidate = self.candidate
        differs = bool(ask.condition and reply.validator) and reply.validator != ask.condition
        same_size = reply.total is not None and reply.total == self.partial.size
        usable = self.proven and not candidate.clean and not candidate.blind
        return differs and same_size and usable and self.partial.have() >= _WORTH_KEEPING

    def _refuse_html(self, body: Body | Unpacked, reply: Reply) -> bytes:
        """Return the first bytes, having made sure that they are not those of a login or error page."""
        if self._html_wanted():
            return b""
        head, ended = b"", False
        while (page := looks_like_html(head, ended=ended)) is None:
            data = body.read(PIECE)
            head, ended = head + data, not data
        if page or (reply.html and not self.proven):
            body.close()
            raise self._html()
        return head

    def _html_wanted(self) -> bool:
        return self.wanted.artifact.path.lower().endswith((".html", ".htm"))

    def _html(self) -> Refused:
        return Refused(f"{self.candidate.name} answered with an HTML page instead of the file")

    def _split_off(self, reply: Reply) -> tuple[Segments | None, int]:
        """Let other connections fetch the tail of a large file whose first bytes already come."""
        total, candidate = reply.total, self.candidate
        shareable = reply.ranges and (reply.validator or self.proven) and not candidate.clean
        large = total is not None and total >= self.settings.parallel_from
        if total is None or not (large and shareable and candidate.ranges and candidate.connections > 1):
            return None, 0
        segments = Segments([(0, total)], segment_size(total, candidate.connections))
        first = segments.claim()
        return segments, first[1] if first else total

    def _pour_whole(self, body: Body | Unpacked, head: bytes, reply: Reply) -> None:
        declared = self.declared
        position = self.pouring.pour(body, head, 0, declared)
        if position == declared:
            self._nothing_more(body, declared)
        elif declared is not None and reply.framed:
            raise self.wrong_size(position)
        elif declared is not None:
            what = f"{self.candidate.name} closed the connection after {position} of {declared} bytes"
            raise Interrupted(what)
        self.unproven = not reply.framed
        self._describe(self.partial.state.validator, position)

    def _nothing_more(self, body: Body | Unpacked, declared: int) -> None:
        """Make sure that the body ends where the file does."""
        try:
            more = body.read(1)
        except Interrupted:
            if not self.proven:
                raise
            return  # all the bytes are there, and the digest is the judge
        if more:
            body.close()
            raise self.wrong_size(f"more than {declared}")

    def wrong_size(self, found: object) -> SizeMismatchError:
        """Return the error for a place that has another number of bytes."""
        what = f"{self.candidate.name} has a file of another size"
        return SizeMismatchError(what, expected=f"{self.declared} bytes", found=f"{found} bytes")

    # -- parts ------------------------------------------------------------------------------------

    def _take_parts(self, reply: Reply, ask: Ask, segments: Segments | None) -> None:
        self.accept_part(reply)
        total = reply.total if self.declared is None else self.declared
        if segments is None:  # the size was unknown: go on to the end of what the answer says
            self.pouring.pour(reply.body, b"", reply.first, None)
            self._describe(self.partial.state.validator, total or self.partial.prefix())
            return
        assert ask.end is not None  # noqa: S101 - with segments, the end is known
        Parts(self, segments).fetch(Opened(reply.body, b"", ask.first, ask.end))

    def accept_part(self, reply: Reply) -> None:
        """Check that a part belongs to the same content as those before it."""
        state, declared = self.partial.state, self.declared
        expected = state.size if declared is None else declared
        if reply.total is not None and expected is not None and reply.total != expected:
            reply.body.close()
            if declared is not None:
                raise self.wrong_size(reply.total)
            what = f"{self.candidate.name} has a file of another size now"
            raise Changed(what)
        same_place = state.address == self.address
        if same_place and state.validator and state.validator != reply.validator:
            if not self.proven:
                reply.body.close()
                what = f"{self.candidate.name} has other content now"
                raise Changed(what)
            self.partial.mixed = True
        if self.partial.have():
            self.partial.mixed = True
        validator = state.validator if same_place and state.validator else reply.validator
        self._describe(validator, expected or reply.total)

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: the run was interrupted.
        """
        if self.client.watch.stop.wait(seconds):
            raise Stopped
