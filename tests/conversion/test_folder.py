"""What opens a folder, how an embedding is pooled, and what weight formats mean to optimum-intel."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from model_zoo.conversion import key_parts, toolchain
from model_zoo.conversion.folder_model import pipeline_class
from model_zoo.conversion.key import packages
from model_zoo.conversion.worker import weights
from model_zoo.conversion.worker.frameworks import optimum
from model_zoo.conversion.worker.frameworks.openvino import describe_irs
from model_zoo.conversion.worker.job import Job
from model_zoo.errors import ConversionError, MissingExtraError, UnknownPrecisionError
from model_zoo.formats.hf_config import config_files, pooling_of
from model_zoo.schema import PIPELINES, ConvertedModel, opening_line
from tests.conversion.support import entry, run
from tests.folders import language_model, write_ir
from tests.manifests import ir_manifest

ONE, WORDS = "openvino_model.xml", "openvino_tokenizer.xml"
TWO = ["openvino_encoder_model.xml", "openvino_decoder_model.xml"]


def ir(*outputs):
    return {ONE: {"inputs": [], "outputs": [{"name": name} for name in outputs]}}


@pytest.mark.parametrize(("files", "config", "irs", "opens"), [
    ([ONE, WORDS], {"architectures": ["LlamaForCausalLM"]}, ir("logits"), "openvino_genai.LLMPipeline"),
    ([ONE, WORDS], {"architectures": ["GPT2LMHeadModel"]}, ir("logits"), "openvino_genai.LLMPipeline"),
    ([ONE], {"architectures": ["LlamaForCausalLM"]}, ir("logits"), "optimum.intel.OVModelForCausalLM"),
    ([ONE, WORDS], {"architectures": ["Qwen3ForCausalLM"]}, ir("last_hidden_state"),
     "openvino_genai.TextEmbeddingPipeline"),
    ([ONE, WORDS], {"architectures": ["BertModel"]}, ir("last_hidden_state"),
     "openvino_genai.TextEmbeddingPipeline"),
    ([ONE], {"architectures": ["BertModel"]}, ir("last_hidden_state"),
     "optimum.intel.OVModelForFeatureExtraction"),
    ([ONE, WORDS], {"architectures": ["BertModel"]}, ir("token_embeddings", "sentence_embedding"), None),
    ([ONE, WORDS], {"architectures": ["XForSequenceClassification"], "id2label": {"0": "L"}}, ir("logits"),
     "openvino_genai.TextRerankPipeline"),
    ([ONE, WORDS], {"architectures": ["XForSequenceClassification"]}, ir("logits"),
     "optimum.intel.OVModelForSequenceClassification"),
    ([ONE, WORDS], {"architectures": ["BertForTokenClassification"]}, ir("logits"),
     "optimum.intel.OVModelForTokenClassification"),
    ([ONE], {"architectures": ["Wav2Vec2ForCTC"]}, ir("logits"), "optimum.intel.OVModelForCTC"),
    ([ONE], {"architecture": "resnet18"}, ir("logits"), "optimum.intel.OVModelForImageClassification"),
    ([ONE], {}, ir("x"), None),
    (["a.xml", "b.xml"], None, {}, None),
    (["openvino_language_model.xml"], {}, {}, "openvino_genai.VLMPipeline"),
    ([*TWO, "openvino_vocoder.xml"], {}, {}, "openvino_genai.Text2SpeechPipeline"),
    (TWO, {"architectures": ["WhisperForConditionalGeneration"]}, {}, "openvino_genai.WhisperPipeline"),
    (TWO, {"architectures": ["SpeechT5ForSpeechToText"]}, {}, "optimum.intel.OVModelForSpeechSeq2Seq"),
    (TWO, {"architectures": ["VisionEncoderDecoderModel"]}, {}, "optimum.intel.OVModelForVision2Seq"),
    (TWO, {"architectures": ["T5ForConditionalGeneration"]}, {}, "optimum.intel.OVModelForSeq2SeqLM"),
])  # fmt: skip
def test_what_opens_a_folder(tmp_path, files, config, irs, opens):
    names = list(files)
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        names.append("config.json")
    assert pipeline_class(tmp_path, names, irs) == opens


@pytest.mark.parametrize(("kind", "opens"), [
    ("StableDiffusionPipeline", "Text2ImagePipeline"),
    ("FluxPipeline", "Text2ImagePipeline"),
    ("StableDiffusionXLImg2ImgPipeline", "Image2ImagePipeline"),
    ("StableDiffusionInpaintPipeline", "InpaintingPipeline"),
    ("LTXPipeline", "Text2VideoPipeline"),
])  # fmt: skip
def test_what_opens_a_pipeline_of_diffusers(tmp_path, kind, opens):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    assert pipeline_class(tmp_path, ["model_index.json"], {}) == f"openvino_genai.{opens}"


def test_damaged_configurations_are_no_reason_to_fail(tmp_path):
    (tmp_path / "config.json").write_text("[1")
    assert pipeline_class(tmp_path, ["config.json", ONE], ir("last_hidden_state")).endswith(
        "FeatureExtraction"
    )
    (tmp_path / "config.json").write_text("[]")
    assert pipeline_class(tmp_path, ["config.json", ONE], ir("x")) is None


@pytest.mark.parametrize("opens", [None, *sorted(set(PIPELINES.values())), "optimum.intel.OVModelForCTC"])
def test_lines_that_open_are_python(opens):
    line = opening_line(opens, 'r"C:\\\\a b"', {"normalize": True, "pooling_type": "MEAN"})
    compile(line, "line", "exec")
    assert (opens or "openvino.Core").rpartition(".")[2] in line


def test_one_network_has_its_files(tmp_path):
    model = entry("onnx", "m.onnx")
    made = ConvertedModel(model=model, precision="FP32", directory=tmp_path, key="k", manifest=ir_manifest())
    assert (made.xml, made.bin, made.path) == (tmp_path / "model.xml", tmp_path / "model.bin", made.xml)
    assert f'compile_model(r"{made.xml}")' in made.opening
    folder = ConvertedModel(
        model=model,
        precision="FP32",
        directory=tmp_path,
        key="k",
        manifest=ir_manifest(layout="folder"),
    )
    assert 'openvino_model.xml")' in folder.opening


# --- sentence-transformers


def sentences(folder, *kinds, pooling=None, path=""):
    modules = [
        {"path": path if i == 0 else f"{i}_{k}", "type": f"st.models.{k}"} for i, k in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return pooling_of(folder)


MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False, "word_embedding_dimension": 3}


@pytest.mark.parametrize(("kinds", "pooling", "wanted"), [
    (("Transformer", "Pooling", "Normalize"), MEAN, {"pooling_type": "MEAN", "normalize": True}),
    (("Transformer", "Pooling"), {"pooling_mode": "cls"}, {"pooling_type": "CLS", "normalize": False}),
    (("Transformer", "Pooling"), {"pooling_mode_lasttoken": True},
     {"pooling_type": "LAST_TOKEN", "normalize": False}),
    (("Transformer", "Pooling"), {**MEAN, "pooling_mode_cls_token": True}, None),
    (("Transformer", "Pooling"), {"pooling_mode": "max"}, None),
    (("Transformer", "Pooling"), None, None),
    (("Transformer", "Pooling", "Dense"), MEAN, None),
    (("CLIPModel",), None, None),
])  # fmt: skip
def test_how_tokens_become_a_sentence(tmp_path, kinds, pooling, wanted):
    assert sentences(tmp_path, *kinds, pooling=pooling) == wanted


def test_no_pooling_is_known_where_nothing_says(tmp_path):
    assert pooling_of(tmp_path) is None
    assert config_files(tmp_path) == []
    assert sentences(tmp_path, "Transformer", "Pooling", pooling=MEAN, path="0_Transformer") is None
    assert config_files(tmp_path) == ["modules.json", "1_Pooling/config.json"]


# --- weights


def job(tmp_path, precision="INT4", **more):
    return Job.from_request({
        "framework": "transformers", "files": str(tmp_path), "staging": str(tmp_path), "precision": precision,
        **more,
    })  # fmt: skip


def test_formats_without_a_recipe(tmp_path):
    assert weights.config_of(job(tmp_path, "FP32"), "t") is None
    assert weights.config_of(job(tmp_path, "FP16"), "t") is None
    assert weights.config_of(job(tmp_path, "INT8"), "t") == {"bits": 8, "dtype": "int8", "sym": False}
    four = {"bits": 4, "dtype": "int4", "sym": False, "group_size": 128}
    assert weights.config_of(job(tmp_path), "t") == four
    assert weights.config_of(job(tmp_path, "NF4"), "t") == {"bits": 4, "dtype": "nf4", "sym": False}
    with pytest.raises(UnknownPrecisionError, match="cannot export to FP16-INT8"):
        weights.config_of(job(tmp_path, "FP16-INT8"), "t")


def test_formats_with_a_recipe(tmp_path):
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n")
    compress = {
        "mode": "int4_sym", "ratio": 0.8, "group_size": 64, "all_layers": True, "awq": True,
        "scale_estimation": True, "backup_mode": "INT8_SYM", "sensitivity_metric": "MAX_ACTIVATION_VARIANCE",
        "ignored_scope": ["a", "/b.*/"], "dataset": "texts.txt", "subset_size": 2,
        "group_size_fallback": "adjust",
    }  # fmt: skip
    recipe = {"compress": compress}
    assert weights.config_of(job(tmp_path, recipe=recipe), "t") == {
        "bits": 4, "dtype": "int4", "sym": True, "ratio": 0.8, "group_size": 64, "all_layers": True,
        "scale_estimation": True, "group_size_fallback": "adjust", "quant_method": "awq",
        "backup_precision": "int8_sym", "sensitivity_metric": "max_activation_variance",
        "ignored_scope": {"names": ["a"], "patterns": ["b.*"]}, "dataset": ["one", "two"], "num_samples": 2,
        "tokenizer": "t",
    }  # fmt: skip
    eight = weights.config_of(job(tmp_path, "INT8", recipe=recipe), "t")
    assert eight == {
        "bits": 8, "dtype": "int8", "sym": False, "ignored_scope": {"names": ["a"], "patterns": ["b.*"]},
    }  # fmt: skip
    auto = weights.config_of(job(tmp_path, recipe={"compress": {"dataset": "auto"}}), "t")
    assert auto["dataset"] == "auto"
    named = weights.config_of(job(tmp_path, recipe=recipe, calibration=str(tmp_path / "texts.txt")), "t")
    assert named["dataset"] == ["one", "two"]


@pytest.mark.parametrize(("compress", "why"), [
    ({"mode": "int5"}, "is not a mode"),
    ({"dataset": "absent.txt"}, "no file"),
    ({"dataset": "empty.txt"}, "is empty"),
    ({"dataset": "picture.png"}, "is not a text file"),
])  # fmt: skip
def test_recipes_that_cannot_be_followed(tmp_path, compress, why):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ConversionError, match=why):
        weights.config_of(job(tmp_path, recipe={"compress": compress}), "t")


# --- the rest of an export


def test_what_is_not_complete_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(ConversionError, match="wrote no IR"):
        optimum._check(job(tmp_path), "transformers", tokenizers=True)
    write_ir(tmp_path / ONE, "x", "y")
    optimum._check(job(tmp_path), "transformers", tokenizers=True)
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(ConversionError, match="cannot convert this model's tokenizer"):
        optimum._check(job(tmp_path), "transformers", tokenizers=True)
    optimum._check(job(tmp_path), "transformers", tokenizers=False)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A worker's own folder, in which the files and the staging folder have their short names."""
    for name in ("files", "ir", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "scratch")
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("HF_HOME", "HF_MODULES_CACHE"):
        monkeypatch.setenv(name, "/elsewhere")
    job = Job.from_request({
        "framework": "sentence-transformers", "files": str(tmp_path / "files"),
        "staging": str(tmp_path / "ir"), "precision": "FP16",
    })  # fmt: skip
    optimum._prepare_directory(job)
    return job


