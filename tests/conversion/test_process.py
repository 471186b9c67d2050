"""The worker as a process: what it may not do, how it dies, and who dies with it.

A TensorFlow builder is code of the model's own that runs before TensorFlow is needed, so it stands for
whatever a worker may run into.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from model_zoo.conversion import process
from model_zoo.errors import ConversionError, UntrustedCodeError, UsageError, WorkerCrashedError
from tests import tiny
from tests.conversion import support
from tests.conversion.support import entry
from tests.tools import missing

ROOT = Path(__file__).resolve().parents[2]


def files_with(folder: Path, code: str) -> Path:
    """Write a model whose builder runs ``code`` and then returns the path of an ONNX file."""
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(tiny.tiny_onnx())
    (folder / "net.py").write_text(
        "import os, pathlib\nhere = pathlib.Path(__file__).parent\ndef make():\n"
        + textwrap.indent(textwrap.dedent(code), "    ")
        + "\n    return str(here / 'm.onnx')\n"
    )
    return folder


MODEL = entry(
    "tensorflow",
    "net.py",
    "m.onnx",
    recipe={"builder": {"module": "net", "callable": "make", "paths": ["."]}},
)


def run(folder: Path, **how: Any) -> dict[str, Any]:
    parts = {"versions": {}, "inputs": []}
    return support.run(MODEL, folder, folder.parent / "ir", parts=parts, trust_code=True, **how)


def test_builder_that_behaves_is_converted(tmp_path: Path) -> None:
    stages: list[Any] = []
    run(files_with(tmp_path / "files", ""), report=stages.append)
    assert [(e.event, e.model, e.message) for e in stages] == [
        ("convert_stage", "some-model", "read"),
        ("convert_stage", "some-model", "save"),
    ]
    assert sorted(p.name for p in (tmp_path / "files").iterdir()) == ["m.onnx", "net.py"]


def test_code_of_the_model_needs_trust(tmp_path: Path) -> None:
    folder = files_with(tmp_path / "files", "(here / 'ran').touch()")
    parts = {"versions": {}, "inputs": []}
    with pytest.raises(
        UntrustedCodeError, match="code that the recipe names, which is not trusted"
    ) as caught:
        support.run(MODEL, folder, tmp_path / "ir", parts=parts)
    assert caught.value.exit_code == 7
    assert "--trust-code" in str(caught.value.hint)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("death", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_crash_is_told_and_tried_once_more(tmp_path: Path, death: str) -> None:
    folder = files_with(
        tmp_path / "files",
        f"""
        import signal
        print("about to die", flush=True)
        with (here.parent / "runs").open("a") as runs: runs.write("x")
        os.kill(os.getpid(), signal.{death})
        """,
    )
    stages: list[Any] = []
    with pytest.raises(WorkerCrashedError, match="some-model@FP32: the conversion process died") as caught:
        run(folder, report=stages.append)
    assert caught.value.exit_code == 7
    assert f"killed by {death}" in str(caught.value.found)
    assert "about to die" in str(caught.value.found)
    assert ("memory runs out" in str(caught.value.found)) == (death == "SIGKILL")
    assert (tmp_path / "runs").read_text() == "xx"
    assert "crashed, retrying alone" in [e.message for e in stages]
    assert support.no_staging(tmp_path / "ir")


def test_crash_that_does_not_come_again_is_survived(tmp_path: Path) -> None:
    folder = files_with(
        tmp_path / "files",
        """
        mark = here.parent / "once"
        if not mark.exists():
            mark.touch()
            os.abort()
        """,
    )
    assert run(folder)["outputs"][0]["path"] == "model.xml"


def test_leaving_without_an_answer_is_a_crash_too(tmp_path: Path) -> None:
    with pytest.raises(WorkerCrashedError, match="died without a result") as caught:
        run(files_with(tmp_path / "files", "os._exit(3)"))
    assert "exit code 3" in str(caught.value.found)


@pytest.mark.parametrize(
    "reach",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request; urllib.request.urlopen('http://localhost:9/')",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    ],
)
def test_reaching_for_the_network_is_refused(tmp_path: Path, reach: str) -> None:
    with pytest.raises(ConversionError, match="tried to reach the network") as caught:
        run(files_with(tmp_path / "files", reach))
    assert not isinstance(caught.value, WorkerCrashedError)


def test_local_sockets_are_no_network(tmp_path: Path) -> None:
    """Some frameworks look for a daemon beside them; there is none, and that is all."""
    code = """
        import socket
        try:
            socket.socket(socket.AF_UNIX).connect(str(here / "daemon"))
        except FileNotFoundError:
            pass
        """
    run(files_with(tmp_path / "files", code))


def test_what_the_worker_prints_is_its_log_and_no_stage(tmp_path: Path) -> None:
    stages: list[Any] = []
    code = "print('noise on stdout'); os.system('echo noise of a child'); raise ValueError('broken')"
    with pytest.raises(ConversionError, match="ValueError: broken") as caught:
        run(files_with(tmp_path / "files", code), report=stages.append)
    assert [e.message for e in stages] == ["read"]
    assert "noise of a child" in str(caught.value.__cause__)
    assert "noise" not in str(caught.value)


def test_interpreter_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/nowhere/python cannot be started"):
        run(files_with(tmp_path / "files", ""), python="/nowhere/python")


def bare_python(folder: Path) -> Path:
    """Return an interpreter that has numpy and openvino and nothing else of ours."""
    packages = folder / "packages"
    packages.mkdir()
    for module in (np, ov):
        home = Path(str(module.__file__)).parent
        for path in home.parent.glob(f"{home.name}*"):
            (packages / path.name).symlink_to(path)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    return script


def test_worker_needs_no_more_than_numpy_and_openvino(tmp_path: Path) -> None:
    code = """
        import sys
        try:
            import msgspec
        except ImportError:
            assert not hasattr(sys.modules["model_zoo"], "__file__")
        else:
            raise AssertionError("the worker sees our packages")
        """
    run(files_with(tmp_path / "files", code), python=str(bare_python(tmp_path)))


TRAP = """
import ctypes, os, struct, sys
# Classic BPF: for socket(2) with AF_INET or AF_INET6, kill the process; let everything else pass.
LOAD, EQUAL, RETURN, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
program = [(LOAD, 0, 0, 0), (EQUAL, 0, 4, 41), (LOAD, 0, 0, 16), (EQUAL, 1, 0, 2), (EQUAL, 0, 1, 10),
           (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
code = b"".join(struct.pack("HBBI", *step) for step in program)
buffer = ctypes.create_string_buffer(code)
filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter)) == 0, ctypes.get_errno()
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_worker_opens_no_socket_at_all(tmp_path: Path) -> None:
    """The kernel kills whoever opens one, native code included."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        missing("needs Linux on x86_64")
    trap = tmp_path / "trap.py"
    trap.write_text(TRAP)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {trap} "$@"\n')
    script.chmod(0o755)
    caught = subprocess.run([script, "-c", "import socket; socket.socket()"], check=False)
    assert caught.returncode == -signal.SIGSYS, "the trap does not close"
    run(files_with(tmp_path / "files", ""), python=str(script))


PARENT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.conversion import test_process
test_process.run(Path({folder!r}))
"""
SLEEPER = """
    import subprocess, time
    child = subprocess.Popen(["sleep", "60"])
    (here.parent / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
    """


