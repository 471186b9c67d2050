"""What an entry says about its model: licence, origin, quality, inputs, outputs, decoding, task."""

from __future__ import annotations

import re

import msgspec
import pytest
from packaging.licenses import canonicalize_license_expression

from model_zoo.catalog import Catalog, builtin_catalog, parse_model
from model_zoo.catalog.writer import to_yaml
from model_zoo.conversion.key import ir_key, key_parts
from model_zoo.errors import CatalogError
from model_zoo.schema import TASKS, Decode, License, Model, canonical_task, task_matches
from tests.conversion.support import entry

BASE = """\
schema: 1
name: tiny
task: face_detection
framework: onnx
license: MIT
description: Finds faces.
artifacts:
  - {path: m.onnx, sha256: %s, sources: [{url: "https://example.org/m.onnx"}]}
""" % ("a0" * 32)
KNOWN = """\
upstream: {repository: "https://example.org/code", paper: "https://example.org/paper"}
metrics:
  - {name: mAP, value: 0.941, unit: ratio, dataset: WIDER FACE}
  - {name: mAP, value: 0.93, unit: ratio, dataset: WIDER FACE, of: INT8}
complexity: {gflops: 2.835, mparams: 1.053}
inputs:
  - name: data
    shape: [1, 3, 384, 672]
    layout: NCHW
    kind: image
    color: BGR
    range: [0, 255]
    resize: stretch
outputs:
  - {name: found, shape: [1, 1, -1, 7], kind: detections, format: "image, label, score, x0, y0, x1, y1"}
decode: {type: SSD, confidence_threshold: 0.5}
labels: [background, face]
notice: "Only for research."
"""


def read(more: str = "", **changes: str) -> Model:
    text = BASE
    for old, new in changes.items():
        text = text.replace(f"{old}: MIT" if old == "license" else old, new)
    return parse_model(text + more, "tiny.yaml")


def test_every_field_is_read_and_written() -> None:
    model = read(KNOWN)
    assert model.metrics[0].of == "original"
    assert (model.metrics[1].of, model.metrics[1].value) == ("INT8", 0.93)
    assert model.complexity is not None
    assert (model.complexity.gflops, model.complexity.mparams) == (2.835, 1.053)
    assert model.inputs[0].size_of("W") == 672
    assert model.outputs[0].kind == "detections"
    assert model.notice == "Only for research."
    assert parse_model(to_yaml(model), "tiny.yaml") == model


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("license: MIT", License(spdx="MIT")),
        ("license: MIT OR Apache-2.0", License(spdx="MIT OR Apache-2.0")),
        ('license: "https://example.org/LICENSE"', License(url="https://example.org/LICENSE")),
        (
            'license: {spdx: Apache-2.0, url: "https://example.org/x", gated: true}',
            License(spdx="Apache-2.0", url="https://example.org/x", gated=True),
        ),
    ],
)
def test_licence(text: str, licence: License) -> None:
    model = read(license=text)
    assert model.license == licence
    assert parse_model(to_yaml(model), "tiny.yaml").license == licence


def test_licence_in_words() -> None:
    assert str(License(spdx="MIT", url="https://example.org")) == "MIT"
    assert str(License(url="https://example.org")) == "https://example.org"
    assert str(License()) == "unspecified"


