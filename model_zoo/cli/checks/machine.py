"""Python, OpenVINO, its devices and frontends, the packages beside it, pip, the clock."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.errors import ConversionError, DownloadError, LoadError, ModelZooError
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

DISTRIBUTION = "model-zoo"
FRAMEWORKS = ("torch", "torchvision", "tensorflow", "tensorflow-cpu", "nncf", "jax", "keras")
STACKS = {"torch", "tensorflow", "nncf"}
"""Extras for conversions, which a converter environment brings as well."""
OLDEST_NOW = 1767225600
"""2026-01-01, seconds since 1970: no clock that is right shows less to somebody who has this version."""
PATIENCE = 120.0
"""Seconds for one of the questions below; importing a framework from a cold disk takes a while."""

_OPENVINO = """
import json, sys
sys.modules["openvino_telemetry"] = None  # it would look up a host
import openvino
from openvino.frontend import FrontEndManager
core = openvino.Core()
devices = {}
for name in core.available_devices:
    try:
        devices[name] = str(core.get_property(name, "FULL_DEVICE_NAME"))
    except Exception as error:
        devices[name] = f"does not answer: {error}"
print(json.dumps({"version": openvino.get_version(), "devices": devices,
                  "frontends": sorted(FrontEndManager().get_available_front_ends())}))
"""
_PIP = "import pip, pip._internal; print('pip', pip.__version__)"
"""Not ``pip --version``, which tries whether this machine has IPv6, with a socket."""
_TORCH = """
import json, torch
found = {"torch": torch.__version__}
try:
    import torchvision
    found["torchvision"] = torchvision.__version__
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except ModuleNotFoundError as error:
    if error.name != "torchvision":
        found["problem"] = str(error)
except Exception as error:
    found["problem"] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(found))
"""


def examine_machine() -> Iterator[Finding]:
    """Examine what runs here. Frameworks are asked in processes of their own, as importing one may crash."""
    with ThreadPoolExecutor() as pool:
        openvino = pool.submit(_ask, _OPENVINO)
        torch = pool.submit(_ask, _TORCH) if _version("torch") else None
        pip = pool.submit(_run, "-c", _PIP)
        yield from _python()
        yield from _packages()
        yield pip_finding(*pip.result())
        yield clock_finding(time.time())
        yield from openvino_findings(openvino.result())
        yield from _extras()
        if torch is not None:
            yield from torch_findings(torch.result())


def _run(*arguments: str) -> tuple[int, str, str]:
    """Run this Python; return its exit code, what it printed, and its last line of complaint."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, encoding="utf-8", errors="replace",
            timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    complaint = done.stderr.strip().splitlines()
    return done.returncode, done.stdout, complaint[-1] if complaint else ""


def _ask(code: str) -> dict[str, Any]:
    exit_code, answer, complaint = _run("-c", code)
    try:
        found: dict[str, Any] = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"problem": complaint or f"ended with exit code {exit_code} and without an answer"}
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _python() -> Iterator[Finding]:
    where = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield ok("python", "python", f"{where}, {sys.executable}")
    yield ok("python", DISTRIBUTION, __version__)


def _requirements() -> list[tuple[str, str | None]]:
    """Return what this package's metadata asks for: the distribution, and the extra it belongs to."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        if name and "python_version" not in line:
            found.append((name[0], extra[1] if extra else None))
    return found


def _packages() -> Iterator[Finding]:
    for name in [name for name, extra in _requirements() if extra is None and name != "pip"]:
        if found := _version(name):
            yield ok("python", name, found)
        else:
            code = LoadError.exit_code if name == "openvino" else ModelZooError.exit_code
            yield wrong("python", name, "not installed", f"pip install {name}", code)


def _extras() -> Iterator[Finding]:
    extras: dict[str, list[str]] = {}
    for name, extra in _requirements():
        if extra is not None:
            extras.setdefault(extra, []).append(name)
    for extra, names in sorted(extras.items()):
        missing = [name for name in names if not (_version(name) or _version(name.removesuffix("-cpu")))]
        if missing:
            hint = f"pip install {' '.join(missing)}, if you want what it is for"
            if extra in STACKS:
                hint += "; 'convert --isolate' does without"
            yield note("extras", extra, f"not installed: {', '.join(missing)}", hint)
        else:
            yield ok("extras", extra, ", ".join(f"{name} {_version(name) or ''}".strip() for name in names))


def openvino_findings(answer: dict[str, Any]) -> Iterator[Finding]:
    """Tell what OpenVINO said of itself."""
    if "problem" in answer:
        hint = "pip install --force-reinstall openvino; on Windows its C++ runtime may be missing too"
        yield wrong("openvino", "import", str(answer["problem"]), hint, LoadError.exit_code)
        return
    yield ok("openvino", "version", answer["version"])
    devices: dict[str, str] = answer["devices"]
    for name, full in devices.items():
        if full.startswith("does not answer"):
            hint = "reinstall the driver of this device"
            yield wrong("openvino", f"device {name}", full, hint, LoadError.exit_code)
        else:
            yield ok("openvino", f"device {name}", full)
    if not devices:
        hint = "reinstall openvino: even without any driver it brings the device CPU"
        yield wrong("openvino", "devices", "none", hint, LoadError.exit_code)
    missing = sorted({"ir", "onnx", "paddle", "pytorch", "tf", "tflite"} - set(answer["frontends"]))
    found = ", ".join(answer["frontends"])
    if missing:
        hint = f"models of {', '.join(missing)} cannot be read; install the openvino package of PyPI"
        yield note("openvino", "frontends", found or "none", hint)
    else:
        yield ok("openvino", "frontends", found)


def torch_findings(answer: dict[str, Any]) -> Iterator[Finding]:
    """Tell whether torch and torchvision can be imported, together."""
    problem = answer.get("problem")
    if problem is None:
        versions = ", ".join(f"{name} {found}" for name, found in answer.items())
        yield ok("extras", "torch works", versions)
        return
    torch, vision = _version("torch"), _version("torchvision")
    if "torch" in answer:
        wants = next((line for line in requires("torchvision") or [] if re.match(r"torch\b(?!-)", line)), "")
        asks = f" (it asks for {wants})" if wants else ""
        found = f"torch {torch} and torchvision {vision}{asks} do not work together: {problem}"
        hint = (
            "they were built for each other or not at all: reinstall both at once and from one index, "
            "as in pip install --force-reinstall torch torchvision"
        )
    else:
        found, hint = f"torch {torch} cannot be imported: {problem}", "pip install --force-reinstall torch"
    yield wrong("extras", "torch works", found, hint, ConversionError.exit_code)


def pip_finding(exit_code: int, answer: str, complaint: str) -> Finding:
    """Tell whether pip, which fetches models out of wheels, can be run."""
    if exit_code == 0:
        return ok("python", "pip runs", answer.partition(" from ")[0].removeprefix("pip ").strip())
    hint = f"{sys.executable} -m ensurepip, or install your system's package of pip"
    return wrong("python", "pip runs", complaint or "does not run", hint, DownloadError.exit_code)


def clock_finding(now: float) -> Finding:
    """Tell whether the clock can be right: certificates and cache times depend on it."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now >= OLDEST_NOW:
        return ok("python", "clock", shown)
    hint = "set the clock: no certificate is valid at that time, so every download will fail"
    return wrong("python", "clock", f"{shown} is before this version was made", hint, DownloadError.exit_code)
