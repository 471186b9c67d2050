"""Which failures are tried again, how often, after how long, and where."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.download import failures
from model_zoo.errors import (
    DigestMismatchError,
    DownloadError,
    IntegrityError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from tests.server import HTML, Answer, Server, pattern, status

if TYPE_CHECKING:
    from tests.download.conftest import Store

CONTENT = pattern(300_000)
OTHER = pattern(300_000, seed=2)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_transient_statuses_are_tried_again(server: Server, store: Store, code: int) -> None:
    url = server.add("/m", CONTENT, status(code), status(code), Answer())
    assert store.get(CONTENT, url).error is None
    assert len(server.seen()) == 3


def test_the_budget_ends(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, status(500)), attempts=4)
    assert isinstance(outcome.error, TransferInterruptedError)
    assert len(server.seen()) == 4
    assert "try again later" in str(outcome.error)


def test_retry_after_as_a_date(server: Server, store: Store) -> None:
    when = formatdate(time.time() + 2, usegmt=True)
    url = server.add("/m", CONTENT, status(503, retry_after=when), Answer())
    assert store.get(CONTENT, url).error is None
    first, second = server.seen()
    assert second.at - first.at >= 0.9


@pytest.mark.parametrize(
    "text", ["soon", "-5", "1e9", "99999999999999999999", "Thu, 99 Foo 2020 25:61:61 GMT"]
)
def test_retry_after_without_sense(server: Server, store: Store, text: str) -> None:
    url = server.add("/m", CONTENT, status(429, retry_after=text), Answer())
    assert store.get(CONTENT, url).error is None


def test_retry_after_tomorrow_goes_elsewhere(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, status(503, retry_after="86400"))
    outcome = store.get(CONTENT, url, server.add("/good", CONTENT))
    assert outcome.error is None
    assert len(server.seen("/m")) == 1


def test_retry_after_tomorrow_and_nowhere_else(server: Server, store: Store) -> None:
    """We do not sleep for a day, and one such answer does not end it either."""
    url = server.add("/m", CONTENT, status(503, retry_after="86400"), Answer())
    assert store.get(CONTENT, url).error is None


def test_a_minute_is_spent_elsewhere(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, status(503, retry_after="60"))
    assert store.get(CONTENT, url, server.add("/good", CONTENT)).error is None
    assert len(server.seen("/m")) == 1


def test_reset_midway(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(cut=200_000, reset=True), Answer())
    assert store.get(CONTENT, url).error is None
    assert server.sent() <= len(CONTENT) + 200_000


def test_reset_before_the_head(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(act=lambda exchange: exchange.reset()), Answer())
    assert store.get(CONTENT, url).error is None


def test_stall_in_the_body(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(cut=200_000, stall=30), Answer())
    assert store.get(CONTENT, url).error is None
    assert server.sent() == len(CONTENT)


def test_stall_before_the_head(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(delay=30), Answer())
    assert store.get(CONTENT, url).error is None


def test_stall_for_ever_goes_elsewhere_at_once(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(delay=30))
    assert store.get(CONTENT, url, server.add("/good", CONTENT)).error is None
    assert len(server.seen("/m")) == 1


def test_stall_for_ever_ends(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, Answer(delay=30)))
    assert isinstance(outcome.error, TransferInterruptedError)


def test_head_that_drips(server: Server, store: Store) -> None:
    """Each byte resets the socket's timer; the head has a deadline as a whole."""
    drip = Answer(head_pace=0.1)
    url = server.add("/m", CONTENT, drip)
    began = time.monotonic()
    outcome = store.get(CONTENT, url, server.add("/good", CONTENT), connect_timeout=0.5)
    assert outcome.error is None
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("until", range(10, 110, 9))
def test_head_that_ends_early(server: Server, store: Store, until: int, digest: bool) -> None:
    """Half a head is no head: half a Content-Length would be a wrong one."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Padding: 12345678901234567\r\n"
    head += b"Content-Length: 300000"
    url = server.add("/m", CONTENT, Answer(raw=head[:until]), Answer())
    assert store.get(CONTENT, url, digest=digest).error is None
    assert len(server.seen()) == 2


def test_body_that_drips_goes_elsewhere_and_keeps_its_bytes(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(pace=0.02, piece=10))
    assert store.get(CONTENT, url, server.add("/good", CONTENT)).error is None
    kept = server.seen("/good")[0].range
    assert kept
    assert kept[0] >= 100


def test_body_that_drips_and_nowhere_else(server: Server, store: Store) -> None:
    """Slow is not broken: the only place may take its time."""
    content = pattern(2000)
    url = server.add("/m", content, Answer(pace=0.02, piece=20))
    assert store.get(content, url).error is None
    assert len(server.seen()) == 1


def test_nobody_listens(server: Server, store: Store) -> None:
    with Server() as gone:
        pass
    outcome = store.get(CONTENT, gone.url("/m"))
    assert isinstance(outcome.error, TransferInterruptedError)
    assert "refused" in str(outcome.error)
    assert store.get(CONTENT, gone.url("/m"), server.add("/good", CONTENT)).error is None


def test_name_that_does_not_resolve(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, "http://no-such-host.invalid/m", attempts=2)
    assert isinstance(outcome.error, DownloadError)
    assert store.get(CONTENT, "http://no-such-host.invalid/m", server.add("/good", CONTENT)).error is None


@pytest.mark.parametrize(
    "url", ["http://a\u2024b..c/", "http://[::1/m", "http://host:99999/m", "http://x" + "y" * 300 + "/"]
)
def test_addresses_without_sense(store: Store, url: str) -> None:
    try:
        artifact = store.artifact(CONTENT, url)
    except ValueError:
        return
    (outcome,) = store.run(artifact, attempts=2)
    assert isinstance(outcome.error, DownloadError)


@pytest.mark.parametrize(
    "bad",
    [
        status(404),
        status(500),
        HTML,
        Answer(content=OTHER),
        Answer(content=OTHER[:-1]),
        Answer(cut=100_000),
        Answer(cut=100_000, reset=True),
        Answer(cut=100_000, ranges=False),
        Answer(raw=b""),
        Answer(encoding="gzip", cut=1000, framing="chunked"),
        Answer(framing="close", cut=1000, ranges=False),
        Answer(status=204, body=b""),
    ],
)
def test_any_failure_moves_on(server: Server, store: Store, bad: Answer) -> None:
    outcome = store.get(CONTENT, server.add("/bad", CONTENT, bad), server.add("/good", CONTENT), attempts=2)
    assert outcome.error is None


def test_bytes_are_kept_for_the_next_source(server: Server, store: Store) -> None:
    bad = server.add("/bad", CONTENT, Answer(cut=200_000), status(404))
    assert store.get(CONTENT, bad, server.add("/good", CONTENT)).error is None
    assert server.seen("/good")[0].range == (200_000, 299_999)
    assert "if-range" not in server.seen("/good")[0].headers, "validators are for one address"


def test_bytes_of_a_bad_source_do_not_spoil_the_next(server: Server, store: Store) -> None:
    bad = server.add("/bad", OTHER, Answer(cut=200_000), status(404))
    assert store.get(CONTENT, bad, server.add("/good", CONTENT)).error is None
    assert [seen.range for seen in server.seen("/good")] == [(200_000, 299_999), None]


def test_no_digest_no_mixing_of_sources(server: Server, store: Store) -> None:
    bad = server.add("/bad", OTHER, Answer(cut=200_000), status(404))
    assert store.get(CONTENT, bad, server.add("/good", CONTENT), digest=False).error is None
    assert server.seen("/good")[0].range is None


def test_mirrors_first(server: Server, store: Store) -> None:
    original = server.add("/original/m", CONTENT)
    server.add("/mirror/m", CONTENT)
    mirrors = (("https://elsewhere/", server.url("/no/")), (server.url("/original/"), server.url("/mirror/")))
    outcome = store.get(CONTENT, original, mirrors=mirrors)
    assert outcome.result
    assert "mirror" in outcome.result.source
    assert not server.seen("/original/m")


def test_mirror_that_fails(server: Server, store: Store) -> None:
    original = server.add("/original/m", CONTENT)
    server.add("/mirror/m", OTHER)
    mirrors = ((server.url("/original/"), server.url("/mirror/")), (server.url("/"), server.url("/none/")))
    assert store.get(CONTENT, original, mirrors=mirrors).error is None
    assert [seen.path for seen in server.seen()] == ["/mirror/m", "/none/original/m", "/original/m"]


def test_every_reason_is_listed(server: Server, store: Store) -> None:
    urls = [server.add("/wrong", OTHER), server.url("/none"), server.add("/page", b"", HTML)]
    outcome = store.get(CONTENT, *urls)
    assert isinstance(outcome.error, DigestMismatchError)
    text = str(outcome.error)
    assert all(url in text for url in urls)
    assert "404" in text
    assert "HTML" in text
    assert "model: m.bin" in text
    assert outcome.error.left == "nothing of this file"


def test_an_interrupted_source_may_still_have_it(server: Server, store: Store) -> None:
    urls = [server.add("/wrong", OTHER), server.add("/cut", CONTENT, status(503))]
    outcome = store.get(CONTENT, *urls, attempts=2)
    assert isinstance(outcome.error, TransferInterruptedError)
    assert not isinstance(outcome.error, IntegrityError)


def test_message_says_what_is_left(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(cut=123_456), status(500))
    outcome = store.get(CONTENT, url, attempts=2)
    assert "123456 of 300000 bytes" in str(outcome.error)


def test_one_failing_stops_no_other(server: Server, store: Store) -> None:
    artifacts = [
        store.artifact(pattern(1000, seed=n), server.add(f"/{n}", pattern(1000, seed=n))) for n in range(9)
    ]
    artifacts.insert(4, store.artifact(CONTENT, server.url("/missing")))
    outcomes = store.run(*artifacts)
    assert [outcome.error is None for outcome in outcomes] == [n != 4 for n in range(10)]
    assert [outcome.result.task.artifact for outcome in outcomes if outcome.result] == artifacts[
        :4
    ] + artifacts[5:]


def test_retries_are_told(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, status(500), Answer())
    store.get(CONTENT, url, server.url("/unused"))
    assert any("500" in text for text in store.messages("retry"))
    store.get(OTHER, server.url("/none"))
    assert any("404" in text for text in store.messages("source_failed"))


@given(st.text())
def test_retry_after_reads_anything(text: str) -> None:
    found = failures.parse_retry_after(text)
    assert found is None or found >= 0


@given(st.integers(min_value=0, max_value=10_000), st.none() | st.floats(min_value=0, max_value=1e9))
def test_delays_are_bounded(count: int, after: float | None) -> None:
    assert 0 <= failures.backoff(count, after) <= failures.MAX_RETRY_AFTER + 16


def test_no_source_at_all(store: Store) -> None:
    (outcome,) = store.run(store.artifact(CONTENT))
    assert isinstance(outcome.error, SourceUnavailableError)
