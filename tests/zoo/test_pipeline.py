"""The stages together: only what is missing is done, nothing wrong is accepted, nothing good is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model_zoo import errors
from model_zoo.conversion import process as worker_process
from model_zoo.schema import MANIFEST_NAME
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Request, Zoo
from tests.server import Answer, Server
from tests.tiny import entry, tiny_onnx, write_entry

FAST = {"attempts": 1, "connect_timeout": 2.0, "stall_timeout": 2.0}


@pytest.fixture
def make_zoo(tmp_path):
    def make(**more):
        settings = {"cache": tmp_path / "cache", "catalogs": (tmp_path / "catalog",), **FAST, **more}
        return Zoo(settings=Settings(**settings))

    (tmp_path / "catalog").mkdir()
    return make


@pytest.fixture
def server():
    with Server() as running:
        yield running


def publish(server, tmp_path, name="tiny", data=None, *answers, **more):
    data = tiny_onnx() if data is None else data
    server.add(f"/{name}.onnx", data, *answers)
    write_entry(tmp_path / "catalog", entry(name, data, {"url": server.url(f"/{name}.onnx")}, **more))
    return data


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def kept(folder):
    """What a failed run may leave: nothing published, no half result."""
    return (
        [p for p in tree(folder) if p.startswith(("blobs-v1", "files-v1", "ir-v1"))]
        if folder.exists()
        else []
    )


def test_from_catalog_to_inference(make_zoo, server, tmp_path):
    data = publish(server, tmp_path)
    zoo = make_zoo()
    events = []
    fetched = zoo.fetch("tiny", progress=events.append)
    assert fetched.files["m.onnx"].read_bytes() == data
    assert fetched.directory == fetched.files["m.onnx"].parent
    assert (fetched.directory / MANIFEST_NAME).is_file()
    assert fetched.manifest["artifacts"][0]["path"] == "m.onnx"
    converted = zoo.convert("tiny@FP32", progress=events.append)
    assert converted.xml.name == "model.xml"
    assert converted.xml.parent.name == converted.key
    assert converted.manifest["key"] == converted.key
    compiled = zoo.load("tiny", device="CPU", progress=events.append)
    assert np.array_equal(compiled(np.zeros((1, 4), np.float32))[0], np.ones((1, 4), np.float32))
    model = zoo.read("tiny")
    assert [port.any_name for port in model.inputs] == ["x"]
    direct = zoo.load("tiny", device="CPU", convert=False)
    assert np.array_equal(direct(np.ones((1, 4), np.float32))[0], np.full((1, 4), 2, np.float32))
    names = [event.event for event in events]
    assert names.count("convert_begin") == names.count("convert_end") == 1
    assert len(server.seen("/tiny.onnx")) == 1


def test_a_hit_writes_nothing_and_asks_nobody(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    make_zoo().convert("tiny")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")}
    events = []
    again = make_zoo(offline=True)
    again.fetch("tiny", progress=events.append)
    again.convert("tiny", progress=events.append)
    assert events == []
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*")} == before


def test_ir_is_found_without_its_files(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    converted = make_zoo().convert("tiny")
    import shutil

    for folder in ("blobs-v1", "files-v1", "state-v1", "partial-v1", "locks-v1"):
        shutil.rmtree(tmp_path / "cache" / folder)
    assert make_zoo(offline=True).convert("tiny").xml == converted.xml


def test_flipped_byte_is_refused(make_zoo, server, tmp_path):
    data = tiny_onnx()
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    publish(server, tmp_path, "tiny", data, Answer(content=wrong))
    with pytest.raises(errors.DigestMismatchError) as caught:
        make_zoo().fetch("tiny")
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert kept(tmp_path / "cache") == []


def test_wrong_size_in_the_entry(make_zoo, server, tmp_path):
    data = tiny_onnx()
    server.add("/tiny.onnx", data)
    wrong = entry("tiny", data, {"url": server.url("/tiny.onnx")})
    wrong["artifacts"][0]["size"] += 1
    write_entry(tmp_path / "catalog", wrong)
    with pytest.raises(errors.SizeMismatchError) as caught:
        make_zoo().fetch("tiny")
    assert str(len(data) + 1) in str(caught.value)
    assert kept(tmp_path / "cache") == []


def test_unconvertible_model(make_zoo, server, tmp_path):
    publish(server, tmp_path, "odd", tiny_onnx(op="NoSuchOperator"))
    with pytest.raises(errors.UnsupportedModelError, match="NoSuchOperator"):
        make_zoo().convert("odd")
    assert not any(p.startswith("ir-v1") for p in tree(tmp_path / "cache"))
    assert any(p.startswith("files-v1") for p in tree(tmp_path / "cache")), "the good file was lost"


def test_declared_unconvertible_model(make_zoo, server, tmp_path):
    publish(server, tmp_path, convertible=False, reason="it needs a control-flow operator")
    with pytest.raises(errors.UnsupportedModelError, match="control-flow"):
        make_zoo().convert("tiny")
    assert server.seen("/tiny.onnx") == [], "nothing should be fetched for it"


def test_one_failure_does_not_stop_the_others(make_zoo, server, tmp_path):
    publish(server, tmp_path, "good")
    publish(server, tmp_path, "bad", tiny_onnx(2), Answer(status=404, body=b"no"))
    zoo = make_zoo()
    done = zoo.fetch_all(zoo.planner.expand(["bad", "good"]))
    assert [type(d.error).__name__ for d in done] == ["SourceUnavailableError", "NoneType"]
    converted = zoo.convert_all(zoo.planner.expand(["bad", "good"]), Conversion(), jobs=2)
    assert [c.result is not None for c in converted] == [False, True]
    assert len(server.seen("/bad.onnx")) == 2


def test_a_model_is_ready_as_soon_as_its_own_files_are(make_zoo, server, tmp_path):
    """The answer with the second model's file is held back until the first model is finished."""
    ready, data = threading.Event(), tiny_onnx(2)

    def hold(exchange):
        assert ready.wait(30), "the first model waited for the second one's file"
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(data))
        exchange.send(data)

    publish(server, tmp_path, "first")
    publish(server, tmp_path, "second", data, Answer(act=hold))
    told = []

    def report(event):
        told.append((event.event, event.model))
        if told[-1] == ("fetch_end", "first"):
            ready.set()

    zoo = make_zoo()
    done = zoo.fetch_all(zoo.planner.expand(["second", "first"]), report)
    assert [d.result.files["m.onnx"].is_file() for d in done] == [True, True]
    assert [d.result.model.name for d in done] == ["second", "first"], "the order of the requests"
    assert told.index(("fetch_end", "first")) < told.index(("fetch_end", "second"))


