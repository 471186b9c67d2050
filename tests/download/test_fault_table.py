"""The rows of the fault table: the first answer is cut, and then the server does something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_zoo.errors import DigestMismatchError, SourceUnavailableError
from tests.server import HTML, Answer, Server, pattern, redirect, status

if TYPE_CHECKING:
    from tests.download.conftest import Store

CONTENT = pattern(3_000_000)
OTHER = pattern(3_000_000, seed=2)
CUT = Answer(cut=2_500_000)


def test_then_honours_range(server: Server, store: Store) -> None:
    assert store.get(CONTENT, server.add("/m", CONTENT, CUT, Answer())).error is None
    first, second = server.seen()
    assert first.range is None
    assert second.range == (2_500_000, 2_999_999)
    assert second.headers["if-range"].startswith('"')
    assert server.sent() == len(CONTENT), "not a byte twice"


def test_then_ignores_range(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, CUT, Answer(ranges=False))
    assert store.get(CONTENT, url).error is None
    assert len(server.seen()) == 2, "the 200 is used, not asked for again"


@pytest.mark.parametrize(
    "wrong",
    [
        Answer(shift=7),
        Answer(shift=-7),
        Answer(headers={"Content-Range": None}),
        Answer(headers={"Content-Range": "bytes 0-2999999/3000000"}),
        Answer(headers={"Content-Range": "bytes 2500000-2999999/2000000"}),
        Answer(headers={"Content-Range": "bytes 2500000-2999998/3000000"}),
        Answer(headers={"Content-Range": "bytes 2999999-2500000/3000000"}),
        Answer(headers={"Content-Range": "items 2500000-2999999/3000000"}),
        Answer(headers={"Content-Type": "multipart/byteranges; boundary=x", "Content-Range": None}),
        Answer(encoding="gzip"),
    ],
)
def test_then_206_that_is_not_what_was_asked(server: Server, store: Store, wrong: Answer) -> None:
    url = server.add("/m", CONTENT, CUT, wrong, Answer())
    assert store.get(CONTENT, url).error is None
    assert server.seen()[2].range is None, "the whole is asked for"
    assert len(server.seen()) == 3


def test_content_swapped_before_resume(server: Server, store: Store) -> None:
    """The ETag tells: the declared content is the new one."""
    url = server.add("/m", CONTENT, CUT.but(content=OTHER), Answer())
    assert store.get(CONTENT, url).error is None


def test_content_swapped_and_the_server_ignores_if_range(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, CUT.but(content=OTHER), Answer(if_range=False))
    assert store.get(CONTENT, url).error is None


def test_content_swapped_and_validators_lie(server: Server, store: Store) -> None:
    """Only the digest can tell; one clean restart brings the right bytes."""
    same = {"ETag": '"same"'}
    url = server.add(
        "/m", CONTENT, CUT.but(content=OTHER, headers=same), Answer(headers=same, if_range=False)
    )
    assert store.get(CONTENT, url).error is None
    assert [seen.range for seen in server.seen()] == [None, (2_500_000, 2_999_999), None]


def test_content_swapped_for_good(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, CUT, Answer(content=OTHER)))
    assert isinstance(outcome.error, DigestMismatchError)
    assert "nothing of this file" in str(outcome.error)
    assert not list(store.partials.iterdir())


def test_content_swapped_without_digest(server: Server, store: Store) -> None:
    """Without a digest the validator is all there is; the result is one content or the other, never both."""
    url = server.add("/m", OTHER, CUT.but(content=CONTENT), Answer())
    assert store.get(OTHER, url, digest=False).error is None


def test_416_on_resume(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, CUT, Answer(status=416, body=b""), Answer())
    assert store.get(CONTENT, url).error is None
    assert server.seen()[2].range is None


def test_416_because_all_of_it_is_there(server: Server, store: Store) -> None:
    """No length, an early clean close exactly at the end, and a server that says so."""
    url = server.add("/m", CONTENT, Answer(framing="chunked", cut=len(CONTENT)), Answer())
    outcome = store.get(CONTENT, url, size=False)
    assert outcome.error is None
    assert server.seen()[1].status == 416
    assert server.sent() == len(CONTENT)


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("size", [True, False])
def test_html_page(server: Server, store: Store, digest: bool, size: bool) -> None:
    url = server.add("/m", CONTENT, HTML)
    outcome = store.get(CONTENT, url, digest=digest, size=size)
    assert isinstance(outcome.error, SourceUnavailableError)
    assert "HTML page" in str(outcome.error)
    assert len(server.seen()) == 1, "asked once"


def test_html_page_on_resume_costs_no_bytes(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, CUT, HTML)
    good = server.add("/good", CONTENT)
    outcome = store.get(CONTENT, url, good)
    assert outcome.error is None
    assert server.seen("/good")[0].range == (2_500_000, 2_999_999), "the bytes so far were kept"


def test_html_page_then_mirror(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, HTML), server.add("/good", CONTENT))
    assert outcome.error is None
    assert outcome.result
    assert outcome.result.source == server.url("/good")


def test_html_is_wanted(server: Server, store: Store) -> None:
    page = HTML.body or b""
    url = server.add("/page", page, HTML)
    assert store.get(page, url, path="docs/page.html").error is None


def test_503_with_retry_after_twice(server: Server, store: Store) -> None:
    busy = status(503, retry_after="1")
    url = server.add("/m", CONTENT, busy, busy, Answer())
    assert store.get(CONTENT, url).error is None
    times = [seen.at for seen in server.seen()]
    assert times[1] - times[0] >= 1, "the server's wish is honoured"
    assert times[2] - times[1] >= 1
    assert len(times) == 3


@pytest.mark.parametrize("code", [401, 403, 404, 410, 451])
def test_gone_is_asked_once(server: Server, store: Store, code: int) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, status(code)))
    assert isinstance(outcome.error, SourceUnavailableError)
    assert str(code) in str(outcome.error)
    assert len(server.seen()) == 1


def test_404_once_per_source(server: Server, store: Store) -> None:
    urls = [server.url(f"/missing{number}") for number in range(3)]
    outcome = store.get(CONTENT, *urls)
    assert [seen.path for seen in server.seen()] == ["/missing0", "/missing1", "/missing2"]
    assert all(url in str(outcome.error) for url in urls)


def test_404_is_not_asked_as_head(server: Server, store: Store) -> None:
    store.get(CONTENT, server.add("/m", CONTENT))
    assert [seen.method for seen in server.seen()] == ["GET"]


@pytest.mark.parametrize("size", [True, False])
def test_no_length_early_clean_close(server: Server, store: Store, size: bool) -> None:
    url = server.add("/m", CONTENT, Answer(framing="close", cut=2_500_000), Answer(framing="close"))
    assert store.get(CONTENT, url, size=size).error is None
    assert server.sent() == len(CONTENT)


def test_no_length_early_clean_close_for_ever(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(framing="close", cut=2_500_000, ranges=False))
    outcome = store.get(CONTENT, url, attempts=3)
    assert outcome.error is not None
    assert outcome.error.exit_code == 4


def test_good_file_stays_when_a_new_run_fails(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT)
    assert store.get(CONTENT, url).error is None
    store.get(OTHER, server.url("/missing"))
    assert store.blob(CONTENT).read_bytes() == CONTENT


def test_no_network_on_a_hit(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT)
    store.get(CONTENT, url)
    (outcome,) = store.run(store.artifact(CONTENT, url))
    assert outcome.error is None
    assert outcome.result is None
    assert len(server.seen()) == 1


def test_every_cut_is_resumed(server: Server, store: Store) -> None:
    """Progress renews the budget: far more cuts than attempts, and no byte twice."""
    url = server.add("/m", CONTENT, Answer(cut=150_000))
    assert store.get(CONTENT, url, attempts=2).error is None
    assert len(server.seen()) == 20
    assert server.sent() == len(CONTENT)


def test_signed_address_expires_midway(server: Server, store: Store) -> None:
    """Each resume asks the original address, which signs anew."""
    server.add("/signed1", CONTENT, CUT, status(403))
    server.add("/signed2", CONTENT)
    url = server.add("/m", b"", redirect("/signed1"), redirect("/signed2"))
    assert store.get(CONTENT, url).error is None
    assert server.sent() == len(CONTENT)
