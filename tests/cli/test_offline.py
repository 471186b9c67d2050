"""``MODEL_ZOO_OFFLINE=1`` opens no socket, whatever command is run; what is missing is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from model_zoo.cli.main import COMMANDS
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_tool

HOOK = """
import os, socket, sys
def watch(event, arguments):
    family = arguments[1] if event == "socket.__new__" else None
    asks = event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
    if asks or family in {socket.AF_INET, socket.AF_INET6}:
        with open(os.environ["SOCKETS_SEEN"], "a") as log:
            log.write(f"{' '.join(sys.argv)}: {event} {arguments[1:]}\\n")
sys.addaudithook(watch)
"""
UNKNOWN = [
    "https://127.0.0.1:9/m.onnx",
    "hf:org/net/m.onnx",
    "hf:org/net",
    "tfhub:google/net/1",
    "torchvision:resnet18",
    "wheel:tiny==1.0/tiny/m.onnx",
    "web",
    "branch",
]
LINES = [
    *(["fetch", uri] for uri in UNKNOWN),
    *(["convert", uri] for uri in UNKNOWN),
    ["lock", "branch"],
    ["catalog", "add", "hf:org/net/m.onnx"],
    ["list"], ["list", "--cached", "--json"], ["info", "one"], ["info", "branch"], ["info", "hf:org/net"],
    ["fetch", "one"], ["convert", "one"], ["path", "one"], ["path", "hf:org/net/m.onnx"], ["why", "one"],
    ["lock", "one", "-o", "x.lock"], ["fetch", "one", "--locked", "x.lock"], ["infer", "one"],
    ["bench", "one", "-t", "1"], ["seed", "layer", "one"],
    ["export", "--format", "tar", "-o", "out.tar", "one"], ["import", "out.tar"],
    ["push", "127.0.0.1:9/repo:tag", "one"], ["pull", "127.0.0.1:9/repo:tag"],
    ["cache", "info"], ["cache", "ls"], ["cache", "verify"], ["cache", "gc"],
    ["catalog", "validate", "catalog"], ["catalog", "add", "one.onnx", "-o", "added.yaml"],
    ["catalog", "html", "-o", "site", "one"], ["doctor"], ["completion", "bash"],
]  # fmt: skip


@pytest.fixture
def home(tmp_path):
    """Return a folder with a catalog: one model beside it, one on the web, one on a branch."""
    data = tiny_onnx()
    (tmp_path / "one.onnx").write_bytes(data)
    write_entry(tmp_path / "catalog", entry("one", data, {"file": "../one.onnx"}))
    write_entry(
        tmp_path / "catalog", entry("web", data, {"url": "https://127.0.0.1:9/web.onnx"}, path="web.onnx")
    )
    branch = entry("branch", data)
    source = {"hf": "org/net", "revision": "main", "file": "m.onnx"}
    branch["artifacts"] = [{"path": "m.onnx", "sources": [source], "integrity": "first-use"}]
    write_entry(tmp_path / "catalog", branch)
    return tmp_path


def run(home, arguments, *before, **more):
    environ = {
        **os.environ,
        "MODEL_ZOO_CACHE": str(home / "cache"),
        "MODEL_ZOO_CATALOG": str(home / "catalog"),
        "MODEL_ZOO_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "XDG_CONFIG_HOME": str(home / "config"),
        **more,
    }
    argv = [*before, sys.executable, "-c", "from model_zoo.cli.main import main; main()", *arguments]
    return subprocess.run(
        argv, cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=100
    )


def test_every_command_is_tried():
    assert {line[0] for line in LINES} == set(COMMANDS)


@pytest.mark.timeout(400)
def test_no_command_opens_a_socket(home):
    (home / "hook").mkdir()
    (home / "hook" / "sitecustomize.py").write_text(HOOK)
    seen = home / "sockets"
    for line in LINES:
        done = run(home, line, PYTHONPATH=str(home / "hook"), SOCKETS_SEEN=str(seen))
        assert done.returncode != 1, (line, done.stderr)
        assert not seen.exists(), seen.read_text()
        if line[-1] in UNKNOWN and line[0] not in {"info", "path"}:
            assert done.returncode == 4, (line, done.stderr)
            assert "offline" in done.stderr, (line, done.stderr)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_no_process_of_any_command_opens_a_socket(home):
    """As above, seen by the kernel: in workers, in pip, in native code."""
    strace = require_tool("strace")
    log = home / "strace"
    for line in LINES:
        run(home, line, strace, "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(log))
        wrong = re.findall(r".*AF_INET6?.*", log.read_text())
        assert not wrong, (line, wrong[:3])


@pytest.mark.parametrize(("name", "missing"), [("web", "web.onnx"), ("branch", "hf:org/net@main/m.onnx")])
def test_what_is_missing_and_how_to_get_it(home, name, missing):
    done = run(home, ["fetch", name])
    assert (done.returncode, done.stdout) == (4, "")
    assert missing in done.stderr
    assert f"model-zoo fetch {name}" in done.stderr


def test_several_missing_files_are_all_named(home):
    data = entry("many", b"")
    data["artifacts"] = [
        {"path": f"{i}.onnx", "size": i, "sha256": f"{i}" * 64, "sources": [{"url": "https://127.0.0.1:9/x"}]}
        for i in (1, 2, 3)
    ]
    write_entry(home / "catalog", data)
    done = run(home, ["fetch", "many", "one"])
    assert done.returncode == 4
    assert "3 of 3 files" in done.stderr
    assert "1.onnx (1 B), 2.onnx (2 B), 3.onnx (3 B)" in done.stderr
    assert Path(done.stdout.strip()).is_dir(), "the other model is there"
