"""Folder models: fetched, taken over untouched, found, locked, refused where one network is wanted."""

from __future__ import annotations

import json
import os
import shutil

import openvino as ov
import pytest

from model_zoo import errors
from model_zoo.cache.care.verify import verify
from model_zoo.catalog.lockfile import lockfile_text
from model_zoo.settings import Settings
from model_zoo.zoo import Request, Zoo
from model_zoo.zoo.lockfile import lock_models
from tests.folders import contents, language_model, picture_model
from tests.tiny import write_entry

REPO = "OpenVINO/Tiny-1B-int4-ov"
URI = f"hf:{REPO}"


@pytest.fixture
def make_zoo(tmp_path):
    (tmp_path / "catalog").mkdir()

    def make(**more):
        settings = {"cache": tmp_path / "cache", "catalogs": (tmp_path / "catalog",), "attempts": 1}
        lock = more.pop("lock", None)
        return Zoo(settings=Settings(**{**settings, **more}), lock=lock)

    return make


@pytest.fixture
def published(hub, tmp_path):
    """A ready-made folder on the hub, with files that nobody needs."""
    files = language_model(tmp_path / "made")
    files["README.md"] = b"# Tiny"
    hub.branch(REPO, "main", hub.commit(REPO, {**files, ".gitattributes": b"-"}, binary(files)))
    return files


def binary(files):
    return {name for name in files if name.endswith(".bin")}


def entry(name="tiny", **more):
    return {
        "schema": 1,
        "name": name,
        "task": "text_generation",
        "framework": "openvino",
        "license": "Apache-2.0",
        "description": "Tiny.",
        "artifacts": [{"path": ".", "sources": [{"hf": REPO, "revision": "main"}], "integrity": "first-use"}],
        "recipe": {"model": ".", "precisions": ["INT4"]},
        **more,
    }


def plain(folder):
    return {n: data for n, data in contents(folder).items() if n not in {".model-zoo.json", "manifest.json"}}


def test_a_ready_folder_is_fetched_as_it_is(published, make_zoo):
    fetched = make_zoo().fetch(URI)
    assert plain(fetched.directory) == published
    ov.Core().read_model(fetched.directory / "openvino_model.xml")
    with pytest.raises(errors.LoadError, match="is a folder of several files") as caught:
        make_zoo().read(URI, convert=False)
    assert ".opening" in caught.value.hint


def test_weights_of_others_stay_away(published, hub, make_zoo):
    both = {**published, "pytorch_model.bin": b"0" * 100, "model.safetensors": b"0" * 100}
    hub.branch(REPO, "both", hub.commit(REPO, both, binary(both)))
    assert plain(make_zoo().fetch(f"hf:{REPO}@both").directory) == published


def test_a_ready_folder_is_taken_over_untouched(published, make_zoo):
    zoo = make_zoo()
    made = zoo.convert(URI)
    assert (made.precision, made.is_folder, made.path) == ("INT4", True, made.directory)
    assert plain(made.directory) == published
    assert set(made.files) == set(published)
    manifest = json.loads((made.directory / "manifest.json").read_bytes())
    assert (manifest["layout"], manifest["opens"]) == ("folder", "openvino_genai.LLMPipeline")
    assert list(manifest["irs"]) == ["openvino_model.xml"]
    assert manifest["irs"]["openvino_model.xml"]["outputs"][0]["name"] == "logits"
    blob = next((zoo.settings.cache / "blobs-v1").rglob("[0-9a-f]" * 64))
    assert blob.stat().st_nlink > 1, "the bytes are there twice"
    assert make_zoo(offline=True).convert(URI).key == made.key


def test_one_network_is_refused_with_the_line_that_opens_the_folder(published, make_zoo):
    made = make_zoo().convert(URI)
    line = f'import openvino_genai; pipe = openvino_genai.LLMPipeline(r"{made.directory}", "CPU")'
    for wish in (
        lambda: made.xml,
        lambda: made.bin,
        lambda: make_zoo().read(URI),
        lambda: make_zoo().load(URI, device="CPU"),
        lambda: make_zoo().compile(made),
    ):
        with pytest.raises(errors.LoadError, match="is a folder of several files") as caught:
            wish()
        assert (caught.value.hint, caught.value.found) == (line, made.directory)
    assert line.replace('"', "&quot;") in made._repr_html_()


