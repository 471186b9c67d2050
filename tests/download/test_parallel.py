"""Large files over several connections; the threshold is lowered so that the files stay small."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from model_zoo.download import parallel
from model_zoo.errors import DigestMismatchError, DownloadError, SizeMismatchError
from tests.server import Answer, Exchange, Server, pattern, redirect, status

if TYPE_CHECKING:
    from tests.download.conftest import Store

SIZE = 2_000_000
CONTENT = pattern(SIZE)
OTHER = pattern(SIZE, seed=2)
PARALLEL = {"parallel_from": 1_000_000}
SLOW = Answer(pace=0.002, piece=1 << 14)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MIN_SIZE", 100_000)


def test_parts_over_several_connections(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, SLOW)
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert server.sent() == SIZE, "not a byte twice"
    assert all(seen.status == 206 for seen in server.seen())
    assert 4 <= server.most_at_once <= 8
    assert server.connections <= 8, "connections are used again"
    asked = sorted(seen.range or (-1, 0) for seen in server.seen())
    assert asked[0][0] == 0
    assert all(one[1] == other[0] - 1 for one, other in itertools.pairwise(asked))


def test_as_many_connections_as_set(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, SLOW)
    assert store.get(CONTENT, url, connections=2, **PARALLEL).error is None
    assert server.most_at_once <= 2


def test_one_connection_is_a_plain_request(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT)
    assert store.get(CONTENT, url, connections=1, **PARALLEL).error is None
    assert [seen.range for seen in server.seen()] == [None]


def test_small_files_are_asked_for_plainly(server: Server, store: Store) -> None:
    assert store.get(CONTENT, server.add("/m", CONTENT)).error is None
    assert [seen.range for seen in server.seen()] == [None]


def test_server_without_ranges(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(ranges=False))
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert len(server.seen()) == 1


@pytest.mark.parametrize("code", [400, 416, 501])
def test_server_that_refuses_ranges(server: Server, store: Store, code: int) -> None:
    url = server.add("/m", CONTENT, status(code), Answer())
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert server.seen()[1].range is None


def test_server_that_has_enough_connections(store: Store) -> None:
    """503 to whoever is too many: fewer connections, and on."""
    with Server(busy_above=2) as server:
        url = server.add("/m", CONTENT, SLOW)
        assert store.get(CONTENT, url, **PARALLEL).error is None
        assert server.sent() < SIZE + 1000


def test_server_that_serves_some_ranges_only(server: Server, store: Store) -> None:
    """The first part is served, all others answered with the whole."""

    def choosy(exchange: Exchange) -> None:
        asked = exchange.seen.range
        if asked and asked[0] == 0:
            end = (asked[1] or 0) + 1
            head = (
                f"HTTP/1.1 206 P\r\nContent-Range: bytes 0-{end - 1}/{SIZE}\r\nContent-Length: {end}\r\n\r\n"
            )
            exchange.send(head.encode() + CONTENT[:end])
            return
        exchange.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + CONTENT)

    url = server.add("/m", CONTENT, Answer(act=choosy))
    assert store.get(CONTENT, url, **PARALLEL).error is None


@pytest.mark.parametrize("broken", [Answer(cut=30_000), Answer(cut=30_000, reset=True), status(500)])
def test_parts_that_break(server: Server, store: Store, broken: Answer) -> None:
    good = SLOW.but(pace=0.0005)
    url = server.add("/m", CONTENT, good, broken, good, broken, broken, good)
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert server.sent() <= SIZE + 3 * 30_000


def test_parts_that_stall(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, SLOW, SLOW, Answer(cut=30_000, stall=30), SLOW)
    assert store.get(CONTENT, url, **PARALLEL).error is None


def test_content_swapped_between_parts(server: Server, store: Store) -> None:
    """Its ETag tells; the clean restart brings the declared content, in one piece."""
    url = server.add(
        "/m", CONTENT, Answer(), Answer(content=OTHER), Answer(content=OTHER, if_range=False), Answer()
    )
    assert store.get(CONTENT, url, **PARALLEL).error is None


def test_content_swapped_between_parts_unseen(server: Server, store: Store) -> None:
    same = {"ETag": '"same"'}
    answers = [Answer(headers=same)] * 3 + [Answer(content=OTHER, headers=same, if_range=False)] * 4
    url = server.add("/m", CONTENT, *answers, Answer(headers=same))
    assert store.get(CONTENT, url, connections=2, **PARALLEL).error is None


def test_content_swapped_for_good(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(), Answer(content=OTHER))
    outcome = store.get(CONTENT, url, **PARALLEL)
    assert isinstance(outcome.error, DigestMismatchError)


def test_total_that_is_not_the_declared_one(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT + b"!", Answer())
    outcome = store.get(CONTENT, url, **PARALLEL)
    assert isinstance(outcome.error, SizeMismatchError)
    assert len(server.seen()) == 1


def test_parts_with_wrong_content_range(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(), Answer(shift=5), Answer(shift=5), Answer())
    assert store.get(CONTENT, url, **PARALLEL).error is None


def test_etags_that_differ_per_node(server: Server, store: Store) -> None:
    answers = [Answer(headers={"ETag": f'"node{n}"'}) for n in range(60)]
    url = server.add("/m", CONTENT, *answers)
    assert store.get(CONTENT, url, **PARALLEL).error is None


def test_no_validator_but_a_digest(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(headers={"Last-Modified": None}), etag=None)
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert server.sent() == SIZE
    assert len(server.seen()) > 4


def test_unknown_size_is_shared_once_it_is_known(server: Server, store: Store) -> None:
    """The first answer goes on while others fetch the tail; it is closed where they begin."""
    url = server.add("/m", CONTENT, SLOW)
    assert store.get(CONTENT, url, size=False, **PARALLEL).error is None
    assert server.seen()[0].range is None
    assert server.most_at_once > 1


def test_without_a_digest_parts_need_a_strong_validator(server: Server, store: Store) -> None:
    weak = Answer(headers={"Last-Modified": None})
    url = server.add("/weak", CONTENT, weak, etag='W/"x"')
    assert store.get(CONTENT, url, digest=False, **PARALLEL).error is None
    assert len(server.seen()) == 1
    store.blob(CONTENT).unlink()
    url = server.add("/strong", CONTENT, SLOW)
    assert store.get(CONTENT, url, digest=False, **PARALLEL).error is None
    assert len(server.seen("/strong")) > 1


def test_without_a_digest_other_content_is_never_mixed_in(server: Server, store: Store) -> None:
    """Whichever of the two files it is, it is one of them."""
    url = server.add("/m", CONTENT, SLOW.but(content=OTHER), SLOW)
    (outcome,) = store.run(store.artifact(CONTENT, url, digest=False), **PARALLEL)
    assert outcome.result
    assert store.blob(CONTENT).exists() or store.blob(OTHER).exists()


def test_without_a_digest_lying_about_the_total(server: Server, store: Store) -> None:
    """A part of a larger file is not of this one: from zero."""
    lie = Answer(headers={"Content-Range": "bytes 100000-199999/2000001"}, if_range=False)
    url = server.add("/m", CONTENT, SLOW, lie, lie, SLOW)
    assert store.get(CONTENT, url, digest=False, size=False, **PARALLEL).error is None


def test_resume_of_parts(server: Server, store: Store) -> None:
    """Holes in the middle are all that a second run asks for."""
    url = server.add("/m", CONTENT, Answer(), Answer(cut=20_000), Answer(), Answer(cut=20_000), status(500))
    outcome = store.get(CONTENT, url, attempts=1, **PARALLEL)
    assert isinstance(outcome.error, DownloadError)
    before = server.sent()
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url, **PARALLEL).error is None
    body = sum(seen.sent for seen in server.seen() if seen.status == 206)
    assert body == SIZE
    assert 0 < before < SIZE


def test_resume_of_parts_without_parts(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(), Answer(cut=20_000), status(500))
    assert store.get(CONTENT, url, attempts=1, **PARALLEL).error
    server.add("/m", CONTENT, Answer(ranges=False))
    assert store.get(CONTENT, url, connections=1).error is None


def test_redirected_parts(server: Server, store: Store) -> None:
    server.add("/there", CONTENT, SLOW)
    url = server.add("/m", b"", redirect("/there"))
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert server.sent("/there") == SIZE


def test_hashing_follows_the_writers(server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from model_zoo.download import hasher as hashing

    monkeypatch.setattr(hashing, "_THREAD_FROM", 50_000)
    monkeypatch.setattr(hashing, "_FLUSH_EVERY", 100_000)
    names: set[str] = set()
    store.events = Watching(names)  # type: ignore[assignment]
    url = server.add("/m", CONTENT, SLOW, Answer(content=OTHER, if_range=False), SLOW)
    assert store.get(CONTENT, url, **PARALLEL).error is None
    assert "model-zoo-hash" in names


class Watching(list):  # type: ignore[type-arg]
    """A list that notes which threads there are when something is appended."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names

    def append(self, item: object) -> None:
        self.names.update(thread.name for thread in threading.enumerate())
        super().append(item)