def test_what_libraries_leave_behind_ends_with_the_worker(prepared):
    (prepared.files / "config.json").write_text("{}")
    assert Path("model/config.json").read_text() == "{}"
    (Path("ir") / "x").write_text("y")
    assert (prepared.staging / "x").read_text() == "y"
    assert tempfile.gettempdir() == str(Path.cwd())
    assert os.environ["HF_HOME"].startswith(str(Path.cwd()))


def test_a_part_of_the_files_may_be_the_model(prepared, tmp_path, monkeypatch):
    (tmp_path / "files" / "chat").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    optimum._prepare_directory(replace(prepared, recipe={"model": "chat"}))
    assert Path("model").resolve() == tmp_path / "files" / "chat"


def test_which_library_exports_sentences(prepared):
    assert optimum._library_of(prepared, {}) == "sentence_transformers"
    sentences(prepared.files, "Transformer", "Pooling", pooling=MEAN)
    assert optimum._library_of(prepared, {}) == "transformers"
    assert optimum._library_of(prepared, {"task": "sentence-similarity"}) == "sentence_transformers"
    optimum._copy_config_files()
    assert pooling_of(prepared.staging) == {"pooling_type": "MEAN", "normalize": False}
    assert optimum._task_of("timm") == "image-classification"
    assert optimum._task_of("sentence_transformers") == "feature-extraction"


