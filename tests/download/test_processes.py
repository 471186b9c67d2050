"""Several processes, and processes that are killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_zoo.errors import LockTimeoutError
from model_zoo.files.lock import lock
from tests.server import Answer, Server, pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.download.conftest import Store

STEP = 1 << 20
KILLS = int(os.environ.get("MODEL_ZOO_TEST_KILLS", "12"))
"""How many times the loop kills; CI sets 200, which takes minutes."""
CONTENT = pattern(40_000_000)


def start(root: Path, url: str, content: bytes, *settings: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.download.fetching", str(root), url, str(len(content))]
    argv += [hashlib.sha256(content).hexdigest(), *settings]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def published(root: Path, content: bytes) -> bool:
    path = root / "blobs" / hashlib.sha256(content).hexdigest()
    return path.exists() and path.read_bytes() == content


def fork_and_fetch(store: Store, url: str) -> int:
    """Fetch in a forked child, which starts in no time; return its PID."""
    pid = os.fork()
    if pid:
        return pid
    with suppress(BaseException):
        outcome = store.run(store.artifact(CONTENT, url))[0]
        os._exit(0 if outcome.error is None else 9)
    os._exit(8)


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_killed_again_and_again(server: Server, store: Store, connections: int) -> None:
    """SIGKILL at random moments: always resumed, at most one step sent again for each, right at the end."""
    url = server.add("/m", CONTENT, Answer(pace=0.001, piece=1 << 16))
    store.settings = type(store.settings)(connections=connections, parallel_from=1 << 20)
    draw = random.Random(7)
    killed = finished = 0
    for _ in range(KILLS):
        pid = fork_and_fetch(store, url)
        time.sleep(draw.uniform(0.0, 0.25))
        os.kill(pid, signal.SIGKILL)
        _, state = os.waitpid(pid, 0)
        if os.WIFSIGNALED(state):
            killed += 1
        if store.blob(CONTENT).exists():  # it was quicker: begin with the next one
            finished += 1
            store.blob(CONTENT).unlink()
    pid = fork_and_fetch(store, url)
    _, state = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(state) == 0
    assert store.blob(CONTENT).read_bytes() == CONTENT
    assert killed
    assert not list(store.partials.iterdir())
    received = len(CONTENT) * (finished + 1)
    in_flight = connections * (6 << 20)  # sent into socket buffers, and lost with the process
    assert server.sent() <= received + killed * (STEP + in_flight)
    assert all(seen.status == 206 for seen in server.seen() if seen.range)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("connections", [1, 4])
def test_bytes_sent_again_after_kills(server: Server, store: Store, connections: int) -> None:
    """What the client does not ask for again it had kept: what it asks for twice is one step per kill."""
    url = server.add("/m", CONTENT, Answer(pace=0.001, piece=1 << 16))
    store.settings = type(store.settings)(connections=connections, parallel_from=1 << 20)
    kills = 0
    for number in range(100):
        enough = server.sent() + (3 + number % 5) * STEP
        pid = fork_and_fetch(store, url)
        while server.sent() < enough and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        if store.blob(CONTENT).exists():
            break
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        kills += 1
    assert store.blob(CONTENT).read_bytes() == CONTENT
    assert kills
    # what was sent into socket buffers and never read was not received: a few pieces per connection
    in_flight = connections * (6 << 20)
    assert server.sent() <= len(CONTENT) + kills * (STEP + in_flight)
    starts = [seen.range[0] if seen.range else 0 for seen in server.seen()]
    if connections == 1:
        assert starts == sorted(starts), "never back to the start"


def test_eight_processes_one_transfer(server: Server, store: Store) -> None:
    content = CONTENT[:5_000_000]
    url = server.add("/m", content, Answer(pace=0.01))
    processes = [start(store.root, url, content) for _ in range(8)]
    results = [finish(process) for process in processes]
    assert [code for code, _ in results] == [0] * 8
    assert published(store.root, content)
    assert len(server.seen()) == 1
    assert server.sent() == len(content)
    waited = [text for _, text in results if "waiting for PID" in text]
    pids = {process.pid for process in processes}
    assert waited
    assert all(int(text.split("waiting for PID ")[1].split()[0]) in pids for text in waited)


def test_dead_owner_is_taken_over(server: Server, store: Store) -> None:
    content = CONTENT[:5_000_000]
    url = server.add("/m", content, Answer(cut=3_000_000, stall=60), Answer())
    owner = start(store.root, url, content)
    wait_until(lambda: server.sent() == 3_000_000)
    time.sleep(0.2)
    other = start(store.root, url, content)
    assert other.stdout
    assert "waiting for PID" in other.stdout.readline()
    owner.kill()
    assert finish(owner)[0] == -signal.SIGKILL
    assert finish(other)[0] == 0
    assert published(store.root, content)
    assert server.seen()[1].range
    assert server.sent() <= len(content) + STEP


def test_waiting_has_an_end(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT)
    artifact = store.artifact(CONTENT, url)
    with lock(store.root / "locks" / f"{artifact.sha256}.lock", timeout=1):
        (outcome,) = store.run(artifact, lock_timeout=0.2)
    assert isinstance(outcome.error, LockTimeoutError)
    assert f"PID {os.getpid()}" in str(outcome.error)
    assert any(f"waiting for PID {os.getpid()} on" in text for text in store.messages("wait"))
    assert not server.seen()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(cut=3_000_000, stall=60),
        Answer(pace=0.05, piece=1 << 12),
        Answer(delay=60),
        Answer(status=503, body=b"", headers={"Retry-After": "60"}),
    ],
)
def test_interrupt(server: Server, store: Store, answer: Answer) -> None:
    """Ctrl-C within a second, whatever it is waiting for; what is there is kept."""
    content = CONTENT[:5_000_000]
    url = server.add("/m", content, answer, Answer())
    process = start(store.root, url, content)
    wait_until(lambda: bool(server.seen()))
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, _ = finish(process)
    assert code == 130
    assert time.monotonic() - began < 3
    if answer.cut:
        assert next((store.root / "partial").glob("*.part")).stat().st_size == 3_000_000
    server.add("/m", content)
    assert finish(start(store.root, url, content))[0] == 0
    assert published(store.root, content)
    if answer.cut:
        assert server.seen()[-1].range == (3_000_000, 4_999_999), "kept to the byte"


def test_interrupt_while_waiting_for_a_lock(server: Server, store: Store) -> None:
    url = server.add("/m", CONTENT)
    with lock(store.root / "locks" / f"{hashlib.sha256(CONTENT).hexdigest()}.lock", timeout=1):
        process = start(store.root, url, CONTENT)
        assert process.stdout
        assert "waiting for PID" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130


def test_same_key_twice_in_one_call(server: Server, store: Store) -> None:
    content = CONTENT[:500_000]
    url = server.add("/m", content)
    broken = store.artifact(content, server.url("/missing"), path="a.bin")
    good = store.artifact(content, url, path="b.bin")
    again = store.artifact(content, url, path="c.bin")
    outcomes = store.run(broken, good, again)
    assert [outcome.error is None for outcome in outcomes] == [False, True, True]
    assert len(server.seen("/m")) == 1
    assert outcomes[2].result
    assert outcomes[2].result.task.artifact is again
    assert len(store.published) == 1


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
