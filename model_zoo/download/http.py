"""Requests over one pool of connections: redirects, credentials, deadlines, cancellation.

``requests`` is the client, so proxies, certificates and netrc work as people expect. Redirects are followed
here, because that is where credentials leak.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
import threading
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import requests
import urllib3
from requests.cookies import extract_cookies_to_jar

from model_zoo.download.failures import CancelledError, RefusedError, TransientError
from model_zoo.sources.connections import ConnectionAdapter
from model_zoo.text import safe_url
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3.connection import HTTPConnection

    from model_zoo.settings import Settings

_log = logging.getLogger(__name__)

MAX_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_POOL = 64


class Watchdog:
    """Knows every open connection, so that a stop or a missed deadline can end the wait on it."""

    def __init__(self, head_timeout: float, stop: threading.Event) -> None:
        self.stop = stop
        self._head_timeout = head_timeout
        self._guard = threading.Lock()
        self._open: set[HTTPConnection] = set()
        self._deadlines: dict[HTTPConnection, float] = {}

    def add(self, connection: HTTPConnection) -> None:
        """Start watching a connection."""
        with self._guard:
            self._open.add(connection)
        if self.stop.is_set():
            self._shut(connection)

    def remove(self, connection: HTTPConnection) -> None:
        """Stop watching a connection."""
        with self._guard:
            self._open.discard(connection)

    @contextlib.contextmanager
    def head_deadline(self, connection: HTTPConnection) -> Iterator[None]:
        """Give the whole response head a deadline, because each byte of it resets the socket's own."""
        with self._guard:
            self._deadlines[connection] = time.monotonic() + self._head_timeout
        try:
            yield
        finally:
            with self._guard:
                late = self._deadlines.pop(connection, None) is None
            if late:
                raise TimeoutError

    def enforce(self) -> None:
        """End the connections whose deadline has passed; called regularly by the waiting thread."""
        now = time.monotonic()
        with self._guard:
            late = [connection for connection, at in self._deadlines.items() if at < now]
            for connection in late:
                del self._deadlines[connection]
        for connection in late:
            self._shut(connection)

    def abort(self) -> None:
        """End every connection; reads in progress return at once."""
        self.stop.set()
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            self._shut(connection)

    @staticmethod
    def _shut(connection: HTTPConnection) -> None:
        sock = connection.sock
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):
                # the plain socket's method: a TLS socket's would wait for the other side's lock
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _LineRecorder:
    """The stream a head is read from; remembers the last line."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - whatever http.client made
        self.stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.stream.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.stream, name)


class _Response(HTTPResponse):
    """A response that is refused if the connection ended within its head.

    ``http.client`` takes such an end for the end of the head, and half a header for a whole one.
    """

    def begin(self) -> None:
        lines = _LineRecorder(self.fp)
        self.fp = lines  # type: ignore[assignment]
        super().begin()
        if self.fp is lines:  # type: ignore[comparison-overlap]
            self.fp = lines.stream  # type: ignore[unreachable]
        if not lines.last:
            self.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "the response head is incomplete")


def _watched(base: type[HTTPConnection], watchdog: Watchdog) -> type[HTTPConnection]:
    class Watched(base):  # type: ignore[valid-type, misc]
        response_class = _Response

        def connect(self) -> None:
            super().connect()
            watchdog.add(self)

        def close(self) -> None:
            watchdog.remove(self)
            super().close()

        def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's own type
            with watchdog.head_deadline(self):
                return super().getresponse()

    return Watched


class Client:
    """Sends requests; one for a whole download call, shared by its threads."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self.watchdog = Watchdog(settings.connect_timeout + settings.stall_timeout, stop)
        self._timeout = (settings.connect_timeout, settings.stall_timeout)
        self._adapter = ConnectionAdapter(
            lambda base: _watched(base, self.watchdog),
            pool_connections=_POOL,
            pool_maxsize=_POOL,
            max_retries=0,
        )
        self._session = requests.Session()
        self._session.headers.clear()
        self._session.headers["User-Agent"] = f"model-zoo/{__version__}"
        self._session.headers["Accept"] = "*/*"
        self._session.headers["Accept-Encoding"] = "identity"
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

    def close(self) -> None:
        """Close every connection."""
        self._adapter.close()
        self._session.close()

    def get(
        self, url: str, origin: str, private: Mapping[str, str], headers: Mapping[str, str]
    ) -> requests.Response:
        """Send a GET request, following redirects; the body is still to be read. See ``open``."""
        return self.open("GET", url, origin, private, headers)

    def open(
        self, method: str, url: str, origin: str, private: Mapping[str, str], headers: Mapping[str, str]
    ) -> requests.Response:
        """Send a request, following redirects; these are the response's ``history``.

        A user and password in ``url`` go only to its own host, the ``private`` headers only to that of
        ``origin``, the other ``headers`` to every host on the way.

        Raises:
            RefusedError: a redirect is not allowed, or the URL is invalid.
            TransientError: no response came.
            CancelledError: the run was interrupted.
        """
        current = url
        history: list[requests.Response] = []
        if not _is_valid(origin):
            raise RefusedError(f"{safe_url(origin)}: invalid URL")
        for _ in range(MAX_REDIRECTS + 1):
            allowed = private if may_share_credentials(origin, current) else {}
            response = self._send(method, current, {**headers, **allowed}, first=current == origin)
            if response.status_code not in _REDIRECTS:
                response.history = history
                return response
            history.append(response)
            target = response.headers.get("Location")
            response.close()
            current = redirect_target(current, target)
            _log.debug("redirected to %s", safe_url(current))
        raise RefusedError(f"{safe_url(url)}: more than {MAX_REDIRECTS} redirects")

    def _send(self, method: str, url: str, headers: dict[str, str], *, first: bool) -> requests.Response:
        if self.watchdog.stop.is_set():
            raise CancelledError
        try:
            bare, login = _split_login(url)
            # netrc is for the URL a person wrote, not for one a server sent us to, nor beside a token
            auth = login or (None if first and "Authorization" not in headers else lambda request: request)
            request = requests.Request(method, bare, headers=headers, auth=auth)
            prepared = self._session.prepare_request(request)
            environment = self._environment(bare)
            response = self._adapter.send(prepared, stream=True, timeout=self._timeout, **environment)
            extract_cookies_to_jar(self._session.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self.watchdog.stop.is_set():
                raise CancelledError from None
            failure = explain(error, url)
            _log.debug("%s failed: %s", method, failure)
            raise failure from None
        if _log.isEnabledFor(logging.DEBUG):
            part = headers.get("Range", "whole file")
            _log.debug("%s %s (%s): %d", method, safe_url(url), part, response.status_code)
        return response

    def _environment(self, url: str) -> dict[str, Any]:
        """Return proxies and certificates for a URL; they are the same for the whole host."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        if key not in self._environments:
            merged = self._session.merge_environment_settings(url, {}, None, None, None)
            self._environments[key] = {name: merged[name] for name in ("proxies", "verify", "cert")}
        return self._environments[key]


def _split_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Split the user and password off a URL."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(name), unquote(password))


def may_share_credentials(origin: str, url: str) -> bool:
    """Whether credentials for one URL may go to another.

    They may go to the same scheme, host and port, and from http to https on the same host's default ports.
    """
    before, after = urlsplit(origin), urlsplit(url)
    ports = [parts.port or _DEFAULT_PORTS.get(parts.scheme) for parts in (before, after)]
    if before.hostname != after.hostname:
        return False
    if before.scheme == after.scheme:
        return ports[0] == ports[1]
    return (before.scheme, *ports) == ("http", 80, 443)


def _is_valid(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def redirect_target(url: str, location: str | None) -> str:
    """Return where a redirect leads; RefusedError for nowhere, another scheme, or from https down to http."""
    start = safe_url(url)
    if not location:
        raise RefusedError(f"{start}: redirect without a Location header")
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode("utf-8")  # header bytes arrive as latin-1
    try:
        target = urljoin(url, location)
        scheme, valid = urlsplit(target).scheme, _is_valid(target)
    except ValueError:
        raise RefusedError(f"{start}: redirect to an invalid URL") from None
    if scheme not in {"http", "https"} or not valid:
        what = f"{start}: redirect to {f'a {scheme} URL' if scheme else 'an invalid URL'} refused"
        raise RefusedError(what)
    if urlsplit(url).scheme == "https" and scheme == "http":
        raise RefusedError(f"{start}: redirect from https down to http refused")
    return target


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), "cannot resolve the host name"),
    (ConnectionRefusedError, "connection refused"),
    ((requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), "connecting timed out"),
    ((TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError), "read timed out"),
)


def explain(error: BaseException, url: str) -> RefusedError | TransientError:
    """Say in our words what went wrong; the libraries' own messages hold the whole URL."""
    where = safe_url(url)
    chain = list(_causes(error))
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    for cause in chain:
        if reason := _permanent(cause, has_proxy=proxy is not None):
            return RefusedError(f"{where}: {reason}")
    at_proxy = proxy and any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in chain)
    which = f"the proxy {safe_url(str(proxy))}: " if at_proxy else ""
    for kinds, reason in _REASONS:
        if any(isinstance(cause, kinds) for cause in chain):
            return TransientError(f"{where}: {which}{reason}", unresponsive=True)
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # malformed URLs and headers
        return RefusedError(f"{where}: invalid request: {type(error).__name__}")
    details = [cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror]
    detail = details[-1] if details else type(chain[-1]).__name__
    return TransientError(f"{where}: {which}{_ENDS.get(detail, f'connection lost ({detail})')}")


def _permanent(cause: BaseException, *, has_proxy: bool) -> str:
    """Return the reason if this is a failure that no other attempt will change, else nothing."""
    if isinstance(cause, requests.exceptions.InvalidProxyURL) or (
        has_proxy and isinstance(cause, urllib3.exceptions.LocationParseError)
    ):
        return "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not a valid URL"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS on this port"
    if isinstance(cause, OSError) and str(cause).startswith("Could not find a suitable TLS CA certificate"):
        return "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a certificate file that does not exist"
    return ""


_ENDS = {
    "RemoteDisconnected": "the server closed the connection without a response",
    "BadStatusLine": "the response is not HTTP",
}
"""What exceptions of ``http.client`` mean."""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, wherever the libraries keep them."""
    pending, seen = [error], set[int]()
    while pending:
        cause = pending.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
        pending += [item for item in inner if isinstance(item, BaseException)]
