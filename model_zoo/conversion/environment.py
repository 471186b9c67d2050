"""Building a converter environment: a virtual environment that pip fills with one stack.

The user's own pip does it, with the user's own index, mirror, certificates and credentials; we name none of
them. Nothing but its interpreter is used afterwards: the scripts that packages bring still name the folder it
was built in.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.conversion import installed
from model_zoo.conversion.installed import canonical
from model_zoo.conversion.process import changed, follow
from model_zoo.conversion.toolchain import ASK
from model_zoo.errors import CacheFullError, ConversionError
from model_zoo.files import as_cache_error
from model_zoo.files.tree import measure
from model_zoo.schema import EnvironmentManifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.conversion.stacks import Stack

_TAIL = 12
_PATIENCE = 60.0
_PAUSE = 1.0
"""Seconds between two measurements of what is on disk, at least."""
_SECRET = re.compile(r"(\w+://)[^/\s@]*@")
_ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV")
"""Of pip's settings those that say where it installs: here that is settled."""
_OTHERS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__")
# A child that was killed with its parent's group, or whose parent is gone, must not go on installing.
_GUARDED = """
import os, runpy, signal, sys, threading
def watch():
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
sys.path[:] = [entry for entry in sys.path if entry]
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_STARTS = (
    "import json, platform, sys; print(json.dumps([sys.implementation.cache_tag, platform.python_version()]))"
)


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def fault_of(folder: Path, built_for: str) -> str | None:
    """Return why an environment cannot be used any more, after starting its interpreter; None if it can.

    Args:
        folder: the environment.
        built_for: the version of Python it was made with.
    """
    python = python_of(folder)
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _STARTS],
            capture_output=True, check=True, timeout=_PATIENCE, encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        tag, version = msgspec.json.decode(done.stdout)
    except OSError as error:
        return f"the Python it stands on, {os.path.realpath(python)}, cannot be started: {error.strerror}"
    except (subprocess.SubprocessError, ValueError) as error:
        return f"the Python it stands on, {os.path.realpath(python)}, does not work: {error}"
    if tag != sys.implementation.cache_tag:
        return f"the Python it stands on is {version} now, and it was made with {built_for}"
    return None


def build(stack: Stack, staging: Path, *, report: Callable[[str, int], None]) -> EnvironmentManifest:
    """Make an environment of a stack in ``staging / "env"``.

    Args:
        stack: what to install.
        staging: an empty folder; pip's temporary files go there too, so that nothing is left elsewhere.
        report: called with what is being done and the bytes on disk so far, which never go backwards.

    Returns:
        Its manifest.

    Raises:
        ConversionError: Python has no virtual environments here, or pip failed.
        CacheError: the disk is full or cannot be written.
    """
    began = time.monotonic()
    folder, wishes, log = staging / "env", staging / "requirements.txt", staging / "log"
    with as_cache_error(staging):
        (staging / "tmp").mkdir()
        wishes.write_text("".join(f"{line}\n" for line in stack.requirements), encoding="utf-8")
    with _Watch(staging, report) as watch:
        _run(["venv", "--without-pip", str(folder)], staging, log, lambda _: None, _no_venv)
        # This environment's pip fills the other: it need not have one, nor Python bring one along.
        argv = ["pip", "--python", str(python_of(folder)), "install", "--no-input"]
        argv += ["--disable-pip-version-check", "--progress-bar", "off", "--no-warn-script-location"]
        argv += ["--requirement", str(wishes)]
        _run(argv, staging, log, watch.say, lambda status, lines: _pip_failed(stack, status, lines))
    found = _look(folder, stack)
    size, count = measure(folder)
    return EnvironmentManifest(
        schema=1,
        digest=stack.digest,
        stack=stack.name,
        requirements=tuple(stack.requirements),
        packages=found["packages"],
        modules=found["modules"],
        python=found["python"],
        size=size,
        files=count,
        seconds=round(time.monotonic() - began, 1),
    )


def _run(
    argv: list[str],
    staging: Path,
    log: Path,
    on_line: Callable[[str], None],
    explain: Callable[[int, list[str]], Exception],
) -> None:
    said: list[str] = []

    def take(line: str) -> None:
        said.append(line)
        on_line(line)

    env = changed(dict(os.environ), dict.fromkeys((*_ELSEWHERE, *_OTHERS)))
    env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(staging / "tmp"))
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    with as_cache_error(log):
        status = follow([sys.executable, "-c", _GUARDED, *argv], staging, env, log, take)
    if status:
        complaints = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise explain(status, complaints if any(complaints) else said)


def _no_venv(status: int, lines: list[str]) -> Exception:
    text = "\n".join(line for line in lines[-_TAIL:] if line.strip())
    if "No space left" in text:
        return _full(text)
    return ConversionError(
        f"{sys.executable} cannot make virtual environments: python -m venv ended with {status}",
        found=text,
        left="nothing was published",
        hint="install your system's package for them (python3-venv or the like), or name an interpreter "
        "that has the packages with --python",
    )


def _pip_failed(stack: Stack, status: int, lines: list[str]) -> Exception:
    kept = [line.strip() for line in lines if line.strip() and not line.startswith("WARNING")]
    errors = [line for line in kept if line.startswith("ERROR")] or kept
    text = _SECRET.sub(r"\1", "\n".join(line.removeprefix("ERROR: ") for line in errors[-_TAIL:]))
    if "No space left" in text or "Errno 28" in text:
        return _full(text)
    return ConversionError(
        f"the converter environment {stack.name!r} could not be built: pip ended with exit code {status}",
        expected=" ".join(stack.requirements),
        found=text or "pip said nothing",
        left="nothing was published; what pip downloaded is in its own cache",
        hint="check that pip reaches an index that has these versions for this Python (PIP_INDEX_URL, "
        "proxies), or name an interpreter that has the packages with --python",
    )


def _full(text: str) -> CacheFullError:
    hint = "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk"
    return CacheFullError("no space left for a converter environment", found=text, hint=hint)


def _look(folder: Path, stack: Stack) -> dict[str, Any]:
    """Ask the environment what is in it."""
    argv = [str(python_of(folder)), "-I", "-c", ASK, str(installed.__file__)]
    try:
        done = subprocess.run(argv, capture_output=True, check=True, timeout=_PATIENCE, encoding="utf-8")
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        what = f"the converter environment {stack.name!r} does not answer: {error}"
        raise ConversionError(what, left="nothing was published", hint="report this") from error
    always = [line.partition("==")[0] for line in stack.requirements if ";" not in line]
    missing = [name for name in always if canonical(name.partition("[")[0]) not in found["packages"]]
    if missing:
        raise ConversionError(
            f"pip did not put {', '.join(missing)} into the converter environment {stack.name!r}",
            left="nothing was published",
            hint="its settings may send packages elsewhere: see target, prefix and root in 'pip config list'",
        )
    return found


class _Watch:
    """Measures a folder while it grows, and tells."""

    def __init__(self, folder: Path, report: Callable[[str, int], None]) -> None:
        self._folder = folder
        self._report = report
        self._stage = "making a virtual environment"
        self._most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> _Watch:
        self._report(self._stage, 0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def say(self, line: str) -> None:
        """Take a line of pip's, and tell what it means."""
        collecting = re.match(r"(?:Collecting|Processing) (?:\S*/)?([^\s;/]+)", line)
        downloading = re.match(r"Downloading (?:\S*/)?([^\s/]+\.whl)\S* (\([^)]*\))", line)
        installing = re.match(r"Installing collected packages: (.*)", line)
        if collecting:
            self._stage = f"looking for {collecting[1]}"
        elif downloading:
            self._stage = f"downloading {downloading[1]} {downloading[2]}"
        elif installing:
            self._stage = f"installing {len(installing[1].split(','))} packages"
        else:
            return
        self._report(self._stage, self._most)

    def _measure(self) -> None:
        pause = _PAUSE
        while not self._end.wait(pause):
            began = time.monotonic()
            # pip first downloads, then installs what it downloaded: the larger of both is how far it is
            self._most = max(self._most, *(measure(self._folder / part)[0] for part in ("tmp", "env")))
            self._report(self._stage, self._most)
            pause = max(_PAUSE, 10 * (time.monotonic() - began))
