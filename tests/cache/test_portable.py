"""A layer copied, tarred, moved, mounted read-only, used by a stranger without a home: the same results."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care.usage import Usage
from model_zoo.cache.care.verify import verify
from tests.cache.made import artifact, put_ir, put_model, request_of
from tests.tools import require_root, require_tool

FILES = {"a/net.onnx": b"net" * 1000, "labels.txt": b"cat\ndog\n"}


@pytest.fixture(params=["hard links", "symbolic links", "copies"])
def filled(request, cache, monkeypatch):
    """A layer made with each of the ways to put a blob into a folder."""

    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        if request.param != "hard links":
            patch.setattr(os, "link", refuse)
            patch.setattr("model_zoo.files.links.clone", lambda *_: False)
        if request.param == "copies":
            patch.setattr(Path, "symlink_to", refuse)
        put_model(cache, "m", FILES, "sha384")
        put_ir(cache, "m")
    return cache


def results(root, *, writable=True):
    """Everything a look-up in a layer gives, without the layer's own path."""
    layers = (root, []) if writable else (None, [root])
    cache = Cache(*layers)
    folder = next((root / "files-v1/m").iterdir())
    files, manifest = cache.find_files("m", folder.name)
    (ir, _) = cache.find_requested(request_of("m"))[0]
    layer = cache.layers[0]
    return {
        "files": {path: (files / path).read_bytes() for path in FILES},
        "manifest": manifest,
        "ir": {path.name: path.read_bytes() for path in ir.iterdir()},
        "blobs": [
            cache.find_blob(artifact(path, data, "sha384")).relative_to(root).as_posix()
            for path, data in FILES.items()
        ],
        "inputs": cache.find_inputs(folder.name),
        "counts": {n: s.count for n, s in Usage(layer, writable=False).totals().items()},
        "listed": [(e.name, e.size, sorted(e.irs)) for e in Usage(layer, writable=False).by_model()],
        "faults": verify([layer], lambda _: None).problems,
    }


def copied(root, target):
    subprocess.run(["cp", "-r", str(root), str(target)], check=True)


def tarred(root, target):
    with tarfile.open(target.with_suffix(".tar"), "w") as tar:
        tar.add(root, arcname=target.name)
    options = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    with tarfile.open(target.with_suffix(".tar")) as tar:
        tar.extractall(target.parent, **options)


def moved(root, target):
    target.parent.joinpath("deep/er").mkdir(parents=True)
    shutil.move(root, target.parent / "deep/er/cache")
    (target.parent / "deep/er/cache").rename(target)


@pytest.mark.parametrize("carry", [copied, tarred, moved], ids=lambda carry: carry.__name__)
def test_a_layer_can_be_carried(filled, tmp_path, carry):
    before = results(filled.top.root)
    assert before["faults"] == []
    target = tmp_path / "elsewhere"
    carry(filled.top.root, target)
    shutil.rmtree(filled.top.root, ignore_errors=True)
    assert results(target) == before
    assert results(target, writable=False) == before
    shutil.rmtree(target / "state-v1")
    assert results(target, writable=False) == before


def test_a_carried_layer_can_be_written_on(filled, tmp_path):
    copied(filled.top.root, tmp_path / "elsewhere")
    cache = Cache(tmp_path / "elsewhere")
    put_model(cache, "n", {"x": b"new", **FILES}, "sha384")
    assert verify(cache.layers, lambda _: None).problems == []
    assert verify(filled.layers, lambda _: None).problems == []


def test_a_layer_that_is_seen_under_two_names(filled, tmp_path):
    (tmp_path / "name").symlink_to(filled.top.root)
    assert results(tmp_path / "name") == results(filled.top.root)


# --- strangers and read-only mounts: the questions are asked by a process of its own

ASK = """
import json, os, sys
from pathlib import Path
from model_zoo.cache import Cache
from model_zoo.cache.care.verify import verify
from model_zoo.cache.care.usage import Usage
from model_zoo.errors import CacheError
from model_zoo.settings import load_settings
sys.path.insert(0, sys.argv[3])
from tests.cache.made import put_model, request_of
root, top = Path(sys.argv[1]), sys.argv[2]
upper = {"none": None, "same": root}.get(top, Path(top))
cache = Cache(upper, [] if top == "same" else [root])
folder = next((root / "files-v1/m").iterdir()).name
try:
    put_model(cache, "n", {"x": b"1"})
    wrote = ""
except CacheError as error:
    wrote = f"{type(error).__name__}: {error.what}"
with cache.use() as works:
    pass
print(json.dumps({
    "uid": os.geteuid(),
    "files": cache.find_files("m", folder)[0].name == folder,
    "ir": len(cache.find_requested(request_of("m"))),
    "faults": [p.cause for p in verify([cache.layers[-1]], lambda _: None).problems],
    "count": Usage(cache.layers[-1], writable=True).totals()["blobs"].count,
    "wrote": wrote,
    "default": str(load_settings().cache),
}))
"""


