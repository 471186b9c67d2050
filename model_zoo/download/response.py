"""What a response claims to be, checked against the request, and its body with a proven end."""

from __future__ import annotations

import contextlib
import email.utils
import re
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import urllib3

from model_zoo.download.failures import (
    MAX_RETRY_AFTER,
    RangeError,
    RefusedError,
    TransientError,
    parse_retry_after,
)
from model_zoo.download.http import explain
from model_zoo.sources.deadlines import deadline
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

PIECE = 256 << 10
"""Bytes that are read at once."""
_LINE_SECONDS = 60.0
"""How long the lines around a chunk may take."""

_TRANSIENT = {408, 425, 429}
_MAY_MEAN_RANGE = {400, 405, 406, 412, 413, 416, 417, 431, 501, 505}
"""Statuses that a server may mean for the Range header rather than for the file."""
_REASONS = {
    401: "Unauthorized: credentials are missing or wrong",
    403: "Forbidden: credentials are missing, or the URL has expired",
    407: "Proxy Authentication Required: the proxy's user and password are missing or wrong",
}
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NUMBER = "[0-9]{1,18}"
_MAX_SHOWN = 80
_MAX_VALIDATOR = 1024
_MAX_PROLOGUE = 4096
_STRONG_AFTER = 60
_ANY_WRAPPER, _NO_WRAPPER = 47, -15  # zlib's window bits: zlib or gzip as it comes, or neither


@dataclass(frozen=True)
class RangeRequest:
    """A request for the bytes from ``first`` to ``end`` (exclusive), or for the whole file."""

    first: int = 0
    end: int | None = None
    ranged: bool = False
    condition: str = ""

    def headers(self) -> dict[str, str]:
        """Return the request headers for it."""
        if not self.ranged:
            return {}
        last = "" if self.end is None else str(self.end - 1)
        headers = {"Range": f"bytes={self.first}-{last}"}
        return {**headers, "If-Range": self.condition} if self.condition else headers


@dataclass
class CheckedResponse:
    """An acceptable response: bytes from ``first`` on, ``length`` of them if that is known.

    Attributes:
        whole: it is the whole file from the start.
        total: the size of the whole file, if the response tells.
        validator: the strong validator, or empty.
        ranges: the server says that it serves ranges.
        framed: the end of the body can be told from a lost connection.
        html: it is declared to be an HTML page.
        encoding: the content coding, which was not asked for; empty for none.
    """

    body: Body
    first: int
    length: int | None
    whole: bool
    total: int | None
    validator: str
    ranges: bool = True
    framed: bool = True
    html: bool = False
    encoding: str = ""


def check(response: requests.Response, request: RangeRequest, name: str) -> CheckedResponse:
    """Accept a response only if it is what was requested.

    Raises:
        RefusedError: the server does not give us the file.
        TransientError: it may later.
        RangeError: it does not give us this range.
    """
    try:
        if response.status_code == HTTPStatus.OK:
            return _whole(response, name)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return _part(response, request, name)
        raise _failure(response, request, name)  # noqa: TRY301
    except BaseException:
        response.close()
        raise


def _failure(
    response: requests.Response, request: RangeRequest, name: str
) -> RangeError | TransientError | RefusedError:
    """Return what a status other than success means."""
    status = response.status_code
    if request.ranged and status in _MAY_MEAN_RANGE:
        content_range = response.headers.get("Content-Range", "")
        match = re.fullmatch(rf"\s*bytes\s+\*/({_NUMBER})\s*", content_range)
        total = int(match[1]) if match else None
        return RangeError(f"{name} answered {status} to a range request", total=total)
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        wait = ""
        if retry_after is not None and retry_after > MAX_RETRY_AFTER:
            wait = f" and asks to wait {retry_after:.0f} s"
        return TransientError(f"{name} answered {_status(status)}{wait}", retry_after=retry_after)
    return RefusedError(f"{name} answered {_status(status)}")


def _status(status: int) -> str:
    """Return a status with its reason: ``404 Not Found``."""
    with contextlib.suppress(ValueError):
        return f"{status} {_REASONS.get(status) or HTTPStatus(status).phrase}"
    return str(status)


def _whole(response: requests.Response, name: str) -> CheckedResponse:
    headers = response.headers
    length = _content_length(response, name)
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    encoding = headers.get("Content-Encoding", "").strip().lower().removeprefix("x-")
    encoding = "" if encoding in {"identity", "binary", "none"} else encoding
    if chunked:
        length = None
    return CheckedResponse(
        body=Body(response, length),
        first=0,
        length=length,
        whole=True,
        total=None if encoding else length,
        validator=_strong_validator(response),
        ranges=headers.get("Accept-Ranges", "").strip().lower() == "bytes" and not encoding,
        framed=chunked or length is not None,
        html="html" in headers.get("Content-Type", "").lower(),
        encoding=encoding,
    )


def _part(response: requests.Response, request: RangeRequest, name: str) -> CheckedResponse:
    content_range = response.headers.get("Content-Range", "")
    match = re.fullmatch(rf"\s*bytes\s+({_NUMBER})-({_NUMBER})/({_NUMBER}|\*)\s*", content_range)
    length = _content_length(response, name)
    fault = ""
    first = last = 0
    total: int | None = None
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        fault = "a compressed range"
    elif match is None:
        fault = "a range without Content-Range"
        if content_range:
            fault = f"Content-Range {content_range[:_MAX_SHOWN]!r}"
    else:
        first, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        end = request.end if request.end is not None else total
        end = min(end, total) if end is not None and total is not None else end
        exact = first == request.first and first <= last and (end is None or last + 1 == end)
        if not exact or (total is not None and last >= total):
            fault = f"bytes {first}-{last}, which is not the range requested"
        elif length is not None and length != last + 1 - first:
            fault = f"{length} bytes as range {first}-{last}"
    if fault:
        raise RangeError(f"{name} sent {fault}")
    count = last + 1 - first
    validator = _strong_validator(response)
    return CheckedResponse(Body(response, count), first, count, whole=False, total=total, validator=validator)


