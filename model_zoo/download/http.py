"""Requests over one pool of connections: redirects, credentials, deadlines, and an end when told to stop.

``requests`` is the client, so proxies, certificates and netrc work as people know them. Redirects are
followed here, because that is where credentials leak.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from model_zoo.download.failures import Interrupted, Refused, Stopped
from model_zoo.sources.url import safe_url
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.settings import Settings

MOST_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_POOL = 64


class Watch:
    """Every open connection, so that a stop or a missed deadline can end the wait on it."""

    def __init__(self, head_seconds: float, stop: threading.Event) -> None:
        self.stop = stop
        self._head_seconds = head_seconds
        self._guard = threading.Lock()
        self._open: dict[int, HTTPConnection] = {}
        self._deadlines: dict[int, float] = {}

    def opened(self, connection: HTTPConnection) -> None:
        """Remember a connection."""
        with self._guard:
            self._open[id(connection)] = connection
        if self.stop.is_set():
            self._shut(connection)

    def closed(self, connection: HTTPConnection) -> None:
        """Forget a connection."""
        with self._guard:
            self._open.pop(id(connection), None)

    @contextlib.contextmanager
    def awaiting_head(self, connection: HTTPConnection) -> Iterator[None]:
        """Give the answer's head a deadline as a whole: each byte of it resets the socket's own."""
        with self._guard:
            self._deadlines[id(connection)] = time.monotonic() + self._head_seconds
        try:
            yield
        finally:
            with self._guard:
                late = self._deadlines.pop(id(connection), None) is None
            if late:
                raise TimeoutError

    def enforce(self) -> None:
        """End the connections whose deadline passed; called now and then by whoever waits."""
        now = time.monotonic()
        with self._guard:
            late = [key for key, at in self._deadlines.items() if at < now]
            for key in late:
                del self._deadlines[key]
            connections = [self._open[key] for key in late if key in self._open]
        for connection in connections:
            self._shut(connection)

    def end(self) -> None:
        """End every connection; reads that are under way return at once."""
        self.stop.set()
        with self._guard:
            connections = list(self._open.values())
        for connection in connections:
            self._shut(connection)

    @staticmethod
    def _shut(connection: HTTPConnection) -> None:
        sock = connection.sock
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):
                # the plain socket's method: a TLS socket's would wait for the other side's lock
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Lines:
    """The stream a head is read from, which remembers the last line."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - whatever http.client made
        self.stream = stream
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.stream.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.stream, name)


class _Response(HTTPResponse):
    """An answer whose head is refused when the connection ended within it.

    ``http.client`` takes such an end for the end of the head, and half a header for a whole one.
    """

    def begin(self) -> None:
        lines = _Lines(self.fp)
        self.fp = lines  # type: ignore[assignment]
        super().begin()
        if self.fp is lines:  # type: ignore[comparison-overlap]
            self.fp = lines.stream  # type: ignore[unreachable]
        if not lines.last:
            self.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "the head of the answer ended early")


def _watched(base: type[HTTPConnection], watch: Watch) -> type[HTTPConnection]:
    class Watched(base):  # type: ignore[valid-type, misc]
        response_class = _Response

        def connect(self) -> None:
            super().connect()
            watch.opened(self)

        def close(self) -> None:
            watch.closed(self)
            super().close()

        def getresponse(self) -> Any:  # noqa: ANN401 - urllib3's own type
            with watch.awaiting_head(self):
                return super().getresponse()

    return Watched


