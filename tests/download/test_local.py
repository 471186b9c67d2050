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
from model_zoo.systems import system
from tests.server import HTML, Answer, Server, pattern, status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.sources.base import Location
    from tests.download.conftest import Store

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


def test_file(store: Store) -> None:
    path = store.root / "given.bin"
    path.write_bytes(CONTENT)
    outcome = store.get(CONTENT, FileSource(file=str(path)))
    assert outcome.error is None
    assert path.read_bytes() == CONTENT, "never moved"
    store.blob(CONTENT).write_bytes(b"x")
    assert path.read_bytes() == CONTENT, "never linked"


def test_file_that_is_wrong(server: Server, store: Store) -> None:
    path = store.root / "given.bin"
    path.write_bytes(OTHER)
    assert isinstance(store.get(CONTENT, FileSource(file=str(path))).error, DigestMismatchError)
    path.write_bytes(OTHER[:-1])
    assert isinstance(store.get(CONTENT, FileSource(file=str(path))).error, SizeMismatchError)
    assert store.get(CONTENT, FileSource(file=str(path)), server.add("/m", CONTENT)).error is None


def test_file_keeps_what_came_over_the_network(server: Server, store: Store) -> None:
    """A wrong local file does not cost the bytes of an earlier run."""
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    assert store.get(CONTENT, url, attempts=2).error
    path = store.root / "given.bin"
    path.write_bytes(OTHER)
    server.add("/m", CONTENT)
    assert store.get(CONTENT, FileSource(file=str(path)), url).error is None
    assert server.seen()[-1].range == (2_000_000, 2_999_999)


def test_file_that_is_not_there(store: Store) -> None:
    outcome = store.get(CONTENT, FileSource(file=str(store.root / "none")))
    assert isinstance(outcome.error, SourceUnavailableError)


def test_file_that_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    AnySource.locations["x"] = LocalLocation(store.root / "gone")
    assert isinstance(store.get(CONTENT, AnySource(name="x")).error, SourceUnavailableError)
    AnySource.locations["x"] = LocalLocation(store.root)
    assert store.get(CONTENT, AnySource(name="x"), size=False).error is not None


def test_disk_that_refuses_the_copy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.root / "given.bin"
    path.write_bytes(CONTENT)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "clone", lambda source, target: False)
    monkeypatch.setattr(system, "write_at", full)
    outcome = store.get(CONTENT, FileSource(file=str(path)))
    assert isinstance(outcome.error, CacheError)