def test_a_catalog_entry_of_a_folder(published, make_zoo, tmp_path):
    write_entry(tmp_path / "catalog", entry())
    zoo = make_zoo()
    model = zoo.model("tiny")
    assert model.is_folder
    assert "a folder of IRs" in model._repr_html_()
    assert not zoo.is_cached(model)
    made = zoo.convert("tiny")
    assert plain(made.directory) == published
    assert make_zoo(offline=True).convert("tiny").directory == made.directory
    assert zoo.planner.why(Request(zoo.model("tiny")), _how())[0].endswith("nothing differs")
    with pytest.raises(errors.UnknownPrecisionError, match="is not available in INT8"):
        zoo.convert("tiny@INT8")


def _how():
    from model_zoo.zoo import Conversion

    return Conversion()


def test_several_irs_of_a_catalog_entry_are_a_folder(make_zoo, tmp_path):
    files = picture_model(tmp_path / "catalog" / "draw")
    artifacts = [{"path": p, "integrity": "first-use", "sources": [{"file": f"draw/{p}"}]} for p in files]
    write_entry(tmp_path / "catalog", entry("drawing", artifacts=artifacts, recipe={"precisions": ["FP16"]}))
    made = make_zoo().convert("drawing")
    assert plain(made.directory) == files
    assert made.manifest["opens"] == "openvino_genai.Text2ImagePipeline"
    assert sorted(made.manifest["irs"]) == [
        f"{p}/openvino_model.xml" for p in ("text_encoder", "unet", "vae_decoder")
    ]


def test_only_the_weights_that_are_read_are_fetched(hub, make_zoo, tmp_path):
    kept = {"config.json": b"{}", "model.safetensors": b"w", "tokenizer.json": b"{}", "README.md": b"#"}
    spare = {
        "pytorch_model.bin": b"w",
        "tf_model.h5": b"w",
        "onnx/model.onnx": b"w",
        "onnx/config.json": b"{}",
    }
    hub.branch("org/net", "main", hub.commit("org/net", {**kept, **spare}))
    place = [{"path": ".", "sources": [{"hf": "org/net", "revision": "main"}], "integrity": "first-use"}]
    asked = {
        "path": "pytorch_model.bin",
        "sources": [{"hf": "org/net", "revision": "main", "file": "tf_model.h5"}],
    }
    exported = {"framework": "transformers", "recipe": {}}
    write_entry(tmp_path / "catalog", entry("net", artifacts=place, **exported))
    write_entry(
        tmp_path / "catalog",
        entry("both", artifacts=[*place[:0], {**asked, "integrity": "first-use"}, *_but(place)], **exported),
    )
    assert plain(make_zoo().fetch("net").directory) == kept
    assert plain(make_zoo().fetch("hf:org/net").directory) == kept
    assert plain(make_zoo(offline=True).fetch("net").directory) == kept
    assert set(plain(make_zoo().fetch("both").directory)) == {"pytorch_model.bin", "sub/config.json"}


def _but(place):
    return [{**place[0], "path": "sub", "sources": [{**place[0]["sources"][0], "file": "config.json*"}]}]


def test_without_the_stack_the_way_out_names_what_was_typed(hub, make_zoo):
    files = {"config.json": b'{"architectures": ["LlamaForCausalLM"]}', "model.safetensors": b"w"}
    hub.branch("org/net", "main", hub.commit("org/net", files))
    with pytest.raises(errors.MissingExtraError, match="optimum-intel") as caught:
        make_zoo().convert("hf:org/net")
    assert "'model-zoo convert --isolate hf:org/net'" in caught.value.hint