class _Adapter(HTTPAdapter):
    """Requests' adapter over watched connections."""

    def __init__(self, watch: Watch) -> None:
        plain = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _watched(HTTPConnection, watch)})
        secure = type(
            "SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _watched(HTTPSConnection, watch)}
        )
        self._pools = {"http": plain, "https": secure}
        super().__init__(pool_connections=_POOL, pool_maxsize=_POOL, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class Client:
    """Sends requests; one for a whole download call, shared by its threads."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self.watch = Watch(settings.connect_timeout + settings.stall_timeout, stop)
        self._timeout = (settings.connect_timeout, settings.stall_timeout)
        self._adapter = _Adapter(self.watch)
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
        self, url: str, home: str, private: Mapping[str, str], headers: Mapping[str, str]
    ) -> requests.Response:
        """Ask for ``url``, following redirects; the body is still to be read.

        Args:
            url: may hold a user and password, which go only to its own host.
            home: the address that ``private`` belongs to.
            private: headers for the host of ``home`` only.
            headers: headers for every host on the way.

        Raises:
            Refused: a redirect leads where we do not go, or the address makes no sense.
            Interrupted: no answer came.
            Stopped: the run was interrupted.
        """
        here = url
        if not _makes_sense(home):
            what = f"{safe_url(home)} makes no sense as an address"
            raise Refused(what)
        for _ in range(MOST_REDIRECTS + 1):
            allowed = private if same_place(home, here) else {}
            response = self._send(here, {**headers, **allowed}, first=here == home)
            if response.status_code not in _REDIRECTS:
                return response
            target = response.headers.get("Location")
            response.close()
            here = next_address(here, target)
        what = f"{safe_url(url)} redirects more than {MOST_REDIRECTS} times"
        raise Refused(what)

    def _send(self, url: str, headers: dict[str, str], *, first: bool) -> requests.Response:
        if self.watch.stop.is_set():
            raise Stopped
        try:
            bare, login = _without_login(url)
            # netrc is for the address a person wrote, not for one a server sent us to, nor beside a token
            auth = login or (None if first and "Authorization" not in headers else _no_netrc)
            request = requests.Request("GET", bare, headers=headers, auth=auth)
            prepared = self._session.prepare_request(request)
            environment = self._environment(bare)
            response = self._adapter.send(prepared, stream=True, timeout=self._timeout, **environment)
            extract_cookies_to_jar(self._session.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self.watch.stop.is_set():
                raise Stopped from None
            raise explain(error, url) from None
        return response

    def _environment(self, url: str) -> dict[str, Any]:
        """Return proxies and certificates for an address; they are the same for the whole host."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        if key not in self._environments:
            merged = self._session.merge_environment_settings(url, {}, None, None, None)
            self._environments[key] = {name: merged[name] for name in ("proxies", "verify", "cert")}
        return self._environments[key]


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Split the user and password off an address."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(name), unquote(password))


def same_place(one: str, other: str) -> bool:
    """Say whether credentials for one address may go to the other.

    They may to the same scheme, host and port, and from http to https on the same host's usual ports.
    """
    a, b = urlsplit(one), urlsplit(other)
    ports = [part.port or _DEFAULT_PORTS.get(part.scheme) for part in (a, b)]
    if a.hostname != b.hostname:
        return False
    if a.scheme == b.scheme:
        return ports[0] == ports[1]
    return (a.scheme, *ports) == ("http", 80, 443)


def _makes_sense(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def next_address(here: str, target: str | None) -> str:
    """Return where a redirect leads.

    Raises:
        Refused: nowhere, to another scheme, or from https down to http.
    """
    if not target:
        what = f"{safe_url(here)} redirects without saying where"
        raise Refused(what)
    with contextlib.suppress(UnicodeError):
        target = target.encode("latin-1").decode("utf-8")  # header bytes arrive as latin-1
    try:
        there = urljoin(here, target)
        before, after = urlsplit(here), urlsplit(there)
        named = _makes_sense(there)
    except ValueError:
        what = f"{safe_url(here)} redirects to an address that makes no sense"
        raise Refused(what) from None
    if after.scheme not in {"http", "https"} or not named:
        what = f"{safe_url(here)} redirects to a {after.scheme or 'nameless'} address, which is not followed"
        raise Refused(what)
    if before.scheme == "https" and after.scheme == "http":
        what = f"{safe_url(here)} redirects from https down to http, which is not followed"
        raise Refused(what)
    return there


_SIGNS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (ssl.SSLCertVerificationError, "the certificate is not accepted"),
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), "the name of the host cannot be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    ((requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), "no connection in time"),
    ((TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError), "nothing arrived any more"),
)


def explain(error: BaseException, url: str) -> Refused | Interrupted:
    """Say in our words what went wrong; the libraries' own words hold the whole address."""
    where = safe_url(url)
    chain = list(_causes(error))
    if any(isinstance(one, requests.exceptions.InvalidProxyURL) for one in chain):
        return Refused(f"{where}: the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names is no address")
    for kind, words in _SIGNS:
        found = next((one for one in chain if isinstance(one, kind)), None)
        if isinstance(found, ssl.SSLCertVerificationError):
            return Refused(f"{where}: {words}: {found.verify_message}")
        if found is not None:
            return Interrupted(f"{where}: {words}", dead=True)
    if isinstance(error, ValueError) and not isinstance(
        error, OSError
    ):  # addresses and headers without sense
        return Refused(f"{where}: cannot be asked for: {type(error).__name__}")
    innermost = next((one for one in reversed(chain) if isinstance(one, OSError) and one.strerror), None)
    detail = innermost.strerror if innermost is not None else type(chain[-1]).__name__
    return Interrupted(f"{where}: the connection broke off ({detail})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception's causes, wherever the libraries keep them."""
    waiting, met = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in met:
            continue
        met.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        waiting += [item for item in inner if isinstance(item, BaseException)]
