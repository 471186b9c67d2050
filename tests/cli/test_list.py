"""``list`` and ``info`` on a small catalog."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tiny import entry, write_entry


def test_names_one_a_line(shell, catalog):
    done = shell("list", "zooey")
    assert (done.code, done.err) == (0, "")
    assert done.out == "zooey-both\nzooey-one\nzooey-two\n"
    assert shell("list", "zooey-*o").out == "zooey-two\n"
    assert shell("list", "one", "two", "zooey-tw?").out.count("zooey") == 2


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--task", "counting"], ["zooey-two"]),
        (["--framework", "onnx"], ["zooey-one", "zooey-two"]),
        (["--source", "file"], ["zooey-one", "zooey-two"]),
        (["--cached"], []),
    ],
)
def test_filters(shell, catalog, filters, names):
    done = shell("list", "zooey", *filters)
    assert (done.code, done.err) == (0, "")
    assert done.out.split() == names


def test_cached_models_are_found_and_composites_count_by_their_stages(shell, catalog):
    assert shell("fetch", "zooey-one").code == 0
    assert shell("list", "--cached").out == "zooey-one\n"
    assert shell("fetch", "zooey-two").code == 0
    assert shell("list", "--cached").out == "zooey-both\nzooey-one\nzooey-two\n"


def test_json_of_a_list(shell, catalog):
    one, *_ = shell("list", "zooey-one", "--json").json
    assert one.pop("size") > 50
    assert one == {
        "name": "zooey-one",
        "task": "adding",
        "framework": "onnx",
        "license": "MIT",
        "license_url": None,
        "gated": False,
        "description": "Adds a number.",
        "precisions": ["FP32", "FP16"],
        "sources": ["file"],
        "stages": [],
        "family": "zooey-one",
        "size_is_exact": True,
        "convertible": True,
        "cached": False,
    }
    assert shell("list", "no-such-model-at-all", "--json").json == []
    both = shell("list", "zooey-both", "--json").json[0]
    assert both["stages"] == ["zooey-one", "zooey-two"]
    assert both["size"] == 2 * shell("list", "zooey-one", "--json").json[0]["size"]
    assert both["sources"] == ["file"]


def test_the_long_list(shell, catalog):
    lines = shell("list", "zooey", "--long").out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["zooey-both", "adding", "composite"],
        ["zooey-one", "adding", "onnx"],
        ["zooey-two", "counting", "onnx"],
    ]
    assert all(line.endswith("no") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--framework", "jax"], "no model has the framework 'jax'\n"),
        (["--source", "oci"], "no model has the source 'oci'\n"),
        (["zooey", "--task", "counting", "--framework", "pytorch"], "no model with such a name has the task"),
        (["magica"], "no name matches magica; did you mean magika"),
        (["qqqqqqqq"], "no name matches qqqqqqqq\n"),
    ],
)
def test_an_empty_list_explains_itself_on_stderr(shell, catalog, arguments, text):
    done = shell("list", *arguments)
    assert (done.code, done.out) == (0, "")
    assert text in done.err
    assert shell("-q", "list", *arguments).err == ""
    assert shell("list", *arguments, "--json").json == []


@pytest.mark.parametrize("more", [[], ["--json"], ["--long"], ["--cached"], ["-q"], ["zooey"]])
@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["--task", "countin"], "unknown task 'countin'", "did you mean: counting"),
        (["--task", "clasification"], "unknown task 'clasification'", "did you mean: image-classification"),
        (["--source", "weel"], "unknown source 'weel'", "did you mean: wheel"),
        (["--framework", "torch"], "unknown framework 'torch'", "did you mean: pytorch"),
        (["--framework", "zzzzz"], "unknown framework 'zzzzz'", "choose from: keras (1), onnx ("),
    ],
)
def test_a_filter_that_nothing_can_pass_is_wrong_usage(shell, catalog, arguments, what, hint, more):
    done = shell("list", *arguments, *more)
    assert (done.code, done.out) == (2, "")
    assert what in done.err
    assert hint in done.err


def test_info_tells_everything(shell, catalog):
    done = shell("info", "zooey-one")
    assert (done.code, done.err) == (0, "")
    for text in ("zooey-one", "MIT", "Adds a number.", "FP32, FP16", "pinned", "m.onnx", "sha256:"):
        assert text in done.out
    assert "IR FP16: no" in done.out
    assert str(catalog / "zooey-one.yaml") in done.out
    folder = shell("fetch", "zooey-one").out.strip()
    assert folder in shell("info", "zooey-one").out
    known = shell("info", "zooey-one@FP32", "--json").json
    assert known["cached"] == {"files": folder, "ir": {"FP32": None, "FP16": None}}
    assert known["artifacts"][0]["path"] == "m.onnx"
    assert known["integrity"] == "pinned"


def test_info_of_a_composite_and_of_what_cannot_be_converted(shell, catalog):
    out = shell("info", "zooey-both").out
    assert "stages:" in out
    assert "zooey-one, zooey-two" in out
    write_entry(catalog, entry("odd", b"x", {"file": "x"}, convertible=False, reason="It is odd."))
    assert "not convertible: It is odd." in shell("info", "odd").out


def test_info_shows_inputs_as_declared(shell, catalog):
    recipe = {
        "inputs": [
            {"name": "x", "shape": [1, "?", "2..3"], "type": "f32", "layout": "NCW", "mean": [1, 2],
             "scale": 255, "reverse_channels": True}
        ]
    }  # fmt: skip
    write_entry(catalog, entry("prepared", b"x", {"file": "x"}, recipe=recipe))
    out = shell("info", "prepared").out
    assert "[1,?,2..3]" in out
    for text in ("f32", "NCW", "mean 1 2 ", "scale 255 ", "reverse channels"):
        assert text in out


def test_control_characters_of_an_entry_do_not_reach_the_terminal(shell, catalog):
    write_entry(catalog, entry("evil", b"x", {"file": "x"}) | {"description": "a\x1b]0;x\x07b"})
    assert "\x1b" not in shell("info", "evil").out


def test_cached_counts_every_precision(shell, catalog):
    ir = shell("convert", "zooey-one@FP16").out.strip()
    done = shell("path", "zooey-one")
    assert done.code == 6
    assert "or use the cached zooey-one@FP16" in done.err
    folder = Path(ir).parents[2]
    shutil.rmtree(folder / "files-v1")
    assert shell("list", "--cached").out.split() == ["zooey-one"]


def test_path_and_why_of_what_cannot_be_converted(shell, catalog):
    file = catalog / "zooey-one.yaml"
    file.write_text(file.read_text() + "convertible: false\nreason: it knows no rest\n")
    done = shell("path", "zooey-one")
    assert done.code == 6
    assert "this model cannot be converted: it knows no rest" in done.err
    assert shell("why", "zooey-one").out == "zooey-one cannot be converted: it knows no rest\n"