def test_offline_opens_no_socket(server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a socket was opened")

    url = server.add("/m", CONTENT)
    path = store.root / "given.bin"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(socket, "socket", refuse)
    outcome = store.get(CONTENT, url, offline=True)
    assert isinstance(outcome.error, OfflineError)
    assert "model: m.bin" in str(outcome.error)
    assert "model-zoo fetch model" in str(outcome.error)
    assert store.get(CONTENT, url, FileSource(file=str(path)), offline=True).error is None


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


def test_one_run_serves_every_member(store: Store) -> None:
    files = {f"{n}": pattern(10_000, seed=n) for n in range(6)}
    runs: list[tuple[str, ...]] = []
    bundle(files, runs)
    outcomes = store.run(*(store.artifact(c, AnySource(name=n), path=f"{n}.bin") for n, c in files.items()))
    assert all(outcome.error is None for outcome in outcomes)
    assert runs == [tuple(sorted(files))]
    assert not list(store.partials.iterdir()), "staging is swept"
    assert "unpacking" in store.messages("source")


def test_missing_member_stops_no_other(server: Server, store: Store) -> None:
    files = {"a": pattern(10, 1), "b": pattern(10, 2)}
    runs: list[tuple[str, ...]] = []
    bundle(files, runs)
    artifacts = [store.artifact(content, AnySource(name=name), path=name) for name, content in files.items()]
    artifacts.append(
        store.artifact(pattern(10, 3), AnySource(name="missing"), server.add("/m", pattern(10, 3)))
    )
    assert [outcome.error for outcome in store.run(*artifacts)] == [None] * 3


def test_bundle_that_lies(store: Store) -> None:
    bundle({"a": OTHER}, [])
    assert isinstance(store.get(CONTENT, AnySource(name="a")).error, DigestMismatchError)


def test_bundle_that_forgets(store: Store) -> None:
    AnySource.locations["a"] = BundleLocation(key="k", member="a", produce=lambda folder, members, say: {})
    assert isinstance(store.get(CONTENT, AnySource(name="a")).error, SourceUnavailableError)


def test_bundle_as_the_last_resort(server: Server, store: Store) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    assert store.get(CONTENT, server.url("/missing"), AnySource(name="a")).error is None
    assert runs == [("a",)]


def test_bundle_offline(store: Store) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    assert isinstance(store.get(CONTENT, AnySource(name="a"), offline=True).error, OfflineError)
    assert not runs


def test_bundle_waits_for_another_process(store: Store) -> None:
    runs: list[tuple[str, ...]] = []
    bundle({"a": CONTENT}, runs)
    import hashlib

    path = store.root / "locks" / f"bundle-{hashlib.sha256(b'box').hexdigest()[:32]}.lock"
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
    assert store.get(CONTENT, AnySource(name="a")).error is None
    thread.join()
    assert any("waiting for PID" in text for text in store.messages("wait"))


def test_what_the_source_vouches_for(server: Server, store: Store) -> None:
    """Its digest and size are checked where the catalog declares none, and where it does."""
    right = store.artifact(CONTENT, "http://x/").digests[0]
    wrong = store.artifact(OTHER, "http://x/").digests[0]
    url = server.add("/m", CONTENT)
    AnySource.locations["right"] = HttpLocation(url, digest=right, size=len(CONTENT))
    AnySource.locations["wrong"] = HttpLocation(url, digest=wrong)
    AnySource.locations["small"] = HttpLocation(url, size=5)
    for name in ("wrong", "small"):
        outcome = store.get(CONTENT, AnySource(name=name), digest=False, size=False)
        assert isinstance(outcome.error, IntegrityError)
    assert isinstance(store.get(CONTENT, AnySource(name="small")).error, SizeMismatchError)
    assert isinstance(store.get(CONTENT, AnySource(name="wrong")).error, DigestMismatchError)
    assert store.get(CONTENT, AnySource(name="right"), digest=False, size=False).error is None


def test_the_sources_own_check(server: Server, store: Store) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        what = "another blob id"
        raise DigestMismatchError(what)

    AnySource.locations["x"] = HttpLocation(server.add("/m", CONTENT), check=refuse)
    assert isinstance(store.get(CONTENT, AnySource(name="x")).error, DigestMismatchError)


def test_a_page_before_the_file(server: Server, store: Store) -> None:
    """Whoever knows the page says where it leads; ranges go there as well."""
    server.add("/file", CONTENT, Answer(cut=2_000_000), Answer())
    AnySource.locations["x"] = HttpLocation(server.add("/page", b"", HTML), onward=lambda page: "/file")
    assert store.get(CONTENT, AnySource(name="x")).error is None
    assert server.sent("/file") == len(CONTENT)
    AnySource.locations["y"] = HttpLocation(server.url("/page"), onward=lambda page: "/page")
    assert isinstance(store.get(OTHER, AnySource(name="y")).error, SourceUnavailableError)
    AnySource.locations["z"] = HttpLocation(server.url("/page"), onward=lambda page: "file:///etc/passwd")
    assert isinstance(store.get(OTHER, AnySource(name="z")).error, SourceUnavailableError)


def test_faults_of_our_own_are_not_hidden(server: Server, store: Store) -> None:
    def broken(result: object) -> None:
        raise RuntimeError("a bug")

    store.publish = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a bug"):
        store.run(store.artifact(CONTENT, server.add("/m", CONTENT)))


def test_nothing_wanted(store: Store) -> None:
    assert store.run() == []
    assert not store.partials.exists()
