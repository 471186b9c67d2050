"""Redirects, credentials, certificates, proxies, and what of all that may be said."""

from __future__ import annotations

import base64
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.download.failures import RefusedError
from model_zoo.download.http import may_share_credentials, redirect_target
from model_zoo.errors import DownloadError, SourceUnavailableError
from model_zoo.sources.base import HttpLocation, LocatedSource
from tests.server import Answer, Exchange, Server, pattern, redirect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.download.conftest import Store

CONTENT = pattern(300_000)


class PrivateSource(LocatedSource, frozen=True, kw_only=True):
    """A source with a token in a header."""

    kind = "private"
    address: str

    def locate(self, artifact: object, settings: object) -> HttpLocation:
        return HttpLocation(self.address, headers={"Authorization": "Bearer SECRET", "X-Key": "SECRET"})

    def describe(self) -> str:
        return "private:thing"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, store: Store, code: int) -> None:
    server.add("/there", CONTENT, Answer(cut=200_000), Answer())
    url = server.add("/m", b"", redirect("/there", code))
    assert store.get(CONTENT, url).error is None
    assert server.sent("/there") == len(CONTENT), "a range survives the redirect"


@pytest.mark.parametrize(
    "target", ["there", "./there", "//127.0.0.1:{port}/there", "http://127.0.0.1:{port}/there", "?x=1"]
)
def test_relative_redirects(server: Server, store: Store, target: str) -> None:
    server.add("/there", CONTENT)
    server.add("/m?x=1", CONTENT)
    url = server.add("/m", b"", redirect(target.format(port=server.port)))
    assert store.get(CONTENT, url).error is None


def test_ten_redirects_and_no_more(server: Server, store: Store) -> None:
    for number in range(11):
        server.add(f"/{number}", b"", redirect(f"/{number + 1}"))
    server.add("/11", CONTENT)
    assert store.get(CONTENT, server.url("/1")).error is None
    other = store.get(pattern(10, seed=3), server.url("/0"))
    assert isinstance(other.error, SourceUnavailableError)


def test_redirect_loop(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", b"", redirect("/m")), server.add("/good", CONTENT))
    assert outcome.error is None
    assert len(server.seen("/m")) == 11


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/m",
        "data:,x",
        "javascript:0",
        "http://h:0/m",
        "http://h:99999/m",
        "http://[x",
        "mailto:a@b",
    ],
)
def test_redirects_that_are_refused(server: Server, store: Store, target: str) -> None:
    outcome = store.get(CONTENT, server.add("/m", b"", redirect(target)))
    assert isinstance(outcome.error, SourceUnavailableError)
    assert len(server.seen()) == 1


def test_redirect_to_nowhere(server: Server, store: Store) -> None:
    url = server.add("/m", b"", Answer(status=302, body=b""))
    assert isinstance(store.get(CONTENT, url).error, SourceUnavailableError)


def test_endless_body_of_a_redirect_is_not_read(server: Server, store: Store) -> None:
    server.add("/there", CONTENT)
    answer = Answer(status=302, body=b"", headers={"Location": "/there", "Content-Length": "99999999999"})
    assert store.get(CONTENT, server.add("/m", b"", answer)).error is None


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_login_in_the_address(server: Server, store: Store) -> None:
    server.add("/m", CONTENT)
    url = server.url("/m", user="me:p%40ss")
    assert store.get(CONTENT, url).error is None
    assert server.seen()[0].headers["authorization"] == basic("me:p@ss")


def test_login_goes_along_on_the_same_host_only(server: Server, store: Store) -> None:
    with Server() as other:
        there = other.add("/there", CONTENT)
        server.add("/m", b"", redirect("/n"))
        server.add("/n", b"", redirect(there))
        assert store.get(CONTENT, server.url("/m", user="me:secret")).error is None
        assert "authorization" not in other.seen()[0].headers
        assert "cookie" not in other.seen()[0].headers
    assert server.seen("/m")[0].headers["authorization"] == basic("me:secret")


@pytest.mark.parametrize("host", ["localhost", None])
def test_private_headers_stay_with_their_host(server: Server, store: Store, host: str | None) -> None:
    with Server() as other:
        other.add("/there", CONTENT)
        back = server.add("/back", CONTENT)
        there = other.url("/there", host=host)
        start = server.add("/m", b"", redirect("/n"))
        server.add("/n", b"", redirect(there))
        other.add("/there", b"", redirect(back))
        assert store.get(CONTENT, PrivateSource(address=start)).error is None
        assert "x-key" not in other.seen()[0].headers
        assert "authorization" not in other.seen()[0].headers
    assert [seen.headers.get("x-key") for seen in server.seen()] == ["SECRET"] * 3


