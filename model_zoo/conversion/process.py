"""One conversion in one fresh process: start it, follow it, read its answer, end it.

The worker may run in any interpreter that has numpy and openvino, so it gets our package folder without
our site-packages: empty module objects whose ``__path__`` points here. It reads its request from a
file, says its stages on a pipe, writes its answer to a file, and everything else it prints is its log.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ABOVE = Path(__file__).resolve().parents[2]
_TAIL = 15
_alive: set[subprocess.Popen[str]] = set()
_alive_lock = threading.Lock()
ISOLATED: dict[str, str | None] = {
    "PYTHONPATH": None,
    "PYTHONHOME": None,
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""How the environment differs for an interpreter of a converter environment, which never changes."""
_BOOTSTRAP = """
import sys, types
sys.path[:] = [entry for entry in sys.path if entry]
packages = "", ".conversion", ".conversion.worker", ".files", ".formats"
for name in ["model_zoo" + package for package in packages]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1] + name.replace(".", "/")]
from model_zoo.conversion.worker.main import main
main(sys.argv[2])
"""


def run_worker(
    request: Mapping[str, Any],
    *,
    name: str,
    python: str | None = None,
    on_stage: Callable[[str], None] | None = None,
    isolated: bool = False,
) -> dict[str, Any]:
    """Run one worker to its end and return its answer.

    Args:
        request: what ``model_zoo.conversion.worker.main`` reads; plain JSON data.
        name: what is converted, for messages.
        python: the interpreter; ours when unset.
        on_stage: called with each stage the worker enters.
        isolated: the interpreter is a converter environment's, in which nothing of ours may get involved.

    Raises:
        ConversionError: what the worker itself raised, of the same class; the log's tail is in ``found``.
        WorkerCrashedError: it died without an answer.
        UsageError: the interpreter cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="model-zoo-convert-") as folder:
        scratch = Path(folder)
        (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
        changes = ISOLATED if isolated else {}
        status = _run(scratch, python or sys.executable, on_stage or (lambda _: None), changes)
        tail = _tail(scratch / "log")
        answer = _read_answer(scratch / "answer.json")
    if answer is None:
        raise _crash(name, status, tail)
    if "error" in answer:
        raise _error(name, answer["error"], tail)
    return dict(answer["result"])


def _run(
    scratch: Path, python: str, on_stage: Callable[[str], None], changes: Mapping[str, str | None]
) -> int:
    argv = [python, "-c", _BOOTSTRAP, f"{_ABOVE}{os.sep}", str(scratch)]
    try:
        return follow(argv, scratch, _environment(changes), scratch / "log", on_stage)
    except OSError as error:
        what = f"the interpreter {python} cannot be started: {error.strerror}"
        raise errors.UsageError(what, hint="give --python the path of a Python interpreter") from error


def follow(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], log: Path, on_line: Callable[[str], None]
) -> int:
    """Run a process to its end, line by line, and return its exit code; an interruption ends it.

    Args:
        argv: what to run. Its standard input never says anything, and ends when this process does.
        folder: where it runs.
        env: its environment.
        log: the file that its standard error goes to.
        on_line: called with each line of its standard output.

    Raises:
        OSError: it cannot be started.
        KeyboardInterrupt: ``stop_all`` was called.
    """
    with log.open("ab") as stream:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.PIPE,  # never written: its end tells the process that we are gone
            stdout=subprocess.PIPE,
            stderr=stream,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
    with _alive_lock:
        _alive.add(process)
    try:
        for line in process.stdout or ():
            on_line(line.strip())
        status = process.wait()
    except BaseException:
        _kill(process)
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()
        with _alive_lock:
            stopped = process not in _alive
            _alive.discard(process)
    if stopped:
        raise KeyboardInterrupt
    return status


def stop_all() -> None:
    """End every worker that runs now; whoever waits for one gets a ``KeyboardInterrupt``."""
    with _alive_lock:
        running = list(_alive)
        _alive.clear()
    for process in running:
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the worker and everything it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the worker's environment: nothing in it may change the bytes, or reach for the network."""
    env = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONSTARTUP", "PYTHONINSPECT"}
    }
    env.update(
        PYTHONHASHSEED="0",
        PYTHONUNBUFFERED="1",
        PYTHONUTF8="1",
        PYTHONSAFEPATH="1",
        TF_CPP_MIN_LOG_LEVEL="2",
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        NNCF_CI="1",
    )
    return changed(env, changes)


def changed(env: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return an environment with some variables set, and those that are None left out."""
    both = {**env, **changes}
    return {name: value for name, value in both.items() if value is not None}


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in lines if line.strip()]
    return "\n".join(kept[-_TAIL:])


def _read_answer(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _crash(name: str, status: int, tail: str) -> errors.WorkerCrashedError:
    if status < 0:
        ended = next((one.name for one in signal.Signals if one == -status), f"signal {-status}")
        found = f"it was ended by {ended}"
        if ended == "SIGKILL":
            found += ", which is what happens when memory runs out"
    else:
        found = f"it ended with exit code {status}"
    return errors.WorkerCrashedError(
        f"{name}: the conversion process died without an answer",
        found=f"{found}\n{tail}".strip(),
        left="nothing was published",
        hint="free memory or lower -j and run again; if it dies again, the log above is what to report",
    )


def _error(name: str, stated: Mapping[str, Any], tail: str) -> errors.ModelZooError:
    """Return the worker's error as the class it was there."""
    kind = getattr(errors, str(stated["class"]), errors.ConversionError)
    found = stated.get("found")
    if stated.get("log") and tail:
        found = f"{found or ''}\nthe end of the worker's log:\n{tail}".strip()
    error: errors.ModelZooError = kind(
        f"{name}: {stated['what']}",
        expected=stated.get("expected"),
        found=found,
        left="nothing was published",
        hint=stated.get("hint"),
    )
    return error
