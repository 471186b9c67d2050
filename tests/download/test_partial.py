"""Partials and sidecars: what the next process may believe."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model_zoo.download import partial as module
from model_zoo.download.hasher import StreamHasher
from model_zoo.download.partial import Partial, open_partial
from model_zoo.errors import CacheError, CacheReadOnlyError
from model_zoo.systems import system
from tests.server import Answer, Server, pattern, status

if TYPE_CHECKING:
    from tests.download.conftest import Store

CONTENT = pattern(3_000_000)
EXPECTED = ("sha256:" + "0" * 64,)


def test_resume_in_another_run(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT, Answer(cut=1_234_567), status(500))
    assert store.get(CONTENT, url, attempts=2).error
    assert sorted(path.suffix for path in store.partials.iterdir()) == [".json", ".part"]
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url).error is None
    last = server.seen()[-1]
    assert last.range == (1_234_567, 2_999_999)
    assert last.headers["if-range"].startswith('"'), "the validator is remembered"


def test_complete_partial_needs_no_network(server: Server, store: Store) -> None:
    """Publishing failed, say because the disk was full: the next run only verifies and publishes."""
    url = server.add("/m", CONTENT)

    def fail(result: object) -> None:
        raise CacheError("no")

    good, store.publish = store.publish, fail  # type: ignore[method-assign]
    assert isinstance(store.get(CONTENT, url).error, CacheError)
    store.publish = good  # type: ignore[method-assign]
    assert store.get(CONTENT, url).error is None
    assert len(server.seen()) == 1


def test_complete_partial_that_is_wrong(server: Server, store: Store) -> None:
    """A flipped bit in a kept partial: found, and fetched again."""
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    store.get(CONTENT, url, attempts=2)
    (part,) = store.partials.glob("*.part")
    with part.open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"!!!!")
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url).error is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "{",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"version":1', '"version":2'),
        lambda text: json.dumps({**json.loads(text), "done": [[0, 10**12]], "version": 1}),
        lambda text: json.dumps({**json.loads(text), "done": [[5, 1]], "version": 1}),
        lambda text: json.dumps({**json.loads(text), "done": [[-5, 10]], "version": 1}),
        lambda text: json.dumps({**json.loads(text), "done": [[0, 10], [5, 20]], "version": 1}),
        lambda text: json.dumps({**json.loads(text), "expected": ["sha256:" + "1" * 64], "version": 1}),
        lambda text: json.dumps({**json.loads(text), "size": 17, "version": 1}),
    ],
)
def test_sidecar_that_cannot_be_believed(server: Server, store: Store, damage: object) -> None:
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    store.get(CONTENT, url, attempts=2)
    (sidecar,) = store.partials.glob("*.json")
    sidecar.write_text(damage(sidecar.read_text()))  # type: ignore[operator]
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url).error is None
    assert server.seen()[-1].range is None


@pytest.mark.parametrize("litter", ["part only", "json only", "folder", "symlink"])
def test_litter_in_the_way(server: Server, store: Store, litter: str) -> None:
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    store.get(CONTENT, url, attempts=2)
    (part,), (sidecar,) = store.partials.glob("*.part"), store.partials.glob("*.json")
    victim = store.root / "victim"
    victim.write_bytes(b"precious")
    if litter == "part only":
        sidecar.unlink()
    else:
        part.unlink()
    if litter == "symlink":
        part.symlink_to(victim)
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url).error is None
    assert victim.read_bytes() == b"precious"


def test_without_digest_only_the_same_address_and_boot(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.add("/m", CONTENT, Answer(cut=2_000_000), status(500))
    store.get(CONTENT, url, digest=False, attempts=2)
    (sidecar,) = store.partials.glob("*.json")
    kept = sidecar.read_bytes()
    (part,) = store.partials.glob("*.part")
    bytes_kept = part.read_bytes()
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url, digest=False).error is None
    assert server.seen()[-1].range == (2_000_000, 2_999_999)

    part.write_bytes(bytes_kept)
    sidecar.write_bytes(kept)
    monkeypatch.setattr(system, "boot_id", lambda: "another")
    assert store.get(CONTENT, url, digest=False).error is None
    assert server.seen()[-1].range is None, "a crash of the machine may have lost what nothing can prove"


def test_degraded_partials_are_their_own(tmp_path: Path) -> None:
    with (
        open_partial(tmp_path, "k", EXPECTED, shared=False) as one,
        open_partial(tmp_path, "k", EXPECTED, shared=False) as other,
    ):
        one.write(b"abc", 0)
        other.write(b"xyz", 0)
        assert one.path != other.path
        assert one.path.read_bytes() == b"abc"
    assert not list(tmp_path.iterdir())


def test_a_new_start_never_touches_the_old_file(tmp_path: Path) -> None:
    """The old bytes may have been published by a process whose lock lied."""
    with open_partial(tmp_path, "k", EXPECTED, shared=True) as one:
        one.write(b"published", 0)
        published = tmp_path / "blob"
        published.hardlink_to(one.path)
        one.reset()
        one.write(b"X", 0)
    assert published.read_bytes() == b"published"


def test_recorded_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process loses is less than one step."""
    monkeypatch.setattr(module, "STEP", 100)
    one = Partial(tmp_path, "k", EXPECTED)
    for number in range(25):
        one.write(bytes(17), number * 17)
        found = Partial(tmp_path, "k", EXPECTED) if one.sidecar.exists() else None
        recorded = (
            sum(end - first for first, end in json.loads(one.sidecar.read_text())["done"]) if found else 0
        )
        assert (number + 1) * 17 - recorded < 100 + 17
        if found:
            found._close()
    one.close()


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=re.escape(str(tmp_path))):
        Partial(tmp_path / "missing", "k", EXPECTED)
    assert issubclass(CacheReadOnlyError, CacheError)


