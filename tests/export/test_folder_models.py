"""Folder models on their way out of a cache and into another one: every view, seeds, tars, registries."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import msgspec
import pytest

from model_zoo.cache.intake import import_layer
from model_zoo.cache.manifest import encode
from model_zoo.errors import CacheError, IntegrityError, UsageError
from model_zoo.export import ovms, views
from model_zoo.export.contents import export_tar, gather, import_tar, layer_members
from model_zoo.export.seed import write_seed
from model_zoo.export.selftest import prove
from model_zoo.registry.image import build_image, write_layout
from model_zoo.registry.remote import pull, push
from model_zoo.settings import Settings
from model_zoo.sources.oci.reference import oci_reference
from model_zoo.zoo import Conversion, Zoo
from tests.folders import contents, language_model, picture_model
from tests.tiny import entry, tiny_onnx, write_entry

KINDS = {
    "chat": (language_model, "text_generation"),
    "drawing": (picture_model, "text_to_image"),
}


def make_catalog(folder: Path) -> Path:
    for name, (make, task) in KINDS.items():
        files = make(folder / name)
        artifacts = [
            {"path": p, "integrity": "first-use", "sources": [{"file": f"{name}/{p}"}]} for p in files
        ]
        recipe = {"model": ".", "precisions": ["INT4"]}
        write_entry(
            folder,
            {
                "schema": 1, "name": name, "task": task, "framework": "openvino", "license": "MIT",
                "description": "-", "artifacts": artifacts, "recipe": recipe,
            },
        )  # fmt: skip
    (folder / "m.onnx").write_bytes(tiny_onnx())
    write_entry(folder, entry("plain", tiny_onnx(), {"file": "m.onnx"}))
    return folder


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that has all three, and their catalog."""
    folder = tmp_path_factory.mktemp("folders")
    catalog = make_catalog(folder / "catalog")
    zoo = Zoo(settings=Settings(cache=folder / "cache", catalogs=(catalog,)))
    for name in (*KINDS, "plain"):
        zoo.convert(name)
    return zoo


def other(warm, folder, **more):
    return Zoo(settings=Settings(cache=folder, catalogs=warm.settings.catalogs, **more))


def irs(zoo, *names):
    return [zoo.convert(name) for name in names]


def original(warm, name):
    return contents(warm.settings.catalogs[0] / name)


def without(found, *names):
    return {path: data for path, data in found.items() if path not in names}


def test_flat_and_omz_folders(warm, tmp_path):
    out = views.export_dir(irs(warm, "chat", "plain"), tmp_path / "flat")
    assert contents(out / "chat") == original(warm, "chat")
    assert {"chat", "plain.xml", "plain.bin"} == {path.name for path in out.iterdir()}
    out = views.export_omz(irs(warm, "drawing"), tmp_path / "omz")
    assert contents(out / "public" / "drawing" / "INT4") == original(warm, "drawing")
    (out / "public" / "drawing" / "INT4" / "model_index.json").write_text("mine")
    assert warm.convert("drawing").files["model_index.json"].read_text() != "mine"


def parse(text):
    """Read a text protocol buffer: fields as lists by name, messages as such fields."""
    words = re.findall(r'"[^"]*"|\'[^\']*\'|\[[^\]]+\]|[\w.:]*\w|[{}:]|\S', text)
    words = [
        w for word in words for w in ([word[:-1], ":"] if word.endswith(":") and word != ":" else [word])
    ]
    position = 0

    def fields():
        nonlocal position
        found = {}
        while position < len(words) and words[position] != "}":
            name = words[position]
            position += 1
            if words[position] == ":":
                position += 1
            if words[position] == "{":
                position += 1
                value = fields()
                assert words[position] == "}"
            else:
                value = words[position].strip("\"'")
            position += 1
            found.setdefault(name, []).append(value)
        return found

    found = fields()
    assert position == len(words), words[position:]
    return found


