"""Python, OpenVINO, its devices and frontends, the packages beside it, pip, the clock."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.errors import ConversionError, DownloadError, LoadError, ModelZooError
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

DISTRIBUTION = "model-zoo"
_STACKS = {"torch", "tensorflow", "nncf"}
"""Extras for conversions, which a converter environment provides as well."""
_RELEASED = 1767225600
"""2026-01-01, seconds since 1970: no correct clock shows an earlier time to anyone who has this version."""
_TIMEOUT = 120.0
"""Seconds for each script below; importing a framework from a cold disk takes a while."""

_OPENVINO = """
import json, sys
sys.modules["openvino_telemetry"] = None  # it would resolve a host name
import openvino
from openvino.frontend import FrontEndManager
core = openvino.Core()
devices = {}
for name in core.available_devices:
    try:
        devices[name] = str(core.get_property(name, "FULL_DEVICE_NAME"))
    except Exception as error:
        devices[name] = f"does not respond: {error}"
print(json.dumps({"version": openvino.get_version(), "devices": devices,
                  "frontends": sorted(FrontEndManager().get_available_front_ends())}))
"""
_PIP = "import pip, pip._internal; print('pip', pip.__version__)"
"""Not ``pip --version``, which opens a socket to find out whether this machine has IPv6."""
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


def check_machine() -> Iterator[Finding]:
    """Check what runs here. Frameworks run in processes of their own, as importing one may crash."""
    with ThreadPoolExecutor() as pool:
        openvino = pool.submit(_query, _OPENVINO)
        torch = pool.submit(_query, _TORCH) if _version("torch") else None
        pip = pool.submit(_run, _PIP)
        system = f"{platform.system()} {platform.machine()}"
        yield ok("python", "python", f"Python {platform.python_version()} on {system}, {sys.executable}")
        yield ok("python", DISTRIBUTION, __version__)
        yield from _packages()
        yield pip_finding(*pip.result())
        yield clock_finding(time.time())
        yield from openvino_findings(openvino.result())
        yield from _extras()
        if torch is not None:
            yield torch_finding(torch.result())


def _run(code: str) -> tuple[int, str, str]:
    """Run code in this Python; return its exit code, its output, and its last line on stderr."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, encoding="utf-8", errors="replace",
            timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, "".join(done.stderr.strip().splitlines()[-1:])


def _query(code: str) -> dict[str, Any]:
    """Return the JSON that code prints, or its ``problem``."""
    exit_code, output, error = _run(code)
    try:
        found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"problem": error or f"ended with exit code {exit_code} and no output"}
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _requirements() -> dict[str, list[str]]:
    """Return what this package requires on every Python, by extra; without one under an empty name."""
    found: dict[str, list[str]] = {"": []}
    with contextlib.suppress(PackageNotFoundError):
        for requirement in map(Requirement, requires(DISTRIBUTION) or []):
            marker = str(requirement.marker or "")
            if "python_version" not in marker:
                extra = marker.removeprefix("extra == ").strip('"')
                found.setdefault(extra, []).append(requirement.name)
    return found


def _packages() -> Iterator[Finding]:
    for name in _requirements()[""]:
        if name == "pip":
            continue  # it has a row of its own
        if found := _version(name):
            yield ok("python", name, found)
        else:
            code = LoadError.exit_code if name == "openvino" else ModelZooError.exit_code
            yield wrong("python", name, "not installed", f"pip install {name}", code)


def _extras() -> Iterator[Finding]:
    for extra, names in sorted(_requirements().items())[1:]:
        found = {name: _version(name) or _version(name.removesuffix("-cpu")) for name in names}
        missing = [name for name in names if not found[name]]
        if missing:
            hint = f"pip install {' '.join(missing)}, if you need it"
            hint += "; 'convert --isolate' works without it" if extra in _STACKS else ""
            yield note("extras", extra, f"not installed: {', '.join(missing)}", hint)
        else:
            yield ok("extras", extra, ", ".join(f"{name} {found[name]}" for name in names))


def openvino_findings(answer: dict[str, Any]) -> Iterator[Finding]:
    """Yield what OpenVINO reports about itself: its version, devices and frontends."""
    code = LoadError.exit_code
    if "problem" in answer:
        hint = "pip install --force-reinstall openvino; on Windows its C++ runtime may be missing too"
        yield wrong("openvino", "import", str(answer["problem"]), hint, code)
        return
    yield ok("openvino", "version", answer["version"])
    for name, description in answer["devices"].items():
        if description.startswith("does not respond"):
            yield wrong("openvino", f"device {name}", description, "reinstall this device's driver", code)
        else:
            yield ok("openvino", f"device {name}", description)
    if not answer["devices"]:
        hint = "reinstall openvino: it includes the CPU device, which needs no driver"
        yield wrong("openvino", "devices", "none", hint, code)
    found = ", ".join(answer["frontends"])
    if missing := sorted({"ir", "onnx", "paddle", "pytorch", "tf", "tflite"} - set(answer["frontends"])):
        hint = f"{', '.join(missing)} models cannot be read; install openvino from PyPI"
        yield note("openvino", "frontends", found or "none", hint)
    else:
        yield ok("openvino", "frontends", found)


def torch_finding(answer: dict[str, Any]) -> Finding:
    """Return whether torch and torchvision can be imported, and work together."""
    problem = answer.get("problem")
    if problem is None:
        versions = ", ".join(f"{name} {found}" for name, found in answer.items())
        return ok("extras", "torch works", versions)
    torch, vision = _version("torch"), _version("torchvision")
    if "torch" in answer:
        wants = next((line for line in requires("torchvision") or [] if re.match(r"torch\b(?!-)", line)), "")
        required = f" (which requires {wants})" if wants else ""
        found = f"torch {torch} and torchvision {vision}{required} do not work together: {problem}"
        hint = "reinstall a matching pair from one index: pip install --force-reinstall torch torchvision"
    else:
        found, hint = f"torch {torch} cannot be imported: {problem}", "pip install --force-reinstall torch"
    return wrong("extras", "torch works", found, hint, ConversionError.exit_code)


def pip_finding(exit_code: int, output: str, error: str) -> Finding:
    """Return whether pip, which fetches models from wheels, runs."""
    if exit_code == 0:
        return ok("python", "pip runs", output.partition(" from ")[0].removeprefix("pip ").strip())
    hint = f"{sys.executable} -m ensurepip, or install your system's pip package"
    return wrong("python", "pip runs", error or "does not run", hint, DownloadError.exit_code)


def clock_finding(now: float) -> Finding:
    """Return whether the clock can be right: certificates and times in the cache depend on it."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now >= _RELEASED:
        return ok("python", "clock", shown)
    hint = "set the clock: certificates are not valid at that time, so every download fails"
    found = f"{shown} is before this version was released"
    return wrong("python", "clock", found, hint, DownloadError.exit_code)