@pytest.mark.parametrize(
    ("more", "field", "problem"),
    [
        ("license: {spdx: free for all}", "license", "is not an SPDX expression"),
        ("license: free for all", "license", "neither an SPDX expression"),
        ("license: {url: ftp.example.org}", "license.url", ""),
        ("complexity: {gflops: -1}", "complexity.gflops", ""),
        ("metrics: [{name: mAP}]", "metrics[0].value", "required field is missing"),
        ("inputs: [{kind: picture}]", "inputs[0].kind", "is not one of"),
        ("inputs: [{kind: audio, color: RGB}]", "inputs[0].color", "is for inputs of the kind image"),
        ("inputs: [{kind: image, rate: 16000}]", "inputs[0].rate", "is for inputs of the kind audio"),
        ("inputs: [{kind: image, range: [255, 0]}]", "inputs[0]", "lower end first"),
        ("inputs: [{kind: image, resize: fit, crop_fraction: 0.9}]", "inputs[0]", "goes with resize: crop"),
        (
            "inputs: [{kind: image, shape: [1, 3, 8], layout: NCHW}]",
            "inputs[0]",
            "4 letters for 3 dimensions",
        ),
        ("inputs: [{kind: image, scale: 0}]", "inputs[0]", "divide by zero"),
        ("inputs: [{kind: image}, {kind: image}]", "inputs", "each of several inputs needs a name"),
        ("outputs: [{kind: scores}]", "outputs[0].kind", "is not one of"),
        ("outputs: [{name: x, kind: tensor}, {name: x, kind: tensor}]", "outputs", "a name of its own"),
        ("decode: {type: SDS}", "decode", "did you mean SSD?"),
        ("decode: {type: SSD, anchors: [1, 2]}", "decode.anchors", "is no parameter of SSD"),
        ("decode: {type: SSD, anchor: 1}", "decode.anchor", "did you mean anchors?"),
    ],
)
def test_wrong_knowledge_is_refused_by_field(more: str, field: str, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        read(license=more) if more.startswith("license") else read(more)
    assert f" {field}: " in str(caught.value) or f" {field}." in str(caught.value)
    assert problem in str(caught.value)


# --- tasks


@pytest.mark.parametrize(
    ("spelling", "task"),
    [
        ("detection", "object-detection"),
        ("object_detection", "object-detection"),
        ("Object-Detection", "object-detection"),
        ("classification", "image-classification"),
        ("speech_recognition", "automatic-speech-recognition"),
        ("face_detection", "object-detection/face"),
        ("feature_extraction", "feature-extraction"),
        ("something of my own", "something of my own"),
    ],
)
def test_old_spellings_of_tasks(spelling: str, task: str) -> None:
    assert canonical_task(spelling) == task
    assert read(**{"task: face_detection": f"task: {spelling}"}).task == task


def test_the_taxonomy_has_every_parent_and_no_ambiguous_spelling() -> None:
    assert all(name.partition("/")[0] in TASKS for name in TASKS)
    spellings = [other.replace("_", "-") for row in TASKS.values() for other in row.spellings]
    assert len(spellings) == len(set(spellings))
    assert not {s for s in spellings if s in TASKS and canonical_task(s) != s}


def test_a_parent_matches_what_is_below_it() -> None:
    assert task_matches("object-detection/face", "detection")
    assert task_matches("object-detection/face", "face_detection")
    assert not task_matches("object-detection", "object-detection/face")


# --- what determines the IR


def key_of(model: Model) -> str:
    return ir_key(key_parts(model, "FP32", [], {}))


def test_what_is_only_known_leaves_the_key_alone() -> None:
    plain = read()
    for field in re.split(r"^(?=\w)", KNOWN, flags=re.MULTILINE)[1:]:
        assert (key_of(read(field)) == key_of(plain)) != field.startswith(("decode", "labels")), field
    licensed = read(license='license: {spdx: MIT, url: "https://example.org"}')
    assert key_of(licensed) == key_of(plain)


def test_decoding_that_model_api_knows_is_written_to_the_ir() -> None:
    model = read(KNOWN)
    assert model.ir_info == {
        "model_type": "SSD",
        "confidence_threshold": 0.5,
        "resize_type": "standard",
        "color_order": "BGR",
    }
    assert key_of(model) != key_of(read(KNOWN.replace("decode", "# decode")))


def test_decoding_and_model_info_that_say_the_same_have_one_key() -> None:
    image = "inputs: [{kind: image, color: RGB, resize: crop}]\n"
    decoded = read(f"{image}decode: {{type: classification}}\n")
    stated = read(
        "model_info: {model_type: Classification, resize_type: crop, reverse_input_channels: true}\n"
    )
    assert decoded.ir_info == stated.ir_info
    assert key_of(decoded) == key_of(stated)


def test_model_info_wins_over_what_follows_from_decoding() -> None:
    model = read("decode: {type: SSD, confidence_threshold: 0.5}\nmodel_info: {confidence_threshold: 0.3}\n")
    assert model.ir_info == {"model_type": "SSD", "confidence_threshold": 0.3}


def test_ours_is_not_written_to_the_ir() -> None:
    model = read("decode: {type: ctc, blank: 0}\n")
    assert model.ir_info == {}
    assert not Decode(type="CTC").by_model_api


def test_what_the_caller_normalises_is_written_for_each_channel() -> None:
    model = read("inputs: [{kind: image, mean: 127.5, scale: [1, 2, 3]}]\ndecode: {type: SSD}\n")
    assert model.ir_info["mean_values"] == (127.5, 127.5, 127.5)
    assert model.ir_info["scale_values"] == (1.0, 2.0, 3.0)


def test_the_recipe_tells_what_is_fed_where_the_entry_does_not() -> None:
    recipe = {"inputs": [{"name": "x", "shape": [1, 3, 8, 8], "layout": "NCHW", "mean": 5.0}]}
    (port,) = entry("onnx", "m.onnx", recipe=recipe).feeds
    assert (port.name, port.kind, port.shape, port.mean) == ("x", "image", (1, 3, 8, 8), None)
    assert msgspec.to_builtins(port)["layout"] == "NCHW"


# --- the shipped catalog


@pytest.fixture(scope="module")
def shipped() -> list[Model]:
    return list(Catalog([builtin_catalog()]))


def test_nothing_is_normalised_twice(shipped) -> None:
    """What the graph does must not be asked of the caller too."""
    for model in shipped:
        if model.recipe.preprocess == "declare":
            continue
        graph = {port.name: port for port in model.recipe.inputs}
        for port in model.inputs:
            inside = graph.get(port.name)
            if inside is None:
                continue
            assert inside.mean is None or port.mean is None, model.name
            assert inside.scale is None or port.scale is None, model.name
            if inside.reverse_channels and port.color is not None:
                assert port.color == "BGR", model.name


def test_every_licence_is_one_that_spdx_knows(shipped) -> None:
    for model in shipped:
        if model.license.spdx is not None:
            assert canonicalize_license_expression(model.license.spdx) == model.license.spdx, model.name
        if (model.license.spdx or "").startswith("CC-BY-NC"):
            assert model.notice, model.name


def test_labels_go_with_the_scores(shipped) -> None:
    """A classifier has as many labels as scores."""
    for model in shipped:
        if (
            model.decode is None
            or model.decode.type != "Classification"
            or not isinstance(model.labels, tuple)
        ):
            continue
        (output,) = (port for port in model.outputs if port.kind == "class_scores")
        sizes = [dim for dim in output.shape or () if dim not in {1, -1}]
        assert sizes in ([], [len(model.labels)]), model.name
