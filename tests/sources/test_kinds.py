"""The kinds hf, tfhub and torchvision, as far as they need nobody else."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from model_zoo.errors import DigestMismatchError, OfflineError, SourceUnavailableError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources import integrity_of, parse_source
from model_zoo.sources.hf.source import HfSource
from model_zoo.sources.tfhub import TfhubSource
from model_zoo.sources.torchvision import SITE, TorchvisionSource, weight_table

ANY = Artifact(path="m")
COMMIT = "a" * 40


@pytest.mark.parametrize(("handle", "address"), [
    ("google/nnlm-en-dim50/2", "https://tfhub.dev/google/nnlm-en-dim50/2?tf-hub-format=compressed"),
    ("/google/nnlm-en-dim50/2/", "https://tfhub.dev/google/nnlm-en-dim50/2?tf-hub-format=compressed"),
    ("https://tfhub.dev/google/x/1", "https://tfhub.dev/google/x/1?tf-hub-format=compressed"),
    ("http://h:8/x?a=1", "http://h:8/x?a=1&tf-hub-format=compressed"),
    ("http://h:8/x?tf-hub-format=compressed", "http://h:8/x?tf-hub-format=compressed"),
])  # fmt: skip
def test_the_address_of_a_handle(handle, address):
    assert TfhubSource(tfhub=handle).locate(ANY, Settings()).url == address


@pytest.mark.parametrize("handle", ["", "https://", "https://h", "ftp://h/x"])
def test_what_is_no_handle(handle):
    with pytest.raises(ValueError, match="tfhub must be a handle"):
        TfhubSource(tfhub=handle)


def test_handles_in_messages():
    assert TfhubSource(tfhub="https://tfhub.dev/google/x/1").describe() == "tfhub:google/x/1"
    assert TfhubSource(tfhub="https://me:pw@h/x").describe() == "tfhub:https://h/x"


@pytest.mark.parametrize(("raw", "says"), [
    ({"hf": "a/b/c", "file": "m"}, "hf must be a repository"),
    ({"hf": "a/..", "file": "m"}, "hf must be a repository"),
    ({"hf": "a/b", "file": "../m"}, r'must not contain ".."'),
    ({"hf": "a/b", "revision": "", "file": "m"}, "revision must be"),
    ({"hf": "a/b", "revision": "x y", "file": "m"}, "revision must be"),
    ({"torchvision": "resnet50"}, "torchvision must be like"),
    ({"hf": "a/b", "sha": "x"}, "unknown field"),
])  # fmt: skip
def test_what_a_catalog_may_not_say(raw, says):
    with pytest.raises(ValueError, match=says):
        parse_source(raw)


@pytest.mark.parametrize(("revision", "file", "several", "floating", "level"), [
    ("main", "m.onnx", False, True, "first-use"),
    (COMMIT, "m.onnx", False, False, "revision"),
    (COMMIT, "*.onnx", True, True, "revision"),
    ("main", "onnx/", True, True, "first-use"),
    (COMMIT, None, True, True, "revision"),
])  # fmt: skip
def test_what_a_hub_s_source_is(revision, file, several, floating, level):
    source = HfSource(hf="org/net", revision=revision, file=file)
    assert (source.several, source.floating) == (several, floating)
    assert integrity_of(Artifact(path="m", sources=(source,))) == level


def test_patterns_cannot_have_what_one_file_has():
    several = HfSource(hf="org/net", file="*")
    one = HfSource(hf="org/net", file="m")
    assert Artifact(path=".", sources=(several,)).path == "."
    for wrong in ({"size": 1}, {"sha256": "0" * 64}, {"sources": (several, one)}):
        with pytest.raises(ValueError, match="pattern stands for several"):
            Artifact(**{"path": "m", "sources": (several,), **wrong})
    with pytest.raises(ValueError, match="path"):
        Artifact(path=".", sources=(one,))


def test_the_client_s_offline_variables(monkeypatch):
    import huggingface_hub.constants  # noqa: F401 - read once a process, and other tests go online

    source = HfSource(hf="org/net", revision=COMMIT, file="m")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "yes")
    with pytest.raises(OfflineError, match="hf:org/net@a{40}/m"):
        source.locate(ANY, Settings())
    monkeypatch.delenv("TRANSFORMERS_OFFLINE")
    with pytest.raises(OfflineError):
        source.locate(ANY, Settings(offline=True))


def test_weights_and_the_digits_in_their_names(tmp_path):
    source = TorchvisionSource(torchvision="ResNet50_Weights.IMAGENET1K_V2")
    location = source.locate(ANY, Settings())
    assert location.url == f"{SITE}resnet50-11ad3fa6.pth"
    assert (source.prefix, source.integrity) == ("11ad3fa6", "prefix")
    path = tmp_path / "x"
    path.write_bytes(b"x")
    with pytest.raises(DigestMismatchError) as caught:
        location.check(path)
    assert caught.value.found == f"sha256 {hashlib.sha256(b'x').hexdigest()}"
    declared = Artifact(path="m", sha256="0" * 64, sources=(source,))
    assert source.locate(declared, Settings()).check is None, "a whole digest says more"
    loose = TorchvisionSource(torchvision="ResNet18_QuantizedWeights.IMAGENET1K_FBGEMM_V1")
    assert (loose.prefix, loose.integrity, loose.locate(ANY, Settings()).check) == (None, "first-use", None)
    with pytest.raises(SourceUnavailableError, match="not among the weights of torchvision"):
        TorchvisionSource(torchvision="New_Weights.V9").locate(ANY, Settings())


def test_the_table_is_whole():
    table = weight_table()
    assert sum(facts.default for facts in table.weights.values()) == len(
        {f.builder for f in table.weights.values()}
    )
    for name, facts in table.weights.items():
        source = TorchvisionSource(torchvision=name)
        assert source.prefix or "_" in facts.file
        assert msgspec.to_builtins(source) == {"torchvision": name}
        assert not facts.categories or table.categories[facts.categories]
