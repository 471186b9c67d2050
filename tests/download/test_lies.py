"""Answers that lie about themselves, in every way met in the wild and some more."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from model_zoo.errors import DigestMismatchError, DownloadError, IntegrityError, SizeMismatchError
from tests.server import Answer, Exchange, Server, pattern

if TYPE_CHECKING:
    from tests.download.conftest import Store

CONTENT = pattern(700_000)
OTHER = pattern(700_000, seed=2)
TEXT = b"name: model\n" * 5000


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_compressed_unasked(server: Server, store: Store, encoding: str, framing: str) -> None:
    url = server.add("/m", TEXT, Answer(encoding=encoding, framing=framing))  # type: ignore[arg-type]
    assert store.get(TEXT, url).error is None
    assert server.seen()[0].headers["accept-encoding"] == "identity"


def test_compressed_unasked_and_nothing_declared(server: Server, store: Store) -> None:
    url = server.add("/m", TEXT, Answer(encoding="gzip"))
    assert store.get(TEXT, url, size=False, digest=False).error is None


def test_bare_deflate(server: Server, store: Store) -> None:
    packer = zlib.compressobj(wbits=-15)
    bare = packer.compress(TEXT) + packer.flush()
    url = server.add("/m", b"", Answer(body=bare, headers={"Content-Encoding": "deflate"}))
    assert store.get(TEXT, url).error is None


def test_gzip_in_several_members(server: Server, store: Store) -> None:
    packed = gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "x-gzip"}))
    assert store.get(TEXT, url).error is None


def test_archive_labelled_as_encoding(server: Server, store: Store) -> None:
    """A .tar.gz that the server calls gzip-encoded: the declared bytes are those on the wire."""
    packed = gzip.compress(CONTENT)
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    assert store.get(packed, url).error is None
    assert store.get(packed[:-1] + b"?", url).error is not None


@pytest.mark.parametrize("path", ["m.bin", "m.tar.gz"])
def test_encoding_guessed_wrongly_at_first(server: Server, store: Store, path: str) -> None:
    """Without a size only the digest can tell which of the two is meant."""
    packed = gzip.compress(CONTENT)
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    assert store.get(packed, url, size=False, path=path).error is None
    assert store.get(CONTENT, url, size=False, path=path).error is None


def test_compressed_and_cut(server: Server, store: Store) -> None:
    url = server.add("/m", TEXT, Answer(encoding="gzip", framing="chunked", cut=80), Answer())
    assert store.get(TEXT, url).error is None


def test_compressed_stream_ends_early_but_cleanly(server: Server, store: Store) -> None:
    packed = gzip.compress(CONTENT)[:-2000]
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    outcome = store.get(CONTENT, url, digest=False, size=False)
    assert isinstance(outcome.error, DownloadError)


def test_compressed_and_damaged(server: Server, store: Store) -> None:
    packed = gzip.compress(CONTENT)
    packed = packed[:5000] + bytes(100) + packed[5100:]
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    assert store.get(CONTENT, url, digest=False, size=False, attempts=2).error is not None


def test_unknown_encoding(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(headers={"Content-Encoding": "br"}))
    assert isinstance(store.get(OTHER[:-1], url).error, DownloadError)
    assert store.get(CONTENT, url).error is None, "an honest file under a wrong label"


def test_bomb_is_not_unpacked(server: Server, store: Store) -> None:
    packed = gzip.compress(bytes(60_000_000), 6)
    url = server.add("/m", b"", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
    outcome = store.get(CONTENT, url)
    assert isinstance(outcome.error, SizeMismatchError)
    assert not list(store.partials.iterdir()) or sum(f.stat().st_size for f in store.partials.iterdir()) < 1e7


@pytest.mark.parametrize(
    ("extra", "announce"), [(b"x" * 1000, None), (b"x" * 1000, 701_000), (b"", 701_000), (b"", 600_000)]
)
@pytest.mark.parametrize("digest", [True, False])
def test_length_that_is_wrong(
    server: Server, store: Store, extra: bytes, announce: int | None, digest: bool
) -> None:
    """Wrong lengths are refused without reading on; bytes behind the announced end are nobody's."""
    url = server.add("/m", CONTENT, Answer(extra=extra, announce=announce))
    outcome = store.get(CONTENT, url, digest=digest)
    if announce is None:
        assert outcome.error is None
    else:
        assert isinstance(outcome.error, SizeMismatchError)
        assert str(announce) in str(outcome.error)
        assert "700000" in str(outcome.error)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_longer_than_declared_without_length(server: Server, store: Store, framing: str) -> None:
    """More than declared: stop at once instead of filling the disk."""

    def endless(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\n"
        head += (
            b"Transfer-Encoding: chunked\r\n\r\n" if framing == "chunked" else b"Connection: close\r\n\r\n"
        )
        exchange.send(head, count=False)
        while exchange.seen.sent < 2_000_000_000:
            if framing == "chunked":
                exchange.send(b"10000\r\n", count=False)
            exchange.send(bytes(65536))
            if framing == "chunked":
                exchange.send(b"\r\n", count=False)

    url = server.add("/m", CONTENT, Answer(act=endless))
    outcome = store.get(CONTENT, url)
    assert isinstance(outcome.error, SizeMismatchError)
    assert server.sent() < 50_000_000


def test_shorter_than_declared_in_clean_chunks(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT[:-1], Answer(framing="chunked")))
    assert isinstance(outcome.error, SizeMismatchError)


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("size", [True, False])
def test_chunks_cut(server: Server, store: Store, digest: bool, size: bool) -> None:
    url = server.add("/m", CONTENT, Answer(framing="chunked", cut=400_000), Answer())
    assert store.get(CONTENT, url, digest=digest, size=size).error is None
    assert server.sent() == len(CONTENT)


