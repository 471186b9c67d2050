"""What a scene is, what it is played on, and how what varies is taken out of what it prints."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import huggingface_hub.constants  # noqa: F401 - reads the environment once, before a scene changes it

from model_zoo import errors
from model_zoo.cli.main import cli, run
from tests.hub import Hub
from tests.server import Answer, Server
from tests.tiny import entry, tiny_onnx, write_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from tests.server import Exchange

SETTINGS = """\
attempts = 1
connect_timeout = 9.0
stall_timeout = 9.0
lock_timeout = 9.0
"""
CLEARED = (
    "MODEL_ZOO_",
    "HF_",
    "PIP_",
    "HUGGING",
    "XDG_",
    "TORCH_",
    "TFHUB_",
    "DOCKER_",
    "REGISTRY_",
    "OMZ_",
    "CURL_",
    "SSL_",
)
ALSO_CLEARED = ("FORCE_COLOR", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SOURCE_DATE_EPOCH", "KAGGLE_CACHE")
DATA = tiny_onnx()
BOOTSTRAP = "from model_zoo.cli.main import main; main()"
OMZ = ("omz_downloader", "omz_converter", "omz_info_dumper", "omz_data_downloader")


@dataclass(frozen=True)
class Scene:
    """One command and everything that leads to what it prints.

    Attributes:
        group: the folder of its text.
        name: the stem of its text.
        command: as typed; ``{tmp}`` and ``{server}``, an address, are filled in.
        steps: called with the stage, in order, before the command runs.
        keep: only lines that match are compared, where others tell of the machine.
    """

    group: str
    name: str
    command: str
    steps: tuple[Callable[[Stage], object], ...] = ()
    keep: str = ""

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Group:
    """Makes the scenes of one folder: ``scene = Group("download")``, ``scene("404", "fetch probe", …)``.

    Attributes:
        name: the folder.
        steps: what comes before the steps of each scene.
    """

    name: str
    steps: tuple[Callable[[Stage], object], ...] = ()

    def __call__(self, name: str, command: str, *steps: Callable[[Stage], object], keep: str = "") -> None:
        scene = Scene(self.name, name, command, (*self.steps, *steps), keep)
        assert str(scene) not in SCENES, f"two scenes are called {scene}"
        SCENES[str(scene)] = scene


SCENES: dict[str, Scene] = {}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Stage:
    """A home, a cache, a catalog and servers of one scene's own. The current folder is ``tmp``."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, warm: Path) -> None:
        self.tmp, self.monkeypatch, self.capfd, self.warm = tmp, monkeypatch, capfd, warm
        self.cache, self.catalog = tmp / "cache", tmp / "catalog"
        self.closing = ExitStack()
        self.stdout: str | None = None
        self.user: int | None = None
        self.patterns: list[tuple[str, str]] = []
        self._shown: list[errors.ModelZooError] = []
        self._prepare()

    def _prepare(self) -> None:
        for name in list(os.environ):
            if name.startswith(CLEARED) or name in ALSO_CLEARED or name.lower().endswith("_proxy"):
                self.monkeypatch.delenv(name)
        self.catalog.mkdir()
        (self.tmp / "home").mkdir()
        (self.tmp / "settings.toml").write_text(SETTINGS)
        self.env(HOME=self.tmp / "home", MODEL_ZOO_CACHE=self.cache, MODEL_ZOO_CATALOG=self.catalog)
        self.env(MODEL_ZOO_CONFIG=self.tmp / "settings.toml", COLUMNS="100", NO_COLOR="1", LC_ALL="C.UTF-8")
        self.env(PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
        self.env(HF_ENDPOINT="http://127.0.0.1:9")  # where nobody listens
        self.monkeypatch.chdir(self.tmp)
        self.monkeypatch.setattr(socket, "getaddrinfo", _only_loopback(socket.getaddrinfo))
        plain = errors.ModelZooError.__str__

        def traced(error: errors.ModelZooError) -> str:
            self._shown.append(error)
            return plain(error)

        self.monkeypatch.setattr(errors.ModelZooError, "__str__", traced)

    # -- what steps use

    def env(self, **variables: object) -> None:
        """Set environment variables; None takes one away."""
        for name, value in variables.items():
            if value is None:
                self.monkeypatch.delenv(name, raising=False)
            else:
                self.monkeypatch.setenv(name, str(value))

    @cached_property
    def server(self) -> Server:
        return self.closing.enter_context(Server())

    @cached_property
    def hub(self) -> Hub:
        hub = self.closing.enter_context(Hub())
        self.env(HF_ENDPOINT=hub.url(""), HF_HOME=self.tmp / "hf-home")
        return hub

    def entry(self, name: str, data: bytes, *sources: dict[str, str], **more: object) -> Path:
        """Write a catalog entry; keywords set to None are taken out."""
        made = entry(name, data, *sources, **more)
        return write_entry(self.catalog, {key: value for key, value in made.items() if value is not None})

    def file(self, path: str, text: str | bytes) -> Path:
        """Write a file below ``tmp``."""
        target = self.tmp / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return target

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file below ``tmp``, once."""
        text = (self.tmp / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        (self.tmp / path).write_text(text.replace(old, new, 1))

    def use_warm_cache(self) -> None:
        """Start with the cache in which ``probe`` was fetched and converted, and with its catalog."""
        shutil.copytree(self.warm / "cache", self.cache, symlinks=True)
        shutil.copytree(self.warm / "catalog", self.catalog, dirs_exist_ok=True)

    # -- running

    def type_in(self, command: str) -> Done:
        """Run a command in this process; in one of its own where stdout goes to a file."""
        filled = command.format(tmp=self.tmp, **self._addresses(command))
        program, *argv = shlex.split(filled)
        if self.stdout is not None:
            with Path(self.stdout).open("wb") as target:
                argv = [sys.executable, "-c", BOOTSTRAP, *argv]
                done = subprocess.run(argv, stdout=target, stderr=subprocess.PIPE, timeout=60, check=False)
            return Done(done.returncode, "", done.stderr.decode())
        self.capfd.readouterr()
        code = self._as_user(lambda: _omz(program, argv) if program in OMZ else run(cli, argv))
        captured = self.capfd.readouterr()
        return Done(code, captured.out, captured.err)

    def _addresses(self, command: str) -> dict[str, str]:
        return {"server": self.server.url("")} if "{server}" in command else {}

    def _as_user(self, call: Callable[[], int]) -> int:
        if self.user is None or os.geteuid() != 0:
            return call()
        os.seteuid(self.user)
        try:
            return call()
        finally:
            os.seteuid(0)

    def play(self, scene: Scene) -> str:
        """Return what is compared: the command, how it ended, and what it printed."""
        for step in scene.steps:
            step(self)
        self._shown.clear()
        command = scene.command if scene.command.startswith("omz_") else f"model-zoo {scene.command}"
        done = self.type_in(command)
        kinds = dict.fromkeys(self._classes(done))
        ending = ", ".join([f"exit {done.code}", *kinds])
        parts = [f"$ {command}", f"[{ending}]"]
        for title, text in (("stdout", done.out), ("stderr", done.err)):
            lines = [line.rstrip() for line in self.normalise(text).splitlines()]
            kept = [line for line in lines if not scene.keep or re.search(scene.keep, line)]
            if kept:
                parts += [f"--- {title}", *kept]
        return "\n".join(parts) + "\n"

    def _classes(self, done: Done) -> Iterator[str]:
        """Yield the classes of the errors whose first line was printed."""
        printed = done.out + done.err
        for error in list(self._shown):
            first = error.what.partition("\n")[0]
            if first in printed or first.replace('"', '\\"') in printed:
                yield type(error).__name__

    def normalise(self, text: str) -> str:
        """Replace what differs between machines and runs."""
        for found, shown in _words(self.tmp).items():
            text = text.replace(found, shown)
        for pattern, shown in (*_PATTERNS, *self.patterns):
            text = re.sub(pattern, shown, text)
        return text

    def close(self) -> None:
        self.closing.close()


def _only_loopback(real: Callable[..., Any]) -> Callable[..., Any]:
    """Be a machine whose name server knows no name but its own."""

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host in {None, "", "localhost", "127.0.0.1", "::1"}:
            return real(host, *rest, **more)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    return look_up


def _omz(program: str, argv: list[str]) -> int:
    module = import_module(f"model_zoo.omz.{program.removeprefix('omz_')}")
    try:
        module.main(argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _words(tmp: Path) -> dict[str, str]:
    openvino = metadata.version("openvino")
    return {
        str(tmp): "<tmp>",
        sys.executable: "<python>",
        f"model-zoo, version {metadata.version('model-zoo')}": "model-zoo, version <version>",
        openvino: "<openvino>",
        platform.python_version(): "<3.x.y>",
    }


_PATTERNS = (
    (r"(127\.0\.0\.1|localhost|\.org|\.invalid):\d+", r"\1:<port>"),
    (r"<openvino>(\.0)?-\d+(-\w+)*(-releases/\S+)?", "<openvino>"),
    (r"\bPID \d+( on [^\s,:]+)?", "PID <pid>"),
    (r"((ir|compiled|envs)-v1/|/irs:ir-|\"key\": \"|the IR |to send sha256:)[0-9a-f]{64}", r"\1<key>"),
    (r"(?m)^[0-9a-f]{64} \(", "<key> ("),
    (r"(files-v1/[^/\s]+/)[0-9a-f]{64}", r"\1<declaration>"),
    (r"(foreign-v1/)[0-9a-f]{8}-", r"\1<random>-"),
    (r"(model\.xml: .*\(sha256 )[0-9a-f]{16}…", r"\1<digest>…"),
    (r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", "<date>"),
    (r"\b\d+\.\d+ (m?s)\b", r"<time> \1"),
    (r'"seconds": ?[\d.e-]+', '"seconds":<time>'),
    (r"\b(m|net|only-a-name|one-word)-[0-9a-f]{8}\b", r"\1-<hex>"),
)


# --- steps that several groups use: each returns, or is, a function of the stage


def serves(*answers: Answer, data: bytes = DATA, **more: object) -> Callable[[Stage], None]:
    """Let the server have ``probe``'s file, with these answers, and the catalog its entry."""

    def step(stage: Stage) -> None:
        stage.server.add("/m.onnx", data, *answers)
        stage.entry("probe", data, {"url": stage.server.url("/m.onnx")}, **more)

    return step


def model(name: str = "probe", data: bytes = DATA, **more: object) -> Callable[[Stage], None]:
    """Let the catalog have a model whose file lies beside its entry."""

    def step(stage: Stage) -> None:
        stage.file(f"catalog/{name}.onnx", data)
        stage.entry(name, data, {"file": f"{name}.onnx"}, **more)

    return step


def edits(old: str, new: str, path: str = "catalog/probe.yaml") -> Callable[[Stage], None]:
    """Change a file, the entry of ``probe`` unless another is named."""
    return lambda stage: stage.edit(path, old, new)


def writes(path: str, text: str | bytes) -> Callable[[Stage], object]:
    """Write a file."""
    return lambda stage: stage.file(path, text)


def sets(**variables: object) -> Callable[[Stage], None]:
    """Set environment variables; ``{tmp}`` and ``{server}`` are filled in."""

    def step(stage: Stage) -> None:
        for name, value in variables.items():
            filled = value
            if isinstance(value, str):
                filled = value.format(tmp=stage.tmp, **stage._addresses(value))
            stage.env(**{name: filled})

    return step


def after(command: str, code: int = 0) -> Callable[[Stage], None]:
    """Run another command first, which must end with the code."""

    def step(stage: Stage) -> None:
        done = stage.type_in(f"model-zoo {command}")
        assert done.code == code, done.err

    return step


def warm(stage: Stage) -> None:
    """Start with ``probe`` fetched and converted."""
    stage.use_warm_cache()


def hides(*patterns: tuple[str, str]) -> Callable[[Stage], None]:
    """Replace more than is replaced everywhere."""
    return lambda stage: stage.patterns.extend(patterns)


sizes = hides(
    (r"\b[\d.]+ [kMGT]?B\b", "<size>"),
    (r'("(bytes|free|before|freed|after)": )\d+', r"\1<n>"),
    (r" {3,}<size>", "  <size>"),
)
"""Leave out sizes of what OpenVINO and the disk have a part in."""


def impatient(stage: Stage) -> None:
    """Wait for nobody long."""
    stage.edit("settings.toml", "stall_timeout = 9.0", "stall_timeout = 0.3")
    stage.edit("settings.toml", "lock_timeout = 9.0", "lock_timeout = 0.1")


def interrupted(exchange: Exchange) -> None:
    """Be a person who presses Ctrl-C while the server has not answered."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    exchange.pause(30)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command's words, the program's own (none) first."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))
