"""What an answer claims to be, checked against what was asked, and its body with a proven end."""

from __future__ import annotations

import email.utils
import re
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import urllib3

from model_zoo.download.failures import Interrupted, NoRanges, Refused, retry_after
from model_zoo.download.http import explain
from model_zoo.sources.url import safe_url

if TYPE_CHECKING:
    import requests

_TRANSIENT = {408, 425, 429}
_RANGE_TROUBLE = {400, 405, 406, 412, 413, 416, 417, 431, 501, 505}
"""Statuses that a server may mean for the Range header rather than for the file."""
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_LONGEST_PROLOGUE = 4096
_STRONG_AFTER = 60
_ANY_WRAPPER, _NO_WRAPPER = 47, -15  # zlib's window bits: zlib or gzip as it comes, or neither


@dataclass(frozen=True)
class Ask:
    """What is asked for: bytes from ``first`` to ``end`` (exclusive), or the whole without ranges."""

    first: int = 0
    end: int | None = None
    ranged: bool = False
    condition: str = ""

    def headers(self) -> dict[str, str]:
        """Return the request headers that say so."""
        if not self.ranged:
            return {}
        last = "" if self.end is None else str(self.end - 1)
        headers = {"Range": f"bytes={self.first}-{last}"}
        return {**headers, "If-Range": self.condition} if self.condition else headers


@dataclass
class Reply:
    """An acceptable answer: bytes from ``first`` on, ``length`` of them where that is known.

    Attributes:
        whole: it is the whole file from the start.
        total: the size of the whole file, where the answer tells.
        validator: the strong validator, or nothing.
        ranges: the server says that it can serve parts.
        framed: the body's end can be told from a broken connection.
    """

    body: Body
    first: int
    length: int | None
    whole: bool
    total: int | None
    validator: str
    ranges: bool
    framed: bool
    html: bool
    encoding: str


def check(response: requests.Response, ask: Ask, name: str) -> Reply:
    """Accept an answer only if it is what was asked for.

    Raises:
        Refused: the place does not give the file.
        Interrupted: it may later.
        NoRanges: it does not give this part.
    """
    status = response.status_code
    try:
        if status == HTTPStatus.OK:
            return _whole(response, name)
        if status == HTTPStatus.PARTIAL_CONTENT:
            return _part(response, ask, name)
        if ask.ranged and status in _RANGE_TROUBLE:
            what = f"{name} answered {status} to a part of the file"
            raise NoRanges(what, total=_stated_total(response))  # noqa: TRY301
        if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            after = retry_after(response.headers.get("Retry-After"))
            what = f"{name} answered {status}"
            raise Interrupted(what, after=after)  # noqa: TRY301
        what = f"{name} answered {status} {_REASONS.get(status, '')}".rstrip()
        raise Refused(what)  # noqa: TRY301
    except BaseException:
        response.close()
        raise


_REASONS = {
    401: "Unauthorized: credentials are missing or wrong",
    403: "Forbidden: credentials are missing, or the address has expired",
    404: "Not Found",
    407: "Proxy Authentication Required",
    410: "Gone",
    451: "Unavailable For Legal Reasons",
}


def _stated_total(response: requests.Response) -> int | None:
    """Return the total that a refused range states (``bytes */N``), where it does."""
    match = re.fullmatch(r"\s*bytes\s+\*/(\d+)\s*", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _whole(response: requests.Response, name: str) -> Reply:
    headers = response.headers
    length = _content_length(response, name)
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    encoding = headers.get("Content-Encoding", "").strip().lower().removeprefix("x-")
    encoding = "" if encoding in {"identity", "binary", "none"} else encoding
    if chunked:
        length = None
    return Reply(
        body=Body(response, length),
        first=0,
        length=length,
        whole=True,
        total=None if encoding else length,
        validator=strong_validator(response),
        ranges=headers.get("Accept-Ranges", "").strip().lower() == "bytes" and not encoding,
        framed=chunked or length is not None,
        html="html" in headers.get("Content-Type", "").lower(),
        encoding=encoding,
    )


def _part(response: requests.Response, ask: Ask, name: str) -> Reply:
    named = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"\s*bytes\s+(\d+)-(\d+)/(\d+|\*)\s*", named)
    length = _content_length(response, name)
    fault = ""
    first = last = 0
    total: int | None = None
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        fault = "a compressed part"
    elif match is None:
        fault = f"a part with the Content-Range {named!r}" if named else "a part without Content-Range"
    else:
        first, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        end = ask.end if ask.end is not None else total
        end = min(end, total) if end is not None and total is not None else end
        exact = first == ask.first and first <= last and (end is None or last + 1 == end)
        if not exact or (total is not None and last >= total):
            fault = f"bytes {first}-{last} instead of those asked for"
        elif length is not None and length != last + 1 - first:
            fault = f"{length} bytes as the part {first}-{last}"
    if fault:
        what = f"{name} sent {fault}"
        raise NoRanges(what)
    count = last + 1 - first
    return Reply(
        body=Body(response, length, promised=count),
        first=first,
        length=count,
        whole=False,
        total=total,
        validator=strong_validator(response),
        ranges=True,
        framed=True,
        html=False,
        encoding="",
    )


