"""The commands ``cache …``: what they print, what they exit with, what they leave."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cache.made import flip
from tests.tools import require_root


@pytest.fixture
def filled(shell, catalog, tmp_path):
    """Two fetched models, one of them converted."""
    assert shell("fetch", "zooey-one", "zooey-two").code == 0
    assert shell("convert", "zooey-one").code == 0
    return tmp_path / "cache"


def blobs(root):
    return sorted(p for p in (root / "blobs-v1").rglob("*") if p.is_file())


def ir(root):
    return next((root / "ir-v1").iterdir())


def test_info(shell, filled, monkeypatch, tmp_path):
    found = shell("cache", "info", "--json").json
    (layer,) = found["layers"]
    assert layer["path"] == str(filled)
    assert layer["writable"]
    assert layer["exists"]
    assert layer["folders"]["blobs"] == {"count": 2, "bytes": sum(p.stat().st_size for p in blobs(filled))}
    assert layer["folders"]["files"]["count"] == 2
    assert layer["folders"]["ir"]["count"] == 1
    assert layer["bytes"] == sum(part["bytes"] for part in layer["folders"].values())
    assert found["max_size"] is None
    assert found["free"] > 0
    monkeypatch.setenv("MODEL_ZOO_MAX_SIZE", "20GB")
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(tmp_path / "low"))
    text = shell("cache", "info").out
    assert f"{filled} (writable)" in text
    assert "(read-only, does not exist)" in text
    assert "20.0 GB" in text


@pytest.mark.system
def test_info_says_what_cannot_be_written_and_what_is_not_there(shell, tmp_path, monkeypatch):
    require_root()
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(tmp_path / "nowhere"))
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    assert f"{tmp_path / 'cache'} (writable, does not exist yet)" in shell("cache", "info").out
    assert f"{tmp_path / 'nowhere'} (read-only, does not exist)" in shell("cache", "info").out
    os.seteuid(54321)
    try:
        done = shell("cache", "info", "--json")
        text = shell("cache", "info").out
    finally:
        os.seteuid(0)
    assert [layer["writable"] for layer in done.json["layers"]] == [False, False]
    assert f"{tmp_path / 'cache'} (not writable, does not exist yet)" in text


def test_info_makes_nothing(shell, tmp_path):
    found = shell("cache", "info", "--json").json
    assert not found["layers"][0]["exists"]
    assert found["layers"][0]["bytes"] == 0
    assert shell("cache", "ls", "--json").json == []
    assert shell("cache", "ls").out == ""
    assert shell("cache", "verify").code == 0
    assert shell("cache", "gc").code == 0
    assert not (tmp_path / "cache").exists()


def test_ls(shell, filled, monkeypatch):
    rows = shell("cache", "ls", "--json").json
    assert [row["name"] for row in rows] == ["zooey-one", "zooey-two"]
    one = rows[0]
    assert [row["precision"] for row in one["ir"]] == ["FP32"]
    assert one["ir"][0]["path"] == str(ir(filled))
    assert one["ir"][0]["framework"] == "onnx"
    assert one["files"][0]["count"] == 1
    assert one["last_use"].endswith("Z")
    assert one["bytes"] == one["files"][0]["bytes"] + one["ir"][0]["bytes"]
    assert [row["name"] for row in shell("cache", "ls", "two", "--json").json] == ["zooey-two"]
    text = shell("cache", "ls").out
    assert "zooey-one  FP32  1 file " in text
    assert "NAME" not in text, "pipes get rows only"
    with monkeypatch.context() as patch:
        patch.setattr("model_zoo.cli.output.terminal_width", lambda: 100)
        head = shell("cache", "ls").out.splitlines()[0].split("  ")
    assert [one.strip() for one in head if one] == ["NAME", "IR", "FILES", "SIZE", "LAST USE", "PINNED"]
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(filled))
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(filled.parent / "top"))
    assert str(filled) in shell("cache", "ls").out
    assert [row["layer"] for row in shell("cache", "ls", "--json").json] == [str(filled)] * 2


def test_verify_and_repair(shell, filled):
    assert "no problems found" in shell("cache", "verify").out
    assert shell("cache", "verify", "--json").json["ok"]
    assert shell("cache", "repair").out == "nothing to repair\n"
    flip(blobs(filled)[0])
    flip(ir(filled) / "model.bin")
    (filled / "notes.txt").write_text("mine")
    done = shell("cache", "verify", "--json")
    assert done.code == 6
    assert not done.json["ok"]
    assert {p["subject"] for p in done.json["problems"]} == {"blob", "ir", "foreign"}
    named = {p["model"] for p in done.json["problems"]}
    assert "zooey-one" in named
    assert all(Path(p["path"]).exists() and p["cause"] and p["file"] for p in done.json["problems"])
    done = shell("cache", "verify")
    assert done.code == 6
    assert "damaged: its content changed" in done.out
    assert "model-zoo cache repair" in done.err
    dry = shell("cache", "repair", "--dry-run")
    assert dry.code == 0
    assert "would be converted again" in dry.out
    assert shell("cache", "verify").code == 6
    done = shell("cache", "repair", "--json")
    assert done.code == 0, done.err
    assert len(done.json["mended"]) == 3
    assert done.json["failed"] == []
    assert shell("cache", "verify").code == 0
    assert [p.read_text() for p in (filled / "foreign-v1").iterdir()] == ["mine"]
    assert shell("--offline", "path", "zooey-one").code == 0
    assert shell("--offline", "fetch", "zooey-one", "zooey-two").code == 0


def test_repair_says_what_it_cannot_get_again(shell, filled, catalog):
    shutil.rmtree(filled / "ir-v1")
    for file in catalog.glob("*.onnx"):
        file.unlink()
    for blob in blobs(filled):
        flip(blob)
    done = shell("cache", "repair")
    assert done.code == 4
    assert "the damaged parts of zooey-one were removed" in done.err
    assert shell("cache", "verify").code == 0
    (catalog / "zooey-one.yaml").unlink()
    done = shell("cache", "repair", "--json")
    assert done.code == 0
    assert done.json == {"dry_run": False, "mended": [], "left": [], "failed": []}


def test_damage_below_is_left(shell, filled, monkeypatch, tmp_path):
    flip(ir(filled) / "model.bin")
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(filled))
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "top"))
    assert shell("cache", "verify").code == 6
    done = shell("cache", "repair", "--json")
    assert done.code == 6
    assert "read-only" in done.json["left"][0]["why"]
    assert "not repaired" in shell("cache", "repair").out


def test_gc(shell, filled, monkeypatch):
    done = shell("cache", "gc", "--json")
    assert done.json["removed"] == []
    assert done.json["budget"] is None
    monkeypatch.setenv("MODEL_ZOO_MAX_SIZE", "1")
    assert shell("cache", "pin", "zooey-two").code == 0
    dry = shell("cache", "gc", "--dry-run", "--json").json
    assert dry["dry_run"]
    assert len(blobs(filled)) == 2
    text = shell("cache", "gc", "-n").out
    assert "would free" in text
    real = shell("cache", "gc", "--json").json
    same = ("before", "freed", "after", "budget", "over")
    assert [real[key] for key in same] == [dry[key] for key in same]
    assert {row["name"] for row in real["removed"] if row["kind"] != "blob"} == {
        "zooey-one",
        "zooey-one@FP32",
    }
    assert real["kept"] == [
        {"kind": "files", "name": "zooey-two", "path": real["kept"][0]["path"], "why": "pinned"}
    ]
    assert len(blobs(filled)) == 1
    done = shell("cache", "gc")
    assert done.code == 0
    assert "over its budget" in done.err
    assert "kept files zooey-two: pinned" in done.err
    assert shell("cache", "unpin", "zooey-two").code == 0
    assert "freed" in shell("cache", "gc", "--max-size", "0").out
    assert blobs(filled) == []
    assert shell("cache", "verify").code == 0


@pytest.mark.parametrize("size", ["much", "-1", "1 elephant"])
def test_a_budget_that_is_none(shell, filled, size):
    done = shell("cache", "gc", "--max-size", size)
    assert done.code == 2
    assert "20GB" in done.err


def test_pins(shell, filled):
    assert shell("cache", "pin", "zooey-one@FP16", "zooey-both").out == (
        "zooey-one@FP16: pinned\nzooey-one: pinned\nzooey-two: pinned\n"
    )
    assert shell("cache", "pin", "zooey-two").out == "zooey-two: already pinned\n"
    assert shell("cache", "info", "--json").json["pinned"] == ["zooey-one", "zooey-two"]
    assert shell("cache", "ls", "--json").json[0]["pinned"]
    found = shell("cache", "unpin", "zooey-one", "--json").json
    assert found == {"changed": ["zooey-one"], "pinned": ["zooey-two"]}
    done = shell("cache", "pin", "zooey-thre")
    assert done.code == 2
    assert "zooey-two" in done.err
    done = shell("cache", "pin", "zooey-two@NO-SUCH")
    assert done.code == 2


def test_rm(shell, filled, catalog):
    dry = shell("cache", "rm", "zooey-one@FP32", "--dry-run", "--json").json
    assert [row["kind"] for row in dry["removed"]] == ["ir"]
    assert ir(filled)
    assert shell("cache", "rm", "zooey-one@FP32").code == 0
    assert not list((filled / "ir-v1").iterdir())
    done = shell("cache", "rm", "zooey-one@FP32")
    assert done.code == 6
    assert "not in the cache" in done.err
    assert shell("cache", "pin", "zooey-one").code == 0
    done = shell("cache", "rm", "zooey-one")
    assert done.code == 6
    assert "unpin" in done.err
    assert shell("cache", "unpin", "zooey-one").code == 0
    (catalog / "zooey-one.yaml").unlink()
    (catalog / "zooey-both.yaml").unlink()
    assert shell("cache", "rm", "zooey-one").code == 0, "what no catalog has any more can still be removed"
    assert len(blobs(filled)) == 1
    assert shell("cache", "rm", "zooey-one").code == 2
    assert shell("cache", "verify").code == 0


def test_without_a_writable_layer(shell, filled, monkeypatch):
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(filled))
    monkeypatch.delenv("MODEL_ZOO_CACHE")
    monkeypatch.setattr("model_zoo.settings._default_cache", lambda: None)
    assert [row["name"] for row in shell("cache", "ls", "--json").json] == ["zooey-one", "zooey-two"]
    assert shell("cache", "verify").code == 0
    assert [layer["writable"] for layer in shell("cache", "info", "--json").json["layers"]] == [False]
    assert "pinned" in shell("cache", "info").out
    for command in (["gc"], ["rm", "zooey-one"], ["pin", "zooey-one"], ["unpin", "zooey-one"]):
        done = shell("cache", *command)
        assert done.code == 6, command
        assert "MODEL_ZOO_CACHE" in done.err


def test_waits_are_seen(shell, filled):
    """A collector waits for a user of another process's and gives up in time."""
    from model_zoo.cache import Cache

    config = filled.parent / "settings.toml"
    config.write_text("lock_timeout = 0.6\n")
    with Cache(filled).use():
        import os

        os.environ["MODEL_ZOO_CONFIG"] = str(config)
        try:
            done = shell("cache", "gc")
        finally:
            del os.environ["MODEL_ZOO_CONFIG"]
    assert done.code == 6
    assert "waiting for PID" in done.err


