"""Sources are recognised by their key, shown without secrets, ranked by how firmly they fix content."""

from __future__ import annotations

import pytest

from model_zoo.errors import SourceUnavailableError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources import KINDS, integrity_of, kind_of, known_names, parse_source
from model_zoo.sources.base import LocatedSource
from model_zoo.sources.file import FileSource
from model_zoo.sources.url import UrlSource
from model_zoo.text import safe_url


def test_every_kind_loads_and_knows_its_name():
    assert set(KINDS) <= set(known_names())
    for name, kind in ((name, kind_of(name)) for name in known_names()):
        assert kind.kind == name
        assert issubclass(kind, LocatedSource)
    with pytest.raises(ValueError, match="unknown source kind"):
        kind_of("nonsense")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, "no known source kind"),
        ({"urll": "x"}, "known: "),
        ({"url": 3}, "url: Expected `str`"),
        ({"url": "https://x/", "extra": 1}, "unknown field"),
        ({"url": "https://x/", "wheel": "a==1"}, "one kind, not several"),
        ({1: 2}, "a source is a mapping"),
        ("https://x/", "a source is a mapping"),
    ],
)
def test_wrong_sources(raw, words):
    with pytest.raises(ValueError, match=words):
        parse_source(raw)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "x", "https://", "http:///m"])
def test_only_http(url):
    with pytest.raises(ValueError, match="http"):
        UrlSource(url=url)


def test_messages_show_no_secrets():
    source = UrlSource(url="https://user:pass@example.org:8443/a/m.onnx?X-Signature=abc#frag")
    assert source.describe() == "https://example.org:8443/a/m.onnx?…"
    assert safe_url("https://example.org/m") == "https://example.org/m"


def test_file_source(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"m")
    artifact = Artifact(path="m.onnx")
    assert FileSource(file="../m.onnx").rooted(tmp_path / "w").file == str(tmp_path / "m.onnx")
    (tmp_path / "far" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/real", target_is_directory=True)
    through = FileSource(file="../m.onnx").rooted(tmp_path / "link")
    assert through.file == str(tmp_path / "link" / ".." / "m.onnx"), "which is far/m.onnx"
    source = FileSource(file="m.onnx").rooted(tmp_path)
    assert source.locate(artifact, Settings()).path == tmp_path / "m.onnx"
    with pytest.raises(SourceUnavailableError) as caught:
        FileSource(file="absent").rooted(tmp_path).locate(artifact, Settings())
    assert caught.value.found == "no such file"
    with pytest.raises(SourceUnavailableError) as caught:
        FileSource(file=".").rooted(tmp_path).locate(artifact, Settings())
    assert "not a regular file" in str(caught.value.found)


def test_integrity_is_the_declared_or_the_weakest():
    url = UrlSource(url="https://example.org/m")
    assert integrity_of(Artifact(path="m", sha512="a" * 128, sources=(url,))) == "pinned"
    assert integrity_of(Artifact(path="m", integrity="prefix", sources=(url,))) == "prefix"
    assert integrity_of(Artifact(path="m", sources=(url,))) == "first-use"


def test_the_contract_of_a_kind():
    class Bare(LocatedSource, frozen=True, kw_only=True):
        bare: str

    source = Bare(bare="x")
    with pytest.raises(NotImplementedError):
        source.locate(Artifact(path="m"), Settings())
    with pytest.raises(NotImplementedError):
        source.describe()
    assert not source.immutable
    assert source.rooted(None) is source
