"""Manifests: the JSON on disk as structs, byte for byte, from older and from newer versions."""

from __future__ import annotations

import json

import pytest

from model_zoo.cache.manifest import encode, read_manifest
from model_zoo.schema import EnvironmentManifest, FilesManifest, IrManifest

FILES = {
    "schema": 1,
    "model": "m",
    "declaration": "d" * 64,
    "precision": None,
    "integrity": {"a": "pinned"},
    "artifacts": [
        {"path": "a", "size": 1, "sha256": "1" * 64, "digests": [], "names": ["source:00"], "sources": []}
    ],
    "files": [{"path": "a", "size": 1, "sha256": "1" * 64}],
    "resolution": {"of": "2" * 64, "artifacts": [{"path": "b", "sources": [{"url": "https://x"}]}]},
}
PORTS = {
    "inputs": [{"name": "x", "shape": [1, "1..8", -1], "type": "f32"}],
    "outputs": [{"name": "y", "shape": None, "type": "u8"}],
}
IR = {
    "schema": 1,
    "key": "k",
    "model": "m",
    "precision": "FP32",
    "framework": "onnx",
    "parts": {"inputs": [["a", "1" * 64]], "versions": {"openvino": "1"}, "later": {"any": [None]}},
    "inputs": [{"path": "a", "size": 1, "sha256": "1" * 64}],
    "outputs": [{"path": "model.xml", "size": 0, "sha256": "3" * 64}],
    "ports": PORTS,
    "seconds": 2.0,
    "peak_memory": 5,
    "report": {"ratio": 0.5},
    "declaration": "d" * 64,
    "request": "4" * 64,
}
FOLDER = {name: value for name, value in IR.items() if name != "ports"} | {
    "layout": "folder",
    "opens": None,
    "irs": {"openvino_model.xml": PORTS},
}
OPENED = FOLDER | {"opens": "openvino_genai.LLMPipeline", "options": {"normalize": True}}
ENVIRONMENT = {
    "schema": 1,
    "digest": "5" * 64,
    "stack": "torch",
    "requirements": ["torch==2"],
    "packages": {"torch": "2"},
    "modules": {"torch": "torch"},
    "python": "3.12.1",
    "size": 7,
    "files": 2,
    "seconds": 1.5,
}
ALL = [(FILES, FilesManifest), (IR, IrManifest), (FOLDER, IrManifest), (OPENED, IrManifest)]
ALL += [(ENVIRONMENT, EnvironmentManifest)]


def written(folder, data, kind):
    (folder / kind.FILE_NAME).write_bytes(encode(data))
    return read_manifest(folder, kind, check=True)


@pytest.mark.parametrize(("data", "kind"), ALL)
def test_what_is_read_is_written_byte_for_byte(tmp_path, data, kind):
    stored = written(tmp_path, data, kind)
    assert stored.sealed
    assert encode(stored.manifest) == encode(data)
    assert stored.manifest.to_json() == data


@pytest.mark.parametrize(("data", "kind"), ALL)
def test_it_reads_like_the_json(tmp_path, data, kind):
    manifest = written(tmp_path, data, kind).manifest
    assert dict(manifest) == {**manifest} == data
    assert sorted(manifest) == sorted(data)
    assert len(manifest) == len(data)
    assert all(key in manifest and manifest[key] == manifest.get(key) == data[key] for key in data)
    assert "seal" not in manifest
    assert manifest.get("none", 7) == 7
    with pytest.raises(KeyError):
        manifest["none"]


@pytest.mark.parametrize(("data", "kind"), ALL)
def test_fields_of_newer_versions_are_sealed_and_ignored(tmp_path, data, kind):
    newer = json.loads(json.dumps(data).replace('"path": "a"', '"mode": 7, "path": "a"')) | {"later": [1]}
    stored = written(tmp_path, newer, kind)
    assert stored.sealed
    assert stored.manifest == written(tmp_path, data, kind).manifest
    (tmp_path / kind.FILE_NAME).write_bytes(encode(newer).replace(b'"later"', b'"other"'))
    assert not read_manifest(tmp_path, kind, check=True).sealed


def test_manifests_of_the_first_versions(tmp_path):
    artifact = {"path": "a", "size": 1, "sha256": "1" * 64, "digests": ["sha384:00"]}
    files = written(tmp_path, FILES | {"artifacts": [artifact]}, FilesManifest)
    assert (files.sealed, files.manifest.artifacts[0].names) == (True, None)
    ir = written(tmp_path, IR | {"inputs": [{"path": "a", "sha256": "1" * 64}]}, IrManifest)
    assert (ir.sealed, ir.manifest.inputs[0].size) == (True, 0)


@pytest.mark.parametrize(("data", "kind"), ALL)
def test_another_shape_is_no_manifest(tmp_path, data, kind):
    for name in ("schema", "files" if "files" in data else "outputs"):
        assert written(tmp_path, {k: v for k, v in data.items() if k != name}, kind) is None
        assert written(tmp_path, data | {name: {}}, kind) is None


def test_what_leaves_the_machine_says_nothing_about_it(tmp_path):
    files = written(tmp_path, FILES, FilesManifest).manifest.portable()
    assert "sources" not in files["artifacts"][0]
    ir = written(tmp_path, IR, IrManifest).manifest.portable()
    assert not {"seconds", "peak_memory"} & set(ir)
    assert encode(ir) == encode({k: v for k, v in IR.items() if k not in {"seconds", "peak_memory"}})