def test_the_group_lists_its_commands(shell):
    text = shell("cache", "--help").out
    for name in ("info", "ls", "verify", "repair", "gc", "pin", "unpin", "rm"):
        assert f"  {name} " in text


def test_json_is_what_goes_to_stdout(shell, filled):
    for command in (
        ["info"],
        ["ls"],
        ["verify"],
        ["repair"],
        ["gc"],
        ["pin", "zooey-one"],
        ["unpin", "zooey-one"],
    ):
        done = shell("--progress", "none", "cache", *command, "--json")
        assert yaml.safe_load(done.out) == done.json
        assert done.err == ""


def test_adopted_bytes_are_said(shell, catalog, tmp_path, monkeypatch):
    (tmp_path / "tree/zooey-one").mkdir(parents=True)
    (catalog / "zooey-one.onnx").rename(tmp_path / "tree/zooey-one/m.onnx")
    assert shell("fetch", "zooey-one").code == 4
    monkeypatch.setenv("MODEL_ZOO_ADOPT", str(tmp_path / "tree"))
    done = shell("fetch", "zooey-one")
    assert done.code == 0, done.err
    origin = str(tmp_path / "tree/zooey-one/m.onnx")
    assert f"adopted {origin}" in done.err
    assert shell("info", "zooey-one", "--json").json["adopted"] == {"m.onnx": origin}
    assert origin in shell("info", "zooey-one").out
    assert shell("info", "zooey-two", "--json").json["adopted"] == {}
    finding = next(f for f in shell("doctor", "--json").json["checks"] if f["check"] == "adoption")
    assert finding["found"].startswith("1 file adopted")
    assert str(tmp_path / "tree") in finding["found"]
    assert shell("cache", "verify").code == 0
