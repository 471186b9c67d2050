# ruff: noqa: E501 - tables of hostile cases read best one a line
"""Nothing is written through a link inside a cache, an output folder or a file name; no layer's programs run."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from model_zoo.omz import converter, downloader
from tests.stacks import make_index, write_adders
from tests.tiny import entry, tiny_onnx, write_entry
from tests.trust.support import sealed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def outside(tmp_path) -> Path:
    """Return a folder that nothing may be written to, with a file that nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    return folder


def untouched(folder: Path) -> bool:
    return [p.name for p in folder.iterdir()] == ["precious"] and (folder / "precious").read_text() == "mine"


PLACES = (
    "state-v1",
    "state-v1/requests",
    "state-v1/inputs",
    "state-v1/catalogs",
    "state-v1/aliases",
    "state-v1/used",
    "state-v1/used/ir",
    "state-v1/adopted",
    "state-v1/resolutions",
    "compiled-v1",
    "locks-v1",
    "partial-v1",
    "files-v1",
    "files-v1/one",
    "ir-v1",
    "blobs-v1",
    "blobs-v1/sha256",
    "envs-v1",
    "pins-v1",
    "foreign-v1",
)
FRESH, USED = "before anything", "afterwards"


@pytest.mark.parametrize(
    ("when", "place"),
    [(when, place) for when in (FRESH, USED) for place in PLACES],
)
def test_nothing_is_written_through_a_link_in_the_cache(catalog, shell, tmp_path, outside, place, when):
    cache = tmp_path / "cache"
    if when == USED:
        assert shell("fetch", "one").code == 0
        for old in cache.rglob("*"):
            os.utime(old, (1e9, 1e9), follow_symlinks=False)  # so that a use is worth a note
    path = cache / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.rmtree(path)
    path.symlink_to(outside)
    for command in (
        ("fetch", "one"),
        ("infer", "one", "--device", "CPU"),
        ("cache", "pin", "two"),
        ("cache", "gc"),
        ("cache", "repair"),
    ):
        done = shell(*command)
        assert done.code in {0, *range(2, 9)}, f"{command}: {done.text}"
        assert untouched(outside), f"{command} wrote {[p.name for p in outside.iterdir()]}"


@pytest.mark.parametrize("link", ["folder", "blob"])
def test_compiled_blobs_are_not_written_through_a_link(catalog, shell, tmp_path, outside, link):
    """A link where OpenVINO's blobs of this very IR, device and version will be."""
    assert shell("infer", "one", "--device", "CPU").code == 0
    (folder,) = (tmp_path / "cache" / "compiled-v1").iterdir()
    if link == "folder":
        shutil.rmtree(folder)
        folder.symlink_to(outside)
    else:
        for path in list(folder.iterdir()):
            path.unlink()
            path.symlink_to(outside / "precious")
    assert shell("infer", "one", "--device", "CPU").code == 0
    assert untouched(outside)


# --- output


@pytest.mark.parametrize("name", ["out.png", "out.npz", "out.json"])
def test_a_prediction_is_not_written_through_a_link(tmp_path, outside, name):
    import numpy as np

    from model_zoo.runtime.inference.prediction import Prediction

    target = tmp_path / name
    target.symlink_to(outside / "precious")
    Prediction(picture=np.zeros((8, 8, 3), np.uint8)).save(target)
    assert untouched(outside)
    assert not target.is_symlink()


@pytest.mark.parametrize(
    ("arguments", "link"),
    [
        (("convert", "one", "-o", "out"), "out/one.xml"),
        (("convert", "one", "-o", "out"), "out/one.bin"),
        (("fetch", "one", "-o", "out"), "out/one/m.onnx"),
        (("fetch", "one", "-o", "out"), "out/one"),
        (("export", "--format", "dir", "-o", "out", "one"), "out/one.xml"),
        (("export", "--format", "omz", "-o", "out", "one"), "out/public"),
        (("export", "--format", "omz", "-o", "out", "one"), "out/public/one/FP32/one.xml"),
        (("export", "--format", "ovms", "-o", "out", "one"), "out/one"),
        (("export", "--format", "ovms", "-o", "out", "one"), "out/one/1/model.xml"),
        (("export", "--format", "ovms", "-o", "out", "one"), "out/config.json"),
        (("export", "--format", "tar", "-o", "out/x.tar", "one"), "out/x.tar"),
        (("export", "--format", "oci", "-o", "out", "one"), "out/index.json"),
        (("lock", "one", "-o", "out/l.lock"), "out/l.lock"),
        (("catalog", "html", "-o", "out"), "out/index.html"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:3]),
)
def test_nothing_is_written_through_a_link_in_an_output_folder(
    catalog, shell, tmp_path, outside, monkeypatch, arguments, link
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / link
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = link in {"out/one", "out/public"}
    path.symlink_to(outside if folder else outside / "precious")
    if "oci" in arguments:
        (tmp_path / "out" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    done = shell(*arguments)
    assert done.code in {0, 2, 6}, done.text
    assert untouched(outside)


@pytest.mark.parametrize("link", ["public", "public/adder", "public/adder/FP32", "public/adder/adder.onnx"])
@pytest.mark.parametrize("command", ["omz_downloader", "omz_converter"])
def test_the_old_commands_write_through_no_link(omz_entry, tmp_path, outside, command, link, capsys):
    out = tmp_path / "out"
    path = out / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside / "precious" if link.endswith(".onnx") else outside)
    arguments = ["--name", "adder", "-o", str(out)]
    if command == "omz_converter":
        assert _ended(downloader, "--name", "adder", "-o", tmp_path / "files") == 0
        arguments += ["-d", str(tmp_path / "files"), "--precisions", "FP32"]
    code = _ended(converter if command == "omz_converter" else downloader, *arguments)
    assert untouched(outside), capsys.readouterr()
    below = link in {"public", "public/adder"} or link.endswith("FP32") == (command == "omz_converter")
    assert (code != 0) == (below and not link.endswith(".onnx"))
    if code:
        assert "symlink" in capsys.readouterr().err


def _ended(command, *arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        command.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def omz_entry(tmp_path, monkeypatch) -> None:
    """Have one entry of Open Model Zoo in a catalog of the user's."""
    folder = tmp_path / "omz"
    data = tiny_onnx()
    described = {
        **entry("adder", data, {"file": "adder.onnx"}, path="adder.onnx"),
        "omz": {"subdirectory": "public/adder"},
    }
    write_entry(folder, described)
    (folder / "adder.onnx").write_bytes(data)
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(folder))


@pytest.mark.parametrize(
    "link",
    ["blobs-v1", "ir-v1", "files-v1", "state-v1", "CACHEDIR.TAG", "ir-v1/x"],
)
def test_a_seed_is_not_written_through_a_link(catalog, shell, tmp_path, outside, link):
    seed = tmp_path / "seed"
    assert shell("seed", seed, "one").code == 0
    path = seed / link
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside if "." not in link else outside / "precious")
    done = shell("seed", seed, "one")
    assert done.code in {0, 6}, done.text
    assert untouched(outside)