def test_mirrors_get_no_private_headers(server: Server, store: Store) -> None:
    server.add("/mirror/m", CONTENT)
    source = PrivateSource(address="http://original.invalid/m")
    mirrors = (("http://original.invalid/", server.url("/mirror/")),)
    assert store.get(CONTENT, source, mirrors=mirrors).error is None
    assert "x-key" not in server.seen()[0].headers


def test_messages_show_no_secrets(server: Server, store: Store) -> None:
    query = "?token=SECRET&sig=SECRET"
    server.add(f"/away{query}", b"", redirect(f"http://u:SECRET@127.0.0.1:1/x{query}"))
    urls = [server.url(f"/{n}{query}", user="user:SECRET") for n in ("missing", "away")]
    urls.append(f"http://user:SECRET@127.0.0.1:1/m{query}")
    outcome = store.get(CONTENT, *urls, attempts=1, mirrors=(("http://nobody/", "http://x:SECRET@y/"),))
    assert outcome.error
    texts = [str(outcome.error), repr(outcome.error), repr(outcome.error.__dict__), *map(str, store.events)]
    assert not [text for text in texts if "SECRET" in text]
    kept = "".join(path.read_text() for path in store.partials.glob("*.json"))
    assert "SECRET" not in kept


def test_the_log_tells_the_story_without_secrets(
    server: Server, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="model_zoo")
    query = "?token=SECRET"
    server.add(f"/m{query}", b"", redirect(server.url(f"/there{query}", user="u:SECRET")))
    server.add(f"/there{query}", CONTENT, Answer(cut=200_000), Answer())
    urls = [server.url(f"/{name}{query}", user="user:SECRET") for name in ("missing", "m")]
    assert store.get(CONTENT, *urls).error is None
    assert store.get(pattern(10), PrivateSource(address=server.add("/private", pattern(10)))).error is None
    text = caplog.text
    assert "SECRET" not in text
    for expected in ("404", "GET", "bytes=200000-", "redirected to", "trying again", "obtained from"):
        assert expected in text


def test_sidecars_show_no_secrets(server: Server, store: Store) -> None:
    server.add("/m", CONTENT, Answer(cut=200_000), Answer(status=500, body=b""))
    outcome = store.get(CONTENT, server.url("/m?token=SECRET", user="u:SECRET"), attempts=1)
    assert outcome.error
    (sidecar,) = store.partials.glob("*.json")
    assert "SECRET" not in sidecar.read_text()