def _content_length(response: requests.Response, name: str) -> int | None:
    """Return Content-Length; None if it is missing or malformed, TransientError for contradicting ones."""
    values = {text.strip() for text in response.headers.get("Content-Length", "").split(",") if text.strip()}
    if len(values) > 1:
        what = f"{name} sent conflicting Content-Length headers: {', '.join(sorted(values))[:_MAX_SHOWN]}"
        raise TransientError(what)
    text = next(iter(values), "")
    return int(text) if re.fullmatch(_NUMBER, text) else None


def _strong_validator(response: requests.Response) -> str:
    """Return what proves that two responses hold the same bytes: a strong ETag, or a strong date.

    A Last-Modified date is strong if the response's Date is at least a minute later (RFC 9110, 8.8.2.2).
    """
    tag = str(response.headers.get("ETag", "")).strip()
    if re.fullmatch(r'"[^"]+"', tag) and len(tag) <= _MAX_VALIDATOR:
        return tag
    if tag:
        return ""
    dates = [str(response.headers.get(name, "")) for name in ("Last-Modified", "Date")]
    try:
        modified, sent = (email.utils.parsedate_to_datetime(text) for text in dates)
        return dates[0] if (sent - modified).total_seconds() >= _STRONG_AFTER else ""
    except (TypeError, ValueError, OverflowError):
        return ""


class Body:
    """The bytes of a response. With a ``length``, ``read`` returns nothing only after that many bytes."""

    def __init__(self, response: requests.Response, length: int | None) -> None:
        self._response = response
        self._raw: Any = response.raw
        self._length = length
        self._count = 0
        self._url = safe_url(response.url)
        self._ended = False

    @property
    def at_end(self) -> bool:
        """Whether every announced byte has been read."""
        return self._length is not None and self._count == self._length

    def read(self, most: int) -> bytes:
        """Return what has arrived, at most ``most`` bytes, nothing at the end; or raise a TransientError."""
        if self._length is not None:
            most = min(most, self._length - self._count)
        if most <= 0 or self._ended:
            self._release()
            return b""
        try:
            # Lines between chunks may drip: no byte of the body comes, and no read of the socket is late.
            late = deadline(_LINE_SECONDS, self._raw.shutdown) if self._raw.chunked else nullcontext()
            with late:
                data: bytes = self._raw.read1(most, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            if isinstance(error, urllib3.exceptions.ProtocolError) and self._length is not None:
                raise self._too_short() from None
            reason = explain(error, self._url)
            raise reason if isinstance(reason, TransientError) else TransientError(str(reason)) from None
        self._count += len(data)
        if not data:
            if self._length is not None and self._count < self._length:
                self.close()
                raise self._too_short()
            self._release()
        elif self._count == self._length:
            self._release()
        return data

    def _too_short(self) -> TransientError:
        return TransientError(f"{self._url}: connection closed after {self._count} of {self._length} bytes")

    def _release(self) -> None:
        if not self._ended:
            self._ended = True
            if self._raw.closed:  # read to its end
                self._raw.release_conn()
            else:
                self._response.close()

    def close(self) -> None:
        """Stop reading, and close the connection unless the body was read to its end."""
        if not self._ended:
            self._ended = True
            self._response.close()


class DecodedBody:
    """A body that came compressed although that was not asked for, decompressed."""

    at_end = False  # which only the next read can tell

    def __init__(self, body: Body, encoding: str) -> None:
        self._body = body
        self._pieces = _decompress(body, may_be_bare=encoding == "deflate")

    def read(self, most: int) -> bytes:
        """Return some decompressed bytes, at most ``PIECE``, nothing at the end; raises as ``Body.read``."""
        del most
        return next(self._pieces, b"")

    def close(self) -> None:
        """Stop reading."""
        self._body.close()


def _decompress(body: Body, *, may_be_bare: bool) -> Iterator[bytes]:
    """Yield decompressed bytes in small pieces. Deflate ``may_be_bare``: some send it without its wrapper."""
    window = _ANY_WRAPPER
    inflate = zlib.decompressobj(window)
    while data := body.read(PIECE):
        while data:
            if inflate.eof:  # a gzip file may have several members
                inflate = zlib.decompressobj(window)
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                if not may_be_bare:
                    raise TransientError(f"the compressed response is damaged: {error}") from error
                window = _NO_WRAPPER
                inflate = zlib.decompressobj(window)
                piece = b""
            else:
                data = inflate.unconsumed_tail or inflate.unused_data
            may_be_bare = False
            if piece:
                yield piece
    if not inflate.eof:
        raise TransientError("the compressed response is incomplete")


def looks_like_html(head: bytes, *, ended: bool) -> bool | None:
    """Whether a file's first bytes are those of an HTML page; None if more are needed to tell."""
    text = head
    for bom in _BOMS:
        text = text.removeprefix(bom)
    text = text.replace(b"\0", b"").lstrip().lower()
    while text.startswith((b"<?xml", b"<!--")):
        close = b"?>" if text.startswith(b"<?xml") else b"-->"
        _, found, text = text.partition(close)
        if not found:
            return False if ended or len(head) > _MAX_PROLOGUE else None
        text = text.lstrip()
    starts = (b"<!doctype html", b"<html", b"<head>", b"<body")
    if text.startswith(starts):
        return True
    undecided = any(start.startswith(text) for start in (*starts, b"<?xml", b"<!--"))
    return None if undecided and not ended and len(head) <= _MAX_PROLOGUE else False