# --- programs of a layer


@pytest.mark.parametrize(
    "command", [("convert", "--isolate", "adder"), ("doctor", "--json")], ids=["convert", "doctor"]
)
def test_an_environment_of_a_layer_is_never_run(shell, tmp_path, monkeypatch, command):
    make_index(tmp_path / "index").use(monkeypatch)
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(write_adders(tmp_path / "catalog")))
    assert shell("--cache", tmp_path / "theirs", "convert", "--isolate", "--trust-code", "adder").code == 0
    layer = tmp_path / "layer"
    shutil.copytree(tmp_path / "theirs" / "envs-v1", layer / "envs-v1", symlinks=True)
    (layer / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    marker = tmp_path / "marker"
    for folder in (layer / "envs-v1").iterdir():
        for program in folder.glob("bin/python*"):
            program.unlink()
            program.write_text(f'#!/bin/sh\ntouch "{marker}"\nexec python3 "$@"\n')
            program.chmod(0o755)
        for name in ("environment.json",):
            path = folder / name
            path.chmod(0o644)
            data = json.loads(path.read_bytes())
            path.write_bytes(sealed(data))
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(layer))
    done = shell(*command)
    assert not marker.exists(), f"exit {done.code}: a program of the layer ran"


# --- hard links, and links that lead in


@pytest.mark.parametrize(
    ("arguments", "link"),
    [
        (("convert", "one", "-o", "out"), "out/one.bin"),
        (("fetch", "one", "-o", "out"), "out/one/m.onnx"),
        (("export", "--format", "omz", "-o", "out", "one"), "out/public/one/FP32/one.xml"),
        (("export", "--format", "tar", "-o", "out/x.tar", "one"), "out/x.tar"),
        (("export", "--format", "oci", "-o", "out", "one"), "out/index.json"),
        (("lock", "one", "-o", "out/l.lock"), "out/l.lock"),
        (("catalog", "html", "-o", "out"), "out/index.html"),
        (("catalog", "add", "catalog/one.onnx", "-o", "out/x.yaml"), "out/x.yaml"),
        (("infer", "one", "--device", "CPU"), "cache/CACHEDIR.TAG"),
        (("cache", "pin", "one"), "cache/pins-v1/one"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:3]),
)
def test_nothing_is_written_through_a_hard_link(
    catalog, shell, tmp_path, outside, monkeypatch, arguments, link
):
    """A name of a precious file lies where something of ours will be."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.hardlink_to(outside / "precious")
    if "oci" in arguments:
        (tmp_path / "out" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    done = shell(*arguments)
    assert done.code in {0, *range(2, 9)}, done.text
    assert untouched(outside)


@pytest.mark.parametrize("loop", ["to itself", "to its parent", "to nothing", "to a device", "to another"])
def test_links_in_a_catalog_end(catalog, shell, tmp_path, loop):
    target = {
        "to itself": catalog / "x.yaml",
        "to its parent": catalog,
        "to nothing": tmp_path / "absent",
        "to a device": "/dev/zero",
        "to another": catalog / "one.yaml",
    }[loop]
    (catalog / "x.yaml").symlink_to(target)
    for command in (("catalog", "validate", catalog), ("fetch", "one"), ("list",)):
        done = shell(*command)
        assert done.code in {0, *range(2, 9)}, f"{command}: {done.text[-500:]}"


@pytest.mark.parametrize("place", ["layer", "lock", "settings", "adopt", "cache"])
def test_what_is_read_through_a_loop_is_explained(catalog, shell, tmp_path, monkeypatch, place):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    more: tuple[object, ...] = ()
    if place == "lock":
        more = ("--locked", loop)
    else:
        names = {"layer": "LAYERS", "settings": "CONFIG", "adopt": "ADOPT", "cache": "CACHE"}
        monkeypatch.setenv(f"MODEL_ZOO_{names[place]}", str(loop))
    done = shell("fetch", *more, "one")
    assert done.code in {0, *range(2, 9)}, done.text
    if done.code:
        assert "loop" in done.err