def test_netrc_is_for_the_written_address(
    server: Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\nmachine localhost login me password pw\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.add("/there", CONTENT)
    url = server.add("/m", b"", redirect(server.url("/there", host="localhost")))
    assert store.get(CONTENT, url).error is None
    assert server.seen("/m")[0].headers["authorization"] == basic("me:pw")
    assert "authorization" not in server.seen("/there")[0].headers
    store.get(CONTENT, PrivateSource(address=server.url("/none")))


def test_netrc_does_not_replace_a_token(
    server: Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert store.get(CONTENT, PrivateSource(address=server.add("/m", CONTENT))).error is None
    assert server.seen()[0].headers["authorization"] == "Bearer SECRET"


# -- TLS --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


def test_certificates_of_the_environment(authority: trustme.CA, bundle: Path, store: Store) -> None:
    with Server(tls=tls(authority)) as secure:
        secure.add("/m", CONTENT, Answer(cut=200_000, reset=True), Answer(cut=50_000), Answer())
        assert store.get(CONTENT, secure.url("/m", host="localhost")).error is None


def test_unknown_certificate_is_not_tried_again(authority: trustme.CA, store: Store) -> None:
    with Server(tls=tls(authority)) as secure:
        secure.add("/m", CONTENT)
        outcome = store.get(CONTENT, secure.url("/m", host="localhost"))
        assert isinstance(outcome.error, SourceUnavailableError)
        assert "certificate" in str(outcome.error)
        assert secure.connections == 1


def test_certificate_of_another_host(authority: trustme.CA, bundle: Path, store: Store) -> None:
    with Server(tls=tls(authority, "elsewhere.test")) as secure:
        secure.add("/m", CONTENT)
        outcome = store.get(CONTENT, secure.url("/m", host="localhost"))
        assert isinstance(outcome.error, SourceUnavailableError)


def test_https_never_down_to_http(authority: trustme.CA, bundle: Path, server: Server, store: Store) -> None:
    plain = server.add("/m", CONTENT)
    with Server(tls=tls(authority)) as secure:
        secure.add("/m", b"", redirect(plain))
        outcome = store.get(CONTENT, secure.url("/m", host="localhost"))
        assert isinstance(outcome.error, SourceUnavailableError)
        assert "down to http" in str(outcome.error)
    assert not server.seen()


def test_http_up_to_https(authority: trustme.CA, bundle: Path, server: Server, store: Store) -> None:
    with Server(tls=tls(authority)) as secure:
        secure.add("/m", CONTENT)
        url = server.add("/m", b"", redirect(secure.url("/m", host="localhost")))
        assert store.get(CONTENT, PrivateSource(address=url)).error is None
        assert "x-key" not in secure.seen()[0].headers


def test_tls_on_a_plain_port_and_the_reverse(
    authority: trustme.CA, bundle: Path, server: Server, store: Store
) -> None:
    server.add("/m", CONTENT)
    outcome = store.get(CONTENT, f"https://localhost:{server.port}/m", attempts=1)
    assert isinstance(outcome.error, DownloadError)
    with Server(tls=tls(authority)) as secure:
        outcome = store.get(CONTENT, f"http://localhost:{secure.port}/m", attempts=1)
        assert isinstance(outcome.error, DownloadError)


# -- proxies ----------------------------------------------------------------------------------------


def test_proxy_of_the_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as proxy:
        proxy.add("http://models.invalid/m", CONTENT, Answer(cut=200_000), Answer())
        monkeypatch.setenv("HTTP_PROXY", proxy.url("", user="me:pw"))
        monkeypatch.setenv("http_proxy", proxy.url("", user="me:pw"))
        assert store.get(CONTENT, "http://models.invalid/m").error is None
        assert proxy.seen()[0].headers["proxy-authorization"] == basic("me:pw")


def test_no_proxy(server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert store.get(CONTENT, server.add("/m", CONTENT)).error is None


def test_proxy_that_refuses(authority: trustme.CA, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as proxy:
        proxy.add("models.invalid:443", b"", Answer(status=407, body=b""))
        monkeypatch.setenv("https_proxy", proxy.url(""))
        outcome = store.get(CONTENT, "https://models.invalid/m", attempts=2)
        assert isinstance(outcome.error, DownloadError)


def test_ipv6(store: Store) -> None:
    try:
        six = Server("::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with six:
        assert store.get(CONTENT, six.add("/m", CONTENT, Answer(cut=100), Answer())).error is None


def test_one_pool(server: Server, store: Store) -> None:
    """Twenty files over at most as many connections as there are workers."""
    artifacts = [store.artifact(pattern(1000, n), server.add(f"/{n}", pattern(1000, n))) for n in range(20)]
    assert all(outcome.error is None for outcome in store.run(*artifacts, jobs=3))
    assert server.connections <= 3


def test_more_workers_while_servers_are_slow(server: Server, store: Store) -> None:
    """Eight answers that wait for one another: fewer than eight workers would never finish."""
    together = threading.Barrier(8, timeout=30)

    def meet(exchange: Exchange) -> None:
        together.wait()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
        exchange.send(head + pattern(100, int(exchange.seen.path[1:])))

    artifacts = [
        store.artifact(pattern(100, n), server.add(f"/{n}", b"", Answer(act=meet))) for n in range(8)
    ]
    assert all(outcome.error is None for outcome in store.run(*artifacts, jobs=8, stall_timeout=40.0))


def test_closed_idle_connection(server: Server, store: Store) -> None:
    """A server that drops idle connections: the next file just opens another."""

    def once(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello")

    artifacts = [store.artifact(b"hello", server.add("/0", b"", Answer(act=once)))]
    artifacts += [
        store.artifact(pattern(1000, n), server.add(f"/{n}", pattern(1000, n))) for n in range(1, 5)
    ]
    assert all(outcome.error is None for outcome in store.run(*artifacts, jobs=1))


PLACES = st.builds(
    "{}://{}{}/x".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", ":80", ":443", ":8080"]),
)


@given(PLACES, PLACES)
def test_credentials_never_leave_their_place(one: str, other: str) -> None:
    if may_share_credentials(one, other):
        assert one.split("/")[2].split(":", maxsplit=1)[0] == other.split("/")[2].split(":", maxsplit=1)[0]
        assert not (one.startswith("https") and other.startswith("http:"))


@given(st.text())
def test_any_redirect_is_followed_or_refused(target: str) -> None:
    for start in ("http://host/a", "https://host/a"):
        try:
            found = redirect_target(start, target)
        except RefusedError:
            continue
        assert found.startswith(("http://", "https://"))
        assert not (start.startswith("https") and found.startswith("http://"))


def test_no_thread_is_left() -> None:
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("model-zoo")]


def test_a_proxy_that_is_no_address_is_said_at_once(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking again would not help, and nothing was asked."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("http_proxy", "foo:bar:baz")
    monkeypatch.setenv("HTTP_PROXY", "foo:bar:baz")
    outcome = store.get(CONTENT, server.add("/m", CONTENT))
    assert "is not a valid URL" in str(outcome.error)
    assert store.messages("retry") == []
    assert server.seen() == []
