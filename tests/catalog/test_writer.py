"""What is written is read back as the same model, and reads well."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_zoo.catalog import builtin_catalog, find_entries, parse_model
from model_zoo.catalog.plain_yaml import load_yaml
from model_zoo.catalog.reader import to_struct
from model_zoo.catalog.writer import WIDTH, to_yaml
from model_zoo.schema import Model
from tests.tiny import entry, tiny_onnx

URL = {"url": "https://example.org/m.onnx?a=b#c"}
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40) | st.sampled_from(
    [
        "",
        "yes",
        "null",
        "~",
        "1e3",
        "0x1f",
        "0o17",
        "1_000",
        "2020-01-01",
        "12:30",
        "- a",
        "a: b",
        "a #b",
        "{a}",
        "[",
        "&a",
        "*a",
        "!t",
        "%d",
        "@x",
        "`",
        "'",
        '"',
        "\\g<0>",
        ".inf",
        "-1",
        "+1",
        ".5",
        "1.",
        "é",
        "a\u2028b",
        "NaN",
        "=",
        "<<",
        "?",
    ]
)
numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False, width=32)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def model_from_uri(data) -> Model:
    text = msgspec.json.encode(data).decode()
    return to_struct(data, Model, text, "test")


@settings(max_examples=150, deadline=None)
@given(
    info=st.dictionaries(texts, plain, max_size=4),
    pattern=texts,
    labels=st.lists(texts, min_size=1, max_size=60),
    shape=st.lists(st.integers(-1, 4096) | st.sampled_from(["?", "1..8", "..4"]), max_size=6),
    mean=st.none() | st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    words=st.lists(st.text("abcdefgh -é.:#", min_size=1, max_size=12), min_size=1, max_size=40),
)
def test_every_model_is_read_back_as_it_was(info, pattern, labels, shape, mean, words):
    description = " ".join(" ".join(words).split()) or "x"
    data = entry("tiny", tiny_onnx(), URL, model_info=info, labels=labels)
    data |= {"description": description}
    data["replace"] = [{"file": "m.onnx", "pattern": "a", "replacement": pattern}]
    data["recipe"] = {"inputs": [{"name": pattern, "shape": shape, "mean": mean}]}
    model = model_from_uri(data)
    text = to_yaml(model)
    assert parse_model(text, "again") == model
    assert to_yaml(parse_model(text, "again")) == text


def test_it_reads_well():
    data = entry("tiny", tiny_onnx(), URL, {"wheel": "a==1", "member": "b.onnx"})
    data["recipe"] = {"inputs": [{"name": "x", "shape": [1, 4], "layout": "NC"}], "precisions": ["FP32"]}
    assert to_yaml(model_from_uri(data), comment="First.\n\nSecond.") == (
        "# First.\n#\n# Second.\nschema: 1\nname: tiny\ntask: test\nframework: onnx\nlicense: MIT\n"
        "description: >-\n  Adds a number.\n"
        "artifacts:\n  - path: m.onnx\n    size: 87\n"
        f"    sha256: {data['artifacts'][0]['sha256']}\n"
        '    sources:\n      - {url: "https://example.org/m.onnx?a=b#c"}\n'
        "      - {wheel: a==1, member: b.onnx}\n"
        "recipe:\n  inputs:\n    - {name: x, shape: [1, 4], layout: NC}\n  precisions: [FP32]\n"
    )


@pytest.mark.parametrize("provider", ["omz", "onnx", "torchvision"])
def test_generated_entries_are_what_would_be_written(provider):
    """They are in the writer's own form, so that the next generation shows only what changed."""
    paths, _ = find_entries(builtin_catalog() / provider)
    assert len(paths) > 100
    for path in paths[:: max(1, len(paths) // 60)]:
        text = path.read_text(encoding="utf-8")
        assert to_yaml(to_struct(load_yaml(text, str(path)), Model, text, str(path))) == text


def test_lines_are_short_where_they_can_be():
    for provider in ("omz", "onnx", "torchvision"):
        for path in find_entries(builtin_catalog() / provider)[0]:
            for line in path.read_text(encoding="utf-8").splitlines():
                unbroken = ": " in line and len(line.split(": ", 1)[1]) > WIDTH - 30
                assert len(line) <= WIDTH or unbroken, (path, line)
