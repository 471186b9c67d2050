"""OpenVINO's core: one for the process, created when it is first needed."""

from __future__ import annotations

import functools
import importlib
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING

from model_zoo.errors import DeviceUnavailableError, LoadError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import openvino

_log = logging.getLogger(__name__)
VIRTUAL = {"AUTO", "MULTI", "HETERO", "BATCH"}
_creation = threading.Lock()


def core() -> openvino.Core:
    """Return the process's ``openvino.Core``."""
    with _creation:
        return _core()


@functools.cache
def _core() -> openvino.Core:
    try:
        module = _import_openvino()
    except ImportError as error:
        what = f"openvino cannot be imported: {error}"
        raise LoadError(what, hint="pip install openvino") from error
    _log.debug("OpenVINO %s", module.get_version())
    return module.Core()


def _import_openvino() -> ModuleType:
    """Import openvino without its telemetry, which forks and reports the import over the network."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def version() -> str:
    """Return OpenVINO's full version, with build number and commit."""
    return str(_import_openvino().get_version())


def read_model(path: Path, hint: str = "run 'model-zoo cache verify'") -> openvino.Model:
    """Read a file in one of OpenVINO's formats; the weights of an IR are mapped, not copied.

    Raises:
        LoadError: OpenVINO cannot read it.
    """
    try:
        return core().read_model(path)
    except RuntimeError as error:
        raise LoadError(f"OpenVINO cannot read {path}", found=reason(error), hint=hint) from error


def reason(error: Exception) -> str:
    """Return what an error of OpenVINO says, without the places in its source code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    return "; ".join((kept or lines)[:3])


def available_devices() -> list[str]:
    """Return the devices of this machine, as OpenVINO names them: ``CPU``, ``GPU.0``, ``NPU``."""
    return list(core().available_devices)


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Devices are ``CPU``, ``GPU.1``, ``AUTO``, ``AUTO:GPU,CPU``, ``MULTI:…``, ``HETERO:…``, ``BATCH:GPU(4)``.
    """
    virtual, colon, rest = device.partition(":")
    names = [part.strip() for part in rest.split(",")] if colon and virtual in VIRTUAL else [device]
    names = [re.sub(r"\(\d+\)$", "", name.removeprefix("-")) for name in names]
    if all(name in VIRTUAL or name == "CPU" for name in names):
        return  # always there, and asking every plug-in for its devices takes 20 ms
    available = available_devices()
    known = {*VIRTUAL, *available, *(name.partition(".")[0] for name in available)}
    for name in names:
        if name not in known:
            raise DeviceUnavailableError(
                f"there is no device {name or device!r} on this machine",
                expected=device,
                found=f"available: {', '.join([*available, 'AUTO'])}",
                hint="choose one of these with --device, or install the device's driver",
            )