def test_model_server_gets_graphs_for_generative_models(warm, tmp_path):
    out = ovms.export_ovms(irs(warm, "chat", "drawing", "plain"), tmp_path / "models", base_path="/models")
    config = json.loads((out / "config.json").read_text())
    assert config == {
        "model_config_list": [{"config": {"name": "plain", "base_path": "/models/plain"}}],
        "mediapipe_config_list": [
            {"name": "chat", "base_path": "/models/chat"},
            {"name": "drawing", "base_path": "/models/drawing"},
        ],
    }
    assert without(contents(out / "chat"), "graph.pbtxt") == original(warm, "chat")
    graph = parse((out / "chat" / "graph.pbtxt").read_text())
    assert graph["input_stream"] == ["HTTP_REQUEST_PAYLOAD:input"]
    (node,) = graph["node"]
    assert node["calculator"] == ["HttpLLMCalculator"]
    assert node["input_side_packet"] == ["LLM_NODE_RESOURCES:llm"]
    assert node["input_stream"] == ["LOOPBACK:loopback", "HTTP_REQUEST_PAYLOAD:input"]
    (options,) = node["node_options"][0]["[type.googleapis.com/mediapipe.LLMCalculatorOptions]"]
    assert options["models_path"] == ["./"]
    assert options["device"] == ["CPU"]
    assert options["plugin_config"] == ["{}"]
    handler = node["input_stream_handler"][0]
    assert handler["input_stream_handler"] == ["SyncSetInputStreamHandler"]
    (node,) = parse((out / "drawing" / "graph.pbtxt").read_text())["node"]
    assert node["calculator"] == ["ImageGenCalculator"]
    assert "input_stream_handler" not in node


def test_each_graph_names_its_calculator_and_options():
    for opens, node in ovms.NODES.items():
        graph = parse(ovms.graph_text(node, "GPU"))
        (found,) = graph["node"]
        assert found["calculator"] == [node.calculator], opens
        (options,) = found["node_options"][0].values()
        assert options[0]["models_path"] == ["./"]
        assert options[0][node.device] == ["GPU"]
        streams = graph["input_stream"] + graph["output_stream"]
        assert all(one.startswith(f"{node.streams}RE") for one in streams)
    node = ovms.NODES["openvino_genai.TextEmbeddingPipeline"]
    text = ovms.graph_text(node, "CPU", {"pooling_type": "LAST_TOKEN", "normalize": False})
    (options,) = parse(text)["node"][0]["node_options"][0].values()
    assert (options[0]["pooling"], options[0]["normalize_embeddings"]) == (["LAST"], ["false"])