def ask(root, top, *, prefix=(), environ=None):
    repository = Path(__file__).parents[2]
    argv = [*prefix, sys.executable, "-c", ASK, str(root), str(top), str(repository)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stamps(root):
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_ctime_ns) for p in [root, *root.rglob("*")]}


@pytest.fixture
def stranger(tmp_path):
    """Arguments that run a program as uid 12345, and who can reach the test's folder."""
    require_root()
    tool = require_tool("setpriv")
    probe = subprocess.run(
        [tool, "--reuid=12345", "--regid=12345", "--clear-groups", sys.executable, "-c", "import model_zoo"],
        capture_output=True,
        check=False,
        cwd="/",
    )
    if probe.returncode:
        pytest.skip("the interpreter or the package cannot be read by other users")
    tmp_path.chmod(0o755)
    return [tool, "--reuid=12345", "--regid=12345", "--clear-groups"]


@pytest.mark.system
@pytest.mark.parametrize("top", ["same", "none", "nowhere"])
def test_a_stranger_without_home(filled, tmp_path, stranger, top):
    before = stamps(filled.top.root)
    found = ask(filled.top.root, "/proc/nowhere" if top == "nowhere" else top, prefix=stranger)
    assert found["uid"] == 12345
    assert (found["files"], found["ir"], found["faults"], found["count"]) == (True, 1, [], 2)
    assert found["wrote"].startswith(("CacheReadOnlyError", "CacheError"))
    assert found["default"] == "None"
    assert stamps(filled.top.root) == before


@pytest.mark.system
def test_a_stranger_with_a_cache_of_his_own(filled, tmp_path, stranger):
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, 12345, 12345)
    found = ask(filled.top.root, own / "cache", prefix=stranger, environ={"HOME": str(own)})
    assert found["wrote"] == ""
    assert (found["files"], found["ir"], found["faults"]) == (True, 1, [])
    assert found["default"] == str(own / ".cache/model-zoo")


@pytest.mark.system
@pytest.mark.parametrize("mode", [0o700, 0o000])
def test_a_layer_a_stranger_may_not_look_into(filled, tmp_path, stranger, mode):
    """As good as absent, and no error for those who look."""
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, 12345, 12345)
    filled.top.root.chmod(mode)
    code = """
import sys
from pathlib import Path
from model_zoo.cache import Cache
from model_zoo.cache.care.verify import verify
from model_zoo.cache.care.usage import Usage
sys.path.insert(0, sys.argv[1])
from tests.cache.made import artifact, put_model
cache = Cache(Path(sys.argv[2]), [Path(sys.argv[3])])
assert cache.find_ir("0" * 64) is None
assert cache.find_requested("0" * 64) == []
assert cache.find_inputs("0" * 64) is None
assert cache.find_blob(artifact("a", b"1", "sha384")) is None
put_model(cache, "n", {"x": b"1"}, "sha384")
assert verify(cache.layers, lambda _: None).problems == []
assert [e.name for l in cache.layers for e in Usage(l, writable=True).by_model()] == ["n"]
"""
    repository = Path(__file__).parents[2]
    argv = [*stranger, sys.executable, "-c", code, str(repository), str(own / "cache"), str(filled.top.root)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, cwd="/")
    filled.top.root.chmod(0o755)
    assert done.returncode == 0, done.stderr


@pytest.mark.system
def test_a_sticky_folder_that_everybody_may_write_to(tmp_path, stranger):
    """Root made the cache for all, as in /tmp; a stranger adds to it and cannot take root's things away."""
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o1777)
    previous = os.umask(0)
    try:
        cache = Cache(root)
        put_model(cache, "m", FILES, "sha384")
        put_ir(cache, "m")
        for folder in [p for p in root.rglob("*") if p.is_dir()]:
            folder.chmod(0o1777)
        found = ask(root, "same", prefix=stranger)
    finally:
        os.umask(previous)
    assert found["wrote"] == ""
    assert (found["files"], found["ir"], found["faults"]) == (True, 1, [])
    assert verify(cache.layers, lambda _: None).problems == []


@contextlib.contextmanager
def mounted_read_only(root, target):
    target.mkdir()
    subprocess.run(["mount", "--bind", str(root), str(target)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(target)], check=True)
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.system
@pytest.mark.parametrize("top", ["same", "none"])
def test_a_read_only_mount(filled, tmp_path, top):
    require_root()
    with mounted_read_only(filled.top.root, tmp_path / "mounted") as mounted:
        found = ask(mounted, top)
        assert (found["files"], found["ir"], found["faults"], found["count"]) == (True, 1, [], 2)
        assert found["wrote"].startswith("CacheReadOnlyError")
        shutil.rmtree(filled.top.state)
        found = ask(mounted, top)
        assert (found["files"], found["ir"]) == (True, 1), "notes are derived in memory"
