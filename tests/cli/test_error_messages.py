"""Every error says what failed, what was expected and found, what is left, and what to do next.

Two halves: every place in the code that makes an error gives it a hint, and every class is provoked for real,
through the command line where a person meets it there, and its message examined part by part.
"""

from __future__ import annotations

import ast
import hashlib
import os
import threading
from pathlib import Path

import pytest

from model_zoo import errors
from model_zoo.cache import Cache
from tests.server import Server, status
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_root, require_tool

PACKAGE = Path(errors.__file__).parent
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ModelZooError)
}
WITHOUT_HINT = {
    "download": "download/failures.py joins the errors of all sources and adds the hint",
    "sources": "raised while a source is tried; download/failures.py adds the hint",
    "omz": "the words of the commands that these replace, which scripts look for",
}
"""Where an error may be made without a hint, and why."""


def makings():
    """Yield (file, line, class, keywords) of every call that makes an error."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in CLASSES:
                    keywords = {keyword.arg for keyword in node.keywords}
                    yield path.relative_to(PACKAGE).as_posix(), node.lineno, name, keywords


def test_every_error_is_made_with_a_hint():
    bare = [
        f"{file}:{line} {name}"
        for file, line, name, keywords in makings()
        if not keywords & {"hint", None} and not file.startswith(tuple(f"{part}/" for part in WITHOUT_HINT))
    ]
    assert bare == []


def test_every_class_is_made_somewhere():
    made = {name for _, _, name, _ in makings()}
    abstract = {"ModelZooError", "IntegrityError", "DownloadError", "LoadError", "CacheError"}
    assert set(CLASSES) - abstract <= made


# --- every class, provoked


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Give up at once where the network or a lock is waited for."""
    file = tmp_path / "settings.toml"
    text = "attempts = 1\nconnect_timeout = 2.0\nstall_timeout = 1.0\nlock_timeout = 0.2\n"
    file.write_text(text)
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(file))
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "catalog").mkdir()


@pytest.fixture
def server():
    with Server() as running:
        yield running


DATA = tiny_onnx()


class Stage:
    """What the scenes below are played with."""

    def __init__(self, shell, server, tmp_path, monkeypatch):
        self.shell, self.server, self.path, self.monkeypatch = shell, server, tmp_path, monkeypatch
        self.cache = tmp_path / "cache"

    def entry(self, *answers, data=DATA, **more):
        self.server.add("/m.onnx", data, *answers)
        made = entry("probe", data, {"url": self.server.url("/m.onnx")}, **more)
        write_entry(self.path / "catalog", made)
        return made


SCENES = {}


def scene(kind, *parts, left=False):
    """Register how a class is provoked: the function returns the command's end or the error itself."""

    def keep(function):
        SCENES[kind.__name__] = (function, kind, parts, left)
        return function

    return keep


@scene(errors.UsageError, "name at least one model")
def nothing_named(stage):
    return stage.shell("fetch")


@scene(errors.UnknownModelError, "'magika-standrd-v3'", "magika-standard-v3")
def misspelt(stage):
    return stage.shell("info", "magika-standrd-v3")


@scene(errors.UnknownPrecisionError, "FP99", "FP32, FP16")
def odd_precision(stage):
    return stage.shell("convert", "magika-standard-v3@FP99")


@scene(errors.CatalogError, "probe.yaml:3", "task")
def wrong_field(stage):
    stage.entry()
    path = stage.path / "catalog" / "probe.yaml"
    path.write_text(path.read_text().replace("task: test", "task: [1]"))
    return stage.shell("fetch", "probe")


@scene(errors.PolicyError, "MIT", "Apache-2.0")
def licence_that_is_not_allowed(stage):
    stage.entry(status(200))
    stage.monkeypatch.setenv("MODEL_ZOO_LICENSES", "Apache-2.0")
    return stage.shell("fetch", "probe")


@scene(errors.SourceUnavailableError, "404", left=True)
def not_there(stage):
    stage.entry(status(404))
    return stage.shell("fetch", "probe")


@scene(errors.TransferInterruptedError, "m.onnx", left=True)
def broken_off(stage):
    from tests.server import Answer

    stage.entry(Answer(cut=40))
    return stage.shell("fetch", "probe")


@scene(errors.OfflineError, "probe")
def no_network(stage):
    stage.entry()
    return stage.shell("--offline", "fetch", "probe")


@scene(errors.DigestMismatchError, hashlib.sha256(DATA).hexdigest(), left=True)
def other_bytes(stage):
    stage.entry()
    stage.server.add("/m.onnx", bytes(len(DATA)))
    return stage.shell("fetch", "probe")


@scene(errors.SizeMismatchError, f"{len(DATA)} bytes", f"{len(DATA) + 7} bytes", left=True)
def other_size(stage):
    stage.entry()
    stage.server.add("/m.onnx", bytes(len(DATA) + 7))
    return stage.shell("fetch", "probe")


@scene(errors.CacheMissError, "is not in the cache", "model-zoo convert")
def not_cached(stage):
    stage.entry()
    return stage.shell("path", "probe")


@scene(errors.CacheError, "cache")
def a_file_in_the_way(stage):
    stage.entry()
    stage.cache.write_text("")
    return stage.shell("fetch", "probe")


