"""What a notebook shows of a model."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from model_zoo.schema import Artifact, ConvertedModel, FetchedModel, FileEntry, Input, Model, Recipe
from tests.manifests import files_manifest, ir_manifest


class Text(HTMLParser):
    """Collects tags and text, as a browser would see them."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def read(model):
    seen = Text()
    seen.feed(model._repr_html_())
    return seen


MODEL = Model(
    schema=1,
    name="tiny",
    task="adding",
    framework="onnx",
    license="MIT",
    description="Adds <b>a</b> number & more.",
    artifacts=(Artifact(path="m.onnx", size=12), Artifact(path="labels.txt")),
    recipe=Recipe(inputs=(Input(name="x", shape=(1, "?")),)),
)


def test_a_model_is_a_small_table():
    seen = read(MODEL)
    text = " ".join(seen.text)
    for part in (
        "tiny",
        "adding",
        "onnx",
        "MIT",
        "FP32, FP16",
        "m.onnx (12 bytes), labels.txt",
        "a tensor of 1 x any",
    ):
        assert part in text
    assert "Adds <b>a</b> number & more." in text, "text of the catalog stays text"
    assert set(seen.tags) == {"table", "caption", "b", "br", "tbody", "tr", "th", "td"}
    assert "stages" not in text


def test_a_composite_names_its_stages_and_a_refused_model_its_reason():
    both = Model(
        schema=1, name="both", task="t", license="MIT", description="d", stages=("a", "b"),
        convertible=False, reason="because",
    )  # fmt: skip
    text = " ".join(read(both).text)
    assert "a, b" in text
    assert "because" in text
    assert "precisions" not in text


def test_reprs_are_short_and_results_are_tables_too():
    assert repr(MODEL) == "<Model tiny: adding, onnx>"
    folder = Path("/cache/files")
    manifest = files_manifest(files=(FileEntry(path="m<b>.onnx", size=12, sha256="0" * 64),))
    fetched = FetchedModel(
        model=MODEL, directory=folder, files={"m<b>.onnx": folder / "m<b>.onnx"}, manifest=manifest
    )
    assert repr(fetched) == f"<FetchedModel tiny: 1 file in {folder}>"
    text = " ".join(read(fetched).text)
    assert "m<b>.onnx" in text
    assert "12 bytes" in text
    converted = ConvertedModel(
        model=MODEL, precision="FP16", directory=folder, key="k", manifest=ir_manifest()
    )
    assert repr(converted) == f"<ConvertedModel tiny@FP16: {folder / 'model.xml'}>"