def _content_length(response: requests.Response, name: str) -> int | None:
    """Return the announced length; None where there is none that makes sense.

    Raises:
        Interrupted: there are several that contradict each other.
    """
    stated = {text.strip() for text in response.headers.get("Content-Length", "").split(",") if text.strip()}
    if len(stated) > 1:
        what = f"{name} states several lengths: {', '.join(sorted(stated))}"
        raise Interrupted(what)
    text = next(iter(stated), "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def strong_validator(response: requests.Response) -> str:
    """Return what proves two answers to be of the same bytes: a strong ETag, or a strong date.

    A Last-Modified date is strong when the answer's Date is at least a minute later (RFC 9110, 8.8.2.2).
    """
    tag = str(response.headers.get("ETag", "")).strip()
    if re.fullmatch(r'"[^"]*"', tag):
        return tag
    if tag:
        return ""
    stated = [str(response.headers.get(name, "")) for name in ("Last-Modified", "Date")]
    try:
        modified, sent = (email.utils.parsedate_to_datetime(text) for text in stated)
        return stated[0] if (sent - modified).total_seconds() >= _STRONG_AFTER else ""
    except (TypeError, ValueError, OverflowError):
        return ""


class Body:
    """The bytes of an answer. ``read`` returns nothing only at an end that is proven to be the end.

    Args:
        response: whose body it is.
        length: the announced length.
        promised: the length that a Content-Range promised.
    """

    def __init__(self, response: requests.Response, length: int | None, promised: int | None = None) -> None:
        self._response = response
        self._raw: Any = response.raw
        self._length = promised if length is None else length
        self._count = 0
        self._where = safe_url(response.url)
        self._ended = False

    @property
    def at_end(self) -> bool:
        """Whether every announced byte was read."""
        return self._length is not None and self._count == self._length

    def read(self, most: int) -> bytes:
        """Return what has arrived, at most so many bytes; nothing at the end.

        Raises:
            Interrupted: the connection broke off, or stayed silent for too long.
        """
        if self._length is not None:
            most = min(most, self._length - self._count)
        if most <= 0 or self._ended:
            self._release()
            return b""
        try:
            data: bytes = self._raw.read1(most, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            if isinstance(error, urllib3.exceptions.ProtocolError) and self._length is not None:
                raise self._too_short() from None
            found = explain(error, self._where)
            reason = found if isinstance(found, Interrupted) else Interrupted(str(found))
            raise reason from None
        self._count += len(data)
        if not data:
            if self._length is not None and self._count < self._length:
                self.close()
                raise self._too_short()
            self._release()
        elif self._count == self._length:
            self._release()
        return data

    def _too_short(self) -> Interrupted:
        return Interrupted(f"{self._where}: the answer ended after {self._count} of {self._length} bytes")

    def _release(self) -> None:
        if not self._ended:
            self._ended = True
            if self._raw.closed:  # read to its end
                self._raw.release_conn()
            else:
                self._response.close()

    def close(self) -> None:
        """Give the body up, and the connection with it unless the body was read to its end."""
        if not self._ended:
            self._ended = True
            self._response.close()


class Unpacked:
    """A body that came compressed although it was asked for as it is.

    Raises (from ``read``):
        Interrupted: the compressed bytes are damaged or end early.
    """

    def __init__(self, body: Body, encoding: str) -> None:
        self._body = body
        self._wbits = _ANY_WRAPPER
        self._may_be_bare = encoding == "deflate"  # some send it without the wrapper that it should have
        self._inflate = zlib.decompressobj(self._wbits)
        self._pending = b""
        self._begun = False
        self.at_end = False  # which only the next read can tell

    def read(self, most: int) -> bytes:
        """Return unpacked bytes; nothing at the end."""
        while True:
            if not self._pending:
                self._pending = self._body.read(most)
                if not self._pending:
                    return self._end()
            data = self._step(most)
            if data:
                return data

    def _step(self, most: int) -> bytes:
        if self._inflate.eof:  # gzip files may be several, one after the other
            self._inflate = zlib.decompressobj(self._wbits)
            self._begun = False
        try:
            data = self._inflate.decompress(self._pending, most)
        except zlib.error as error:
            if self._may_be_bare and not self._begun:
                self._may_be_bare, self._wbits = False, _NO_WRAPPER
                self._inflate = zlib.decompressobj(self._wbits)
                return b""
            self._body.close()
            what = f"the compressed answer is damaged: {error}"
            raise Interrupted(what) from error
        self._begun = True
        self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
        return data

    def _end(self) -> bytes:
        if not self._inflate.eof:
            what = "the compressed answer ended early"
            raise Interrupted(what)
        return b""

    def close(self) -> None:
        """Give the body up."""
        self._body.close()


def looks_like_html(head: bytes, *, ended: bool) -> bool | None:
    """Say whether a file's first bytes are those of an HTML page; None when more are needed to tell."""
    text = head
    for mark in _BOMS:
        text = text.removeprefix(mark)
    text = text.replace(b"\0", b"").lstrip().lower()
    while text.startswith((b"<?xml", b"<!--")):
        close = b"?>" if text.startswith(b"<?xml") else b"-->"
        _, found, text = text.partition(close)
        if not found:
            return False if ended or len(head) > _LONGEST_PROLOGUE else None
        text = text.lstrip()
    starts = (b"<!doctype html", b"<html", b"<head>", b"<body")
    if text.startswith(starts):
        return True
    open_yet = any(start.startswith(text) for start in (*starts, b"<?xml", b"<!--"))
    return None if open_yet and not ended and len(head) <= _LONGEST_PROLOGUE else False