def test_chunks_cut_for_ever(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(framing="chunked", cut=400_000, ranges=False))
    outcome = store.get(CONTENT, url, digest=False, size=False, attempts=3)
    assert isinstance(outcome.error, DownloadError)
    assert "400000" in str(outcome.error), "the message says what is left"


@pytest.mark.parametrize("body", [b"zz\r\nab", b"-5\r\nhello", b"", b"5\r\nhello\r\n;\r\n"])
def test_chunks_that_are_none(server: Server, store: Store, body: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    url = server.add("/m", CONTENT, Answer(raw=raw))
    outcome = store.get(CONTENT, url, digest=False, size=False, attempts=2)
    assert isinstance(outcome.error, DownloadError)


def test_end_unknowable_and_nothing_declared(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(framing="close"))
    outcome = store.get(CONTENT, url, digest=False, size=False)
    assert isinstance(outcome.error, DownloadError)
    assert "where the file ends" in str(outcome.error)
    assert store.get(CONTENT, url, digest=False).error is None, "a size is enough"


def test_end_unknowable_but_digest_declared(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(framing="close", version="HTTP/1.0", ranges=False))
    assert store.get(CONTENT, url, size=False).error is None
    wrong = server.add("/wrong", OTHER[:-5], Answer(framing="close", ranges=False))
    assert isinstance(store.get(OTHER, wrong, size=False).error, DigestMismatchError)
    assert len(server.seen("/wrong")) == 2, "the same end twice is the end"


def test_connection_held_open_after_the_last_byte(server: Server, store: Store) -> None:
    """No length, all the bytes, and then silence: the digest proves that nothing is missing."""
    url = server.add("/m", CONTENT, Answer(framing="close", cut=len(CONTENT), stall=30))
    assert store.get(CONTENT, url).error is None


def test_http_1_0(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(version="HTTP/1.0", cut=300_000), Answer(version="HTTP/1.0"))
    assert store.get(CONTENT, url).error is None


def test_no_keep_alive(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(keep_alive=False))
    assert store.get(CONTENT, url).error is None


def test_keep_alive_promised_and_broken(server: Server, store: Store) -> None:
    """The server closes an idle connection: the next request on it must not fail the file."""
    urls = [server.add(f"/{n}", pattern(1000, seed=n), Answer(extra=b"")) for n in range(4)]
    lying = Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + pattern(1000, seed=9))
    liar = server.add("/liar", b"", lying)
    artifacts = [store.artifact(pattern(1000, seed=n), url, path=f"{n}.bin") for n, url in enumerate(urls)]
    artifacts.insert(2, store.artifact(pattern(1000, seed=9), liar, path="liar.bin"))
    assert all(outcome.error is None for outcome in store.run(*artifacts, jobs=1))


