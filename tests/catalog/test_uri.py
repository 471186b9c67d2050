"""URIs, as far as their text and local files tell: what they name, and what cannot be told."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.catalog.detect import (
    archive_format,
    companion_files,
    detect_network,
    drop_other_formats,
    precision_in,
)
from model_zoo.catalog.torchvision import torchvision_model, weights_of
from model_zoo.catalog.uri import model_from_uri, parse_uri, slug
from model_zoo.errors import UsageError
from model_zoo.schema import NAME
from model_zoo.sources.torchvision import weight_table
from tests.tiny import tiny_onnx


def sources(parsed):
    return {a.path: msgspec.to_builtins(a.sources[0]) for a in parsed.artifacts}


@pytest.mark.parametrize(("uri", "expected", "framework"), [
    ("https://example.org/a/m.onnx", {"m.onnx": {"url": "https://example.org/a/m.onnx"}}, "onnx"),
    ("https://example.org/a/m%20x.xml?k=1",
     {"m x.xml": {"url": "https://example.org/a/m%20x.xml?k=1"},
      "m x.bin": {"url": "https://example.org/a/m%20x.bin?k=1"}}, "openvino"),
    ("http://example.org/inference.pdmodel",
     {"inference.pdmodel": {"url": "http://example.org/inference.pdmodel"},
      "inference.pdiparams": {"url": "http://example.org/inference.pdiparams"}}, "paddle"),
    ("wheel:silero-vad==6.2.3/silero_vad/data/x.onnx",
     {"x.onnx": {"wheel": "silero-vad==6.2.3", "member": "silero_vad/data/x.onnx"}}, "onnx"),
    ("tfhub:google/nnlm/2", {".": {"tfhub": "google/nnlm/2"}}, "tensorflow"),
    ("torchvision:resnet18",
     {"resnet18-f37072fd.pth": {"torchvision": "ResNet18_Weights.IMAGENET1K_V1"}}, "pytorch"),
])  # fmt: skip
def test_what_a_uri_names(uri, expected, framework):
    parsed = parse_uri(uri)
    assert sources(parsed) == expected
    model = model_from_uri(parsed, parsed.artifacts)
    assert model.framework == framework
    assert NAME.fullmatch(model.name)
    assert model.name == parse_uri(uri).name != parse_uri("tfhub:another/1").name


@pytest.mark.parametrize(("uri", "repo", "revision", "asked"), [
    ("hf:org/net", "org/net", "main", None),
    ("hf:org/net/", "org/net", "main", None),
    ("hf:org/net/onnx/model.onnx", "org/net", "main", "onnx/model.onnx"),
    ("hf:org/net@v1.0/model.onnx", "org/net", "v1.0", "model.onnx"),
    ("hf:org/net@refs/pr/3/model.onnx", "org/net", "refs/pr/3", "model.onnx"),
    ("hf:org/net@a%2Fb/model.onnx", "org/net", "a/b", "model.onnx"),
    ("hf:gpt2", "gpt2", "main", None),
])  # fmt: skip
def test_hub_references(uri, repo, revision, asked):
    parsed = parse_uri(uri)
    source = parsed.artifacts[0].sources[0]
    assert (source.hf, source.revision, source.file, parsed.requested) == (repo, revision, None, asked)


@pytest.mark.parametrize(("uri", "says"), [
    ("ftp://example.org/m.onnx", "unknown URI scheme"),
    ("https://example.org/", "names no file"),
    ("https:///m.onnx", "name a host"),
    ("hf:", "expected hf:"),
    ("hf:a--b/c", "hf must be a repository"),
    ("hf:org/net@a b", "revision must be"),
    ("wheel:silero-vad==6.2.3", "expected wheel:"),
    ("wheel:silero-vad/x.onnx", "pinned as NAME==VERSION"),
    ("tfhub:", "tfhub must be a handle"),
    ("torchvision:resnet19", "no pretrained model 'resnet19'"),
    ("file:/nowhere/m.onnx", "/nowhere/m.onnx does not exist"),
])  # fmt: skip
def test_what_is_not_a_uri(uri, says):
    with pytest.raises(UsageError) as caught:
        parse_uri(uri)
    assert says in str(caught.value)


def test_near_names_are_offered():
    with pytest.raises(UsageError) as caught:
        weights_of("resnet19")
    assert "resnet18" in caught.value.hint


def test_no_credentials_in_what_people_see():
    parsed = parse_uri("https://me:secret@example.org/m.onnx?token=abc")
    model = model_from_uri(parsed, parsed.artifacts)
    shown = f"{parsed.uri} {model.name} {model.description} {model.license}"
    assert "secret" not in shown
    assert "abc" not in shown
    assert parsed.name != parse_uri("https://me:secret@example.org/m.onnx?token=abd").name


def test_a_framework_that_cannot_be_told():
    for uri in ("https://example.org/m.bin", "https://example.org/m.tar.gz"):
        parsed = parse_uri(uri)
        with pytest.raises(UsageError) as caught:
            model_from_uri(parsed, parsed.artifacts)
        assert "cannot tell" in str(caught.value)
        assert "catalog entry" in caught.value.hint


def test_a_local_file_is_what_it_holds_now(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx(1.0))
    first = parse_uri(f"file:{path}")
    assert first.artifacts[0].sha256 == hashlib.sha256(tiny_onnx(1.0)).hexdigest()
    path.write_bytes(tiny_onnx(2.0))
    second = parse_uri(f"file://{path}")
    assert second.artifacts[0].sha256 == hashlib.sha256(tiny_onnx(2.0)).hexdigest()
    assert first.name == second.name


def test_a_local_pair_a_folder_and_what_is_missing(tmp_path):
    (tmp_path / "m.xml").write_text("<net/>")
    parsed = parse_uri(f"file:{tmp_path / 'm.xml'}")
    with pytest.raises(UsageError, match="cannot tell the framework"):
        model_from_uri(parsed, parsed.artifacts)
    (tmp_path / "m.bin").write_bytes(b"\0")
    (tmp_path / ".hidden").write_bytes(b"\0")
    for name in ("m.xml", "."):
        parsed = parse_uri(f"file:{tmp_path / name}")
        model = model_from_uri(parsed, parsed.artifacts)
        assert ({a.path for a in model.artifacts}, model.framework) == ({"m.xml", "m.bin"}, "openvino")
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(UsageError, match="is an archive"):
        parse_uri(f"file:{tmp_path / 'a.zip'}")


@pytest.mark.parametrize(("paths", "framework", "network"), [
    (["openvino_model.xml", "openvino_model.bin",
      "openvino_tokenizer.xml", "openvino_tokenizer.bin", "x.onnx"],
     "openvino", "."),
    (["openvino_model.xml", "openvino_model.bin", "config.json", "model.safetensors"],
     "openvino", "openvino_model.xml"),
    (["model_index.json", "unet/openvino_model.xml", "unet/openvino_model.bin"], "openvino", "."),
    (["model_index.json", "unet/diffusion_pytorch_model.safetensors"], "diffusers", "."),
    (["config.json", "model-00001-of-00002.safetensors", "onnx/model.onnx"], "transformers", "."),
    (["config.json", "pytorch_model.bin", "tf_model.h5"], "transformers", "."),
    (["config.json", "modules.json", "model.safetensors", "openvino/openvino_model.xml",
      "openvino/openvino_model.bin"], "sentence-transformers", "."),
    (["onnx/model.onnx", "onnx/model_fp16.onnx"], "onnx", "onnx/model.onnx"),
    (["a/saved_model.pb", "a/variables/variables.index"], "tensorflow", "a"),
    (["saved_model.pb", "assets/x.pb"], "tensorflow", "."),
    (["frozen.pb"], "tensorflow", "frozen.pb"),
    (["readme.xml", "m.tflite"], "tflite", "m.tflite"),
    (["m.keras"], "keras", "m.keras"),
    (["m.pt"], "pytorch", "m.pt"),
])  # fmt: skip
def test_guesses(paths, framework, network):
    found = detect_network(paths, "x")
    assert (found.framework, found.network) == (framework, network)


def test_several_networks_are_not_guessed_at():
    with pytest.raises(UsageError, match="2 files that could be the onnx network") as caught:
        detect_network(["a.onnx", "b.onnx"], "hf:org/net")
    assert caught.value.found == "a.onnx, b.onnx"


def test_other_formats_of_the_same_weights_stay_away():
    paths = [
        "model.onnx",
        "model.onnx_data",
        "model.safetensors",
        "pytorch_model.bin",
        "config.json",
        "tf_model.h5",
    ]
    chosen = detect_network(paths, "x")
    assert drop_other_formats(chosen, paths) == ["model.onnx", "model.onnx_data", "config.json"]


def test_files_that_belong_together():
    there = ["m.onnx", "m.onnx_data", "m.onnx.data", "m.data", "n.onnx_data"]
    assert companion_files("m.onnx", there) == ["m.data", "m.onnx", "m.onnx.data", "m.onnx_data"]
    assert companion_files("m.meta", ["m.index", "m.data-00000-of-00001", "m.txt"]) == [
        "m.data-00000-of-00001", "m.index", "m.meta",
    ]  # fmt: skip


def test_small_things():
    assert archive_format("a.TAR.gz") == "tar.gz"
    assert archive_format("a.onnx") is None
    assert precision_in("x/FP16-INT8/m.xml") == "FP16-INT8"
    assert precision_in("hf:org/net-int8-ov/m.xml") == "INT8"
    assert precision_in("points8/m.xml") is None


@given(st.text(max_size=60))
def test_any_text_becomes_a_name(text):
    assert NAME.fullmatch(slug(text))


@given(st.text(max_size=60), st.sampled_from(["hf", "wheel", "tfhub", "torchvision", "https"]))
def test_any_uri_is_a_draft_or_an_error_of_ours(text, scheme):
    try:
        parsed = parse_uri(f"{scheme}:{text}")
        model_from_uri(parsed, parsed.artifacts)
    except UsageError:
        pass


def test_every_entry_of_torchvision_s_table_makes_a_model():
    table = weight_table()
    for name, facts in table.weights.items():
        model = torchvision_model(name, "x")
        assert model.recipe.builder.torchvision == facts.builder
        assert facts.categories is None or len(model.labels) == len(table.categories[facts.categories])
        for one in model.recipe.inputs:
            assert one.layout in {"NCHW", "NCDHW"}
            assert len(one.shape) == len(one.layout)
    resnet = torchvision_model("ResNet50_Weights.IMAGENET1K_V2", "resnet")
    (one,) = resnet.recipe.inputs
    assert (one.shape, one.mean) == ((1, 3, 224, 224), (123.675, 116.28, 103.53))
    assert resnet.labels[282] == "tiger cat"
    assert weights_of("resnet50") == "ResNet50_Weights.IMAGENET1K_V2"
    assert weights_of("ResNet50_Weights.IMAGENET1K_V1") == "ResNet50_Weights.IMAGENET1K_V1"


def test_a_folder_of_more_files_than_a_model_has_is_refused(tmp_path, monkeypatch):
    """The root of a disk is not walked to its end."""
    monkeypatch.setattr("model_zoo.catalog.uri._MOST_FILES", 3)
    (tmp_path / "m.onnx").write_bytes(b"x")
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(b"x")
    with pytest.raises(UsageError, match="holds more than 3 files"):
        parse_uri(f"file:{tmp_path}")