def test_a_local_folder(make_zoo, tmp_path):
    files = language_model(tmp_path / "folder")
    made = make_zoo().convert(str(tmp_path / "folder"))
    assert plain(made.directory) == files
    assert made.precision == "AS-IS"


def test_links_stay_right_where_hard_links_are_impossible(make_zoo, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("model_zoo.files.links.clone", lambda *_: False)
    language_model(tmp_path / "folder")
    made = make_zoo().convert(str(tmp_path / "folder"))
    links = [path for path in made.files.values() if path.is_symlink()]
    assert len(links) == len(made.files)
    assert plain(made.directory) == contents(tmp_path / "folder")
    shutil.move(tmp_path / "cache", tmp_path / "moved")
    moved = make_zoo(cache=tmp_path / "moved", offline=True).convert(str(tmp_path / "folder"))
    assert plain(moved.directory) == contents(tmp_path / "folder")
    assert not verify(make_zoo(cache=tmp_path / "moved").cache.layers, lambda _: None).problems


def test_no_link_leads_into_another_layer(make_zoo, tmp_path, monkeypatch):
    language_model(tmp_path / "folder")
    make_zoo(cache=tmp_path / "below").fetch(str(tmp_path / "folder"))

    def refuse(*_, **__):
        raise PermissionError(1, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("model_zoo.files.links.clone", lambda *_: False)
    made = make_zoo(layers=(tmp_path / "below",)).convert(str(tmp_path / "folder"))
    assert not any(path.is_symlink() for path in made.files.values())
    assert plain(made.directory) == contents(tmp_path / "folder")


def test_a_damaged_ir_is_not_published(make_zoo, tmp_path):
    language_model(tmp_path / "folder")
    (tmp_path / "folder" / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(errors.ConversionError, match=r"openvino_model.xml is not an IR"):
        make_zoo().convert(str(tmp_path / "folder"))
    assert not list((tmp_path / "cache" / "ir-v1").glob("*"))


def test_a_manifest_of_their_own_is_refused(make_zoo, tmp_path):
    language_model(tmp_path / "folder")
    (tmp_path / "folder" / "manifest.json").write_text("{}")
    with pytest.raises(errors.ConversionError, match=r"has a file manifest\.json"):
        make_zoo().convert(str(tmp_path / "folder"))


def test_locked_and_held_to_it(published, hub, make_zoo, tmp_path):
    write_entry(tmp_path / "catalog", entry())
    locked = lock_models(make_zoo(), ["tiny"])
    (tmp_path / "model-zoo.lock").write_text(lockfile_text(locked))
    assert {e.path for e in locked["tiny"].ir["INT4"].outputs} == set(published)
    hub.branch(REPO, "main", hub.commit(REPO, {"openvino_model.xml": b"<net/>", "openvino_model.bin": b""}))
    other = make_zoo(cache=tmp_path / "other", lock=tmp_path / "model-zoo.lock")
    assert plain(other.convert("tiny").directory) == published
    assert make_zoo(offline=True, lock=tmp_path / "model-zoo.lock").convert("tiny").is_folder


def test_what_is_damaged_is_found_and_made_again(published, make_zoo, tmp_path):
    from model_zoo.cache.care.repair import repair

    zoo = make_zoo()
    made = zoo.convert(URI)
    cache = zoo.cache
    assert not verify(cache.layers, lambda _: None).problems
    (made.directory / "openvino_detokenizer.bin").unlink()
    (made.directory / "stray").write_text("x")
    found = verify(cache.layers, lambda _: None).problems
    assert {(one.subject, one.file) for one in found} == {
        ("ir", "openvino_detokenizer.bin"),
        ("foreign", "stray"),
    }
    assert make_zoo(offline=True).planner.plan(zoo.planner.request(URI)).cached is None, "it counts as whole"
    repaired = repair(cache, found)
    assert repaired.convert == {(made.model.name, "INT4")}
    again = make_zoo(offline=True).convert(URI)
    assert plain(again.directory) == published
    assert not verify(cache.layers, lambda _: None).problems