def test_model_server_s_configuration_keeps_what_others_wrote(warm, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({
        "mediapipe_config_list": [{"name": "chat", "base_path": "x", "graph_queue": 2}, {"name": "b"}],
        "monitoring": {"metrics": {"enable": True}},
    }))  # fmt: skip
    ovms.export_ovms(irs(warm, "chat"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {
        "model_config_list": [],
        "mediapipe_config_list": [{"name": "b"}, {"name": "chat", "base_path": "chat", "graph_queue": 2}],
        "monitoring": {"metrics": {"enable": True}},
    }
    assert list(tmp_path.glob("*/graph.pbtxt")) == [tmp_path / "chat" / "graph.pbtxt"]
    (tmp_path / "config.json").write_text('{"mediapipe_config_list": [{"nome": "x"}]}')
    with pytest.raises(CacheError, match="not a configuration of OpenVINO Model Server"):
        ovms.export_ovms(irs(warm, "chat"), tmp_path)


def opened_by(made, opens, *names):
    irs = made.manifest.irs
    kept = {name: irs[name] for name in names} if names else irs
    return msgspec.structs.replace(
        made, manifest=msgspec.structs.replace(made.manifest, opens=opens, irs=kept)
    )


def test_a_folder_with_one_network_is_served_as_that(warm, tmp_path):
    made = opened_by(warm.convert("chat"), "optimum.intel.OVModelForSequenceClassification")
    out = ovms.export_ovms([made], tmp_path / "models", version=3)
    assert set(contents(out)) == {"chat/3/model.xml", "chat/3/model.bin", "config.json"}
    many = opened_by(warm.convert("drawing"), "optimum.intel.OVModelForSeq2SeqLM")
    with pytest.raises(UsageError, match="has no graph"):
        ovms.export_ovms([many], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("what", ["ir", "both"])
def test_a_seed_is_read_offline_and_always_the_same(warm, tmp_path, what):
    requests = [warm.planner.request(name) for name in (*KINDS, "plain")]
    found = gather(warm, requests, what, Conversion(), lambda _: None)
    assert not found.errors
    for name in ("a", "b"):
        write_seed(tmp_path / name, layer_members(found, warm.cache, 0), warm.cache, mtime=0)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    prove(warm, tmp_path / "a", requests, what)
    layered = other(warm, None, layers=(tmp_path / "a",), offline=True)
    for name in KINDS:
        assert without(contents(layered.convert(name).directory), "manifest.json") == original(warm, name)
    (path,) = (tmp_path / "a").rglob("unet/openvino_model.xml") if what == "ir" else [None]
    if path is not None:
        path.chmod(0o644)
        path.write_bytes(b"x" * path.stat().st_size)
        with pytest.raises(Exception, match="seed does not work"):
            prove(warm, tmp_path / "a", requests, what)


def test_compiled_blobs_are_for_single_networks_only(warm, tmp_path):
    from model_zoo.export.seed import blob_folders
    from model_zoo.export.seed import warm as compile_into

    made = irs(warm, "chat", "plain")
    assert len(blob_folders(made, "CPU")) == 1
    found = gather(warm, [warm.planner.request("chat")], "ir", Conversion(), lambda _: None)
    write_seed(tmp_path / "seed", layer_members(found, warm.cache, 0), warm.cache, mtime=0)
    compile_into(found.irs, tmp_path / "seed", "CPU", mtime=0)
    assert not (tmp_path / "seed" / "compiled-v1").exists()


def test_a_tar_carries_them_to_another_cache(warm, tmp_path):
    requests = [warm.planner.request(name) for name in KINDS]
    found = gather(warm, requests, "both", Conversion(), lambda _: None)
    tar = export_tar(found, warm.cache, tmp_path / "t.tar", mtime=0)
    there = other(warm, tmp_path / "other", offline=True)
    assert len(import_tar(there, tar).irs) == 2
    for name in KINDS:
        made = there.convert(name)
        assert without(contents(made.directory), "manifest.json") == original(warm, name)
        assert made.manifest["opens"] == warm.convert(name).manifest["opens"]


@pytest.mark.parametrize("flavor", ["image", "modelpack"])
def test_images_hold_the_whole_folder(warm, tmp_path, flavor):
    image = build_image(irs(warm, "chat", "plain"), flavor)
    out = write_layout(image, tmp_path / "out", "latest")
    names = set()
    for blob in (out / "blobs" / "sha256").iterdir():
        if tarfile.is_tarfile(blob):
            with tarfile.open(blob) as archive:
                names |= {member.name for member in archive if member.isfile()}
    place = "models/chat" if flavor == "image" else "chat"
    assert {f"{place}/{path}" for path in original(warm, "chat")} <= names
    assert ("models/plain/1/model.xml" if flavor == "image" else "plain/model.xml") in names


@pytest.mark.system
@pytest.mark.parametrize("flavor", ["image", "modelpack"])
def test_a_registry_carries_them(warm, registry, tmp_path, flavor):
    target = oci_reference(f"http://{registry.host}/models/chat:1")
    push(target, build_image(irs(warm, "chat", "drawing"), flavor), Settings())
    there = other(warm, tmp_path / "other", offline=True)
    imported = pull(target, there.cache, Settings(attempts=2))
    assert len(imported.irs) == 2
    for name in KINDS:
        assert without(
            contents(there.cache.layers[0].ir(warm.convert(name).key)), "manifest.json"
        ) == original(warm, name)


# --- what is not believed


def parcel(warm, folder, change=None, more=()):
    """Return a tar of one folder model whose manifest was changed, and with more files."""
    made = warm.convert("chat")
    manifest = json.loads((made.directory / "manifest.json").read_text())
    manifest.pop("seal")
    if change:
        change(manifest)
    files = {"x/manifest.json": encode(manifest)}
    files |= {f"x/{path}": file.read_bytes() for path, file in made.files.items()}
    tar = folder / "p.tar"
    with tarfile.open(tar, "w") as archive:
        for name, data in (*files.items(), *more):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return tar


def test_a_folder_in_any_folder_is_taken(warm, tmp_path):
    there = other(warm, tmp_path / "other")
    imported = import_layer(there.cache, {"": parcel(warm, tmp_path)}, "p", timeout=5)
    assert imported.irs == [warm.convert("chat").key]


@pytest.mark.parametrize(("change", "more", "why"), [
    (None, [("x/evil.py", b"x")], "more than its manifest lists"),
    (None, [("x/deep/manifest.json", b"{}")], "more than its manifest lists"),
    (None, [("y/evil.py", b"x")], "without its manifest"),
    (None, [("evil.py", b"x")], "not part of a cache"),
    (lambda m: m.pop("layout"), [], "an IR of other files"),
    (lambda m: m["outputs"].pop(), [], "more than its manifest lists"),
    (lambda m: m["outputs"].append({"path": "a", "size": 1, "sha256": "0" * 64}), [], "less than"),
    (lambda m: m["outputs"][0].update(sha256="0" * 64), [], "does not match its digest"),
])  # fmt: skip
def test_forged_folders_are_refused(warm, tmp_path, change, more, why):
    there = other(warm, tmp_path / "other")
    with pytest.raises(IntegrityError, match=why):
        import_layer(there.cache, {"": parcel(warm, tmp_path, change, more)}, "p", timeout=5)
    assert not list((tmp_path / "other" / "ir-v1").glob("*"))
    assert not list(tmp_path.rglob("evil.py"))


@pytest.mark.parametrize("path", ["../../model.xml", "x/../../model.xml", "/tmp/model.xml", "x/con.xml"])
def test_a_registry_cannot_name_a_path_outside(warm, tmp_path, path):
    (tmp_path / "f").write_bytes(b"evil")
    there = other(warm, tmp_path / "other")
    with pytest.raises(IntegrityError, match="not part of a cache"):
        import_layer(there.cache, {path: tmp_path / "f"}, "p", timeout=5)


def test_commands(warm, tmp_path, capfd, monkeypatch):
    from model_zoo.cli.main import cli, run

    monkeypatch.setenv("MODEL_ZOO_CACHE", str(warm.settings.cache))
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(warm.settings.catalogs[0]))
    monkeypatch.chdir(tmp_path)
    folder = str(warm.convert("chat").directory)

    def typed(*words):
        capfd.readouterr()
        code = run(cli, list(words))
        found = capfd.readouterr()
        return code, found.out.strip(), found.err

    assert typed("convert", "chat")[:2] == (0, folder)
    assert typed("--offline", "path", "chat")[:2] == (0, folder)
    assert typed("convert", "chat", "-o", "out")[:2] == (0, str(tmp_path / "out" / "chat" / "INT4"))
    assert contents(tmp_path / "out" / "chat" / "INT4") == original(warm, "chat")
    opened = {"infer": 'str(model_zoo.convert("chat").directory)', "bench": f'r"{folder}"'}
    for command, path in opened.items():
        code, _, said = typed(command, "chat", "--device", "CPU")
        assert code == 8
        assert f'openvino_genai.LLMPipeline({path}, "CPU")' in said
    _, said, _ = typed("info", "chat")
    assert "a folder of IRs" in said
    assert f'pipe = openvino_genai.LLMPipeline(r"{folder}", "CPU")' in said
    known = json.loads(typed("info", "chat", "--json")[1])
    assert (known["folder"], known["opens"]) == (True, "openvino_genai.LLMPipeline")
    assert "nothing differs" in typed("why", "chat")[1]
    rows = json.loads(typed("cache", "ls", "--json")[1])
    (ir,) = next(row for row in rows if row["name"] == "chat")["ir"]
    assert ir["bytes"] == sum(len(data) for data in original(warm, "chat").values())
    assert typed("cache", "verify")[0] == 0
    assert typed("export", "--format", "tar", "-o", "t.tar", "chat")[0] == 0
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "other"))
    code, said, _ = typed("import", "t.tar")
    assert code == 0
    assert said.splitlines()[0] == str(tmp_path / "other" / "ir-v1" / Path(folder).name)
    assert typed("cache", "rm", "chat")[0] == 0
    assert not list((tmp_path / "other" / "ir-v1").iterdir())
