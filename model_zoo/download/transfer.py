"""Transfer one file from one URL into a partial, in one piece or over several connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.download.failures import RangeError, RefusedError, TransientError
from model_zoo.download.parallel import OpenSegment, ParallelTransfer, SegmentQueue, segment_size
from model_zoo.download.response import (
    PIECE,
    Body,
    CheckedResponse,
    DecodedBody,
    RangeRequest,
    looks_like_html,
)

if TYPE_CHECKING:
    import threading

    from model_zoo.download.body_writer import BodyWriter
    from model_zoo.download.exchange import Exchange

_WORTH_KEEPING = 1 << 20
"""Bytes on disk from which it is worth finding out whether they still fit content with another validator."""


@dataclass
class Transfer:
    """One attempt at one candidate; ``run`` returns when the partial is complete.

    Attributes:
        parallel_from: size in bytes from which several connections are used.
        budget: limits the connections beyond the first, over all files.
        end_unproven: the end of the file is only assumed; the digest must prove it.
        compressed: the response came in a content coding that was not asked for.
    """

    exchange: Exchange
    writer: BodyWriter
    parallel_from: int
    budget: threading.BoundedSemaphore
    end_unproven: bool = False
    compressed: bool = False

    def __post_init__(self) -> None:
        """Abbreviate what is used throughout."""
        self._partial = self.exchange.partial
        self._candidate = self.exchange.candidate
        self._name = self.exchange.name

    def run(self) -> None:
        """Fetch what is missing, or raise an AttemptError by what to do about it."""
        exchange, partial = self.exchange, self._partial
        if exchange.location.size not in {None, exchange.declared}:
            raise exchange.wrong_size(exchange.location.size)  # artifact and source cannot both be right
        self._drop_unusable()
        size = partial.state.size if exchange.declared is None else exchange.declared
        if size is not None and partial.bytes_done() and partial.prefix_length() == size:
            exchange.identify("", size)
            return
        request, segments = self._first_request(size)
        try:
            response = exchange.send(request)
        except RangeError as error:
            if not (request.first and error.total == request.first == partial.bytes_done()):
                raise
            exchange.identify(partial.state.validator, error.total)  # it was complete already
            return
        if exchange.location.onward is not None:
            response = exchange.skip_pages(response, request, exchange.location.onward)
        try:
            if response.whole:
                self._receive_whole(response, request)
            else:
                self._receive_parts(response, request, segments)
        except BaseException:
            response.body.close()
            raise

    def _drop_unusable(self) -> None:
        """Start again if the bytes on disk cannot be continued from this candidate."""
        partial, exchange = self._partial, self.exchange
        if not partial.bytes_done():
            return
        state, declared = partial.state, exchange.declared
        too_long = declared is not None and (
            state.size not in {None, declared} or any(end > declared for _, end in state.done)
        )
        same_content = state.address in {"", exchange.address} and bool(state.validator)
        if too_long or not (exchange.verifiable or same_content):
            self.writer.hasher.restart()

    def _first_request(self, size: int | None) -> tuple[RangeRequest, SegmentQueue | None]:
        """Return the first request, and the segments that follow it."""
        candidate, partial = self._candidate, self._partial
        large = size is not None and size >= self.parallel_from
        parallel = (
            large and self.exchange.verifiable and candidate.connections > 1 and not candidate.restarted
        )
        if not candidate.ranges or not (partial.bytes_done() or parallel):
            return RangeRequest(), None
        condition = self.exchange.condition()
        if candidate.restarted and not condition:
            return RangeRequest(), None  # assembled wrongly once: join only parts with a matching validator
        if size is None:
            return RangeRequest(partial.prefix_length(), None, ranged=True, condition=condition), None
        step = segment_size(size, candidate.connections) if parallel else size
        segments = SegmentQueue(partial.gaps(size), step)
        first = segments.claim()
        assert first is not None  # noqa: S101 - a complete partial was dealt with
        return RangeRequest(*first, ranged=True, condition=condition), segments

    def _receive_whole(self, response: CheckedResponse, request: RangeRequest) -> None:
        exchange, declared = self.exchange, self.exchange.declared
        self._choose_encoding(response)
        if response.total is not None and declared is not None and response.total != declared:
            raise (
                self._html()
                if response.html and not self._expects_html()
                else exchange.wrong_size(response.total)
            )
        if self._may_be_same_content(response, request):
            self._candidate.unconditional = True
            raise RangeError(f"{self._name}: ETag changed")
        if not response.framed and declared is None and not exchange.verifiable:
            what = f"{self._name} does not say where the file ends, and no size or digest is declared"
            raise RefusedError(what)
        body = DecodedBody(response.body, response.encoding) if response.encoding else response.body
        head = self._read_head(body, response)
        if self._partial.bytes_done() or self._partial.mixed:
            self.writer.hasher.restart()  # a whole response starts from zero
        exchange.identify(
            "" if response.encoding else response.validator, response.total if declared is None else declared
        )
        segments = self._split(response)
        first = segments.claim() if segments is not None else None
        if segments and first is not None:  # more than one
            self._run_parallel(OpenSegment(body, head, *first), segments)
        else:
            self._receive_in_one_piece(body, head, response)

    def _choose_encoding(self, response: CheckedResponse) -> None:
        """Decide whether a compressed response is the file itself, or has to be decompressed."""
        if not response.encoding:
            return
        self.compressed = True
        declared = self.exchange.declared
        is_file = declared is not None and response.length == declared
        is_file = is_file or self.exchange.task.artifact.path.endswith((".gz", ".tgz"))
        if is_file != self._candidate.keep_encoding:
            response.encoding = ""
            response.total = response.length
        elif response.encoding not in {"gzip", "deflate"}:
            raise RefusedError(f"{self._name} sent an unsupported Content-Encoding: {response.encoding}")

    def _may_be_same_content(self, response: CheckedResponse, request: RangeRequest) -> bool:
        """Whether other nodes of a network may give the same bytes another ETag.

        The ranges requested next come without If-Range; the digest decides whether they fit.
        """
        candidate, partial = self._candidate, self._partial
        changed = bool(request.condition and response.validator) and response.validator != request.condition
        same_size = response.total is not None and response.total == partial.state.size
        usable = self.exchange.verifiable and not candidate.restarted and not candidate.unconditional
        return changed and same_size and usable and partial.bytes_done() >= _WORTH_KEEPING

    def _read_head(self, body: Body | DecodedBody, response: CheckedResponse) -> bytes:
        """Return the first bytes, having made sure that they are not those of a login or error page."""
        if self._expects_html():
            return b""
        head, ended = b"", False
        while (html := looks_like_html(head, ended=ended)) is None:
            data = body.read(PIECE)
            head, ended = head + data, not data
        if html or (response.html and not self.exchange.verifiable):
            raise self._html()
        return head

    def _expects_html(self) -> bool:
        return self.exchange.task.artifact.path.lower().endswith((".html", ".htm"))

    def _html(self) -> RefusedError:
        return RefusedError(f"{self._name} answered with an HTML page instead of the file")

    def _split(self, response: CheckedResponse) -> SegmentQueue | None:
        """Let other connections fetch the tail of a large file whose first bytes are already coming."""
        total, candidate = response.total, self._candidate
        if total is None or total < self.parallel_from or candidate.connections <= 1 or candidate.restarted:
            return None
        comparable = response.validator or self.exchange.verifiable
        if not (response.ranges and candidate.ranges and comparable):
            return None
        return SegmentQueue([(0, total)], segment_size(total, candidate.connections))

    def _receive_in_one_piece(self, body: Body | DecodedBody, head: bytes, response: CheckedResponse) -> None:
        declared = self.exchange.declared
        position = self.writer.write(body, head, 0, declared)
        if position == declared:
            self._expect_end(body)
        elif declared is not None and response.framed:
            raise self.exchange.wrong_size(position)
        elif declared is not None:
            raise TransientError(f"{self._name} closed the connection after {position} of {declared} bytes")
        self.end_unproven = not response.framed
        self.exchange.identify(self._partial.state.validator, position)

    def _expect_end(self, body: Body | DecodedBody) -> None:
        """Make sure that the body ends where the file does."""
        try:
            more = body.read(1)
        except TransientError:
            if not self.exchange.verifiable:
                raise
            return  # all the bytes are there, and the digest decides
        if more:
            raise self.exchange.wrong_size(f"more than {self.exchange.declared}")

    def _receive_parts(
        self, response: CheckedResponse, request: RangeRequest, segments: SegmentQueue | None
    ) -> None:
        exchange = self.exchange
        exchange.accept_part(response)
        if segments is None:  # the size was unknown: go on to the end that the response states
            self.writer.write(response.body, b"", response.first, None)
            total = response.total if exchange.declared is None else exchange.declared
            exchange.identify(self._partial.state.validator, total or self._partial.prefix_length())
            return
        assert request.end is not None  # noqa: S101 - with segments, the end is known
        self._run_parallel(OpenSegment(response.body, b"", request.first, request.end), segments)

    def _run_parallel(self, opened: OpenSegment, segments: SegmentQueue) -> None:
        writer = self.writer
        ParallelTransfer(self.exchange, writer.write, segments, self.budget, writer.stop).run(opened)
