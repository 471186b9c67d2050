"""Counting: the index is right whatever happened to the tree, and may be deleted."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care import usage as inventory
from model_zoo.cache.care.pins import is_pinned, pin, pins, unpin
from model_zoo.cache.care.usage import Usage
from model_zoo.schema import MANIFEST_NAME
from tests.cache.made import OLD, age, ir_key, put_blob, put_ir, put_model


def counted(layer, *, writable=True):
    return {name: (s.count, s.size) for name, s in Usage(layer, writable=writable).totals().items()}


def settle(layer):
    """Make every folder old enough for its time to be trusted."""
    for folder, _, _ in os.walk(layer.root):
        os.utime(folder, (OLD, OLD))


@pytest.fixture
def filled(cache):
    put_model(cache, "m", {"a": b"11", "b": b"222"})
    put_model(cache, "n", {"a": b"11"})
    put_ir(cache, "m")
    put_ir(cache, "m", "FP16", b"w")
    return cache


def test_counts(filled):
    top = filled.top
    top.compiled.joinpath("k").mkdir(parents=True)
    (top.compiled / "k" / "x.blob").write_bytes(b"1234")
    (top.partials / "p.part").write_bytes(b"12345")
    found = counted(top)
    assert found["blobs"] == (2, 5)
    assert found["files"][0] == 2
    assert found["ir"][0] == 2
    assert found["compiled"] == (1, 4)
    assert found["partial"] == (1, 5)
    assert found["envs"] == found["foreign"] == (0, 0)
    sizes = sum(p.stat().st_size for p in top.models.rglob(MANIFEST_NAME))
    assert found["files"][1] == sizes, "what is shared with blobs counts there"


def test_an_absent_layer_holds_nothing(tmp_path):
    layer = Cache(tmp_path / "none").top
    assert set(counted(layer).values()) == {(0, 0)}
    assert Usage(layer, writable=True).by_model() == []
    assert not (tmp_path / "none").exists()


def test_what_did_not_change_is_not_counted_again(filled, monkeypatch):
    settle(filled.top)
    before = counted(filled.top)
    rows = [entry.irs for entry in Usage(filled.top, writable=True).by_model()]
    monkeypatch.setattr(inventory, "_count_files", lambda _: pytest.fail("counted again"))
    monkeypatch.setattr(inventory, "read_manifest", lambda *_: pytest.fail("read again"))
    settle(filled.top)
    assert counted(filled.top) == before
    assert [entry.irs for entry in Usage(filled.top, writable=True).by_model()] == rows


def test_what_just_changed_is_counted_again(filled):
    """Two changes within one tick of a coarse clock leave one time: recent times are not trusted."""
    stamp = (time.time(), time.time())
    for number in range(3):
        put_blob(filled, str(number).encode())
        for shelf in filled.top.blobs.iterdir():
            os.utime(shelf, stamp)
        assert counted(filled.top)["blobs"][0] == 3 + number


@pytest.mark.parametrize("damage", ["delete", "garbage", "other", "unwritable"])
def test_a_lost_index_is_made_again(filled, damage):
    settle(filled.top)
    before = counted(filled.top)
    entries = Usage(filled.top, writable=True).by_model()
    index = filled.top.state / "index"
    if damage == "delete":
        shutil.rmtree(index)
    elif damage == "unwritable":
        shutil.rmtree(index)
        index.write_text("in the way")
    else:
        for path in index.iterdir():
            path.write_bytes(b"\xff\x00" if damage == "garbage" else b'{"m": [1, 2]}')
    assert counted(filled.top) == before
    assert Usage(filled.top, writable=True).by_model() == entries


def test_the_index_follows_what_is_removed_and_added_by_hand(filled):
    settle(filled.top)
    assert counted(filled.top)["files"][0] == 2
    shutil.rmtree(filled.top.models / "n")
    shutil.rmtree(filled.top.ir(ir_key("m")))
    os.utime(filled.top.models, (OLD, OLD))
    os.utime(filled.top.irs, (OLD, OLD))
    found = counted(filled.top)
    assert found["files"][0] == 1
    assert found["ir"][0] == 1
    assert [entry.name for entry in Usage(filled.top, writable=True).by_model()] == ["m"]


def test_reading_only_writes_nothing(filled):
    counted(filled.top, writable=False)
    assert not (filled.top.state / "index").exists()


def test_a_linked_index_is_not_written_through(filled, tmp_path):
    (tmp_path / "outside").mkdir()
    (filled.top.state / "index").symlink_to(tmp_path / "outside")
    counted(filled.top)
    assert list((tmp_path / "outside").iterdir()) == []


def test_entries(filled):
    found = Usage(filled.top, writable=True).by_model()
    assert [entry.name for entry in found] == ["m", "n"]
    m = found[0]
    assert [(row.count, row.size) for row in m.files] == [(2, 5)]
    assert {row.precision for row in m.irs.values()} == {"FP32", "FP16"}
    assert m.size == 5 + sum(row.size for row in m.irs.values())
    assert abs(m.used - time.time()) < 600
    assert set(m.uses) == {m.files[0].declaration, *m.irs}


def test_the_last_use_is_the_latest_note(filled):
    folder = next((filled.top.models / "n").iterdir())
    age(folder)
    assert Usage(filled.top, writable=False).by_model()[1].used == OLD
    filled.find_files("n", folder.name)
    assert Usage(filled.top, writable=False).by_model()[1].used > OLD + 1000


def test_an_entry_without_manifest_is_not_listed(filled):
    (filled.top.ir(ir_key("m")) / "manifest.json").unlink()
    (next((filled.top.models / "n").iterdir()) / MANIFEST_NAME).unlink()
    found = Usage(filled.top, writable=True).by_model()
    assert [(entry.name, len(entry.irs)) for entry in found] == [("m", 1)]


def test_links_are_not_counted(filled, tmp_path):
    (tmp_path / "big").write_bytes(b"1" * 5000)
    filled.top.compiled.joinpath("k").mkdir(parents=True)
    (filled.top.compiled / "k" / "x").symlink_to(tmp_path / "big")
    (filled.top.compiled / "k" / "y").symlink_to(tmp_path)
    assert counted(filled.top)["compiled"] == (0, 0)


def test_a_file_with_holes_takes_what_it_takes(filled):
    sparse = filled.top.partials / "p.part"
    with sparse.open("wb") as stream:
        stream.truncate(1 << 30)
    assert counted(filled.top)["partial"][1] < 1 << 20


def test_pins(cache):
    layer = cache.writable
    assert pins(layer) == {}
    assert pin(layer, "m", None)
    assert not pin(layer, "m", None)
    assert pin(layer, "n", "FP16")
    assert pins(layer) == {"m": None, "n": {"FP16"}}
    assert is_pinned(pins(layer), "m", "INT8")
    assert is_pinned(pins(layer), "n")
    assert is_pinned(pins(layer), "n", "FP16")
    assert not is_pinned(pins(layer), "n", "FP32")
    assert not is_pinned(pins(layer), "o")
    assert pin(layer, "m", "FP32")
    assert pins(layer)["m"] is None, "the whole model is still pinned"
    assert unpin(layer, "m", None)
    assert pins(layer) == {"n": {"FP16"}}
    assert unpin(layer, "n", "FP16")
    assert not unpin(layer, "n", "FP16")
    assert "n" not in pins(layer)
