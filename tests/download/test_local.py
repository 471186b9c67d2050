"""Files on this machine, bundles, and runs without a network."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from model_zoo.download import local
from model_zoo.errors import (
    CacheError,
    DigestMismatchError,
    IntegrityError,
    OfflineError,
    SizeMismatchError,
    SourceUnavailableError,
)
from model_zoo.files.lock import lock
from model_zoo.sources.base import BundleLocation, HttpLocation, LocalLocation, LocatedSource
from model_zoo.sources.file import FileSource
from tests.server import HTML, Answer, Server, pattern, status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.sources.base import Location
    from tests.download.conftest import Place

CONTENT = pattern(3_000_000)
OTHER = pattern(3_000_000, seed=2)


class AnySource(LocatedSource, frozen=True, kw_only=True):
    """A source whose location a test chooses."""

    kind = "any"
    bundled = True
    name: str

    locations = {}  # noqa: RUF012 - a test's table

    def locate(self, artifact: object, settings: object) -> Location:
        return self.locations[self.name]

    def describe(self) -> str:
        return f"any:{self.name}"


@pytest.fixture(autouse=True)
def _empty() -> None:
    AnySource.locations.clear()


def test_file(place: Place) -> None:
    path = place.root / "given.bin"
    path.write_bytes(CONTENT)
    outcome = place.get(CONTENT, FileSource(file=str(path)))
    assert outcome.error is None
    assert path.read_bytes() == CONTENT, "never moved"
    place.blob(CONTENT).write_bytes(b"x")
    assert path.read_bytes() == CONTENT, "never linked"


def test_file_that_is_wrong(server: Server, place: Place) -> None:
    path = place.root / "given.bin"
    path.write_bytes(OTHER)
    assert isinstance(place.get(CONTENT, FileSource(file=str(path))).error, DigestMismatchError)
    path.write_bytes(OTHER[:-1])
    assert isinstance(place.get(CONTENT, FileSource(file=str(path))).error, SizeMismatchError)
    assert place.get(CONTENT, FileSource(file=str(path)), server.add("/m", CONTENT)).error is None


def test_file_keeps_what_came_over_the_network(server: Server, place: Place) -> None:
    """A wrong local file does not cost the bytes of an earlier run."""
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    assert place.get(CONTENT, url, attempts=2).error
    path = place.root / "given.bin"
    path.write_bytes(OTHER)
    server.add("/m", CONTENT)
    assert place.get(CONTENT, FileSource(file=str(path)), url).error is None
    assert server.seen()[-1].range == (2_000_000, 2_999_999)


def test_file_that_is_not_there(place: Place) -> None:
    outcome = place.get(CONTENT, FileSource(file=str(place.root / "none")))
    assert isinstance(outcome.error, SourceUnavailableError)


def test_file_that_cannot_be_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    AnySource.locations["x"] = LocalLocation(place.root / "gone")
    assert isinstance(place.get(CONTENT, AnySource(name="x")).error, SourceUnavailableError)
    AnySource.locations["x"] = LocalLocation(place.root)
    assert place.get(CONTENT, AnySource(name="x"), size=False).error is not None


def test_disk_that_refuses_the_copy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.root / "given.bin"
    path.write_bytes(CONTENT)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "clone", lambda source, target: False)
    monkeypatch.setattr(local.os, "write", full)
    outcome = place.get(CONTENT, FileSource(file=str(path)))
    assert isinstance(outcome.error, CacheError)


def test_offline_opens_no_socket(server: Server, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a socket was opened")

    url = server.add("/m", CONTENT)
    path = place.root / "given.bin"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(socket, "socket", refuse)
    outcome = place.get(CONTENT, url, offline=True)
    assert isinstance(outcome.error, OfflineError)
    assert "model: m.bin" in str(outcome.error)
    assert "model-zoo fetch model" in str(outcome.error)
    assert place.get(CONTENT, url, FileSource(file=str(path)), offline=True).error is None


def bundle(files: Mapping[str, bytes], runs: list[tuple[str, ...]], key: str = "box") -> None:
    def produce(folder: Path, members: tuple[str, ...], say: object) -> Mapping[str, Path]:
        assert not list(folder.iterdir())
        runs.append(members)
        say("unpacking")  # type: ignore[operator]
        time.sleep(0.05)
        missing = [member for member in members if member not in files]
        if missing:
            what = f"no member {missing[0]}"
            raise SourceUnavailableError(what)
        for member in members:
            (folder / member).write_bytes(files[member])
        return {member: folder / member for member in members}

    for name in [*files, "missing"]:
        AnySource.locations[name] = BundleLocation(key=key, member=name, produce=produce)


def test_one_run_serves_every_member(place: Place) -> None:
    files = {f"{n}": pattern(10_000, seed=n) for n in range(6)}
    runs: list[tuple[str, ...]] = []
    bundle(files, runs)
    outcomes = place.run(*(place.artifact(c, AnySource(name=n), path=f"{n}.bin") for n, c in files.items()))
    assert all(outcome.error is None for outcome in outcomes)
    assert runs == [tuple(sorted(files))]
    assert not list(place.partials.iterdir()), "staging is swept"
    assert "unpacking" in place.said("source")


def test_missing_member_stops_no_other(server: Server, place: Place) -> None:
    files = {"a": pattern(10, 1), "b": pattern(10, 2)}
    runs: list[tuple[str, ...]] = []
    bundle(files, runs)
    wanted = [place.artifact(content, AnySource(name=name), path=name) for name, content in files.items()]
    wanted.append(place.artifact(pattern(10, 3), AnySource(name="missing"), server.add("/m", pattern(10, 3))))
    assert [outcome.error for outcome in place.run(*wanted)] == [None] * 3


def test_bundle_that_lies(place: Place) -> None:
    bundle({"a": OTHER}, [])
    assert isinstance(place.get(CONTENT, AnySource(name="a")).error, DigestMismatchError)


def test_bundle_that_forgets(place: Place) -> None:
    AnySource.locations["a"] = BundleLocation(key="k", member="a", produce=lambda folder, members, say: {})
    assert isinstance(place.get(CONTENT, AnySource(name="a")).error, SourceUnavailableError)


def test_bundle_as_the_last_resort(server: Server, place: Place) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    assert place.get(CONTENT, server.url("/missing"), AnySource(name="a")).error is None
    assert runs == [("a",)]


def test_bundle_offline(place: Place) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    assert isinstance(place.get(CONTENT, AnySource(name="a"), offline=True).error, OfflineError)
    assert not runs


def test_bundle_waits_for_another_process(place: Place) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    import hashlib

    path = place.root / "locks" / f"bundle-{hashlib.sha256(b'box').hexdigest()[:32]}.lock"
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with lock(path, timeout=1):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    threading.Timer(0.3, release.set).start()
    assert place.get(CONTENT, AnySource(name="a")).error is None
    thread.join()
    assert any("waiting for PID" in text for text in place.said("wait"))


def test_what_the_source_vouches_for(server: Server, place: Place) -> None:
    """Its digest and size are checked where the catalog declares none, and where it does."""
    right = place.artifact(CONTENT, "http://x/").digests[0]
    wrong = place.artifact(OTHER, "http://x/").digests[0]
    url = server.add("/m", CONTENT)
    AnySource.locations["right"] = HttpLocation(url, digest=right, size=len(CONTENT))
    AnySource.locations["wrong"] = HttpLocation(url, digest=wrong)
    AnySource.locations["small"] = HttpLocation(url, size=5)
    for name in ("wrong", "small"):
        outcome = place.get(CONTENT, AnySource(name=name), digest=False, size=False)
        assert isinstance(outcome.error, IntegrityError)
    assert isinstance(place.get(CONTENT, AnySource(name="small")).error, SizeMismatchError)
    assert isinstance(place.get(CONTENT, AnySource(name="wrong")).error, DigestMismatchError)
    assert place.get(CONTENT, AnySource(name="right"), digest=False, size=False).error is None


def test_the_sources_own_check(server: Server, place: Place) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        what = "another blob id"
        raise DigestMismatchError(what)

    AnySource.locations["x"] = HttpLocation(server.add("/m", CONTENT), check=refuse)
    assert isinstance(place.get(CONTENT, AnySource(name="x")).error, DigestMismatchError)


def test_a_page_before_the_file(server: Server, place: Place) -> None:
    """Whoever knows the page says where it leads; ranges go there as well."""
    server.add("/file", CONTENT, Answer(cut=2_000_000), Answer())
    AnySource.locations["x"] = HttpLocation(server.add("/page", b"", HTML), onward=lambda page: "/file")
    assert place.get(CONTENT, AnySource(name="x")).error is None
    assert server.sent("/file") == len(CONTENT)
    AnySource.locations["y"] = HttpLocation(server.url("/page"), onward=lambda page: "/page")
    assert isinstance(place.get(OTHER, AnySource(name="y")).error, SourceUnavailableError)
    AnySource.locations["z"] = HttpLocation(server.url("/page"), onward=lambda page: "file:///etc/passwd")
    assert isinstance(place.get(OTHER, AnySource(name="z")).error, SourceUnavailableError)


def test_faults_of_our_own_are_not_hidden(server: Server, place: Place) -> None:
    def broken(arrival: object) -> None:
        raise RuntimeError("a bug")

    place.publish = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a bug"):
        place.run(place.artifact(CONTENT, server.add("/m", CONTENT)))


def test_nothing_wanted(place: Place) -> None:
    assert place.run() == []
    assert not place.partials.exists()
