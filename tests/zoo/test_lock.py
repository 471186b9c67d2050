"""Locks: the same file for the same models, and a refusal that names exactly what moved."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest

from model_zoo import errors
from model_zoo.catalog.lockfile import lockfile_text
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Zoo
from model_zoo.zoo.lockfile import lock_models
from tests.tiny import entry, tiny_onnx, write_entry

FAST = {"attempts": 1, "connect_timeout": 5.0, "stall_timeout": 5.0}


@pytest.fixture
def make_zoo(tmp_path):
    def make(lock=None, **more):
        settings = {"cache": tmp_path / "cache", "catalogs": (tmp_path / "catalog",), **FAST, **more}
        return Zoo(settings=Settings(**settings), lock=lock)

    (tmp_path / "catalog").mkdir()
    return make


def publish(hub, tmp_path, data=None, **more):
    data = tiny_onnx() if data is None else data
    hub.add("/tiny.onnx", data)
    write_entry(tmp_path / "catalog", entry("tiny", data, {"url": hub.url("/tiny.onnx")}, **more))


def lock(zoo, tmp_path, *references, **how):
    path = tmp_path / "model-zoo.lock"
    path.write_text(lockfile_text(lock_models(zoo, references, **how)))
    return path


def test_a_lock_is_stable_sorted_and_whole(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    hub.branch("org/net", "main", hub.commit("org/net", {"m.onnx": tiny_onnx(2.0)}))
    first = lock(make_zoo(), tmp_path, "tiny", "hf:org/net/m.onnx").read_text()
    again = lock(make_zoo(cache=tmp_path / "b"), tmp_path, "hf:org/net/m.onnx", "tiny").read_text()
    assert first == again
    data = json.loads(first)
    assert list(data["models"]) == sorted(data["models"])
    assert first == json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (source,) = data["models"]["hf:org/net/m.onnx"]["artifacts"][0]["sources"]
    assert len(source["revision"]) == 40
    ir = data["models"]["tiny"]["ir"]["FP32"]
    assert len(ir["key"]) == 64
    assert {one["path"] for one in ir["outputs"]} == {"model.xml", "model.bin"}
    assert ir["parts"]["versions"]["openvino"]
    assert str(tmp_path) not in first, "a lock says nothing about this machine"


def test_what_is_locked_is_fetched_and_converted_again_elsewhere(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    first = hub.commit("org/net", {"m.onnx": tiny_onnx(2.0)})
    hub.branch("org/net", "main", first)
    path = lock(make_zoo(), tmp_path, "tiny", "hf:org/net/m.onnx")
    hub.branch("org/net", "main", hub.commit("org/net", {"m.onnx": tiny_onnx(3.0)}))
    zoo = make_zoo(path, cache=tmp_path / "elsewhere")
    zoo.require_pinned = True
    locked = json.loads(path.read_text())["models"]
    for reference in ("tiny", "hf:org/net/m.onnx"):
        converted = zoo.convert(reference)
        assert converted.key == locked[reference]["ir"]["FP32"]["key"]
        assert not hub.asked("/api/models/org/net/revision/main")[1:], "the lock knows which commit"
    assert zoo.fetch("hf:org/net/m.onnx").files["m.onnx"].read_bytes() == tiny_onnx(2.0)


def test_a_branch_moves_on_only_by_locking_again(hub, make_zoo, tmp_path):
    source = {"hf": "org/net", "revision": "main", "file": "m.onnx"}
    base = entry("net", b"", source, path="m.onnx")
    base["artifacts"] = [{"path": "m.onnx", "sources": [source], "integrity": "first-use"}]
    write_entry(tmp_path / "catalog", base)
    commits = [hub.commit("org/net", {"m.onnx": tiny_onnx(value)}) for value in (1.0, 2.0)]
    hub.branch("org/net", "main", commits[0])
    path = lock(make_zoo(), tmp_path, "net")
    hub.branch("org/net", "main", commits[1])
    for zoo in (make_zoo(path), make_zoo(path, cache=tmp_path / "b"), make_zoo()):
        assert zoo.fetch("net").files["m.onnx"].read_bytes() == tiny_onnx(1.0)
    path = lock(make_zoo(), tmp_path, "net")
    for zoo in (make_zoo(path), make_zoo()):
        assert zoo.fetch("net").files["m.onnx"].read_bytes() == tiny_onnx(2.0)


def test_another_digest_in_the_catalog(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny")
    publish(hub, tmp_path, tiny_onnx(2.0))
    for act in (Zoo.fetch, Zoo.convert):
        with pytest.raises(errors.IntegrityError) as caught:
            act(make_zoo(path), "tiny")
        assert "m.onnx: sha256: locked " in caught.value.found
        assert "model-zoo lock" in caught.value.hint


def test_files_that_come_and_go(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny")
    data = entry("tiny", tiny_onnx(), {"url": hub.url("/tiny.onnx")}, path="other.onnx")
    write_entry(tmp_path / "catalog", data)
    with pytest.raises(errors.IntegrityError) as caught:
        make_zoo(path).fetch("tiny")
    assert "other.onnx is not in the lock" in caught.value.found
    assert "m.onnx is locked, but no longer in the entry" in caught.value.found


def test_another_recipe_and_other_tools(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny")
    publish(hub, tmp_path, recipe={"inputs": [{"name": "x", "shape": [1, 4], "layout": "NC"}]})
    assert make_zoo(path).fetch("tiny").files, "the files are the same"
    with pytest.raises(errors.IntegrityError) as caught:
        make_zoo(path).convert("tiny")
    assert "recipe.inputs: now [" in caught.value.found
    assert ", locked absent" in caught.value.found
    publish(hub, tmp_path)
    data = json.loads(path.read_text())
    ir = data["models"]["tiny"]["ir"]["FP32"]
    ir["parts"]["versions"]["openvino"] = "1999.1"
    ir["key"] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(errors.IntegrityError, match="would not reproduce the locked IR") as caught:
        make_zoo(path).convert("tiny")
    assert "versions.openvino: now " in caught.value.found
    assert "locked 1999.1" in caught.value.found


def test_the_locked_ir_is_taken_whatever_is_installed_here(hub, make_zoo, tmp_path, monkeypatch):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny")
    made = make_zoo(path).convert("tiny")
    monkeypatch.setattr("model_zoo.zoo.pipeline.toolchain", lambda *_, **__: {"openvino": "2099.1"})
    assert make_zoo(path).convert("tiny").xml == made.xml
    with pytest.raises(errors.IntegrityError, match="would not reproduce the locked IR"):
        make_zoo(path, cache=tmp_path / "elsewhere").convert("tiny")


def test_an_ir_with_other_bytes_is_not_published(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny")
    data = json.loads(path.read_text())
    data["models"]["tiny"]["ir"]["FP32"]["outputs"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(data))
    other = tmp_path / "elsewhere"
    with pytest.raises(errors.IntegrityError, match=r"model.bin of the IR differs from the locked one"):
        make_zoo(path, cache=other).convert("tiny")
    assert not [*other.glob("ir-v1/*")]
    with pytest.raises(errors.IntegrityError, match="differs from the locked one"):
        make_zoo(path).convert("tiny")


def test_served_bytes_that_drift(hub, make_zoo, tmp_path):
    hub.add("/m.onnx", tiny_onnx(1.0))
    source = {"url": hub.url("/m.onnx")}
    base = entry("net", b"", source)
    base["artifacts"] = [{"path": "m.onnx", "sources": [source], "integrity": "first-use"}]
    write_entry(tmp_path / "catalog", base)
    path = lock(make_zoo(), tmp_path, "net")
    hub.add("/m.onnx", tiny_onnx(2.0))
    with pytest.raises(errors.IntegrityError) as caught:
        make_zoo(path, cache=tmp_path / "elsewhere").fetch("net")
    assert "m.onnx" in str(caught.value)
    base["artifacts"][0]["sources"] = [{"url": hub.url("/n.onnx")}]
    write_entry(tmp_path / "catalog", base)
    with pytest.raises(errors.IntegrityError) as caught:
        make_zoo(path).fetch("net")
    assert "m.onnx: sources: locked " in caught.value.found


def test_what_is_not_locked(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    path = lock(make_zoo(), tmp_path, "tiny", convert=False)
    for reference in ("silero-vad", "hf:org/net/m.onnx"):
        with pytest.raises(errors.UsageError, match="does not lock"):
            make_zoo(path).fetch(reference)
    with pytest.raises(errors.UsageError, match="no IR of tiny in FP32"):
        make_zoo(path).convert("tiny")
    both = lock(make_zoo(), tmp_path, "tiny", "tiny@FP16")
    assert set(json.loads(both.read_text())["models"]["tiny"]["ir"]) == {"FP32", "FP16"}
    with pytest.raises(errors.UsageError, match="no IR of tiny in INT8"):
        make_zoo(both).convert("tiny@INT8")


def test_composites_and_what_cannot_be_converted(hub, make_zoo, tmp_path):
    publish(hub, tmp_path, convertible=False, reason="test")
    whole = {k: v for k, v in entry("pair", b"").items() if k not in {"artifacts", "framework"}}
    write_entry(tmp_path / "catalog", {**whole, "stages": ["tiny"]})
    models = json.loads(lock(make_zoo(), tmp_path, "pair").read_text())["models"]
    assert set(models) == {"tiny"}
    assert "ir" not in models["tiny"]


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "models": {}}', '{"models": {"x": 1}}'])
def test_what_is_not_a_lock(make_zoo, tmp_path, text):
    path = tmp_path / "lock"
    with pytest.raises(errors.UsageError, match="cannot read the lockfile"):
        make_zoo(path).fetch("silero-vad")
    path.write_text(text)
    with pytest.raises(errors.UsageError, match="is not a lockfile"):
        make_zoo(path).fetch("silero-vad")


def test_one_failure_means_no_lock(hub, make_zoo, tmp_path):
    publish(hub, tmp_path)
    hub.add("/tiny.onnx", b"")
    with pytest.raises(errors.ModelZooError):
        lock_models(make_zoo(), ["tiny"], Conversion())


def test_the_command_line(hub, tmp_path):
    import os

    publish(hub, tmp_path)
    environ = {
        **os.environ,
        "MODEL_ZOO_CACHE": str(tmp_path / "cache"),
        "MODEL_ZOO_CATALOG": str(tmp_path / "catalog"),
    }

    def run(*arguments):
        argv = [sys.executable, "-c", "from model_zoo.cli.main import main; main()", *arguments]
        done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run("lock", "tiny")[:2] == (0, "model-zoo.lock\n")
    first = (tmp_path / "model-zoo.lock").read_text()
    assert run("lock", "tiny", "-o", "b.lock")[0] == 0
    assert (tmp_path / "b.lock").read_text() == first
    assert run("fetch", "tiny", "--locked", "b.lock")[0] == 0
    assert run("convert", "tiny", "--locked", "b.lock")[0] == 0
    code, out, err = run("convert", "tiny", "--precision", "FP16", "--locked", "b.lock")
    assert (code, out) == (2, ""), err
    publish(hub, tmp_path, tiny_onnx(9.0))
    code, out, err = run("fetch", "tiny", "--locked", "b.lock")
    assert (code, out) == (5, ""), err
    assert "m.onnx: sha256: locked" in err
    assert run("lock", "tiny", "--locked", "b.lock")[0] == 2
    assert run("lock")[0] == 2
    assert msgspec.json.decode(first)["schema"] == 1
