"""Verify finds every fault and no other; mending takes away just what is damaged."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from model_zoo.cache import Cache, declaration_of
from model_zoo.cache.care.repair import repair
from model_zoo.cache.care.verify import verify
from model_zoo.files import hash_file
from model_zoo.schema import MANIFEST_NAME
from model_zoo.systems import system
from tests.cache.made import IR_MANIFEST, flip, put_blob, put_ir, put_model, rewrite, tree


def faults(cache):
    return verify(cache.layers, lambda _: None).problems


def subjects(cache):
    return sorted({problem.subject for problem in faults(cache)})


@pytest.fixture
def filled(cache):
    put_model(cache, "m", {"a.bin": b"11", "sub/b.bin": b"222"}, "sha384")
    put_model(cache, "n", {"a.bin": b"11", "c.bin": b"4444"})
    put_ir(cache, "m")
    put_ir(cache, "n", "FP16")
    assert faults(cache) == []
    return cache


def folder_of(cache, name):
    return next((cache.top.models / name).iterdir())


def blob_of(cache, name, file):
    path = folder_of(cache, name) / file
    return next(p for p in cache.top.blobs.rglob("*") if p.is_file() and p.samefile(path))


def ir_of(cache, name):
    return cache.find_irs_of(name)[0][0]


# --- each fault: what is done, and (subject, model, file, part of the cause)


def flip_blob(cache):
    flip(blob_of(cache, "m", "sub/b.bin"))


def cut_blob(cache):
    rewrite(blob_of(cache, "m", "sub/b.bin"), b"2")


def grow_blob(cache):
    rewrite(blob_of(cache, "m", "sub/b.bin"), b"22222")


def delete_blob(cache):
    blob_of(cache, "m", "sub/b.bin").unlink()


def flip_shared_blob(cache):
    flip(blob_of(cache, "m", "a.bin"))


def delete_link(cache):
    (folder_of(cache, "n") / "c.bin").unlink()


def dangling_link(cache):
    path = folder_of(cache, "n") / "c.bin"
    path.unlink()
    path.symlink_to("../../../blobs-v1/sha256/00/" + "0" * 64)


def escaping_link(cache):
    path = folder_of(cache, "n") / "c.bin"
    path.unlink()
    path.symlink_to("/etc/hostname")


def other_link(cache):
    path = folder_of(cache, "n") / "c.bin"
    path.unlink()
    path.symlink_to(os.path.relpath(blob_of(cache, "n", "a.bin"), path.parent))


def own_copy_damaged(cache):
    path = folder_of(cache, "n") / "c.bin"
    path.unlink()
    path.write_bytes(b"4445")


def delete_files_manifest(cache):
    (folder_of(cache, "n") / MANIFEST_NAME).unlink()


def flip_files_manifest(cache):
    path = folder_of(cache, "n") / MANIFEST_NAME
    flip(path, path.read_bytes().index(b"schema"))


def flip_ir(cache):
    flip(ir_of(cache, "m") / "model.bin")


def cut_ir(cache):
    rewrite(ir_of(cache, "m") / "model.xml", b"<")


def delete_ir_file(cache):
    (ir_of(cache, "m") / "model.bin").unlink()


def delete_ir_manifest(cache):
    (ir_of(cache, "m") / IR_MANIFEST).unlink()


def flip_ir_manifest(cache):
    path = ir_of(cache, "m") / IR_MANIFEST
    flip(path, path.read_bytes().index(b"FP32"))


def rename_ir(cache):
    folder = ir_of(cache, "m")
    folder.rename(folder.with_name("0" * 64))


def foreign_in_root(cache):
    (cache.top.root / "notes.txt").write_text("mine")


def foreign_among_blobs(cache):
    (next(cache.top.blobs.iterdir()) / "notes.txt").write_text("mine")


def foreign_in_folder(cache):
    (folder_of(cache, "m") / "sub/notes.txt").write_text("mine")


def foreign_in_ir(cache):
    (ir_of(cache, "m") / "notes.txt").write_text("mine")


def foreign_link(cache):
    (cache.top.irs / ("1" * 64)).symlink_to("/etc")


def foreign_shelf(cache):
    (cache.top.blobs / "zz").mkdir()


def linked_notes(cache):
    cache.top.pins.mkdir()
    (cache.top.pins / "planted").symlink_to("/etc/hostname")
    (cache.top.state / "used").symlink_to("/tmp")
    (cache.top.state / "inputs" / "aa").symlink_to("/tmp")


def blob_on_wrong_shelf(cache):
    blob = blob_of(cache, "m", "a.bin")
    wrong = next(p for p in cache.top.blobs.iterdir() if p != blob.parent)
    shutil.copy(blob, wrong / blob.name)


def linked_shelf(cache):
    blob = blob_of(cache, "n", "c.bin")
    moved = cache.top.root.parent / "outside"
    blob.parent.rename(moved)
    blob.parent.symlink_to(moved)


def wrong_alias(cache):
    path = next(p for p in (cache.top.state / "aliases/sha384").rglob("*") if p.is_file())
    path.write_text("0" * 64)


def lost_request(cache):
    next(p for p in (cache.top.state / "requests").rglob("*") if p.is_file() and len(p.name) == 64).unlink()


def damaged_inputs(cache):
    next((cache.top.state / "inputs").rglob("*.json")).write_text("[")


FAULTS = {
    flip_blob: ("blob", "m", "sub/b.bin", "damaged"),
    cut_blob: ("blob", "m", "sub/b.bin", "truncated: 1 of 3"),
    grow_blob: ("blob", "m", "sub/b.bin", "too long: 5"),
    delete_blob: ("blob", "m", "sub/b.bin", "deleted"),
    flip_shared_blob: ("blob", "m, n", "a.bin", "damaged"),
    delete_link: ("files", "n", "c.bin", "deleted"),
    dangling_link: ("files", "n", "c.bin", "symlink is broken"),
    escaping_link: ("files", "n", "c.bin", "out of the cache"),
    other_link: ("files", "n", "c.bin", "other content"),
    own_copy_damaged: ("files", "n", "c.bin", "damaged"),
    delete_files_manifest: ("files", "n", MANIFEST_NAME, "manifest is missing"),
    flip_files_manifest: ("files", "n", MANIFEST_NAME, "manifest is damaged"),
    flip_ir: ("ir", "m", "model.bin", "damaged"),
    cut_ir: ("ir", "m", "model.xml", "truncated"),
    delete_ir_file: ("ir", "m", "model.bin", "deleted"),
    delete_ir_manifest: ("ir", None, IR_MANIFEST, "manifest is missing"),
    flip_ir_manifest: ("ir", "m", IR_MANIFEST, "manifest is damaged"),
    rename_ir: ("ir", "m", IR_MANIFEST, "not the key"),
    foreign_in_root: ("foreign", None, "notes.txt", "not part of the cache"),
    foreign_among_blobs: ("foreign", None, "notes.txt", "not part of the cache"),
    foreign_in_folder: ("foreign", None, "notes.txt", "not part of the cache"),
    foreign_in_ir: ("foreign", None, "notes.txt", "not part of the cache"),
    foreign_link: ("foreign", None, "1" * 64, "unexpected symlink"),
    foreign_shelf: ("foreign", None, "zz", "not part of the cache"),
    linked_notes: ("foreign", None, None, "unexpected symlink"),
    blob_on_wrong_shelf: ("foreign", None, None, "not part of the cache"),
    linked_shelf: ("foreign", None, None, "unexpected symlink"),
    wrong_alias: ("state", None, None, "note"),
    lost_request: ("state", None, None, "note"),
    damaged_inputs: ("state", None, None, "note"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_verify_finds_and_mending_removes_just_that(filled, fault):
    subject, model, file, cause = FAULTS[fault]
    before = tree(filled.top.root)
    fault(filled)
    problems = faults(filled)
    first = next(p for p in problems if p.subject == subject)
    assert (first.subject, first.model) == (subject, model)
    assert file is None or first.file == file
    assert cause in first.cause
    assert first.path.is_relative_to(filled.top.root)
    others = {p.subject for p in problems} - {subject}
    assert others <= ({"blob", "state"} if fault in {linked_shelf, rename_ir} else set())

    repaired = repair(filled, problems)
    assert repaired.left == []
    assert len(repaired.done) == len(problems)
    assert faults(filled) == []
    for name, _ in repaired.fetch:
        files = {"m": {"a.bin": b"11", "sub/b.bin": b"222"}, "n": {"a.bin": b"11", "c.bin": b"4444"}}[name]
        put_model(filled, name, files, "sha384" if name == "m" else "sha256")
    for name, precision in repaired.convert:
        put_ir(filled, name, precision)
    after = tree(filled.top.root)
    gone = {name for name in before.keys() - after.keys() if not name.startswith("state-v1")}
    known = {p for p in gone if fault in {delete_ir_manifest, rename_ir, flip_ir_manifest} and "ir-v1" in p}
    assert gone == known, "something good was lost"
    changed = {n for n in before.keys() & after.keys() if before[n] != after[n] and "locks" not in n}
    assert changed == set()
    assert faults(filled) == []


def test_a_damaged_blob_is_restored_from_a_good_copy(filled):
    path = folder_of(filled, "n") / "c.bin"
    blob = blob_of(filled, "n", "c.bin")
    path.unlink()
    path.write_bytes(b"4444")
    for harm in (lambda: flip(blob), blob.unlink):
        harm()
        (problem,) = faults(filled)
        assert problem.spare == path
        repaired = repair(filled, [problem])
        assert repaired.fetch == set()
        assert "good copy" in repaired.done[0][1]
        assert blob.read_bytes() == b"4444"
        assert faults(filled) == []


def test_a_good_copy_elsewhere_does_not_excuse_who_shares_the_bad_bytes(filled):
    put_ir(filled, "o", data=b"4444")
    blob = blob_of(filled, "n", "c.bin")
    flip(blob)
    (problem,) = faults(filled)
    assert problem.spare.name == "model.bin"
    repaired = repair(filled, [problem])
    assert repaired.fetch == {("n", None)}
    assert blob.read_bytes() == b"4444"
    assert faults(filled) == []


def test_an_unwanted_damaged_blob_goes(filled):
    blob = put_blob(filled, b"stray")
    flip(blob)
    (problem,) = faults(filled)
    assert problem.model is None
    assert "no model uses it" in repair(filled, [problem]).done[0][1]
    assert not blob.exists()


def test_mending_looks_again_first(filled):
    """What was found may be good by the time nobody else uses the cache."""
    blob, ir, manifest = (
        blob_of(filled, "n", "c.bin"),
        ir_of(filled, "m") / "model.bin",
        folder_of(filled, "m") / MANIFEST_NAME,
    )
    kept = [(path, path.read_bytes()) for path in (blob, ir, manifest)]
    for path, _ in kept:
        flip(path)
    problems = faults(filled)
    assert len(problems) == 3
    for path, data in kept:
        rewrite(path, data)
    repaired = repair(filled, problems)
    assert not (repaired.fetch or repaired.convert)
    assert all("already repaired" in done for _, done in repaired.done)
    assert faults(filled) == []


def test_every_bit_of_a_manifest_counts(filled):
    for path in (folder_of(filled, "m") / MANIFEST_NAME, ir_of(filled, "m") / IR_MANIFEST):
        data = path.read_bytes()
        for position in range(0, len(data), 29):
            for bit in (0, 5):
                changed = bytearray(data)
                changed[position] ^= 1 << bit
                rewrite(path, bytes(changed))
                assert subjects(filled), f"bit {bit} of byte {position} of {path.name}"
        rewrite(path, data)
    assert faults(filled) == []


def test_copies_and_symbolic_links_are_as_good_as_hard_links(cache, monkeypatch):
    def refuse(*_, **__):
        raise OSError(1, "not here")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("model_zoo.files.links.clone", lambda *_: False)
    made, folder = put_model(cache, "m", {"a/b.bin": b"11"})
    assert (folder / "a/b.bin").is_symlink()
    assert cache.find_files("m", declaration_of(made, made.artifacts))
    assert faults(cache) == []
    flip(cache.find_blob(made.artifacts[0]))
    assert [(p.subject, p.model) for p in faults(cache)] == [("blob", "m")]
    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    put_model(cache, "n", {"a.bin": b"33"})
    assert not (folder_of(cache, "n") / "a.bin").is_symlink()
    assert [p.model for p in faults(cache)] == ["m"]


def test_damage_in_a_layer_below_is_left_to_its_makers(filled, tmp_path):
    flip_ir(filled)
    cache = Cache(tmp_path / "top", [filled.top.root])
    problems = faults(cache)
    assert [p.layer.root for p in problems] == [filled.top.root]
    repaired = repair(cache, problems)
    assert repaired.done == []
    assert "read-only" in repaired.left[0][1]
    assert faults(filled)


def test_a_layer_may_stand_on_the_blobs_of_another(filled, tmp_path):
    cache = Cache(tmp_path / "top", [filled.top.root])
    put_model(cache, "above", {"own.bin": b"own", "a.bin": b"11"})
    blob = next(p for p in cache.top.blobs.rglob("*") if p.is_file() and p.read_bytes() == b"11")
    blob.unlink()
    assert faults(cache) == []
    assert [p.cause for p in faults(Cache(tmp_path / "top"))] == ["deleted: the file is missing"]


def test_a_file_that_cannot_be_read(filled, monkeypatch):
    blob = blob_of(filled, "n", "c.bin")

    def refuse(path, *args):
        if path.samefile(blob):
            raise PermissionError(13, "Permission denied")
        return hash_file(path, *args)

    monkeypatch.setattr("model_zoo.cache.care.verify.hash_file", refuse)
    (problem,) = faults(filled)
    assert problem.cause == "cannot be read: Permission denied"


def test_what_cannot_be_moved_is_said(filled, monkeypatch):
    flip_ir(filled)
    problems = faults(filled)

    def refuse(*_):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(system, "rename", refuse)
    ((problem, why),) = repair(filled, problems).left
    assert problem == problems[0]
    assert re.search("cannot move .*in use", why)


def test_other_versions_and_the_file_systems_own_are_not_foreign(filled):
    (filled.top.root / "blobs-v2").mkdir()
    (filled.top.root / "lost+found").mkdir()
    (filled.top.irs / ".nfs0000001").write_text("")
    assert faults(filled) == []


def test_progress_ends_at_the_total(filled):
    events = []
    checked = verify(filled.layers, events.append)
    assert [event.event for event in events] == ["verify"] * 3
    assert events[-1].bytes == events[-1].total == 2 + 3 + 4
    assert (checked.blobs, checked.models, checked.irs) == (3, 2, 2)


def test_hostile_manifests_are_problems_and_no_more(filled):
    path = folder_of(filled, "m") / MANIFEST_NAME
    for text in (
        '{"files": 1, "artifacts": 2}',
        '{"files": [{"path": "../../../../../etc/hostname", "size": 1, "sha256": []}], "artifacts": [1]}',
        '{"files": [{"path": "sub", "size": [], "sha256": "x"}], "precision": [], "artifacts": [{}]}',
        "[" * 100_000,
    ):
        rewrite(path, text.encode())
        assert {p.model for p in faults(filled)} == {"m"}
    ir = ir_of(filled, "n") / IR_MANIFEST
    rewrite(ir, b'{"model": [], "precision": {}, "outputs": [{"path": "/etc/hostname"}]}')
    problems = faults(filled)
    assert {p.subject for p in problems} == {"files", "ir"}
    repaired = repair(filled, problems)
    assert repaired.fetch == {("m", None)}
    assert repaired.convert == set()
    assert faults(filled) == []


def test_sealed_but_hostile_paths_are_not_read(filled):
    """A manifest whose seal is right may still come from somebody who knows how seals are made."""
    from model_zoo.cache.manifest import encode

    path = folder_of(filled, "m") / MANIFEST_NAME
    for hostile in ("../../../../../../etc/hostname", "/etc/hostname", "a\0b"):
        rewrite(path, encode({"files": [{"path": hostile, "size": 1, "sha256": "0" * 64}]}))
        problems = faults(filled)
        assert problems
        assert all(p.path.is_relative_to(filled.top.root) for p in problems), hostile
