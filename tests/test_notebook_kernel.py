"""A real notebook kernel: what is shown, and that an interrupt ends the work and not the kernel."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import Answer, Exchange, Server, pattern
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = 60


class Kernel:
    """A kernel of this interpreter, asked cell by cell."""

    def __init__(self, folder: Path) -> None:
        require_module("jupyter_client")
        require_module("ipykernel")
        from jupyter_client import manager

        env = {
            **os.environ,
            "MODEL_ZOO_CACHE": str(folder / "cache"),
            "MODEL_ZOO_CATALOG": str(folder / "catalog"),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3", env=env)

    def start(self, code: str) -> str:
        return str(self.client.execute(code))

    def finish(self, asked: str) -> list[dict[str, Any]]:
        """Return everything the kernel said about a cell, up to its end."""
        said = []
        while True:
            message = self.client.get_iopub_msg(timeout=SOON)
            if message["parent_header"].get("msg_id") != asked:
                continue
            said.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return said

    def run(self, code: str) -> list[dict[str, Any]]:
        return self.finish(self.start(code))

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "catalog").mkdir()
    running = Kernel(tmp_path)
    yield running
    running.stop()


def text(said: list[dict[str, Any]]) -> str:
    return "".join(m["content"]["text"] for m in said if m["msg_type"] == "stream")


def error(said: list[dict[str, Any]]) -> str:
    return "".join(m["content"]["ename"] for m in said if m["msg_type"] == "error")


def test_interrupt_of_a_transfer(kernel: Kernel, tmp_path: Path) -> None:
    """The kernel lives, the bytes so far are kept, and the same cell goes on from there."""
    data, arriving = tiny_onnx() + pattern(4_000_000), threading.Event()

    def trickle(exchange: Exchange) -> None:
        exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "one"\r\n' % len(data))
        exchange.send(b"Accept-Ranges: bytes\r\n\r\n", count=False)
        exchange.send(data[:3_000_000])
        arriving.set()
        exchange.pause(SOON)

    with Server() as server:
        url = server.add("/m.onnx", data, Answer(act=trickle), Answer(headers={"ETag": '"one"'}))
        write_entry(tmp_path / "catalog", entry("slow", data, {"url": url}))
        cell = kernel.start("import model_zoo\nfiles = model_zoo.fetch('slow')\nprint('there')")
        assert arriving.wait(SOON)
        time.sleep(0.5)
        began = time.monotonic()
        kernel.manager.interrupt_kernel()
        assert error(kernel.finish(cell)) == "KeyboardInterrupt"
        assert time.monotonic() - began < 10
        assert "there" in text(kernel.run("files = model_zoo.fetch('slow')\nprint('there')"))
        first, *later = server.seen("/m.onnx")
        assert first.sent >= 3_000_000
        assert sum(one.sent for one in later) <= len(data) - 1_000_000, "it began again"


def test_interrupt_of_a_conversion(kernel: Kernel, tmp_path: Path) -> None:
    """The worker process ends with it, and nothing half-made is published."""
    write_entry(tmp_path / "catalog", entry("tiny", tiny_onnx(), {"file": "tiny.onnx"}))
    (tmp_path / "catalog" / "tiny.onnx").write_bytes(tiny_onnx())
    fifo = tmp_path / "python"  # an interpreter that says it works and then takes its time
    fifo.write_text(
        f'#!/bin/sh\ncase "$*" in *answer*) exec {sys.executable} "$@";; esac\n'
        f"echo $$ > {tmp_path}/pid; exec sleep {SOON}\n"
    )
    fifo.chmod(0o755)
    cell = kernel.start(f"import model_zoo\nmodel_zoo.convert('tiny', python={str(fifo)!r})")
    deadline = time.monotonic() + SOON
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    kernel.manager.interrupt_kernel()
    assert error(kernel.finish(cell)) == "KeyboardInterrupt"
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((tmp_path / "cache").glob("ir-v1/*"))
    assert "model.xml" in text(kernel.run("print(model_zoo.convert('tiny').xml)"))


def test_what_a_notebook_shows(kernel: Kernel, tmp_path: Path) -> None:
    """A model is a table, and bars are drawn."""
    with Server() as server:
        data = tiny_onnx()
        write_entry(tmp_path / "catalog", entry("tiny", data, {"url": server.add("/m.onnx", data)}))
        said = kernel.run("import model_zoo\nmodel_zoo.list_models('tiny')[0]")
        (shown,) = [m["content"]["data"] for m in said if m["msg_type"] == "execute_result"]
        assert "<table" in shown["text/html"]
        said = kernel.run(
            "import warnings; warnings.simplefilter('ignore')\n"
            "with model_zoo.progress_bars() as bars:\n"
            "    model_zoo.fetch('tiny', progress=bars)"
        )
    drawn = text(said) + json.dumps([m["content"] for m in said if m["msg_type"] == "display_data"])
    assert not error(said)
    assert "tiny" in drawn
    assert "total" in drawn