@pytest.mark.parametrize("second", [700_000, 699_999])
def test_several_lengths(server: Server, store: Store, second: int) -> None:
    """The same length twice is one; two lengths are a fault of somebody on the way."""
    url = server.add("/m", CONTENT, Answer(repeated=(("Content-Length", str(second)),)), Answer())
    assert store.get(CONTENT, url, digest=False, size=False).error is None
    assert len(server.seen()) == (1 if second == 700_000 else 2)


@pytest.mark.parametrize("length", ["abc", "-1", "", "1e3", "0x10"])
def test_length_that_is_no_number(server: Server, store: Store, length: str) -> None:
    url = server.add("/m", CONTENT, Answer(headers={"Content-Length": length}, keep_alive=False))
    assert store.get(CONTENT, url).error is None


def test_length_and_chunks(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(framing="chunked", headers={"Content-Length": "5"}))
    assert store.get(CONTENT, url).error is None


@pytest.mark.parametrize("size", [True, False])
def test_empty_file(server: Server, store: Store, size: bool) -> None:
    assert store.get(b"", server.add("/m", b""), size=size).error is None


@pytest.mark.parametrize("digest", [True, False])
def test_empty_instead_of_something(server: Server, store: Store, digest: bool) -> None:
    outcome = store.get(CONTENT, server.add("/m", b""), digest=digest)
    assert isinstance(outcome.error, SizeMismatchError)


def test_something_instead_of_empty(server: Server, store: Store) -> None:
    for framing in ("length", "chunked", "close"):
        url = server.add("/m", CONTENT, Answer(framing=framing))  # type: ignore[arg-type]
        assert isinstance(store.get(b"", url).error, SizeMismatchError)


def test_206_to_a_plain_request(server: Server, store: Store) -> None:
    """Complete by its own word: taken, and judged by the digest."""
    named = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
    url = server.add("/m", CONTENT, Answer(status=206, headers=named))
    assert store.get(CONTENT, url).error is None


PART = Answer(status=206, body=CONTENT[:1000], headers={"Content-Range": f"bytes 0-999/{len(CONTENT)}"})


def test_206_with_a_piece_to_a_plain_request(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, PART, Answer())
    assert store.get(CONTENT, url, digest=False, size=False).error is None


def test_206_with_a_piece_for_ever(server: Server, store: Store) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, PART), digest=False, size=False, attempts=2)
    assert isinstance(outcome.error, DownloadError)


@pytest.mark.parametrize("code", [201, 202, 203, 204, 205, 207, 226, 300, 304, 305])
def test_other_successes_are_none(server: Server, store: Store, code: int) -> None:
    outcome = store.get(CONTENT, server.add("/m", CONTENT, Answer(status=code)), digest=False, attempts=2)
    assert isinstance(outcome.error, DownloadError)


@pytest.mark.parametrize(
    "raw", [b"", b"\r\n\r\n", b"220 ftp ready\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nx" * 9]
)
def test_not_http_at_all(server: Server, store: Store, raw: bytes) -> None:
    outcome = store.get(CONTENT, server.add("/m", b"", Answer(raw=raw)), attempts=2)
    assert isinstance(outcome.error, DownloadError)
    assert store.get(CONTENT, server.add("/n", CONTENT, Answer(raw=raw), Answer())).error is None


def test_continue_before_the_answer(server: Server, store: Store) -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    assert store.get(b"hello", server.add("/m", b"", Answer(raw=raw))).error is None


@pytest.mark.parametrize("digest", [True, False])
def test_wrong_bytes_of_the_right_size(server: Server, store: Store, digest: bool) -> None:
    outcome = store.get(CONTENT, server.add("/m", OTHER), server.add("/good", CONTENT))
    assert outcome.error is None
    outcome = store.get(pattern(700_000, seed=5), server.url("/m"))
    assert isinstance(outcome.error, DigestMismatchError)
    assert len(server.seen("/m")) == 2, "wrong bytes in one piece are not asked for twice"


