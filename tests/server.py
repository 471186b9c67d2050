"""One scriptable HTTP server on loopback, which can lie in any way HTTP allows.

>>> with Server() as server:
...     server.add("/m.bin", b"…", Answer(cut=25), Answer())   # first answer cut after 25 bytes, then honest
...     url = server.url("/m.bin")
...     server.seen("/m.bin")                                   # every request, with the bytes sent for it

The n-th request for a path gets the n-th answer; the last answer repeats. It speaks through bare sockets,
so nothing between a test and the wire corrects the lie.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PIECE = 1 << 16
REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 416: "Range Not Satisfiable"}


def pattern(size: int, seed: int = 1) -> bytes:
    """Return reproducible bytes that no compressor shrinks and no two offsets share."""
    stream = hashlib.shake_128(f"{seed}".encode())
    block = stream.digest(min(size, 1 << 20))
    pieces, made = [], 0
    while made < size:
        pieces.append((struct.pack(">QQ", seed, made) + block)[: min(size - made, len(block) or 1)])
        made += len(pieces[-1])
    return b"".join(pieces)


@dataclass(frozen=True)
class Answer:
    """How one request is answered; the default is an honest server with strong ETags and ranges.

    Attributes:
        status: sent instead of the right status.
        body: a literal body, for which ranges mean nothing (an error page, an HTML page).
        content: served instead of the file's content (a swapped file).
        headers: sent beside or instead of the right ones; None leaves one out.
        repeated: header lines added as they are, even when they repeat a name.
        ranges: False answers a Range with 200 and everything.
        if_range: False ignores If-Range (treats every validator as matching).
        shift: the Content-Range and the bytes start that many bytes off what was asked.
        framing: how the end of the body is marked.
        encoding: compress the whole body; the length is that of the compressed form.
        cut: stop after so many body bytes (of this answer).
        cut_at: stop at that offset of the file.
        stall: at the cut, keep the connection open for so many seconds and send nothing.
        reset: at the cut, reset the connection instead of closing it.
        pace: seconds between pieces of ``piece`` bytes.
        delay: seconds before the status line.
        head_pace: seconds between the bytes of the head.
        extra: bytes sent after the body, beyond what was announced.
        announce: Content-Length sent instead of the right one (the body stays what it is).
        version: the protocol of the status line.
        keep_alive: False closes after the body and says so.
        raw: these bytes are the whole answer, then the connection closes.
        act: called with the exchange, instead of everything else.
    """

    status: int | None = None
    body: bytes | None = None
    content: bytes | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    repeated: tuple[tuple[str, str], ...] = ()
    ranges: bool = True
    if_range: bool = True
    shift: int = 0
    framing: Literal["length", "chunked", "close"] = "length"
    encoding: Literal["gzip", "deflate"] | None = None
    cut: int | None = None
    cut_at: int | None = None
    stall: float = 0
    reset: bool = False
    pace: float = 0
    piece: int = PIECE
    delay: float = 0
    head_pace: float = 0
    extra: bytes = b""
    announce: int | None = None
    version: str = "HTTP/1.1"
    keep_alive: bool = True
    raw: bytes | None = None
    act: Callable[[Exchange], None] | None = None

    def but(self, **changes: object) -> Answer:
        """Return this answer with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


HTML = Answer(body=b"<!DOCTYPE html>\n<html><body>Sign in to continue</body></html>",
              headers={"Content-Type": "text/html; charset=utf-8"})  # fmt: skip


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and a short text; ``retry_after="1"`` becomes ``Retry-After: 1``."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Answer(status=code, body=b"no\n", headers={"Content-Type": "text/plain", **named})


def redirect(to: str, code: int = 302) -> Answer:
    """Send the client elsewhere."""
    return Answer(status=code, body=b"", headers={"Location": to})


class Span(NamedTuple):
    """The part of a body that is sent."""

    code: int
    first: int
    last: int  # exclusive
    named: str | None  # the Content-Range


