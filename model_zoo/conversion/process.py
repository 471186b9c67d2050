"""The worker process: start it, follow its progress, read its answer, stop it.

The worker may run in any interpreter that has numpy and openvino. It is given this package without the
packages installed beside it: the bootstrap code registers empty modules whose ``__path__`` points here. The
worker reads its request from a file, writes its stages to a pipe and its answer to a file; whatever else it
prints is its log.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo import errors
from model_zoo.conversion.key import cannot_start
from model_zoo.files import as_cache_error
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger(__name__)
_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_TEMPORARY = Path("the folder for temporary files (TMPDIR)")
_TAIL = 60
"""How many of the last lines of the log are kept for a traceback."""
_alive: set[system.ProcessTree] = set()
_alive_lock = threading.Lock()
_FOR_ENVIRONMENTS: dict[str, str | None] = {
    "PYTHONPATH": None,
    "PYTHONHOME": None,
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""Variables for a converter environment's interpreter: nothing gets into it, nothing is written to it."""
_BOOTSTRAP = """
import sys, types
sys.path[:] = [entry for entry in sys.path if entry]
packages = "", ".conversion", ".conversion.worker", ".formats"
for name in ["model_zoo" + package for package in packages]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1] + name.replace(".", "/")]
from model_zoo.conversion.worker.main import main
main(sys.argv[2])
"""


class WorkerLog(Exception):  # noqa: N818 - it is raised only as the cause of an error
    """The end of a worker's log, as the cause of the error it led to: only a traceback shows it."""

    def __str__(self) -> str:
        """Return the lines, below the name of the class."""
        return f"\n{self.args[0]}"


def run_worker(
    request: Mapping[str, object],
    *,
    name: str,
    python: str | None = None,
    on_stage: Callable[[str], None] | None = None,
    isolated: bool = False,
) -> dict[str, Any]:
    """Run one worker to its end and return its answer.

    ``request`` is the plain JSON data that ``worker.main`` reads, ``name`` what messages call the conversion;
    ``isolated`` if the interpreter is a converter environment's.

    Raises:
        ConversionError: what the worker itself raised, as the same class; its cause is a ``WorkerLog``.
        WorkerCrashedError: it died without an answer.
        UsageError: the interpreter cannot be started.
        CacheError: the folder for temporary files is full or cannot be written, or too many files are open.
    """
    python = python or sys.executable
    kind = "of a converter environment" if isolated else "named by --python"
    _log.info("%s: worker starts in %s (%s)", name, python, "this one" if python == sys.executable else kind)

    def enter(stage: str) -> None:
        _log.debug("%s: stage %r after %.1f s", name, stage, time.monotonic() - began)
        if on_stage is not None:
            on_stage(stage)

    began = time.monotonic()
    with (
        as_cache_error(_TEMPORARY, hint="free space there, or point TMPDIR at another folder"),
        tempfile.TemporaryDirectory(prefix="model-zoo-convert-") as directory,
    ):
        scratch = Path(directory)
        (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
        argv = [python, "-c", _BOOTSTRAP, f"{_IMPORT_ROOT}{os.sep}", str(scratch)]
        env = _environment(_FOR_ENVIRONMENTS if isolated else {})
        try:
            status = follow(argv, scratch, env, scratch / "log", enter)
        except OSError as error:
            raise cannot_start(python, error) from error
        log = (scratch / "log").read_text(encoding="utf-8", errors="replace")
        tail = "\n".join([line for line in log.splitlines() if line.strip()][-_TAIL:])
        answer = _read_answer(scratch / "answer.json")
    _log.debug("%s: worker ended with %d after %.1f s", name, status, time.monotonic() - began)
    if answer is None:
        raise _crash(name, status, tail) from (WorkerLog(tail) if tail else None)
    if "error" in answer:
        raise _error(name, answer["error"]) from (WorkerLog(tail) if tail else None)
    return dict(answer["result"])


def follow(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], log: Path, on_line: Callable[[str], None]
) -> int:
    """Run a process to its end, line by line, and return its exit code; an interruption kills it.

    Its standard input stays empty, and is closed when this process ends; its standard error goes to ``log``.
    ``on_line`` gets each line of its standard output.

    Raises:
        OSError: it cannot be started.
        KeyboardInterrupt: ``stop_all`` was called.
    """
    with log.open("ab") as stream:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env=dict(env),
            stdin=subprocess.PIPE,  # never written to: when it closes, the parent is gone
            stdout=subprocess.PIPE,
            stderr=stream,
            encoding="utf-8",
            errors="replace",
            **system.NEW_SESSION,
        )
    tree = system.ProcessTree(process)
    with _alive_lock:
        _alive.add(tree)
    try:
        for line in process.stdout or ():
            on_line(line.strip())
        status = process.wait()
    except BaseException:
        tree.kill()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()
        tree.close()
        with _alive_lock:
            stopped = tree not in _alive
            _alive.discard(tree)
    if stopped:
        raise KeyboardInterrupt
    return status


def stop_all() -> None:
    """Kill every running worker; whoever waits for one gets a ``KeyboardInterrupt``."""
    with _alive_lock:
        running = list(_alive)
        _alive.clear()
    for tree in running:
        tree.kill()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the worker's environment: nothing in it may change the IR's bytes, or reach for the network."""
    fixed: dict[str, str | None] = {
        "PYTHONSTARTUP": None,
        "PYTHONINSPECT": None,
        "PYTHONOPTIMIZE": None,  # frameworks need their docstrings and assertions
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONSAFEPATH": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NNCF_CI": "1",
    }
    return changed(os.environ, {**fixed, **changes})


def changed(env: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return an environment with some variables set, and those that are None removed."""
    return {name: value for name, value in {**env, **changes}.items() if value is not None}


def _read_answer(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _crash(name: str, status: int, tail: str) -> errors.WorkerCrashedError:
    hint = "run again with -v -v, and report the output"
    if status < 0:
        ended = next((one.name for one in signal.Signals if one == -status), f"signal {-status}")
        found = f"killed by {ended}"
        if ended == "SIGKILL":
            found += ", as happens when memory runs out"
            hint = f"free some memory or lower -j, then run again; if it happens again, {hint}"
    else:
        found = f"exit code {f'0x{status:08X}' if status >> 8 else status}"  # Windows has its own, in hex
    last = tail.splitlines()[-1].strip() if tail else ""
    return errors.WorkerCrashedError(
        f"{name}: the conversion process died without a result",
        found=f"{found}; the last line of its log: {last}" if last else found,
        left="nothing was published",
        hint=hint,
    )


def _error(name: str, answer: Mapping[str, Any]) -> errors.ModelZooError:
    """Return the worker's error as an instance of the same class."""
    kind: type[errors.ModelZooError] = getattr(errors, str(answer["class"]), errors.ConversionError)
    return kind(
        f"{name}: {answer['what']}",
        expected=answer.get("expected"),
        found=answer.get("found"),
        left="nothing was published",
        hint=answer.get("hint"),
    )
