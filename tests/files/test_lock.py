"""Locks between threads and processes, whole and degraded."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from model_zoo.errors import CacheError, CacheReadOnlyError, LockTimeoutError
from model_zoo.files import lock as module
from model_zoo.files.lock import lock, owner_of
from model_zoo.systems import system
from tests.tools import require_root

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, time
from pathlib import Path
from model_zoo.files.lock import lock
from model_zoo.systems import system
with lock(Path(sys.argv[1]), timeout=5) as works:
    print(works, flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().strip() == "True"
    return process


def test_excludes_threads(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "locks" / "a.lock", [0], [0]

    def work() -> None:
        for _ in range(5):
            with lock(path, timeout=30) as works:
                assert works
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_wait_names_the_owner_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = hold(path)
    said: list[str] = []
    try:
        with (
            pytest.raises(LockTimeoutError, match=f"PID {process.pid} on") as caught,
            lock(path, timeout=0.3, on_wait=said.append),
        ):
            pass
        assert caught.value.exit_code == 6
        assert said == [owner_of(path)], "said once"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_dead_owners_lock_is_free(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.lock"
    process = hold(path)
    threading.Timer(0.2, getattr(process, how)).start()
    with lock(path, timeout=20) as works:
        assert works
        assert f"PID {os.getpid()} " in owner_of(path)
    process.communicate()


def test_stopped_owner_still_owns(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = hold(path)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(LockTimeoutError), lock(path, timeout=0.2):
            pass
    finally:
        process.kill()
        process.communicate()


def test_shared_with_shared_only(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with (
        lock(path, timeout=1, shared=True),
        lock(path, timeout=1, shared=True),
        pytest.raises(LockTimeoutError),
        lock(path, timeout=0.1),
    ):
        pass
    with lock(path, timeout=1), pytest.raises(LockTimeoutError), lock(path, timeout=0.1, shared=True):
        pass


def test_stop_ends_the_wait(tmp_path: Path) -> None:
    path, stop = tmp_path / "a.lock", threading.Event()
    with lock(path, timeout=1):
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(InterruptedError), lock(path, timeout=60, stop=stop):
            pass


def test_removed_under_our_hands(tmp_path: Path) -> None:
    """A cleaner removes the file: whoever comes next locks the new one, and nobody locks nothing."""
    path = tmp_path / "a.lock"
    with lock(path, timeout=1):
        path.unlink()
        with lock(path, timeout=1):
            assert path.exists()
    descriptor = os.open(path, os.O_RDWR)
    path.unlink()
    path.touch()
    assert module._try(descriptor, path, shared=False) is None
    path.unlink()
    os.close(descriptor)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    path.unlink()
    assert module._try(descriptor, path, shared=False) is None
    os.close(descriptor)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def broken(descriptor: int, *, shared: bool) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(system, "lock", broken)
    with lock(tmp_path / "a.lock", timeout=1) as one, lock(tmp_path / "a.lock", timeout=1) as other:
        assert (one, other) == (False, False)


def test_other_faults_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, *, shared: bool) -> None:
        raise OSError(errno.EDEADLK, "Deadlock")

    monkeypatch.setattr(system, "lock", broken)
    with pytest.raises(CacheError, match="Deadlock"), lock(tmp_path / "a.lock", timeout=1):
        pass


def test_symlink_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "a.lock").symlink_to(victim)
    with pytest.raises(CacheError), lock(tmp_path / "a.lock", timeout=1):
        pass
    assert victim.read_text() == "precious"


@pytest.mark.system
def test_another_users_lock_file(tmp_path: Path) -> None:
    """A lock file that we may only read is locked all the same."""
    require_root()
    folder = tmp_path / "shared"
    folder.mkdir()
    path = folder / "a.lock"
    path.write_text("1@elsewhere")
    path.chmod(0o644)
    for parent in (folder, *list(folder.parents)[:4]):
        parent.chmod(0o755)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setuid(65534)
            with lock(path, timeout=1) as works:
                code = 0 if works else 2
            with pytest.raises(CacheReadOnlyError), lock(folder / "new.lock", timeout=1):
                pass
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("text", [b"", b"x", b"abc@host", b"\xff\xfe", b"12@"])
def test_owner_that_cannot_be_told(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(text)
    assert owner_of(path) == "another process"
    assert owner_of(tmp_path / "none") == "another process"


def test_owner_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("999999999@a-host-with-a-long-name-indeed\n")
    with lock(path, timeout=1):
        assert owner_of(path).startswith(f"PID {os.getpid()} on ")
