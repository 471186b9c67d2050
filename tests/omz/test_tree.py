"""A tree of model.yml files is a catalog, and can be written as one of ours."""

from __future__ import annotations

import pytest

from model_zoo import errors
from model_zoo.catalog import Catalog, match_names
from model_zoo.catalog.omz import models_root
from model_zoo.catalog.omz.import_tree import import_tree
from model_zoo.cli.main import cli, run
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.omz.tree import Tree, representative
from tests.server import Server

ARGS = ["--input_model=$dl_dir/a"]


@pytest.fixture
def tree(tmp_path):
    with Server() as server:
        yield Tree(tmp_path / "models", server)


def test_a_tree_is_a_catalog(tree):
    representative(tree.root, tree.server)
    (tree.root / "public" / "tiny-onnx" / "accuracy-check.yml").write_text("models: []\n")
    catalog = Catalog([tree.root])
    assert "text-spotting-0005" in catalog.names()
    assert "text-spotting-0005-detector" in catalog.names()
    assert "accuracy-check" not in catalog.names()
    stage = catalog.get("text-spotting-0005-detector")
    assert stage.omz.subdirectory == "intel/text-spotting-0005/text-spotting-0005-detector"
    assert stage.omz.composite == "text-spotting-0005"
    assert catalog.get("text-spotting-0005").stages == (
        "text-spotting-0005-detector",
        "text-spotting-0005-recognizer",
    )
    assert catalog.get("tiny-onnx").labels == ("a_cat", "dog")


def test_its_models_are_fetched_and_converted_like_any(tree, tmp_path):
    representative(tree.root, tree.server)
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(tree.root,)))
    fetched = zoo.fetch("mobilenet-v1-0.25-128")
    assert sorted(fetched.files) == ["a/b/notes.txt", "a/b/notes.txt.orig", "a/graph.pb", "top"]
    assert fetched.files["a/b/notes.txt"].read_bytes() == b"y = 1\n"
    assert fetched.files["a/b/notes.txt.orig"].read_bytes() == b"x = 1\n"
    assert zoo.convert("tiny-onnx@FP32").xml.is_file()
    assert {m.name for m in zoo.list_models("text-spotting*", task="text_to_speech")} == {
        "text-spotting-0005"
    }
    assert match_names(zoo.catalog.names(), ["faceboxes"]) == ["faceboxes-pytorch"]


def test_edits_keep_the_first_original_and_make_line_ends_plain(tree, tmp_path):
    representative(tree.root, tree.server)
    files = (
        Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(tree.root,)))
        .fetch("faceboxes-pytorch")
        .files
    )
    original, edited = files["faceboxes.py.orig"].read_bytes(), files["faceboxes.py"].read_bytes()
    assert b"\r\n" in original
    assert b"upsample_bilinear" in original
    assert b"\r" not in edited
    assert b"F.bilinear(x)" in edited
    assert b"forward(self, x#  x.view" in edited


def test_it_is_written_as_entries_of_ours(tree, tmp_path, capsys):
    representative(tree.root, tree.server)
    tree.add(
        "many-labels",
        {"a": b"abc"},
        model_optimizer_args=ARGS,
        model_info={"labels": [f"l{n}" for n in range(99)]},
    )
    tree.add(
        "same-labels",
        {"a": b"abd"},
        model_optimizer_args=ARGS,
        model_info={"labels": [f"l{n}" for n in range(99)]},
    )
    before = {model.name: model for model in Catalog([tree.root])}
    assert run(cli, ["catalog", "import-omz", str(tree.root), "-o", str(tmp_path / "ours")]) == 0
    printed = capsys.readouterr().out.split()
    assert [path.rpartition("/")[2] for path in printed] == [f"{name}.yaml" for name in sorted(before)]
    assert len(printed) == len(before)
    assert {model.name: model for model in Catalog([tmp_path / "ours"])} == before
    assert len(list((tmp_path / "ours" / "labels").iterdir())) == 1
    assert run(cli, ["catalog", "validate", str(tmp_path / "ours")]) == 0
    assert import_tree(tree.root, tmp_path / "again")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / f).rglob("*.*")} for f in ("ours", "again"))
    assert first == second


def test_a_checkout_is_as_good_as_its_models(tree, tmp_path):
    tree.add("m", {"a": b"abc"}, model_optimizer_args=ARGS)
    assert models_root(tmp_path) == tmp_path / "models"
    assert models_root(tmp_path / "models") == tmp_path / "models"
    with pytest.raises(errors.CatalogError, match="no such tree"):
        models_root(tmp_path / "absent")


def test_nothing_is_written_of_a_tree_with_a_mistake(tree, tmp_path):
    tree.add("a", {"a": b"abc"}, model_optimizer_args=ARGS)
    tree.add("b", {"a": b"abc"}, model_optimizer_args=ARGS, task_type=7)
    with pytest.raises(errors.CatalogError, match=r"b/model\.yml:\d+: task: expected text, found"):
        import_tree(tree.root, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.CatalogError, match=r"no model\.yml"):
        import_tree(tmp_path / "empty", tmp_path / "ours")


def test_composites_must_name_their_own_stages(tree):
    tree.add_composite("whole", ("whole-a",))
    file = tree.root / "intel" / "whole" / "composite-model.yml"
    file.write_text(file.read_text().replace("- whole-a", "- whole-b"))
    with pytest.raises(errors.CatalogError, match=r"composite-model\.yml: stages_order names whole-b"):
        Catalog([tree.root]).get("whole")
    file.write_text("[]")
    with pytest.raises(errors.CatalogError, match="not a model description"):
        Catalog([tree.root]).get("whole")