def test_every_declared_digest_counts(server: Server, store: Store) -> None:
    import hashlib

    import msgspec

    artifact = store.artifact(CONTENT, server.add("/m", CONTENT))
    right = msgspec.structs.replace(artifact, sha512=hashlib.sha512(CONTENT).hexdigest())
    wrong = msgspec.structs.replace(artifact, sha384=hashlib.sha384(OTHER).hexdigest())
    assert isinstance(store.run(wrong)[0].error, IntegrityError)
    assert store.run(right)[0].error is None


def test_gzip_in_the_way_of_a_range(server: Server, store: Store) -> None:
    """The first answer is cut, then somebody compresses: taken from the start."""
    url = server.add("/m", TEXT, Answer(cut=30_000), Answer(encoding="gzip", ranges=False))
    assert store.get(TEXT, url).error is None


def test_400_to_a_range(server: Server, store: Store) -> None:
    def picky(exchange: Exchange) -> None:
        code = b"400 Bad Request" if exchange.seen.range else b"200 OK"
        body = b"" if exchange.seen.range else CONTENT
        exchange.send(b"HTTP/1.1 " + code + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    url = server.add("/m", CONTENT, Answer(cut=400_000), Answer(act=picky))
    assert store.get(CONTENT, url).error is None


@pytest.mark.parametrize("etag", ['W/"weak"', "unquoted", '""', None])
def test_validators_of_little_worth(server: Server, store: Store, etag: str | None) -> None:
    url = server.add("/m", CONTENT, Answer(cut=400_000), Answer(), etag=etag)
    assert store.get(CONTENT, url).error is None
    assert server.sent() == len(CONTENT), "with a digest, the bytes so far are kept"
    condition = server.seen()[1].headers.get("if-range", "")
    assert "weak" not in condition
    assert "unquoted" not in condition


def test_weak_validator_without_digest(server: Server, store: Store) -> None:
    """Nothing vouches for the parts: from zero, rather than two halves of two files."""
    gone = {"Last-Modified": None}
    first = Answer(cut=400_000, content=OTHER, headers={**gone, "ETag": 'W/"same"'})
    url = server.add("/m", CONTENT, first, Answer(headers=gone), etag='W/"same"')
    assert store.get(CONTENT, url, digest=False).error is None
    assert server.seen()[1].range is None


def test_date_of_this_minute_is_no_validator(server: Server, store: Store) -> None:
    import time

    url = server.add("/m", CONTENT, Answer(cut=400_000), Answer(), etag=None, modified=time.time())
    assert store.get(CONTENT, url, digest=False).error is None
    assert server.seen()[1].range is None


def test_date_of_yesterday_is_one(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(cut=400_000), Answer(), etag=None)
    assert store.get(CONTENT, url, digest=False).error is None
    assert server.seen()[1].headers["if-range"].endswith("GMT")
    assert server.sent() == len(CONTENT)


def test_etag_that_differs_per_node(server: Server, store: Store) -> None:
    """The same bytes under another name: with a digest, what is there is kept."""
    content = pattern(3_000_000)
    answers = [Answer(cut=2_900_000, headers={"ETag": '"node1"'})]
    answers += [Answer(headers={"ETag": f'"node{n}"'}) for n in (2, 3, 4)]
    url = server.add("/m", content, *answers)
    assert store.get(content, url).error is None
    assert server.seen()[-1].range == (2_900_000, 2_999_999)
    assert len(server.seen()) == 3


def test_etag_that_differs_per_node_without_digest(server: Server, store: Store) -> None:
    answers = [Answer(cut=400_000, headers={"ETag": '"node1"'}), Answer(headers={"ETag": '"node2"'})]
    assert store.get(CONTENT, server.add("/m", CONTENT, *answers), digest=False).error is None


def test_total_that_changes(server: Server, store: Store) -> None:
    named = {"Content-Range": "bytes 400000-699999/800000", "ETag": '"a"'}
    answers = [Answer(cut=400_000, headers={"ETag": '"a"'}), Answer(headers=named, if_range=False)]
    url = server.add("/m", CONTENT, *answers, Answer())
    assert store.get(CONTENT, url, digest=False, size=False).error is None