@scene(errors.CacheReadOnlyError, "cannot write")
def read_only(stage):
    require_root()
    stage.entry()
    stage.cache.mkdir()
    mounted(stage, "ro,size=1m")
    return stage.shell("fetch", "probe")


@scene(errors.CacheFullError, "not enough disk space", "bytes free")
def full(stage):
    require_root()
    data = tiny_onnx(weights=200_000)
    stage.entry(data=data)
    stage.cache.mkdir()
    mounted(stage, "size=400k")
    return stage.shell("fetch", "probe")


def mounted(stage, options):
    arguments = ("-t", "tmpfs", "-o", options, "none", str(stage.cache))
    assert os.spawnl(os.P_WAIT, require_tool("mount"), "mount", *arguments) == 0


@scene(errors.LockTimeoutError, "PID")
def somebody_cleans(stage):
    stage.entry()
    held, done = threading.Event(), threading.Event()

    def clean():
        with Cache(stage.cache).exclusive():
            held.set()
            done.wait(30)

    other = threading.Thread(target=clean)
    other.start()
    held.wait(30)
    try:
        return stage.shell("fetch", "probe")
    finally:
        done.set()
        other.join()


@scene(errors.CacheDamagedError, "behind a symlink", left=True)
def planted_link(stage):
    stage.entry()
    (stage.cache / "elsewhere").mkdir(parents=True)
    (stage.cache / "blobs-v1").symlink_to(stage.cache / "elsewhere")
    return stage.shell("fetch", "probe")


@scene(errors.UnsupportedModelError, "It is odd.")
def declared_odd(stage):
    stage.entry(convertible=False, reason="It is odd.")
    return stage.shell("convert", "probe")


@scene(errors.ConversionError, "labels", "a list at names")
def labels_that_are_none(stage):
    stage.entry(labels={"artifact": "m.onnx", "key": "names"})
    return stage.shell("convert", "probe")


@scene(errors.UntrustedCodeError, "recipe.builder", "net", "--trust-code", left=True)
def code_of_others(stage):
    recipe = {"builder": {"module": "net", "callable": "make"}, "inputs": [{"shape": [1, 4]}]}
    stage.entry(framework="pytorch", recipe=recipe)
    return stage.shell("convert", "probe")


@scene(errors.MissingExtraError, "pip install", "torch")
def no_torch(stage):
    recipe = {"builder": {"torchvision": "resnet18"}, "inputs": [{"shape": [1, 3, 32, 32]}]}
    stage.monkeypatch.setenv("PYTHONPATH", str(stage.path / "none"))
    stage.entry(framework="pytorch", recipe=recipe)
    return stage.shell("convert", "probe")


@scene(errors.DeviceUnavailableError, "NOSUCH", "available: ")
def no_device(stage):
    stage.entry()
    return stage.shell("infer", "probe", "--device", "NOSUCH")


@scene(errors.CompileError, "CPU")
def refused_by_the_plugin(stage):
    stage.entry()
    return stage.shell("infer", "probe", "--device", "CPU", "--config", "NO_SUCH_PROPERTY=1")


@scene(errors.InputError, "notes.txt does not fit", "x [1,4] float32", "5 bytes")
def input_that_does_not_fit(stage):
    stage.entry()
    (stage.path / "notes.txt").write_text("hello")
    return stage.shell("infer", "probe", str(stage.path / "notes.txt"), "--device", "CPU")


@pytest.fixture
def stage(shell, server, tmp_path, monkeypatch, quick):
    # what ``quick`` set is set again: ``shell`` takes settings away
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(tmp_path / "settings.toml"))
    made = Stage(shell, server, tmp_path, monkeypatch)
    yield made
    if os.path.ismount(made.cache):
        os.spawnl(os.P_WAIT, require_tool("umount"), "umount", str(made.cache))


NOT_PROVOKED = {
    "ModelZooError": "the base, and what a bug is shown as: tests/cli/test_main.py",
    "DownloadError": "its subclasses are",
    "IntegrityError": "its subclasses are",
    "LoadError": "its subclasses are",
    "SourceMissingError": "tests/sources asks the hub for what it does not have",
    "WorkerCrashedError": "tests/conversion kills workers",
}


def test_every_class_has_a_scene():
    assert set(SCENES) | set(NOT_PROVOKED) == set(CLASSES)
    assert not set(SCENES) & set(NOT_PROVOKED)


@pytest.mark.system
@pytest.mark.parametrize("name", SCENES)
def test_its_message_answers_the_four_questions(stage, name, capfd):
    function, kind, parts, left = SCENES[name]
    raised = []
    original = errors.ModelZooError.__str__
    stage.monkeypatch.setattr(
        errors.ModelZooError, "__str__", lambda self: raised.append(type(self)) or original(self)
    )
    done = function(stage)
    assert done.code == kind.exit_code, done.err
    assert kind in raised, f"another class was raised: {raised}"
    lines = done.err.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("error: "))
    message = "\n".join(lines[first:])
    assert "Traceback" not in done.err
    for part in parts:
        assert part in message, message
    labels = [line[2:].partition(":")[0] for line in lines[first + 1 :] if line.startswith("  ")]
    order = [label for label in labels if label in {"expected", "found", "on disk", "next"}]
    assert order == sorted(order, key=["expected", "found", "on disk", "next"].index)
    assert order[-1] == "next", message
    assert not left or "on disk" in order, message
    assert ("expected" in order) == ("found" in order) or "found" in order, message
