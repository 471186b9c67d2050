"""Folders as Hugging Face lays them out: which framework, and which files are needed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.catalog.detect import framework_of, required_files
from model_zoo.catalog.uri import model_from_uri, parse_uri
from model_zoo.schema import EXPORTED, Artifact, Model

CHAT = ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize(("paths", "name", "framework"), [
    (CHAT, "hf:org/chat", "transformers"),
    ([*CHAT, "model.onnx"], "hf:org/chat", None),
    ([*CHAT, "openvino_model.xml", "openvino_model.bin"], "hf:org/chat", None),
    ([*CHAT, "openvino_model.xml"], "hf:org/chat", "transformers"),
    (["config.json", "model.safetensors"], "hf:timm/resnet18.a1_in1k", "timm"),
    (["model.safetensors"], "hf:org/loose", None),
    (["config.json", "sub/model.safetensors"], "hf:org/below", None),
    (["a.xml", "a.bin", "b.xml", "b.bin"], "x", None),
    ([f"openvino_{n}{e}" for n in ("model", "tokenizer") for e in (".xml", ".bin")], "x", "openvino"),
    (["model_index.json"], "x", "diffusers"),
    ([], "x", None),
])  # fmt: skip
def test_framework(paths, name, framework):
    assert framework_of(paths, name) == framework


@pytest.mark.parametrize(
    ("framework", "paths", "needed"),
    [
        (
            "transformers",
            [
                *CHAT,
                "pytorch_model.bin",
                "tf_model.h5",
                "flax_model.msgpack",
                "rust_model.ot",
                "onnx/model.onnx",
                "onnx/config.json",
                "openvino/openvino_model.xml",
                "original/consolidated.00.pth",
                "model.fp16.safetensors",
                "consolidated.safetensors",
                "training_args.bin",
                "README.md",
                "sub/extra.safetensors",
                "modeling_mine.py",
            ],
            [*CHAT, "README.md", "modeling_mine.py"],
        ),
        (
            "transformers",
            ["config.json", "pytorch_model-00001-of-00002.bin", "training_args.bin"],
            ["config.json", "pytorch_model-00001-of-00002.bin"],
        ),
        (
            "transformers",
            ["config.json", "consolidated.safetensors"],
            ["config.json", "consolidated.safetensors"],
        ),
        (
            "sentence-transformers",
            [
                "modules.json",
                "model.safetensors",
                "1_Pooling/config.json",
                "2_Dense/model.safetensors",
                "2_Dense/pytorch_model.bin",
                "other/model.safetensors",
            ],
            ["modules.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors"],
        ),
        (
            "diffusers",
            [
                "model_index.json",
                "v1-5-pruned.safetensors",
                "v1-5-pruned.ckpt",
                "unet/config.json",
                "unet/diffusion_pytorch_model.safetensors",
                "unet/diffusion_pytorch_model.fp16.safetensors",
                "unet/diffusion_pytorch_model.bin",
                "text_encoder/model.fp16.safetensors",
                "vae/diffusion_flax_model.msgpack",
            ],
            [
                "model_index.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model.safetensors",
                "text_encoder/model.fp16.safetensors",
            ],
        ),
    ],
)
def test_needed(framework, paths, needed):
    assert required_files(framework, paths) == needed


@given(
    st.sampled_from(EXPORTED),
    st.lists(st.from_regex(r"(a/)?[a-z]{1,5}\.(json|bin|safetensors)", fullmatch=True)),
)
def test_what_is_needed_stays_needed(framework, paths):
    kept = required_files(framework, paths)
    assert required_files(framework, kept) == kept
    assert {path for path in paths if path.endswith(".json")} <= set(kept)


def test_a_local_folder_becomes_a_model(tmp_path):
    for name in (*CHAT, "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"{}")
    parsed = parse_uri(f"file:{tmp_path}")
    model = model_from_uri(parsed, parsed.artifacts)
    assert (model.framework, model.is_folder, model.recipe.model) == ("transformers", True, None)
    assert model.precisions == ("FP16", "INT8", "INT4", "FP32")
    assert sorted(a.path for a in model.artifacts) == sorted(CHAT)


def test_a_folder_below_the_one_named(tmp_path):
    parsed = parse_uri("hf:org/many@main/chat")
    paths = [*(f"chat/{name}" for name in CHAT), "chat/tf_model.h5", "other/config.json"]
    model = model_from_uri(parsed, tuple(Artifact(path=path) for path in paths))
    assert (model.framework, sorted(a.path for a in model.artifacts)) == ("transformers", sorted(CHAT))


def test_a_saved_model_at_the_top_of_a_repository():
    parsed = parse_uri("hf:org/saved")
    paths = ("saved_model.pb", "variables/variables.index", "model.onnx_data")
    model = model_from_uri(parsed, tuple(Artifact(path=path) for path in paths))
    assert (model.framework, model.recipe.model) == ("tensorflow", ".")


@pytest.mark.parametrize(("fields", "folder"), [
    ({"framework": "transformers"}, True),
    ({"framework": "openvino", "artifacts": [{"path": "a.xml"}, {"path": "b.xml"}]}, True),
    ({"framework": "openvino", "recipe": {"model": "."}}, True),
    ({"framework": "openvino", "recipe": {"model": "a.xml"},
      "artifacts": [{"path": "a.xml"}, {"path": "b.xml"}]}, False),
    ({"framework": "openvino",
      "artifacts": [{"path": f"{p}/a.xml", "precision": p} for p in ("FP16", "FP32")]}, False),
    ({"framework": "onnx"}, False),
])  # fmt: skip
def test_which_models_are_folders(fields, folder):
    base = {"schema": 1, "name": "x", "task": "t", "license": "MIT", "description": "-"}
    model = msgspec.convert({**base, "artifacts": [{"path": "m"}], **fields}, Model)
    assert model.is_folder is folder


def test_an_export_is_for_what_is_exported():
    base = {"schema": 1, "name": "x", "task": "t", "license": "MIT", "description": "-"}
    data = {
        **base,
        "framework": "onnx",
        "artifacts": [{"path": "m"}],
        "recipe": {"export": {"task": "fill-mask"}},
    }
    with pytest.raises(msgspec.ValidationError, match="recipe.export is for"):
        msgspec.convert(data, Model)
