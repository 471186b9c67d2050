"""Building a converter environment: a virtual environment into which pip installs one stack.

The user's own pip does it, with the user's own index, mirror, certificates and credentials. Afterwards only
its interpreter is used: the scripts that packages install still name the directory it was built in.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo import installed
from model_zoo.conversion.key import QUERY
from model_zoo.conversion.process import changed, follow
from model_zoo.errors import CacheFullError, ConversionError
from model_zoo.files import as_cache_error
from model_zoo.files.tree import measure
from model_zoo.installed import canonical
from model_zoo.schema import EnvironmentManifest
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.conversion.stacks import Stack

_log = logging.getLogger(__name__)
_TAIL = 12
"""How many of the last lines of pip's output an error shows."""
_TIMEOUT = 60.0
"""Seconds that an environment's interpreter gets to answer."""
_INTERVAL = 1.0
"""Least number of seconds between two measurements of the size on disk."""
_SECRET = re.compile(r"(\w+://)[^/\s@]*@")
_DESTINATION = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV")
"""Those of pip's settings that say where to install."""
_INTERPRETER = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__")
_BOOTSTRAP = """
import os, runpy, signal, sys, threading
def watch():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)
if hasattr(os, "killpg"):  # elsewhere a job object ends it
    threading.Thread(target=watch, daemon=True).start()
sys.path[:] = [entry for entry in sys.path if entry]
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that stops when this process is gone: it must not go on installing."""
_VERSION_QUERY = (
    "import json, platform, sys; print(json.dumps([sys.implementation.cache_tag, platform.python_version()]))"
)


def fault_of(directory: Path, built_for: str) -> str | None:
    """Start an environment's interpreter; return why it is unusable, or None if it is usable.

    ``built_for`` is the version of Python that the environment was built with.
    """
    python = system.python_of(directory)
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _VERSION_QUERY],
            capture_output=True, check=True, timeout=_TIMEOUT, encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        tag, version = msgspec.json.decode(done.stdout)
    except OSError as error:
        return f"its base interpreter {os.path.realpath(python)} cannot be started: {error.strerror}"
    except (subprocess.SubprocessError, ValueError) as error:
        return f"its base interpreter {os.path.realpath(python)} does not work: {error}"
    if tag != sys.implementation.cache_tag:
        return f"its base interpreter is Python {version} now; it was built with {built_for}"
    return None


def build(
    stack: Stack, staging: Path, *, report: Callable[[str, int], None], trust_code: bool = False
) -> EnvironmentManifest:
    """Build an environment of a stack in ``staging / "env"``.

    pip's temporary files go to ``staging`` too, so that nothing is left elsewhere. ``report`` is called with
    the current step and the bytes on disk so far, which never go backwards. ``trust_code`` lets pip build
    packages, which runs their code; otherwise it installs wheels only.

    Raises:
        ConversionError: this Python cannot make virtual environments, or pip failed.
        CacheError: the disk is full or cannot be written.
    """
    began = time.monotonic()
    directory, requirements, log = staging / "env", staging / "requirements.txt", staging / "log"
    with as_cache_error(staging):
        (staging / "tmp").mkdir()
        requirements.write_text("".join(f"{line}\n" for line in stack.requirements), encoding="utf-8")
    _log.info("building the converter environment %r: %s", stack.name, " ".join(stack.requirements))
    with _Progress(staging, report) as progress:
        _run(["venv", "--without-pip", str(directory)], staging, log, lambda _: None, _no_venv)
        # The pip installed beside this package: neither the new environment nor Python need one of its own.
        argv = ["pip", "--python", str(system.python_of(directory)), "install", "--no-input"]
        argv += ["--disable-pip-version-check", "--progress-bar", "off", "--no-warn-script-location"]
        argv += [] if trust_code else ["--only-binary", ":all:"]
        argv += ["--requirement", str(requirements)]
        _run(argv, staging, log, progress.take, lambda status, lines: _pip_failed(stack, status, lines))
    contents = _contents(directory, stack)
    size, count = measure(directory)
    return EnvironmentManifest(
        schema=1,
        digest=stack.digest,
        stack=stack.name,
        requirements=tuple(stack.requirements),
        **contents,
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
    output: list[str] = []

    def take(line: str) -> None:
        output.append(line)
        on_line(line)

    env = changed(dict(os.environ), dict.fromkeys((*_DESTINATION, *_INTERPRETER)))
    env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(staging / "tmp"))
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    with as_cache_error(log):
        status = follow([sys.executable, "-c", _BOOTSTRAP, *argv], staging, env, log, take)
    if status:
        errors = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise explain(status, errors if any(errors) else output)


