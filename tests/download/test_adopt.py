"""Adoption: found by the names other programs give, proven by digest, copied, and never linked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from model_zoo.cache import Cache
from model_zoo.download import DownloadTask, download, local
from model_zoo.download.adopt import find_local_copies, search_roots
from model_zoo.errors import CacheFullError, OfflineError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings, load_settings
from model_zoo.sources import parse_source
from tests.cache.made import artifact, put_blob
from tests.tools import require_module

DATA = b"weights" * 100
HANDLE = "https://tfhub.dev/google/net/1"
SHA256 = hashlib.sha256(DATA).hexdigest()
SHA384 = hashlib.sha384(DATA).hexdigest()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with nothing in it."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MODEL_ZOO_ADOPT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "home/tfhub"))
    return tmp_path / "home"


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def run(cache, artifact, roots, model, report):
    """Download offline, from local copies only."""
    copies = tuple(find_local_copies(artifact, roots, model))
    (outcome,) = download(
        [DownloadTask(model, artifact, copies)],
        settings=Settings(offline=True),
        partials=cache.writable.partials,
        locks=cache.writable.locks,
        present=lambda task: cache.find_blob(task.artifact) is not None,
        publish=lambda result: cache.publish_blob(result.path, result.sha256, result.task.artifact),
        report=report,
    )
    if isinstance(outcome.error, OfflineError):
        return None
    if outcome.error is not None:
        raise outcome.error
    return outcome.result


def find_copy(artifact, roots, model="m"):
    """The file that an empty cache adopts the artifact from."""
    with tempfile.TemporaryDirectory() as directory:
        found = run(Cache(Path(directory)), artifact, roots, model, lambda _: None)
        return found and found.adopted_from


def adopt(cache, artifact, model="m", directories=(), report=lambda _: None):
    """The blob that the cache has after a fetch, or None; a fetch does nothing where nothing is found."""
    roots = search_roots(os.environ, directories)
    if any(find_local_copies(artifact, roots, model)) or cache.find_blob(artifact) is not None:
        run(cache, artifact, roots, model, report)
    return cache.find_blob(artifact)


def write(path, data=DATA):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def hub_file(root, repository="models--org--net", name=SHA256):
    """A file as the Hugging Face library lays it out."""
    blob = write(root / repository / "blobs" / name)
    snapshot = root / repository / "snapshots" / ("c" * 40) / "sub/net.onnx"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(os.path.relpath(blob, snapshot.parent))
    return blob


CASES = {
    "hub by digest": (lambda home: hub_file(home / ".cache/huggingface/hub"), "sha256", "any.bin", {}),
    "hub by name": (
        lambda home: hub_file(home / ".cache/huggingface/hub", name="0123abcd"),
        "sha384",
        "any.bin",
        {"hf": "org/net", "revision": "main", "file": "sub/net.onnx"},
    ),
    "checkpoint by name": (
        lambda home: write(home / ".cache/torch/hub/checkpoints/net.pth"),
        "sha384",
        "net.pth",
        {},
    ),
    "checkpoint by address": (
        lambda home: write(home / ".cache/torch/hub/checkpoints/far.pth"),
        "sha512",
        "net.pth",
        {"url": "https://example.org/a/far.pth?x=1"},
    ),
    "checkpoint by prefix": (
        lambda home: write(home / f".cache/torch/hub/checkpoints/other-{SHA256[:8]}.pth"),
        "sha256",
        "net.pth",
        {},
    ),
    "module by handle": (
        lambda home: write(home / "tfhub" / hashlib.sha1(HANDLE.encode()).hexdigest() / "saved_model.pb"),
        "sha384",
        "net/saved_model.pb",
        {"tfhub": HANDLE},
    ),
    "module": (lambda home: write(home / "tfhub/0a1b/variables/v.data"), "sha256", "variables/v.data", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_other_programs_caches(home, cache, case):
    make, algorithm, path, source = CASES[case]
    made = make(home)
    sources = (parse_source(source),) if source else ()
    one = artifact(path, DATA, algorithm, sources=sources)
    found = find_copy(one, search_roots(os.environ))
    assert found is not None
    assert found.samefile(made)
    events = []
    blob = adopt(cache, one, report=events.append)
    assert blob.read_bytes() == DATA
    assert not blob.samefile(made), "what others may write to shares no bytes with the cache"
    assert blob.stat().st_mode & 0o222 == 0
    assert made.stat().st_mode & 0o200
    assert cache.find_blob(one) == blob
    assert [(e.event, e.model, e.file) for e in events] == [("adopted", "m", path)]
    assert made.samefile(events[0].message)
    assert list((cache.top.root / "partial-v1").iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "folder", "file"),
    [
        ("HF_HUB_CACHE", "x", "models--a--b/blobs/" + SHA256),
        ("HUGGINGFACE_HUB_CACHE", "x", "models--a--b/blobs/" + SHA256),
        ("HF_HOME", "x", "hub/datasets--a--b/blobs/" + SHA256),
        ("XDG_CACHE_HOME", "x", "huggingface/hub/models--a--b/blobs/" + SHA256),
        ("XDG_CACHE_HOME", "x", "torch/hub/checkpoints/net.bin"),
        ("TORCH_HOME", "x", "hub/checkpoints/net.bin"),
        ("TFHUB_CACHE_DIR", "x", "module/net.bin"),
        ("MODEL_ZOO_ADOPT", "x", "net.bin"),
        ("MODEL_ZOO_ADOPT", "x", "public/m/net.bin"),
        ("MODEL_ZOO_ADOPT", "x", "m/net.bin"),
        ("MODEL_ZOO_ADOPT", "x", "intel/m/net.bin.orig"),
    ],
)
def test_where_the_variables_point(home, tmp_path, monkeypatch, variable, folder, file):
    made = write(tmp_path / folder / file)
    monkeypatch.setenv(variable, str(tmp_path / folder))
    found = search_roots(os.environ, load_settings().adopt)
    assert find_copy(artifact("net.bin", DATA), found, "m") == made


def test_caches_of_open_model_zoo(home, tmp_path, cache):
    """Its format 1: ``1/XX/REST`` of the sha384."""
    made = write(tmp_path / "omz/1" / SHA384[:2] / SHA384[2:])
    folders = [tmp_path / "none", tmp_path / "omz"]
    one = artifact("FP16/net.bin", DATA, "sha384")
    assert find_copy(one, search_roots(os.environ, folders)) == made
    assert adopt(cache, one, directories=folders).read_bytes() == DATA


def test_folders_given_by_the_caller(home, tmp_path, cache):
    write(tmp_path / "tree/intel/m/FP16/net.bin")
    one = artifact("FP16/net.bin", DATA, "sha384")
    assert adopt(cache, one) is None
    assert adopt(cache, one, directories=[tmp_path / "tree"])


def test_wrong_bytes_are_not_adopted(home, cache):
    hub_file(home / ".cache/huggingface/hub").write_bytes(DATA[:-1] + b"x")
    write(home / ".cache/torch/hub/checkpoints/net.pth", DATA[1:])
    assert find_copy(artifact("net.pth", DATA), search_roots(os.environ)) is None
    assert adopt(cache, artifact("net.pth", DATA)) is None
    assert not (cache.top.root / "blobs-v1").exists()
    assert list((cache.top.root / "partial-v1").iterdir()) == []


def test_all_declared_digests_count(home, cache):
    hub_file(home / ".cache/huggingface/hub")
    wrong = Artifact(path="a", size=len(DATA), sha256=SHA256, sha512="0" * 128)
    assert adopt(cache, wrong) is None


def test_nothing_is_adopted_without_a_digest(home, cache):
    write(home / ".cache/torch/hub/checkpoints/net.pth")
    assert adopt(cache, Artifact(path="net.pth", size=len(DATA))) is None
    assert find_copy(Artifact(path="net.pth", size=len(DATA)), search_roots(os.environ)) is None


def test_checkpoints_of_torchvision_are_proven_by_their_names(home, cache, monkeypatch):
    source = parse_source({"torchvision": "SqueezeNet1_1_Weights.IMAGENET1K_V1"})
    one = Artifact(path="net.pth", sources=(source,))
    name = source.locate(one, None).url.rpartition("/")[2]
    digits = name.rpartition("-")[2].removesuffix(".pth")
    made = write(home / ".cache/torch/hub/checkpoints" / name)
    assert adopt(cache, one) is None, "the digits are of other bytes"
    monkeypatch.setattr(type(source), "prefix", SHA256[: len(digits)])
    found = find_copy(one, search_roots(os.environ))
    assert found == made
    assert adopt(cache, one) == cache.find_blob(one)


def test_an_unknown_size_is_no_hindrance(home, cache):
    hub_file(home / ".cache/huggingface/hub")
    assert adopt(cache, Artifact(path="a", sha256=SHA256)).read_bytes() == DATA


def test_what_is_there_already_is_not_adopted_again(home, cache):
    hub_file(home / ".cache/huggingface/hub")
    blob = put_blob(cache, DATA)
    events = []
    assert adopt(cache, artifact("a", DATA), report=events.append) == blob
    assert events == []


def test_what_cannot_be_read_is_passed_over(home, cache, monkeypatch):
    unreadable = hub_file(home / ".cache/huggingface/hub")
    real = local.read_pieces

    def refuse(path):
        if path.resolve() == unreadable:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(local, "read_pieces", refuse)
    assert adopt(cache, artifact("a", DATA)) is None


def test_a_full_disk_is_said(home, cache, monkeypatch):
    hub_file(home / ".cache/huggingface/hub")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model_zoo.download.local.clone", refuse)
    with pytest.raises(CacheFullError):
        adopt(cache, artifact("a", DATA))


def test_folders_and_devices_are_not_files(home, cache):
    (home / ".cache/torch/hub/checkpoints/net.pth").mkdir(parents=True)
    os.mkfifo(home / f".cache/torch/hub/checkpoints/x-{SHA256[:8]}.pth")
    assert adopt(cache, Artifact(path="net.pth", sha256=SHA256)) is None


def test_an_account_without_home(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert [root.layout for root in search_roots({"TFHUB_CACHE_DIR": str(tmp_path / "absent")})] == []


def test_little_is_done_where_there_is_nothing(home, cache, monkeypatch):
    calls = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda *a: calls.append(a) or real(*a))
    assert adopt(cache, artifact("a", DATA)) is None
    assert calls == []
    assert not cache.top.root.exists()


def test_the_real_layout_of_the_hub(home, tmp_path):
    """The Hugging Face library itself looks where our made-up cache says."""
    require_module("huggingface_hub")
    from huggingface_hub import try_to_load_from_cache

    root = home / ".cache/huggingface/hub"
    hub_file(root)
    (root / "models--org--net/refs").mkdir()
    (root / "models--org--net/refs/main").write_text("c" * 40)
    found = try_to_load_from_cache("org/net", "sub/net.onnx", cache_dir=root)
    assert isinstance(found, str)
    assert find_copy(artifact("x", DATA), search_roots(os.environ)).samefile(found)


def test_a_layer_below_counts_as_there(home, tmp_path):
    low = Cache(tmp_path / "low")
    blob = put_blob(low, DATA)
    assert adopt(Cache(tmp_path / "top", [tmp_path / "low"]), artifact("a", DATA)) == blob