def started(folder: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a process that converts something endless; return it, and the worker's and its child's pids."""
    files_with(folder, SLEEPER)
    code = PARENT.format(root=str(ROOT), folder=str(folder))
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    pids: list[int] = []
    while len(pids) < 2:
        assert time.monotonic() < deadline
        assert parent.poll() is None
        time.sleep(0.05)
        with contextlib.suppress(OSError):
            pids = [int(text) for text in (folder.parent / "pids").read_text().split()]
    return parent, pids


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_ctrl_c_ends_the_worker_and_its_children(tmp_path: Path) -> None:
    parent, pids = started(tmp_path / "files")
    parent.send_signal(signal.SIGINT)
    parent.wait(30)
    assert gone(pids)


def test_worker_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent, pids = started(tmp_path / "files")
    parent.kill()
    parent.wait(30)
    try:
        assert gone(pids[:1])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[1], signal.SIGKILL)


def test_environment_of_the_worker_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    code = "import json; (here.parent / 'env').write_text(json.dumps(dict(os.environ)))"
    run(files_with(tmp_path / "files", code))
    env = json.loads((tmp_path / "env").read_text())
    assert env["PYTHONHASHSEED"] == "0"
    assert env["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONSTARTUP" not in env


def test_stopping_nothing_is_harmless() -> None:
    process.stop_all()


def test_unknown_signal_has_a_number() -> None:
    assert "signal 222" in str(process._crash("m", -222, "").found)
