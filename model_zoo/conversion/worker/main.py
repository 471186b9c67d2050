"""The worker's entry point: one conversion, in any interpreter that has numpy and openvino."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo.conversion.worker.explain import explain
from model_zoo.errors import ConversionError, ModelZooError
from model_zoo.systems import system

if TYPE_CHECKING:
    from collections.abc import Callable

_NETWORK_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


def main(directory: str) -> None:
    """Carry out the ``request.json`` of a directory, and write ``answer.json`` beside it."""
    scratch = Path(directory)
    request = json.loads((scratch / "request.json").read_text(encoding="utf-8"))
    on_stage = _take_stdout()
    if not request.get("trust_code"):  # whatever a library asks for, torch.load then reads tensors only
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    system.end_with_parent()
    forbid_network()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # before openvino is imported
    try:
        from model_zoo.conversion.worker import pipeline

        started = time.monotonic()
        result = pipeline.run(request, on_stage)
        if os.linesep != "\n":  # OpenVINO writes XML as text, with the system's ends of lines
            for path in Path(request["staging"]).rglob("*.xml"):
                path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
        measured = {"seconds": round(time.monotonic() - started, 3), "peak_memory": peak_memory()}
        answer: dict[str, Any] = {"result": {**result, **measured}}
    except ModelZooError as error:
        answer = {"error": _plain(error)}
    except Exception as error:  # noqa: BLE001 - frameworks raise anything
        traceback.print_exc()
        answer = {"error": _plain(explain(error))}
    staged = scratch / "answer.part"
    staged.write_text(json.dumps(answer), encoding="utf-8")
    staged.replace(scratch / "answer.json")


def _plain(error: ModelZooError) -> dict[str, Any]:
    texts = {name: getattr(error, name) for name in ("what", "expected", "found", "hint")}
    return {"class": type(error).__name__, **{k: None if v is None else str(v) for k, v in texts.items()}}


def peak_memory() -> int | None:
    """Return the most memory that this process ever used, in bytes; None if the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def forbid_network() -> None:
    """Refuse every connection that Python code of this process tries to open. This cannot be undone."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _NETWORK_EVENTS:
            return
        address = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
        if isinstance(address, (str, bytes)) and event == "socket.connect":
            return  # a socket of this machine
        what = f"the conversion tried to reach the network at {address}"
        raise ConversionError(what, hint="list what it downloads among the artifacts of the catalog entry")

    sys.addaudithook(watch)


def _take_stdout() -> Callable[[str], None]:
    """Keep the pipe to the parent for stages; everything printed from now on goes to the log."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    return lambda stage: print(stage, file=pipe, flush=True)