def _no_venv(status: int, lines: list[str]) -> Exception:
    text = "\n".join(line for line in lines[-_TAIL:] if line.strip())
    if "No space left" in text:
        return _full(text)
    return ConversionError(
        f"{sys.executable} cannot make virtual environments: python -m venv ended with exit code {status}",
        found=text,
        left="nothing was published",
        hint="install your system's package for them (such as python3-venv), or use an interpreter that has "
        "the packages: --python PATH",
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
        found=text or "no output from pip",
        left="nothing was published; pip keeps its downloads in its own cache",
        hint="check that pip can reach an index with these versions for this Python (PIP_INDEX_URL, "
        "proxies), or use an interpreter that has the packages: --python PATH",
    )


def _full(text: str) -> CacheFullError:
    hint = "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE at a larger disk"
    return CacheFullError("no space left for the converter environment", found=text, hint=hint)


def _contents(directory: Path, stack: Stack) -> dict[str, Any]:
    """Return which packages and modules an environment has."""
    argv = [str(system.python_of(directory)), "-I", "-c", QUERY, str(installed.__file__)]
    try:
        done = subprocess.run(argv, capture_output=True, check=True, timeout=_TIMEOUT, encoding="utf-8")
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        what = f"the interpreter of the new converter environment {stack.name!r} does not answer: {error}"
        raise ConversionError(what, left="nothing was published", hint="report this error") from error
    always = [line.partition("==")[0] for line in stack.requirements if ";" not in line]
    missing = [name for name in always if canonical(name.partition("[")[0]) not in found["packages"]]
    if missing:
        raise ConversionError(
            f"pip did not install {', '.join(missing)} into the converter environment {stack.name!r}",
            left="nothing was published",
            hint="pip may be configured to install elsewhere: check target, prefix and root in "
            "'pip config list'",
        )
    return found


class _Progress:
    """Reports what pip does and how far the directory it fills has grown."""

    def __init__(self, directory: Path, report: Callable[[str, int], None]) -> None:
        self._directory = directory
        self._report = report
        self._step = "making a virtual environment"
        self._size = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> _Progress:
        self._report(self._step, 0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def take(self, line: str) -> None:
        """Report what a line of pip's output means."""
        collecting = re.match(r"(?:Collecting|Processing) (?:\S*/)?([^\s;/]+)", line)
        downloading = re.match(r"Downloading (?:\S*/)?([^\s/]+\.whl)\S* (\([^)]*\))", line)
        installing = re.match(r"Installing collected packages: (.*)", line)
        if collecting:
            self._step = f"looking for {collecting[1]}"
        elif downloading:
            self._step = f"downloading {downloading[1]} {downloading[2]}"
        elif installing:
            self._step = f"installing {len(installing[1].split(','))} packages"
        else:
            return
        self._report(self._step, self._size)

    def _measure(self) -> None:
        pause = _INTERVAL
        while not self._end.wait(pause):
            began = time.monotonic()
            # pip first downloads everything, then installs it: the larger of the two is the progress
            self._size = max(self._size, *(measure(self._directory / part)[0] for part in ("tmp", "env")))
            self._report(self._step, self._size)
            pause = max(_INTERVAL, 10 * (time.monotonic() - began))
