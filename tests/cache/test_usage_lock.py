"""Users together, the collector alone."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_zoo.cache import Cache
from model_zoo.cache import usage_lock as sharing
from model_zoo.errors import CacheDamagedError, LockTimeoutError
from model_zoo.systems import system


def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def other_process(root, side="use"):
    """A process that is inside until its input closes."""
    code = f"""
        import sys
        from pathlib import Path
        from model_zoo.cache import Cache
        with Cache(Path({str(root)!r})).{side}():
            print("inside", flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "inside\n"
        try:
            yield process
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait(20)


def test_users_do_not_wait_for_each_other(cache, tmp_path):
    with other_process(tmp_path / "cache"), cache.use() as first, cache.use() as second:
        assert first
        assert second
        with Cache(tmp_path / "cache").use(lambda _: pytest.fail("waited")) as third:
            assert third


def test_nothing_is_left_behind(cache):
    with cache.use():
        assert len(list((cache.top.locks / "users").iterdir())) == 1
    assert list((cache.top.locks / "users").iterdir()) == []


def test_the_collector_waits_for_a_user_and_says_for_whom(cache, tmp_path):
    waits = []
    with other_process(tmp_path / "cache") as process:
        inside = threading.Event()

        def collect():
            with cache.exclusive(waits.append, timeout=20) as alone:
                assert alone
                inside.set()

        thread = in_thread(collect)
        assert not inside.wait(0.7)
        process.stdin.close()
        assert inside.wait(20)
        thread.join(20)
        assert waits == [f"PID {process.pid} on {sharing.socket.gethostname()}"]


def test_a_user_waits_for_the_collector_and_says_for_whom(cache, tmp_path):
    waits = []
    with other_process(tmp_path / "cache", "exclusive") as process:
        with pytest.raises(LockTimeoutError), cache.use(waits.append, timeout=0.8):
            pass
        assert waits == [f"PID {process.pid} on {sharing.socket.gethostname()}"]
        process.stdin.close()
        with cache.use(timeout=20) as works:
            assert works


def test_a_collector_gives_up_in_time_and_names_the_user(cache, tmp_path):
    with (
        other_process(tmp_path / "cache") as process,
        pytest.raises(LockTimeoutError, match=f"PID {process.pid}"),
        cache.exclusive(timeout=0.5),
    ):
        pass
    with cache.exclusive(timeout=5) as alone:
        assert alone


@pytest.mark.parametrize("side", ["use", "exclusive"])
def test_a_killed_owner_is_taken_over(cache, tmp_path, side):
    with other_process(tmp_path / "cache", side) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        with cache.exclusive(timeout=20) as alone:
            assert alone
        assert list((cache.top.locks / "users").glob("*")) == []
        with cache.use(timeout=20) as works:
            assert works


def test_a_collector_lets_a_users_child_in(cache, tmp_path, monkeypatch):
    """A user that waits for a child which is a user too is not waited for in a circle."""
    monkeypatch.setattr(sharing, "SLICE", 0.3)
    with contextlib.ExitStack() as parent:
        parent.enter_context(cache.use())
        done = threading.Event()

        def collect():
            with Cache(tmp_path / "cache").exclusive(timeout=30):
                done.set()

        thread = in_thread(collect)
        time.sleep(0.5)
        with Cache(tmp_path / "cache").use(timeout=20) as works:
            assert works
            assert not done.is_set()
        parent.close()
        assert done.wait(20)
        thread.join(20)


def test_never_both(tmp_path):
    """Threads with caches of their own stand for processes: no collector is inside with a user."""
    inside, wrong = [0, 0], []
    guard = threading.Lock()

    def visit(number):
        cache = Cache(tmp_path / "cache")
        side = number % 5 == 0
        with cache.exclusive(timeout=60) if side else cache.use(timeout=60):
            with guard:
                inside[side] += 1
                if inside[1] > 1 or (inside[1] and inside[0]):
                    wrong.append(tuple(inside))
            time.sleep(0.005)
            with guard:
                inside[side] -= 1

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(visit, range(100)))
    assert wrong == []


@pytest.fixture
def no_locks(monkeypatch):
    """A file system whose locks do not work."""

    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(system, "lock", refuse)


def test_without_locks_users_go_on_and_say_so(cache, no_locks):
    with cache.use() as works:
        assert not works
        with pytest.raises(LockTimeoutError), Cache(cache.top.root).exclusive(timeout=0.5):
            pass
    with cache.exclusive(timeout=5) as alone:
        assert not alone


def test_without_locks_a_dead_user_does_not_count(cache, no_locks):
    users = cache.writable.locks / "users"
    users.mkdir(parents=True)
    argv = [sys.executable, "-c", "import os; print(os.getpid())"]
    dead = subprocess.run(argv, check=True, capture_output=True, text=True)
    (users / "dead.lock").write_text(f"{dead.stdout.strip()}@{sharing.socket.gethostname()}")
    with cache.exclusive(timeout=5) as alone:
        assert not alone
    far = users / "far.lock"
    far.write_text("1@another-host")
    waits = []
    with pytest.raises(LockTimeoutError), cache.exclusive(waits.append, timeout=0.4):
        pass
    assert waits == ["PID 1 on another-host"]
    os.utime(far, (1, 1))
    with cache.exclusive(timeout=5) as alone:
        assert not alone


def test_a_layer_that_cannot_be_locked_yields_false(cache, monkeypatch):
    from model_zoo.errors import CacheReadOnlyError

    def refuse(*_, **__):
        raise CacheReadOnlyError("read-only")

    cache.writable.prepare()
    monkeypatch.setattr(sharing, "lock", refuse)
    with cache.use() as works:
        assert not works


@pytest.mark.parametrize("part", ["locks-v1", "locks-v1/users", "locks-v1/gate.lock"])
def test_planted_links_are_not_locked(cache, tmp_path, part):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = cache.writable.root / part
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / "file" if part.endswith(".lock") else outside)
    if not part.endswith(".lock"):
        with pytest.raises(CacheDamagedError), cache.use():
            pass
    else:
        with cache.use() as works:
            assert not works
    assert list(outside.iterdir()) == []
