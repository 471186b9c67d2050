"""Full, read-only and shared disks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_zoo.download import partial as space
from model_zoo.download.partial import Partial
from model_zoo.errors import CacheFullError, CacheReadOnlyError
from tests.server import Answer, Server, pattern
from tests.tools import require_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.download.conftest import Store

CONTENT = pattern(3_000_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    require_root()
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.system
def test_preflight(server: Server, store: Store, small_disk: Path) -> None:
    store.root = small_disk
    outcome = store.get(CONTENT, server.add("/m", CONTENT))
    assert isinstance(outcome.error, CacheFullError)
    assert "3000000" in str(outcome.error), "how much is needed"
    assert str(small_disk) in str(outcome.error)
    assert not server.seen(), "before the first byte"


@pytest.mark.system
@pytest.mark.parametrize("parallel_from", [1 << 20, 1 << 30])
def test_full_underway(server: Server, store: Store, small_disk: Path, parallel_from: int) -> None:
    """The size was not declared: the partial is kept, and the next run goes on once there is room."""
    store.root = small_disk
    url = server.add("/m", CONTENT, Answer(framing="chunked"))
    outcome = store.get(CONTENT, url, size=False, parallel_from=parallel_from)
    assert isinstance(outcome.error, CacheFullError)
    assert outcome.error.exit_code == 6
    assert "kept" in (outcome.error.left or "")
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    server.add("/m", CONTENT)
    assert store.get(CONTENT, url, size=False).error is None
    asked = server.seen()[-1].range
    assert asked
    assert asked[0] > 1_000_000


@pytest.mark.system
def test_known_size_that_does_not_fit(server: Server, store: Store, small_disk: Path) -> None:
    """Only the answer says how large it is: refused at once, nothing written."""
    store.root = small_disk
    outcome = store.get(CONTENT, server.add("/m", CONTENT), size=False)
    assert isinstance(outcome.error, CacheFullError)
    assert "3000000" in str(outcome.error)


@pytest.mark.system
def test_read_only_mount(server: Server, store: Store, small_disk: Path) -> None:
    store.root = small_disk
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    artifact = store.artifact(CONTENT, server.add("/m", CONTENT))
    with pytest.raises(CacheReadOnlyError, match=str(small_disk)):
        store.run(artifact)
    assert not server.seen()


@pytest.mark.system
def test_turned_read_only_later(server: Server, store: Store, small_disk: Path) -> None:
    store.root = small_disk
    artifact = store.artifact(CONTENT[:1000], server.add("/m", CONTENT[:1000]))
    assert store.run(artifact)[0].error is None
    store.blob(CONTENT[:1000]).unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (outcome,) = store.run(artifact)
    assert isinstance(outcome.error, CacheReadOnlyError)
    assert str(small_disk) in str(outcome.error)


def test_umask_is_honoured(server: Server, store: Store) -> None:
    found: list[int] = []
    good = store.publish

    def publish(result: object) -> None:
        found.append(result.path.stat().st_mode & 0o777)  # type: ignore[attr-defined]
        good(result)  # type: ignore[arg-type]

    store.publish = publish  # type: ignore[method-assign]
    before = os.umask(0o002)
    try:
        assert store.get(CONTENT, server.add("/m", CONTENT)).error is None
        assert store.partials.stat().st_mode & 0o777 == 0o775
        assert {path.stat().st_mode & 0o777 for path in (store.root / "locks").iterdir()} == {0o664}
    finally:
        os.umask(before)
    assert found == [0o664]


@pytest.mark.system
def test_setgid_is_inherited(server: Server, store: Store) -> None:
    require_root()
    os.chown(store.root, 0, 12345)
    store.root.chmod(0o2775)
    assert store.get(CONTENT, server.add("/m", CONTENT)).error is None
    assert store.partials.stat().st_mode & 0o2000
    assert store.blob(CONTENT).stat().st_gid == 12345


def test_room_counts_what_is_there(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from model_zoo.download import DownloadTask

    artifact = store.artifact(CONTENT, "http://127.0.0.1:1/m")
    tasks = [DownloadTask("a", artifact), DownloadTask("b", artifact)]
    monkeypatch.setattr(space, "free_space", lambda folder: 2_900_000)
    assert space.shortage(tasks, tmp_path)
    partial = Partial(tmp_path, tasks[0].key, (str(artifact.digests[0]),))
    partial.write(CONTENT[:500_000], 0)
    assert space.shortage(tasks, tmp_path) is None, "counted once, less what is there"
    partial.close()
    monkeypatch.setattr(space, "free_space", lambda folder: None)
    assert space.shortage(tasks, tmp_path / "x") is None


def test_file_systems_that_do_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert space.free_space(tmp_path / "absent") is None
    assert space.free_space(Path("/proc")) is None
