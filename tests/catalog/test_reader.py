"""Catalog entries are read strictly, and every error names file, line and field."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.catalog import Catalog, builtin_catalog, parse_model, read_model
from model_zoo.catalog.json_schema import json_schema, schema_text
from model_zoo.catalog.reader import read_labels, split_field
from model_zoo.errors import CatalogError, UnknownModelError
from model_zoo.schema import Digest
from model_zoo.sources.file import FileSource
from model_zoo.sources.url import UrlSource
from model_zoo.sources.wheel import WheelSource

GOOD = """\
schema: 1
name: m
task: test
framework: onnx
license: MIT
description: A model.
artifacts:
  - path: m.onnx
    size: 3
    sha256: {digest}
    sources:
      - {{url: "https://example.org/m.onnx"}}
      - {{wheel: a==1.0, member: a/m.onnx}}
      - {{file: here/m.onnx}}
recipe:
  inputs:
    - {{name: x, shape: [1, "?", -1, "2..8"], type: f32, layout: NCHW, mean: [1, 2, 3], scale: 2.5}}
""".format(digest="a1" * 32)


def write(folder, text, name="m"):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_good_entry(tmp_path):
    model = read_model(write(tmp_path, GOOD))
    assert model.name == "m"
    assert model.precisions == ("FP32", "FP16")
    (artifact,) = model.artifacts
    url, wheel, file = artifact.sources
    assert url == UrlSource(url="https://example.org/m.onnx")
    assert wheel == WheelSource(wheel="a==1.0", member="a/m.onnx")
    assert file == FileSource(file=str(tmp_path / "here/m.onnx"))
    assert model.recipe.inputs[0].shape == (1, "?", -1, "2..8")
    assert str(artifact.digests[0]) == f"sha256:{'a1' * 32}"


WRONG = [
    ("size: 3", "size: -1", 9, "artifacts[0].size"),
    ("size: 3", "size: big", 9, "artifacts[0].size"),
    ("size: 3", "sise: 3", 9, "artifacts[0].sise"),
    ("a1" * 32, "a1" * 31, 10, "artifacts[0].sha256"),
    ("a1" * 32, "A1" * 32, 10, "artifacts[0].sha256"),
    ("path: m.onnx", "path: ../m.onnx", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: /m.onnx", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: a\\\\b", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: aux.onnx", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: m.onnx.", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: a//m.onnx", 8, "artifacts[0].path"),
    ("path: m.onnx", f"path: {'x' * 300}", 8, "artifacts[0].path"),
    ("path: m.onnx", "path: .model-zoo.json", 8, "artifacts[0].path"),
    ("framework: onnx", "framework: onyx", 4, "framework"),
    ("task: test\n", "", 1, "task"),
    ("schema: 1", "schema: 2", 1, "schema"),
    ("name: m", "name: m/n", 2, "name"),
    ('"https://example.org/m.onnx"', "3", 12, "artifacts[0].sources[0].url"),
    ('"https://example.org/m.onnx"', "'ftp://x/m'", 12, "artifacts[0].sources[0].url"),
    ("wheel: a==1.0", "wheel: a>=1.0", 13, "artifacts[0].sources[1].wheel"),
    ("member: a/m.onnx", "member: ../m.onnx", 13, "artifacts[0].sources[1]"),
    ("file: here/m.onnx", "fyle: here/m.onnx", 14, "artifacts[0].sources[2]"),
    ("file: here/m.onnx", "file: ''", 14, "artifacts[0].sources[2].file"),
    ("{file: here/m.onnx}", "[file]", 14, "artifacts[0].sources[2]"),
    ("{file: here/m.onnx}", "{file: a, url: 'https://x/'}", 14, "artifacts[0].sources[2]"),
    ("type: f32", "type: float", 17, "recipe.inputs[0].type"),
    ('"2..8"', '"2-8"', 17, "recipe.inputs[0].shape"),
    ("-1", "-2", 17, "recipe.inputs[0].shape"),
    ("scale: 2.5", "scale: 0", 17, "recipe.inputs[0].scale"),
]


@pytest.mark.parametrize(("old", "new", "line", "field"), WRONG)
def test_wrong_entry_is_named(tmp_path, old, new, line, field):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        read_model(path)
    assert caught.value.what.startswith(f"{path}:{line}: {field}: "), caught.value.what
    assert caught.value.exit_code == 3
    assert "$" not in caught.value.what


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("license: MIT", "licence: MIT", "licence: unknown field; did you mean license?"),
        ("type: f32", "tipe: f32", "recipe.inputs[0].tipe: unknown field; did you mean type?"),
        ("member: a/m", "menber: a/m", "artifacts[0].sources[1].menber: unknown field; did you mean member?"),
        ("size: 3", "zzz: 3", "unknown field; known fields: approximate_size, integrity, path, "),
        ("size: 3", "zzz: 3", "artifacts[0].zzz: unknown field"),
        ("framework: onnx", "framework: torch", "framework: 'torch' is not one of diffusers, jax, "),
        ("framework: onnx", "framework: torch", "transformers; did you mean pytorch?"),
        ("type: f32", "type: float", "recipe.inputs[0].type: 'float' is not one of bf16, boolean, f16, f32"),
        ("type: f32", "type: float", "u16, u32, u64, u8; did you mean f32?"),
        ("schema: 1", "schema: 2", "schema: 2 is not supported: this version of model-zoo reads schema 1"),
        ("recipe:", "recipe:\n  preprocess: imbed", "recipe.preprocess: 'imbed' is not one of declare, "),
        ("size: 3", "precision: fp16", "[0].precision: 'fp16' is not a precision; did you mean FP16?"),
        ("size: 3", "precision: XYZ", "'XYZ' is not a precision; known: ADAPTIVE-CODEBOOK, AS-IS, BF16, "),
        ("recipe:", "recipe:\n  precisions: [FP32, FP61]", "m.yaml:16: recipe.precisions[1]: 'FP61' is"),
        ("recipe:", "recipe:\n  precisions: [FP32, FP61]", "did you mean FP64 or FP16?"),
        ("recipe:", "recipe:\n  precisions: [BF16]", "no conversion can produce 'BF16'"),
    ],
)  # fmt: skip
def test_what_was_meant_is_offered(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(CatalogError, match=re.escape(words)):
        read_model(write(tmp_path, GOOD.replace(old, new, 1)))


def test_precisions_that_only_ready_files_come_in():
    ready = GOOD.replace("size: 3", "precision: BF16")
    assert parse_model(ready, "m.yaml").precisions == ("BF16",)
    folder = GOOD.replace("framework: onnx", "framework: openvino") + "  precisions: [BF16]\n"
    assert parse_model(folder, "m.yaml").precisions == ("BF16",)
    made = GOOD + "  precisions: [FP16, FP16-INT8, INT8-SYM, INT4-ASYM, NF4, MXFP4, FP8-E4M3]\n"
    assert len(parse_model(made, "m.yaml").precisions) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema: [1", "not valid YAML"),
        ("a: 1\na: 2\n", "duplicate key 'a'"),
        ("!!python/object/apply:os.system [true]", "not valid YAML"),
        ("- 1", "m.yaml:1: expected a mapping, found a list"),
        ("", "m.yaml: the file is empty"),
        (" \n\n", "m.yaml: the file is empty"),
        ("# nothing\n", "m.yaml: the file contains no entry"),
        (
            "schema: 1\n\tname: m\n",
            "m.yaml:2: not valid YAML: the line is indented with a tab; use spaces",
        ),
        ("schema: 1\nname: [\n", "m.yaml:3: not valid YAML: did not find"),
        ("2020-13-45: 1", "not valid YAML"),
    ],
)
def test_not_an_entry(tmp_path, text, words):
    with pytest.raises(CatalogError, match=re.escape(words)):
        read_model(write(tmp_path, text))


def test_unreadable_files(tmp_path):
    with pytest.raises(CatalogError, match="cannot be read"):
        read_model(tmp_path / "absent.yaml")
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogError, match="not UTF-8"):
        read_model(path)
    path.write_bytes(GOOD.replace("A model.", "Ein schönes.").encode("latin-1"))
    with pytest.raises(CatalogError, match=r"m\.yaml:6: not UTF-8: invalid byte 0xf6") as caught:
        read_model(path)
    assert "UTF-8" in caught.value.hint
    path.write_bytes(b"#" * ((4 << 20) + 1))
    with pytest.raises(CatalogError, match="too large"):
        read_model(path)


def test_name_is_the_stem(tmp_path):
    with pytest.raises(CatalogError, match="name: must equal the file's stem") as caught:
        read_model(write(tmp_path, GOOD, "other"))
    assert (caught.value.expected, caught.value.found) == ("other", "m")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a.onnx", "A.ONNX"], "are the same path"),
        (["a", "a/b"], "both a file and the folder"),
    ],
)
def test_clashing_paths(tmp_path, paths, words):
    data = yaml.safe_load(GOOD)
    data["artifacts"] = [data["artifacts"][0] | {"path": path} for path in paths]
    with pytest.raises(CatalogError, match=words):
        read_model(write(tmp_path, yaml.safe_dump(data)))


def test_a_digest_is_needed_unless_a_weaker_level_is_declared(tmp_path):
    text = GOOD.replace(f"    sha256: {'a1' * 32}\n", "")
    with pytest.raises(CatalogError, match="has no digest") as caught:
        read_model(write(tmp_path, text))
    assert ":8: artifacts[0]" in caught.value.what
    weaker = text.replace("    size: 3\n", "    size: 3\n    integrity: first-use\n")
    assert read_model(write(tmp_path, weaker)).artifacts[0].digests == ()


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_digest_as_npm_states_it(tmp_path, algorithm):
    digest = hashlib.new(algorithm, b"x")
    stated = f"{algorithm}: {algorithm}-{base64.b64encode(digest.digest()).decode()}"
    (artifact,) = read_model(write(tmp_path, GOOD.replace(f"sha256: {'a1' * 32}", stated))).artifacts
    assert str(artifact.digests[0]) == f"{algorithm}:{digest.hexdigest()}"
    assert Digest.parse(stated.partition(" ")[2]) == artifact.digests[0]
    broken = stated.replace(f"{algorithm}-", f"{algorithm}-%")
    with pytest.raises(CatalogError, match=algorithm):
        read_model(write(tmp_path, GOOD.replace(f"sha256: {'a1' * 32}", broken)))


def test_an_artifact_needs_a_source(tmp_path):
    data = yaml.safe_load(GOOD)
    del data["artifacts"][0]["sources"]
    with pytest.raises(CatalogError, match="needs at least one source"):
        read_model(write(tmp_path, yaml.safe_dump(data)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"artifacts": []}, "either artifacts or stages"),
        ({"stages": ["a"]}, "either artifacts or stages"),
        ({"framework": None}, "needs a framework"),
        ({"convertible": False}, "needs a reason"),
        ({"recipe": {"precisions": []}}, "recipe.precisions: is empty"),
        ({"recipe": {"precisions": ["fp32"]}}, "is not a precision"),
        ({"recipe": {"precisions": ["FP32", "FP32"]}}, "recipe.precisions: contains FP32 twice"),
        ({"recipe": {"inputs": [{"name": "a"}, {"name": "a"}]}}, "needs a name of its own"),
        ({"recipe": {"inputs": [{"name": "a"}, {}]}}, "needs a name of its own"),
        ({"recipe": {"builder": {}}}, "recipe.builder: give either {torchvision: NAME} or"),
        ({"recipe": {"builder": {"module": "m"}}}, "recipe.builder.module: needs a callable"),
        ({"recipe": {"model": "../m"}}, "must not contain"),
        ({"labels": {"artifact": "a", "file": "b"}}, "labels: give either"),
        ({"replace": [{"file": "m.onnx", "pattern": "(", "replacement": ""}]}, "does not compile"),
    ],
)
def test_rules_that_span_fields(tmp_path, change, words):
    data = {**yaml.safe_load(GOOD), **change}
    with pytest.raises(CatalogError, match=words):
        read_model(write(tmp_path, yaml.safe_dump(data)))


def test_labels_beside_the_entry(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "two.txt").write_text("cat\nhot dog\n")
    model = read_model(write(tmp_path, GOOD + "labels: {file: labels/two.txt}\n"))
    assert model.labels == ("cat", "hot dog")
    with pytest.raises(CatalogError, match=r"labels\.file"):
        read_model(write(tmp_path, GOOD + "labels: {file: absent.txt}\n"))


def test_labels_in_json():
    assert read_labels('{"a": {"b": ["x", "y"]}}', "a.b") == ("x", "y")
    for key in ("a", "a.c", "a.b.c"):
        with pytest.raises(ValueError, match="no list of labels"):
            read_labels('{"a": {"b": ["x", "y"]}}', key)


def test_catalogs_override_by_name_and_follow_changes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "p").mkdir(parents=True)
    second.mkdir()
    write(first / "p", GOOD)
    (first / ".hidden").mkdir()
    (first / ".hidden" / "h.yaml").write_text("no")
    catalog = Catalog([first, second])
    assert catalog.names() == ["m"]
    assert catalog.get("m").description == "A model."
    write(second, GOOD.replace("A model.", "Another."))
    assert catalog.get("m").description == "Another."
    write(second, GOOD.replace("A model.", "A third one."))
    assert catalog.get("m").description == "A third one."
    assert [model.name for model in catalog] == ["m"]
    (second / "m.yaml").unlink()
    assert catalog.get("m").description == "A model."
    single = Catalog([first / "p" / "m.yaml"])
    assert single.names() == ["m"]


def test_one_name_twice_in_one_catalog(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, GOOD)
    with pytest.raises(CatalogError, match="already declared"):
        Catalog([tmp_path]).names()


def test_absent_catalog(tmp_path):
    with pytest.raises(CatalogError, match="no such catalog"):
        Catalog([tmp_path / "absent"]).names()


def test_near_names_are_offered(tmp_path):
    write(tmp_path, GOOD.replace("name: m\n", "name: silero-vad-16k\n"), "silero-vad-16k")
    with pytest.raises(UnknownModelError) as caught:
        Catalog([tmp_path]).get("silero-vad16k")
    assert caught.value.hint == "did you mean: silero-vad-16k"
    with pytest.raises(UnknownModelError) as caught:
        Catalog([tmp_path]).get("zzz")
    assert "model-zoo list" in caught.value.hint


def test_schema_file_is_up_to_date():
    committed = builtin_catalog() / "schema.json"
    assert committed.read_text() == schema_text(), "run: model-zoo catalog schema > catalog/schema.json"


def test_schema_names_every_field():
    schema = json_schema()
    assert schema["$defs"]["Model"]["additionalProperties"] is False
    assert {"UrlSource", "WheelSource", "FileSource"} <= set(schema["$defs"])
    json.dumps(schema)


def test_builtin_catalog_is_clean():
    assert len([model.name for model in Catalog([builtin_catalog()])]) >= 20


def test_steps():
    assert split_field("artifacts[0].sources[1].url") == ("artifacts", 0, "sources", 1, "url")
    assert split_field("") == ()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    field=st.sampled_from(["name", "task", "framework", "artifacts", "recipe", "labels", "stages"]),
    value=plain,
)
def test_any_value_is_accepted_or_named(field, value):
    data = yaml.safe_load(GOOD) | {field: value}
    try:
        parse_model(yaml.safe_dump(data), "x.yaml")
    except CatalogError as error:
        assert error.what.startswith("x.yaml")


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_named(text):
    try:
        parse_model(text, "x.yaml")
    except CatalogError as error:
        assert error.what.startswith("x.yaml")