@pytest.mark.parametrize("use", ["read", "load"])
def test_an_ir_that_is_collected_just_before_it_is_read(make_zoo, server, tmp_path, monkeypatch, use):
    publish(server, tmp_path)
    zoo = make_zoo()
    real, taken = Zoo.convert, []

    def convert(self, *given, **how):
        converted = real(self, *given, **how)
        if not taken:
            taken.append(shutil.rmtree(converted.directory))
        return converted

    monkeypatch.setattr(Zoo, "convert", convert)
    model = getattr(zoo, use)("tiny", **({"device": "CPU"} if use == "load" else {}))
    assert [port.any_name for port in model.inputs] == ["x"]
    assert taken == [None]


def test_another_precision_that_is_cached_is_named(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    zoo = make_zoo()
    zoo.convert("tiny@FP16")
    shutil.rmtree(tmp_path / "cache" / "files-v1")
    shutil.rmtree(tmp_path / "cache" / "blobs-v1")
    with pytest.raises(errors.OfflineError, match="in the cache there is tiny@FP16") as caught:
        make_zoo(offline=True).convert("tiny")
    assert caught.value.exit_code == 4
    assert zoo.is_cached(zoo.model("tiny"))


def test_nothing_is_fetched_for_what_cannot_be_converted_here(make_zoo, server, tmp_path):
    publish(server, tmp_path, framework="jax", recipe={"builder": {"module": "noxnox", "callable": "make"}})
    zoo = make_zoo()
    with pytest.raises(errors.MissingExtraError, match="noxnox"):
        zoo.convert("tiny", trust_code=True)
    (done,) = zoo.convert_all(zoo.planner.expand(["tiny"]), Conversion(trust_code=True), jobs=1)
    assert isinstance(done.error, errors.MissingExtraError)
    assert server.seen() == []


def test_references_are_text_or_paths(make_zoo, tmp_path):
    (tmp_path / "own.onnx").write_bytes(tiny_onnx())
    assert make_zoo().read(tmp_path / "own.onnx").inputs[0].any_name == "x"
    for wrong in (["own"], None, 5):
        with pytest.raises(errors.UsageError, match="is not a model reference"):
            make_zoo().convert(wrong)


def test_progress_that_cannot_be_called(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    for _ in range(2):  # cached or not
        with pytest.raises(errors.UsageError, match="(?s)cannot be called.*progress_bars"):
            make_zoo().fetch("tiny", progress="bar")
        make_zoo().fetch("tiny")


def test_offline_names_what_is_missing(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    with pytest.raises(errors.OfflineError) as caught:
        make_zoo(offline=True).convert("tiny")
    assert "tiny" in str(caught.value)
    assert "m.onnx" in str(caught.value)
    assert caught.value.exit_code == 4
    with pytest.raises(errors.OfflineError):
        make_zoo().fetch("tiny", offline=True)
    assert server.seen("/tiny.onnx") == []


def test_replacement_and_archive_reach_the_key(make_zoo, server, tmp_path):
    import io
    import tarfile

    data = tiny_onnx()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in (("top/m.onnx", data), ("top/notes.txt", b"old text")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    archive = packed.getvalue()
    server.add("/a.tar.gz", archive)
    one = entry("packed", archive, {"url": server.url("/a.tar.gz")}, path=".")
    one["artifacts"][0]["unpack"] = {"format": "tar.gz", "strip": 1}
    one["replace"] = [{"file": "notes.txt", "pattern": "old", "replacement": "new", "count": 1}]
    one["recipe"] = {"model": "m.onnx"}
    write_entry(tmp_path / "catalog", one)
    publish(server, tmp_path, "plain", data)
    zoo = make_zoo()
    fetched = zoo.fetch("packed")
    assert sorted(fetched.files) == ["m.onnx", "notes.txt"]
    assert fetched.files["notes.txt"].read_text() == "new text"
    converted = zoo.convert("packed")
    assert converted.key != zoo.convert("plain").key
    import shutil

    shutil.rmtree(tmp_path / "cache" / "files-v1")
    shutil.rmtree(tmp_path / "cache" / "blobs-v1")
    assert make_zoo(offline=True).convert("packed").xml == converted.xml
    shutil.rmtree(tmp_path / "cache" / "ir-v1")
    assert make_zoo().convert("packed").key == converted.key


def test_the_name_is_not_in_the_key(make_zoo, server, tmp_path):
    publish(server, tmp_path, "one")
    publish(server, tmp_path, "two")
    zoo = make_zoo()
    assert zoo.convert("one").key == zoo.convert("two").key
    assert len(server.seen("/one.onnx")) + len(server.seen("/two.onnx")) == 1


def test_precisions(make_zoo, server, tmp_path):
    publish(server, tmp_path, "two", recipe={"precisions": ["FP16", "FP32"]})
    zoo = make_zoo()
    assert zoo.convert("two").precision == "FP16"
    assert zoo.convert("two", precision="fp32").precision == "FP32"
    with pytest.raises(errors.UnknownPrecisionError) as caught:
        zoo.convert("two@FP64")
    assert "FP16, FP32" in str(caught.value)


def test_ready_made_precisions_fetch_only_their_files(make_zoo, server, tmp_path):
    files = {f"{p}/m.{e}": f"{p}{e}".encode() for p in ("FP16", "FP32") for e in ("xml", "bin")}
    artifacts = []
    for path, data in files.items():
        server.add(f"/{path}", data)
        one = entry("x", data, {"url": server.url(f"/{path}")}, path=path)["artifacts"][0]
        artifacts.append(one | {"precision": path[:4]})
    base = entry("ready", b"") | {"framework": "openvino", "artifacts": artifacts}
    write_entry(tmp_path / "catalog", base)
    zoo = make_zoo()
    assert sorted(zoo.fetch("ready@FP16").files) == ["FP16/m.bin", "FP16/m.xml"]
    assert sorted(zoo.fetch("ready").files) == sorted(files)
    assert all(len(server.seen(f"/{path}")) == 1 for path in files)
    with pytest.raises(errors.UnknownPrecisionError):
        zoo.fetch("ready@INT8")


def test_composites(make_zoo, server, tmp_path):
    publish(server, tmp_path, "pair-a", tiny_onnx(1))
    publish(server, tmp_path, "pair-b", tiny_onnx(2))
    composite = entry("pair", b"") | {"stages": ["pair-a", "pair-b"]}
    del composite["artifacts"], composite["framework"]
    write_entry(tmp_path / "catalog", composite)
    zoo = make_zoo()
    assert [r.model.name for r in zoo.planner.expand(["pair", "pair-b"])] == ["pair-a", "pair-b"]
    for call in (zoo.fetch, zoo.convert, zoo.read, zoo.load):
        with pytest.raises(errors.UsageError, match="several models") as caught:
            call("pair")
        assert "pair-a, pair-b" in caught.value.hint
    assert not zoo.is_cached(zoo.model("pair"))
    for done in zoo.fetch_all(zoo.planner.expand(["pair"])):
        assert done.error is None
    assert zoo.is_cached(zoo.model("pair"))
    assert [m.name for m in zoo.list_models("pair*", cached=True)] == ["pair", "pair-a", "pair-b"]


def test_messages_do_not_call_a_whole_folder_dot(make_zoo, server, tmp_path):
    packed = entry("packed", b"data", {"url": server.url("/gone.tar")}, path=".")
    packed["artifacts"][0]["unpack"] = {"format": "tar"}
    write_entry(tmp_path / "catalog", packed)
    with pytest.raises(errors.DownloadError) as caught:
        make_zoo().fetch("packed")
    assert caught.value.what.startswith(f"packed: {server.url('/gone.tar')}")


def test_require_pinned(make_zoo, server, tmp_path):
    data = tiny_onnx()
    server.add("/m.onnx", data)
    loose = entry("loose", data, {"url": server.url("/m.onnx")})
    del loose["artifacts"][0]["sha256"]
    loose["artifacts"][0]["integrity"] = "first-use"
    write_entry(tmp_path / "catalog", loose)
    zoo = make_zoo()
    zoo.require_pinned = True
    with pytest.raises(errors.IntegrityError, match="not pinned") as caught:
        zoo.fetch("loose")
    assert caught.value.found == "first-use"
    with pytest.raises(errors.IntegrityError, match="not pinned"):
        zoo.convert("loose")
    assert server.seen("/m.onnx") == []


def test_first_use_is_remembered(make_zoo, server, tmp_path):
    data = tiny_onnx()
    server.add("/m.onnx", data)
    loose = entry("loose", data, {"url": server.url("/m.onnx")})
    del loose["artifacts"][0]["sha256"], loose["artifacts"][0]["size"]
    loose["artifacts"][0]["integrity"] = "first-use"
    write_entry(tmp_path / "catalog", loose)
    key = make_zoo().convert("loose").key
    assert make_zoo(offline=True).convert("loose").key == key
    assert len(server.seen("/m.onnx")) == 1


def test_sha384(make_zoo, server, tmp_path):
    import hashlib

    data = tiny_onnx()
    server.add("/m.onnx", data)
    other = entry("other", data, {"url": server.url("/m.onnx")})
    other["artifacts"][0]["sha384"] = hashlib.sha384(data).hexdigest()
    del other["artifacts"][0]["sha256"]
    write_entry(tmp_path / "catalog", other)
    make_zoo().fetch("other")
    assert make_zoo(offline=True).fetch("other").files["m.onnx"].read_bytes() == data
    other["artifacts"][0]["sha384"] = hashlib.sha384(b"else").hexdigest()
    write_entry(tmp_path / "catalog", other | {"name": "third"})
    with pytest.raises(errors.DigestMismatchError):
        make_zoo().fetch("third")


def test_read_only_layer_without_a_writable_one(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    converted = make_zoo().convert("tiny")
    moved = tmp_path / "moved"
    (tmp_path / "cache").rename(moved)
    zoo = make_zoo(cache=None, layers=(moved,), offline=True)
    found = zoo.convert("tiny")
    assert found.key == converted.key
    assert found.xml.is_relative_to(moved)
    assert zoo.load("tiny", device="CPU") is not None
    publish(server, tmp_path, "new", tiny_onnx(3))
    with pytest.raises(errors.CacheReadOnlyError, match="no writable cache layer"):
        zoo.fetch("new")


def test_an_ir_of_other_versions_serves_where_none_can_be_made(make_zoo, server, tmp_path, monkeypatch):
    publish(server, tmp_path)
    converted = make_zoo().convert("tiny")
    from model_zoo.zoo import pipeline

    real = pipeline.toolchain
    monkeypatch.setattr(pipeline, "toolchain", lambda *a, **k: {**real(*a, **k), "openvino": "9999.0"})
    events = []
    zoo = make_zoo(cache=None, layers=(tmp_path / "cache",), offline=True)
    found = zoo.convert("tiny", progress=events.append)
    assert found.key == converted.key
    assert [event.event for event in events] == ["note"]
    assert "no new one can be made here" in events[0].message
    lines = zoo.planner.why(zoo.planner.request("tiny"), Conversion())
    assert "9999.0" in "\n".join(lines)
    assert make_zoo().convert("tiny").key != converted.key


def test_why(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    zoo = make_zoo()

    assert zoo.planner.plan(zoo.planner.request("tiny")).cached is None
    assert "not in the cache" in zoo.planner.why(zoo.planner.request("tiny"), Conversion())[0]
    zoo.convert("tiny")
    assert "nothing differs" in zoo.planner.why(zoo.planner.request("tiny"), Conversion())[0]
    lines = zoo.planner.why(zoo.planner.request("tiny@FP16"), Conversion())
    assert any("precision" in line for line in lines)


def test_threads_share_one_transfer_and_one_conversion(make_zoo, server, tmp_path, monkeypatch):
    publish(server, tmp_path)
    started = []
    real = worker_process.run_worker
    package = sys.modules["model_zoo.conversion"]
    monkeypatch.setattr(package, "run_worker", lambda *a, **k: started.append(1) or real(*a, **k))
    zoo = make_zoo()
    barrier = threading.Barrier(6)

    def one(_):
        barrier.wait()
        return zoo.convert("tiny").xml

    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(one, range(6)))
    assert len(paths) == 1
    assert len(started) == 1
    assert len(server.seen("/tiny.onnx")) == 1


def test_functions_of_the_package(server, tmp_path, monkeypatch):
    import model_zoo

    (tmp_path / "catalog").mkdir()
    publish(server, tmp_path)
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("MODEL_ZOO_CONFIG", "")
    assert "tiny" in [m.name for m in model_zoo.list_models(framework="onnx")]
    assert [m.name for m in model_zoo.list_models("tin?", task="test", source="url")] == ["tiny"]
    assert model_zoo.fetch("tiny").files["m.onnx"].is_file()
    assert model_zoo.convert("tiny", precision="FP16").precision == "FP16"
    assert model_zoo.read("tiny").inputs
    assert model_zoo.load("tiny", device="CPU").inputs
    assert model_zoo.Zoo(offline=True).load("tiny", device="CPU").inputs
    with pytest.raises(model_zoo.ModelZooError) as caught:
        model_zoo.load("tini")
    assert caught.value.exit_code == 2
    assert "tiny" in caught.value.hint
    with pytest.raises(AttributeError):
        model_zoo.nothing  # noqa: B018


def test_importing_is_cheap():
    code = (
        "import sys, model_zoo\n"
        "heavy = {'openvino', 'requests', 'huggingface_hub', 'numpy', 'yaml', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import model_zoo.conversion\n"
        "assert callable(model_zoo.convert) and model_zoo.convert.__name__ == 'convert'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_requests_know_their_artifacts(make_zoo, server, tmp_path):
    publish(server, tmp_path)
    request = Request(make_zoo().model("tiny"))
    assert [a.path for a in request.artifacts] == ["m.onnx"]
    with pytest.raises(errors.UsageError):
        make_zoo().planner.request("no such/thing here")
    assert Path(make_zoo().settings.cache).name == "cache"