def test_a_model_without_code_needs_no_trust(prepared):
    optimum._refuse_code(prepared)
    (prepared.files / "config.json").write_text('{"auto_map": {"AutoModel": "mine.Mine"}}')
    optimum._refuse_code(replace(prepared, trust_code=True))


def test_an_interpreter_without_the_exporter_is_told(prepared, tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    if importlib.util.find_spec("optimum"):
        pytest.skip("optimum-intel is here")
    with pytest.raises(MissingExtraError, match="cannot be imported") as caught:
        optimum.export(prepared, _elsewhere)
    assert "--isolate" in caught.value.hint


def _elsewhere(stage):
    assert stage == "import"


def test_ports_of_every_network_but_tokenizers(tmp_path):
    language_model(tmp_path)
    write_ir(tmp_path / "part" / "openvino_model.xml", "sample", "out")
    (tmp_path / "labels.xml").write_text("<labels/>")
    found = describe_irs(tmp_path)
    assert sorted(found) == [ONE, "part/openvino_model.xml"]
    assert found[ONE]["inputs"] == [{"name": "input_ids", "shape": [-1, -1], "type": "i64"}]


def test_versions_that_are_in_the_key(tmp_path):
    base = ("openvino", "torch", "transformers", "optimum", "optimum-intel", "nncf", "openvino-tokenizers")
    for framework in ("transformers", "diffusers", "sentence-transformers", "timm"):
        found = packages(entry(framework, "config.json"), "FP16")
        assert found[:7] == base
        assert found[7:] == (() if framework == "transformers" else (framework,))
    assert packages(entry("openvino", "a.xml", "b.xml"), "INT4") == ("openvino",)
    model = entry("transformers", "config.json", recipe={"export": {"task": "fill-mask"}})
    parts = key_parts(model, "FP16", [], toolchain(entry("openvino", "a.xml", "b.xml"), "FP16"))
    assert parts["recipe"] == {"export": {"task": "fill-mask"}}


def test_without_the_stack_both_ways_out_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    model = entry("transformers", "config.json")
    with pytest.raises(ConversionError) as caught:
        run(model, tmp_path, tmp_path / "ir", parts={"versions": {"openvino": "1", "optimum-intel": None}})
    assert "--isolate" in str(caught.value)
    assert "--python" in str(caught.value)