@dataclass
class Seen:
    """One request as it arrived, and what was sent for it."""

    method: str
    path: str
    headers: dict[str, str]
    number: int
    at: float
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> tuple[int, int | None] | None:
        """The first and last byte asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) if match[2] else None) if match else None


@dataclass
class _File:
    content: bytes
    etag: str | None
    answers: list[Answer]
    modified: str
    asked: int = 0


class Exchange:
    """One request being answered: the bare socket, and what was asked."""

    def __init__(self, server: Server, sock: socket.socket, seen: Seen) -> None:
        self.server = server
        self.sock = sock
        self.seen = seen

    def send(self, data: bytes, *, count: bool = True) -> None:
        """Send bytes; body bytes are counted."""
        self.sock.sendall(data)
        if count:
            self.seen.sent += len(data)

    def pause(self, seconds: float) -> None:
        """Sleep, but not past the server's end."""
        self.server.stopping.wait(seconds)
        if self.server.stopping.is_set():
            raise ConnectionAbortedError

    def reset(self) -> None:
        """Close with a reset: what the client has not read yet is lost to it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise ConnectionAbortedError


class Server:
    """The server; a context manager.

    Args:
        host: the address to listen on; ``::1`` for IPv6.
        tls: the context that makes it an HTTPS server.
        busy_above: requests beyond this many at once are answered 503.
    """

    def __init__(
        self, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, busy_above: int = 0
    ) -> None:
        self.host = host
        self.tls = tls
        self.busy_above = busy_above
        self.stopping = threading.Event()
        self.log: list[Seen] = []
        self.connections = 0
        self.most_at_once = 0
        self._files: dict[str, _File] = {}
        self._guard = threading.Lock()
        self._at_once = 0
        self._open: set[socket.socket] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Server:
        """Start listening."""
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, closing every connection."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)

    def add(
        self,
        path: str,
        content: bytes = b"",
        *answers: Answer,
        etag: str | None = "auto",
        modified: float | None = None,
    ) -> str:
        """Serve ``content`` at ``path``, answering as told; return the address.

        ``etag`` is sent as it is (quotes included), ``auto`` makes a strong one, None sends none.
        """
        if etag == "auto":
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        when = formatdate(time.time() - 86400 if modified is None else modified, usegmt=True)
        self._files[path] = _File(content, etag, list(answers) or [Answer()], when)
        return self.url(path)

    def url(self, path: str = "/", *, host: str | None = None, user: str = "") -> str:
        """Return the address of a path; ``host`` names this machine differently (``localhost``)."""
        name = host or self.host
        name = f"[{name}]" if ":" in name else name
        return f"{'https' if self.tls else 'http'}://{user + '@' if user else ''}{name}:{self.port}{path}"

    def seen(self, path: str | None = None) -> list[Seen]:
        """Return the requests so far, of one path or of all."""
        return [seen for seen in list(self.log) if path in {None, seen.path}]

    def sent(self, path: str | None = None) -> int:
        """Return how many body bytes were sent so far."""
        return sum(seen.sent for seen in self.seen(path))

    # -- the wire ---------------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self._guard:
                self._open.add(sock)
            reader = sock.makefile("rb")
            while not self.stopping.is_set() and (seen := self._read_request(reader)):
                if not self._answer(Exchange(self, sock, seen)):
                    break
            with contextlib.suppress(OSError):
                reader.close()
                sock.shutdown(socket.SHUT_RDWR)
        with self._guard:
            self._open.discard(sock)
        with contextlib.suppress(OSError):
            sock.close()

    def _read_request(self, reader: object) -> Seen | None:
        line = reader.readline(65536).decode("latin-1")  # type: ignore[attr-defined]
        if not line.strip():
            return None
        method, path, *_ = line.split()
        headers: dict[str, str] = {}
        while text := reader.readline(65536).decode("latin-1").strip():  # type: ignore[attr-defined]
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        with self._guard:
            file = self._files.get(path) or self._files.get(path.partition("?")[0])
            number = file.asked if file else 0
            if file:
                file.asked += 1
            seen = Seen(method, path, headers, number, time.monotonic())
            self.log.append(seen)
        return seen

    def _answer(self, exchange: Exchange) -> bool:
        """Play the answer; return whether the connection lives on."""
        seen = exchange.seen
        file = self._files.get(seen.path) or self._files.get(seen.path.partition("?")[0])
        if file is None:
            file = _File(b"", None, [status(404)], formatdate(usegmt=True))
        answer = file.answers[min(seen.number, len(file.answers) - 1)]
        with self._guard:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if self.busy_above and self._at_once > self.busy_above:
                answer = status(503)
        try:
            if answer.act is not None:
                answer.act(exchange)
                return False
            if answer.raw is not None:
                exchange.pause(answer.delay)
                exchange.send(answer.raw)
                return False
            return _play(exchange, file, answer)
        finally:
            with self._guard:
                self._at_once -= 1


def _play(exchange: Exchange, file: _File, answer: Answer) -> bool:
    seen = exchange.seen
    content = file.content if answer.content is None else answer.content
    etag = file.etag
    if answer.content is not None and etag:
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    etag = answer.headers.get("ETag", etag)
    if answer.body is not None:
        span, content = Span(200, 0, len(answer.body), None), answer.body
    else:
        span = _span(seen, file, answer, len(content), etag)
    body = content[span.first : span.last]
    if answer.encoding:
        body = gzip.compress(body, 1) if answer.encoding == "gzip" else zlib.compress(body, 1)
    seen.status = answer.status or span.code
    head: dict[str, str | None] = {"Content-Type": "application/octet-stream"}
    if answer.body is None:
        head |= {
            "ETag": etag,
            "Last-Modified": file.modified,
            "Accept-Ranges": "bytes" if answer.ranges else None,
        }
    head |= {
        "Date": formatdate(usegmt=True),
        "Content-Range": span.named,
        "Content-Encoding": answer.encoding,
    }
    if answer.framing == "length":
        head["Content-Length"] = str(len(body) if answer.announce is None else answer.announce)
    elif answer.framing == "chunked":
        head["Transfer-Encoding"] = "chunked"
    keep = answer.keep_alive and answer.framing != "close" and answer.version == "HTTP/1.1"
    head["Connection"] = None if keep else "close"
    head |= answer.headers
    lines = [f"{answer.version} {seen.status} {REASONS.get(seen.status, 'Whatever')}"]
    lines += [f"{name}: {value}" for name, value in head.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in answer.repeated]
    exchange.pause(answer.delay)
    _send_head(exchange, "\r\n".join([*lines, "", ""]).encode("latin-1"), answer)
    if seen.method != "HEAD":
        _send_body(exchange, body, answer, span.first)
    return keep and not answer.extra and "close" not in seen.headers.get("connection", "")


def _span(seen: Seen, file: _File, answer: Answer, total: int, etag: str | None) -> Span:
    asked = seen.range
    condition = seen.headers.get("if-range")
    unchanged = condition is None or not answer.if_range or condition in {etag, file.modified}
    if asked is None or not answer.ranges or not unchanged:
        return Span(200, 0, total, None)
    first, last = asked[0], total - 1 if asked[1] is None else min(asked[1], total - 1)
    if first >= total or first > last:
        return Span(416, 0, 0, f"bytes */{total}")
    first, last = max(0, first + answer.shift), max(0, last + answer.shift)
    return Span(206, first, last + 1, f"bytes {first}-{last}/{total}")


def _send_head(exchange: Exchange, head: bytes, answer: Answer) -> None:
    if not answer.head_pace:
        exchange.send(head, count=False)
        return
    for one in head:
        exchange.send(bytes([one]), count=False)
        exchange.pause(answer.head_pace)


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), size):
        yield bytes(view[start : start + size])


def _send_body(exchange: Exchange, body: bytes, answer: Answer, first: int) -> None:
    limit = answer.cut
    if answer.cut_at is not None and answer.cut_at < first + len(body):
        limit = max(0, answer.cut_at - first)
    for piece in _pieces(body if limit is None else body[:limit], answer.piece):
        _send_piece(exchange, piece, answer)
    if limit is not None:
        exchange.pause(answer.stall)
        if answer.reset:
            exchange.reset()
        raise ConnectionAbortedError
    if answer.framing == "chunked":
        exchange.send(b"0\r\n\r\n", count=False)
    if answer.extra:
        exchange.send(answer.extra)


def _send_piece(exchange: Exchange, piece: bytes, answer: Answer) -> None:
    if answer.framing == "chunked":
        exchange.send(f"{len(piece):x}\r\n".encode(), count=False)
    exchange.send(piece)
    if answer.framing == "chunked":
        exchange.send(b"\r\n", count=False)
    if answer.pace:
        exchange.pause(answer.pace)
