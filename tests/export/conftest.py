"""A small catalog, the command line on a cache of its own, and a real registry."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest

from model_zoo.cli.main import cli, run
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

WEIGHTS = 40_000


def make_catalog(folder: Path) -> Path:
    """Write three entries beside their files: with sha256, with only sha384, and with several edits."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("tiny", "other", "third")):
        data = tiny_onnx(float(number + 1), (1, WEIGHTS), weights=WEIGHTS)
        (folder / f"{name}.onnx").write_bytes(data)
        described = entry(name, data, {"file": f"{name}.onnx"})
        if name == "third":
            del described["artifacts"][0]["sha256"]
            described["artifacts"][0]["sha384"] = hashlib.sha384(data).hexdigest()
        write_entry(folder, described)
    return folder


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_catalog(tmp_path_factory.mktemp("handoff") / "catalog")


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Path:
    """A cache in which all three are converted; never written to by tests."""
    cache = tmp_path_factory.mktemp("warm") / "cache"
    zoo = Zoo(settings=Settings(cache=cache, catalogs=(catalog,)))
    for name in ("tiny", "other", "third"):
        zoo.convert(name)
    zoo.convert("tiny@FP16")
    return cache


@pytest.fixture
def zoo(warm_cache: Path, catalog: Path) -> Zoo:
    return Zoo(settings=Settings(cache=warm_cache, catalogs=(catalog,)))


def environment(**more: str) -> dict[str, str]:
    """Return an environment without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODEL_ZOO_")}
    return kept | {"MODEL_ZOO_CONFIG": os.devnull, **more}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(warm_cache, catalog, tmp_path, monkeypatch, capfd) -> Callable[..., Done]:
    """Return a function that runs ``model-zoo ARGUMENTS`` in this process, in ``tmp_path``."""

    def type_in(*arguments: object, env: Mapping[str, str] | None = None) -> Done:
        stated = {"MODEL_ZOO_CACHE": str(warm_cache), "MODEL_ZOO_CATALOG": str(catalog), **(env or {})}
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("MODEL_ZOO_")]:
                patch.delenv(name)
            for name, value in {"MODEL_ZOO_CONFIG": os.devnull, **stated}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            capfd.readouterr()
            code = run(cli, [str(argument) for argument in arguments])
            captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return type_in


def tree(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Return mode, mtime (ns), size and digest of everything in a folder, itself included."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        stat = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        size = stat.st_size if path.is_file() else 0
        found[path.relative_to(folder).as_posix()] = (stat.st_mode, stat.st_mtime_ns, size, digest)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """A real docker-registry on loopback, its storage in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.storage = folder / "storage"
        self.host = f"127.0.0.1:{port}"
        self.log = folder / "log"

    def requests(self, method: str) -> list[str]:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if f'"{method} /v2/' in line]

    def blob(self, digest: str) -> Path:
        digits = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    yield from serve_registry(tmp_path / "registry")


def serve_registry(folder: Path, more: str = "") -> Iterator[Registry]:
    program = require_tool("docker-registry")
    folder.mkdir(parents=True)
    for _ in range(5):
        port = free_port()
        found = Registry(folder, port)
        config = folder / "config.yml"
        config.write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {found.storage}}}}}\n"
            f"http: {{addr: '{found.host}'}}\nlog: {{level: warn, accesslog: {{disabled: false}}}}\n{more}"
        )
        with found.log.open("wb") as log:
            process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
        try:
            if _is_up(found.host, process):
                yield found
                return
        finally:
            process.terminate()
            process.wait(timeout=20)
    pytest.fail(f"docker-registry does not start: {found.log.read_text()}")


def _is_up(host: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=2).close()
        except urllib.error.HTTPError:
            return True  # it asks for a login
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
