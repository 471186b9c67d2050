"""OpenVINO's core: one for the process, made when it is first needed."""

from __future__ import annotations

import functools
import re
import sys
import threading
from typing import Any

from model_zoo.errors import DeviceUnavailableError, LoadError

VIRTUAL = {"AUTO", "MULTI", "HETERO", "BATCH"}
_making = threading.Lock()


@functools.cache
def _made() -> Any:  # noqa: ANN401 - openvino has no types here
    try:
        return _openvino().Core()
    except ImportError as error:
        what = f"openvino cannot be imported: {error}"
        raise LoadError(what, hint="pip install openvino") from error


def _openvino() -> Any:  # noqa: ANN401
    """Import openvino without its telemetry, which forks and reports the very import over the network."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def core() -> Any:  # noqa: ANN401
    """Return the process's ``openvino.Core``.

    Raises:
        LoadError: openvino cannot be imported.
    """
    with _making:
        return _made()


def version() -> str:
    """Return OpenVINO's full version, with build number and commit."""
    return str(_openvino().get_version())


def available_devices() -> list[str]:
    """Return the devices of this machine, as OpenVINO names them: ``CPU``, ``GPU.0``, ``NPU``."""
    return list(core().available_devices)


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Args:
        device: ``CPU``, ``GPU.1``, ``AUTO``, ``AUTO:GPU,CPU``, ``MULTI:…``, ``HETERO:…``, ``BATCH:GPU(4)``.

    Raises:
        DeviceUnavailableError: names those it has.
    """
    virtual, colon, rest = device.partition(":")
    names = [part.strip() for part in rest.split(",")] if colon and virtual in VIRTUAL else [device]
    bares = [re.sub(r"\(\d+\)$", "", name.removeprefix("-")) for name in names]
    if all(bare in VIRTUAL or bare == "CPU" for bare in bares):
        return  # always there, and asking every plug-in for its devices costs 20 ms
    available = available_devices()
    for bare in bares:
        known = bare in VIRTUAL or any(bare in {one, one.partition(".")[0]} for one in available)
        if not known:
            raise DeviceUnavailableError(
                f"there is no device {bare or device!r} on this machine",
                expected=device,
                found=f"available: {', '.join([*available, 'AUTO'])}",
                hint="choose one of these with --device, or install the driver of the one you want",
            )
