"""The source kind ``oci``, as far as no registry is needed; tests/export/test_oci.py has one."""

from __future__ import annotations

import json

import pytest

from model_zoo.errors import SourceUnavailableError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources import integrity_of, parse_source
from model_zoo.sources.oci.reference import oci_reference
from model_zoo.sources.oci.source import OciSource
from tests.server import Server

HEX = "a" * 64


def test_mapping_is_read():
    source = parse_source({"oci": "reg.example/m:1", "file": "a/b.onnx"})
    assert isinstance(source, OciSource)
    assert source.describe() == "oci reg.example/m:1 file a/b.onnx"
    assert parse_source({"oci": "reg.example/m"}).describe() == "oci reg.example/m"


@pytest.mark.parametrize(
    "raw",
    [{"oci": "m"}, {"oci": "reg.example/m", "file": "../x"}, {"oci": "reg.example/m", "blob": "x"},
     {"oci": "reg.example/m", "blob": f"sha256:{HEX}", "file": "x"}, {"oci": "reg.example/m", "tag": "1"}],
)  # fmt: skip
def test_wrong_mapping_is_refused(raw):
    with pytest.raises(ValueError, match="oci|blob|file|path|tag|REGISTRY"):
        parse_source(raw)


@pytest.mark.parametrize(
    ("raw", "level"),
    [
        ({"oci": "reg.example/m:1"}, "first-use"),
        ({"oci": f"reg.example/m@sha256:{HEX}"}, "revision"),
        ({"oci": "reg.example/m", "blob": f"sha256:{HEX}"}, "revision"),
    ],
)
def test_a_digest_fixes_the_content(raw, level):
    assert integrity_of(Artifact(path="x", sources=(parse_source(raw),))) == level


@pytest.mark.parametrize(
    "layers", [None, 3, [3], [{}], [{"digest": "md5:1", "size": 1}], [{"digest": f"sha256:{HEX}"}]]
)
def test_manifest_without_a_usable_layer(layers):
    with Server() as server:
        server.add("/v2/m/manifests/1", json.dumps({"layers": layers}).encode())
        source = OciSource(oci=server.url("/m:1"))
        with pytest.raises(SourceUnavailableError, match="layer"):
            source.locate(Artifact(path="x"), Settings(attempts=1))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"manifests": [{}, {}]}, "index of 2 images"),
        ({"manifests": [{"digest": f"sha256:{HEX}"}]}, "does not exist"),
        (
            {"layers": [{"mediaType": "application/vnd.example", "digest": f"sha256:{HEX}", "size": 1}]},
            "not an image that model-zoo pushed",
        ),
        (
            {"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "md5:1"}]},
            "not an image that model-zoo pushed",
        ),
    ],
)
def test_image_of_somebody_else(manifest, why, tmp_path):
    from model_zoo.cache import Cache
    from model_zoo.registry.remote import pull

    with Server() as server:
        server.add("/v2/m/manifests/1", json.dumps(manifest).encode())
        with pytest.raises(SourceUnavailableError, match=why):
            pull(oci_reference(server.url("/m:1")), Cache(tmp_path / "cache"), Settings(attempts=1))
