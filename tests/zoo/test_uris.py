"""URIs and paths used like names, through all stages; what is known of one is known offline too."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tarfile

import numpy as np
import openvino as ov
import pytest

from model_zoo import errors
from model_zoo.catalog import read_model
from model_zoo.catalog.writer import to_yaml
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from model_zoo.zoo.add import entry_of
from tests.server import redirect
from tests.tiny import external_onnx, tiny_onnx
from tests.wheels import make_wheel

FAST = {"attempts": 1, "connect_timeout": 5.0, "stall_timeout": 5.0}


@pytest.fixture
def make_zoo(tmp_path):
    return lambda **more: Zoo(settings=Settings(**{"cache": tmp_path / "cache", **FAST, **more}))


def outcome(compiled):
    return np.array(next(iter(compiled(np.zeros((1, 4), np.float32)).values())))


def test_an_address(hub, make_zoo):
    uri = hub.add("/a/m.onnx", tiny_onnx(3.0))
    zoo = make_zoo()
    assert outcome(zoo.load(uri, device="CPU")).tolist() == [[3.0] * 4]
    assert outcome(make_zoo(offline=True).load(uri, device="CPU")).tolist() == [[3.0] * 4]
    assert len(hub.seen("/a/m.onnx")) == 1


def test_an_ir_on_a_hub_becomes_what_it_is(hub, make_zoo, tmp_path):
    model = ov.Core().read_model(tiny_onnx(4.0))
    ov.serialize(model, tmp_path / "m.xml")
    files = {f"openvino_model{end}": (tmp_path / f"m{end}").read_bytes() for end in (".xml", ".bin")}
    hub.branch(
        "org/net", "main", hub.commit("org/net", {**files, "config.json": b"{}"}, {"openvino_model.bin"})
    )
    converted = make_zoo().convert("hf:org/net")
    assert converted.bin.read_bytes() == files["openvino_model.bin"]
    assert outcome(make_zoo(offline=True).load("hf:org/net", device="CPU")).tolist() == [[4.0] * 4]


def test_onnx_with_external_data_on_a_hub(hub, make_zoo):
    files = {
        "onnx/model.onnx": external_onnx("model.onnx_data"),
        "onnx/model.onnx_data": struct.pack("<f", 7.0),
        "pytorch_model.bin": b"0" * 1000,
        "onnx/other.onnx": tiny_onnx(),
    }
    hub.branch("org/net", "main", hub.commit("org/net", files, set(files)))
    for uri in ("hf:org/net/onnx/model.onnx", "hf:org/net"):
        zoo = make_zoo()
        fetched = zoo.fetch(uri)
        assert outcome(zoo.load(uri, device="CPU")).tolist() == [[7.0] * 4]
        assert not any("pytorch" in path for path in fetched.files)
    assert set(make_zoo().fetch("hf:org/net/onnx/model.onnx").files) == {"model.onnx", "model.onnx_data"}


def test_a_file_that_the_repository_has_not(hub, make_zoo):
    hub.branch("org/net", "main", hub.commit("org/net", {"a.onnx": tiny_onnx()}))
    with pytest.raises(errors.SourceUnavailableError, match=r"no file or folder 'b.onnx'") as caught:
        make_zoo().fetch("hf:org/net/b.onnx")
    assert "a.onnx" in caught.value.found
    with pytest.raises(errors.OfflineError, match="no earlier run resolved"):
        make_zoo(offline=True).fetch("hf:org/other/b.onnx")


def saved_model(wheel_member):
    """Return a real SavedModel as TensorFlow Hub packs it."""
    folder = wheel_member("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, arcname="./")
    return packed.getvalue()


@pytest.mark.wheels
def test_a_handle_as_the_service_answers_it(hub, make_zoo, wheel_member):
    handle = "/google/pitch/1"
    hub.add(f"{handle}?tf-hub-format=compressed", b"", redirect(hub.url("/store/x.tar.gz", host="localhost")))
    hub.add("/store/x.tar.gz", saved_model(wheel_member))
    mirrors = (("https://tfhub.dev/", hub.url("/")),)
    zoo = make_zoo(mirrors=mirrors)
    fetched = zoo.fetch("tfhub:google/pitch/1")
    assert (fetched.directory / "saved_model.pb").is_file()
    assert hub.seen(f"{handle}?tf-hub-format=compressed")
    assert zoo.convert("tfhub:google/pitch/1").xml.is_file()
    assert make_zoo(offline=True).convert("tfhub:google/pitch/1").xml.is_file()


def test_weights_of_torchvision_need_no_torch_and_the_digits_in_their_name_are_checked(
    hub, make_zoo, monkeypatch
):
    hub.add("/models/resnet18-f37072fd.pth", b"not the weights")
    monkeypatch.setattr("model_zoo.sources.torchvision.SITE", hub.url("/models/"))
    with pytest.raises(errors.IntegrityError, match="do not match the digest in the name") as caught:
        make_zoo().fetch("torchvision:resnet18")
    assert "f37072fd" in str(caught.value)
    assert "torch" not in sys.modules


def test_a_member_of_a_wheel(make_zoo, tmp_path, monkeypatch):
    make_wheel(tmp_path, "tiny", "1.0", {"tiny/m.onnx": tiny_onnx(5.0)})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert outcome(make_zoo().load("wheel:tiny==1.0/tiny/m.onnx", device="CPU")).tolist() == [[5.0] * 4]


def test_a_path_is_what_it_holds_now_and_a_catalog_s_name_comes_first(make_zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.onnx"
    for value in (1.0, 2.0):
        path.write_bytes(tiny_onnx(value))
        for reference in ("m.onnx", "./m.onnx", str(path), f"file:{path}"):
            assert outcome(make_zoo().load(reference, device="CPU")).tolist() == [[value] * 4]
    assert make_zoo().convert("m.onnx@FP16").precision == "FP16"
    assert make_zoo().planner.request("./m.onnx@FP16").precision == "FP16"
    with pytest.raises(errors.UnknownPrecisionError):
        make_zoo().planner.request("m.onnx@FP61")
    (tmp_path / "m.onnx@FP16").write_bytes(b"")
    with pytest.raises(errors.UsageError, match="cannot tell the framework"):
        make_zoo().planner.request("m.onnx@FP16")
    (tmp_path / "silero-vad").write_bytes(b"")
    assert make_zoo().planner.request("silero-vad").model.framework == "onnx"


def test_external_data_beside_a_local_file(make_zoo, tmp_path):
    (tmp_path / "m.onnx").write_bytes(external_onnx("parts/w"))
    with pytest.raises(errors.UsageError, match="needs parts/w next to it"):
        make_zoo().fetch(str(tmp_path / "m.onnx"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "w").write_bytes(struct.pack("<f", 6.0))
    assert outcome(make_zoo().load(str(tmp_path / "m.onnx"), device="CPU")).tolist() == [[6.0] * 4]


def test_an_entry_made_of_a_uri_is_pinned_and_means_the_same(hub, make_zoo, tmp_path):
    hub.card = {"tags": ["license:apache-2.0"], "pipeline_tag": "image-classification"}
    first = hub.commit("org/net", {"m.onnx": tiny_onnx(1.0)}, {"m.onnx"})
    hub.branch("org/net", "main", first)
    target = tmp_path / "catalog" / "mine.yaml"
    target.parent.mkdir()
    model = entry_of(make_zoo(), "hf:org/net/m.onnx", target=target)
    target.write_text(to_yaml(model))
    read = read_model(target)
    assert (read.name, str(read.license), read.task) == ("mine", "Apache-2.0", "image-classification")
    assert read.artifacts[0].sources[0].revision == first
    hub.branch("org/net", "main", hub.commit("org/net", {"m.onnx": tiny_onnx(2.0)}, {"m.onnx"}))
    strict = make_zoo(catalogs=(target,), cache=tmp_path / "other")
    strict.require_pinned = True
    assert outcome(strict.load("mine", device="CPU")).tolist() == [[1.0] * 4]
    with pytest.raises(errors.UsageError, match="in the catalog already"):
        entry_of(strict, "mine")
    with pytest.raises(errors.UsageError, match="cannot be called"):
        entry_of(strict, "hf:org/net/m.onnx", target=tmp_path / "a b.yaml")
    newer = entry_of(make_zoo(), "hf:org/net/m.onnx")
    assert newer.artifacts[0].sources[0].revision != first, "adding asks anew"


def run(*arguments, cwd, **environ):
    import os

    argv = [sys.executable, "-c", "from model_zoo.cli.main import main; main()", *arguments]
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_takes_paths_and_writes_entries(tmp_path):
    (tmp_path / "m.onnx").write_bytes(tiny_onnx(8.0))
    environ = {"MODEL_ZOO_CACHE": str(tmp_path / "cache")}
    code, out, err = run("path", "m.onnx", cwd=tmp_path, **environ)
    assert (code, out) == (6, ""), err
    code, out, err = run("convert", "m.onnx", cwd=tmp_path, **environ)
    assert code == 0, err
    assert run("path", "m.onnx", cwd=tmp_path, **environ)[1] == out
    code, out, err = run("path", "hf:org/net/m.onnx", cwd=tmp_path, **environ)
    assert (code, out) == (6, ""), err
    code, out, err = run("catalog", "add", "m.onnx", "-o", "x.yaml", cwd=tmp_path, **environ)
    assert (code, out) == (0, "x.yaml\n"), err
    assert read_model(tmp_path / "x.yaml").artifacts[0].sources[0].file == str(tmp_path / "m.onnx")
    assert "file: m.onnx" in (tmp_path / "x.yaml").read_text()
    code, out, err = run("--catalog", "x.yaml", "--offline", "info", "x", "--json", cwd=tmp_path, **environ)
    assert code == 0, err
    assert json.loads(out)["integrity"] == "pinned"
    code, shown, err = run("catalog", "add", "m.onnx", "-o", "-", cwd=tmp_path, **environ)
    assert code == 0, err
    assert shown.startswith("schema: 1\n")
    assert f"file: {tmp_path / 'm.onnx'}" in shown
    (tmp_path / "deep").mkdir()
    elsewhere = {"cwd": tmp_path / "deep", **environ}
    code, out, err = run("catalog", "add", "../m.onnx", "--json", **elsewhere)
    assert code == 0, err
    assert json.loads(out) == {"name": "m", "path": "m.yaml"}
    assert "file: ../m.onnx}" in (tmp_path / "deep" / "m.yaml").read_text()
    assert read_model(tmp_path / "deep" / "m.yaml").artifacts[0].sources[0].file == str(tmp_path / "m.onnx")
    code, out, err = run("--catalog", "m.yaml", "path", "m@FP16", **elsewhere)
    assert (code, out) == (6, ""), err
    code, out, err = run("catalog", "add", "../m.onnx", **elsewhere)
    assert (code, out) == (2, "")
    assert "m.yaml is there already" in err
    assert "-o FILE" in err
    assert not list((tmp_path / "deep").glob("m-*.yaml"))
    (tmp_path / "link").symlink_to("deep", target_is_directory=True)
    assert run("catalog", "add", "m.onnx", "-o", "link/n.yaml", cwd=tmp_path, **environ)[0] == 0
    assert "file: ../m.onnx}" in (tmp_path / "deep" / "n.yaml").read_text()