class Writing(RuleBasedStateMachine):
    """Any order of writes, records and restarts, against a plain model of the bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.partial = Partial(Path(self.folder.name), "k", EXPECTED)
        self.hasher = StreamHasher(self.partial, ["sha256"])
        self.model: dict[int, int] = {}

    @rule(offset=st.integers(0, 300), data=st.binary(min_size=1, max_size=60))
    def write(self, offset: int, data: bytes) -> None:
        gaps = [gap for gap in self.partial.gaps(400) if gap[0] <= offset < gap[1]]
        if not gaps:
            return
        data = data[: gaps[0][1] - offset]
        self.partial.write(data, offset)
        self.model.update({offset + index: byte for index, byte in enumerate(data)})

    @rule()
    def reset(self) -> None:
        self.hasher.restart()
        self.model.clear()

    @rule()
    def another_process(self) -> None:
        self.hasher.stop()
        self.partial.close()
        self.partial = Partial(Path(self.folder.name), "k", EXPECTED)
        self.hasher = StreamHasher(self.partial, ["sha256"])

    @precondition(lambda self: self.partial.prefix_length())
    @rule()
    def hash(self) -> None:
        length = self.partial.prefix_length()
        if self.hasher._position <= length:
            expected = hashlib.sha256(bytes(self.model[n] for n in range(length))).hexdigest()
            assert self.hasher.digests(length)["sha256"].hex == expected

    @invariant()
    def agrees(self) -> None:
        assert self.partial.bytes_done() == len(self.model)
        for size in (0, 1, 50, 170, 399):
            assert all(0 <= first < end <= size for first, end in self.partial.gaps(size))
        missing = {n for first, end in self.partial.gaps(400) for n in range(first, end)}
        assert missing == set(range(400)) - set(self.model)
        done = self.partial.state.done
        assert all(one[1] < other[0] for one, other in itertools.pairwise(done)), "apart, in order"

    def teardown(self) -> None:
        self.partial.close()
        self.folder.cleanup()


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_sidecar_is_believed_or_not(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "k.part").write_bytes(bytes(100))
        (Path(folder) / "k.json").write_bytes(text)
        one = Partial(Path(folder), "k", EXPECTED)
        assert one.bytes_done() <= 100
        one.close()
