"""Notes are derivatives: deleted or damaged, they are made again from the manifests."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_zoo.cache import Cache, address_digest, alias_names
from model_zoo.cache.layout import COMPLETE, NOTES
from model_zoo.cache.notes import Derived, Notes
from model_zoo.errors import LockTimeoutError
from model_zoo.files.lock import lock
from model_zoo.schema import Artifact, ArtifactRecord, FileEntry, Resolution
from model_zoo.sources import parse_source
from tests.cache.made import entries, ir_key, put_ir, put_model, request_of, tree
from tests.manifests import files_manifest, ir_manifest


@pytest.fixture
def filled(cache):
    """A cache with two models and their IRs, and what must be found in it."""
    addressed = Artifact(path="u", sources=(parse_source({"url": "https://example.org/u"}),))
    made, folder = put_model(cache, "m", {"a": b"1", "b": b"2"}, "sha384")
    put_model(cache, "n", {"a": b"3"}, "sha512")
    put_ir(cache, "m")
    put_ir(cache, "m", "FP16")
    return cache, made, folder, addressed


def found(cache, made, folder):
    return (
        [cache.find_blob(a) for a in made.artifacts],
        [p.name for p, _ in cache.find_requested(request_of("m"))],
        [p.name for p, _ in cache.find_requested(request_of("m", "FP16"))],
        cache.find_inputs(folder.name),
    )


def expected(cache, made, folder):
    return (
        [cache.top.blob(cache.sha256_of(a)) for a in made.artifacts],
        [ir_key("m")],
        [ir_key("m", "FP16")],
        entries(("a", b"1"), ("b", b"2")),
    )


@pytest.mark.parametrize("lost", [None, "aliases", "requests", "inputs"])
def test_deleted_notes_are_derived(filled, lost):
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    assert found(cache, made, folder) == wanted
    shutil.rmtree(cache.top.state / lost if lost else cache.top.state)
    assert found(Cache(cache.top.root), made, folder) == wanted


def test_derived_notes_are_written_down(filled, monkeypatch):
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    before = tree(cache.top.state)
    shutil.rmtree(cache.top.state)
    assert found(Cache(cache.top.root), made, folder) == wanted
    assert tree(cache.top.state) == before
    monkeypatch.setattr(Notes, "derive", lambda _: pytest.fail("derived again"))
    assert found(Cache(cache.top.root), made, folder) == wanted


def test_notes_that_cannot_be_written_are_kept_in_memory(filled):
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    shutil.rmtree(cache.top.state)
    cache.top.state.write_text("in the way")
    assert found(Cache(cache.top.root), made, folder) == wanted


def test_damaged_notes_are_derived(filled):
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    for path in cache.top.state.rglob("*"):
        if path.is_file() and path.name != COMPLETE:
            path.write_bytes(b"\xff{[garbage")
    assert found(Cache(cache.top.root), made, folder) == wanted


def test_empty_notes_are_derived(filled):
    """What a power loss leaves of files that nobody flushed."""
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    for path in cache.top.state.rglob("*"):
        if path.is_file() and path.name != COMPLETE:
            path.write_bytes(b"")
    assert found(Cache(cache.top.root), made, folder) == wanted


def test_a_true_miss_does_not_read_every_manifest(filled, monkeypatch):
    cache, *_ = filled
    monkeypatch.setattr(Notes, "derive", lambda _: pytest.fail("read all manifests"))
    assert cache.find_blob(Artifact(path="x", size=1, sha384="0" * 96)) is None
    assert cache.find_requested("0" * 64) == []
    assert cache.find_inputs("0" * 64) is None


def test_a_layer_that_cannot_be_written_derives_in_memory(filled, tmp_path):
    cache, made, folder, _ = filled
    wanted = expected(cache, made, folder)
    shutil.rmtree(cache.top.state)
    before = tree(cache.top.root)
    low = Cache(None, [cache.top.root])
    assert found(low, made, folder) == wanted
    assert tree(cache.top.root) == before


def test_rebuild_writes_what_was_there(filled):
    cache, *_ = filled
    before = {name: data for name, data in tree(cache.top.state).items() if not name.startswith("used")}
    shutil.rmtree(cache.top.state)
    notes = Notes(cache.top)
    notes.write(notes.derive())
    assert tree(cache.top.state) == before
    assert all(cache.top.complete(notes).is_file() for notes in NOTES)


def test_rebuild_is_for_one_at_a_time(filled):
    cache, *_ = filled
    with lock(cache.top.locks / "state.lock", timeout=0), pytest.raises(LockTimeoutError):
        Notes(cache.top).write(Derived())


def test_noting_before_publishing(cache, monkeypatch):
    """Killed between the note and the folder: the note leads to nothing, and nothing is the answer."""
    cache.writable.prepare()
    Notes(cache.top, writable=True).note_request(request_of("m"), ir_key("m"))
    assert cache.find_requested(request_of("m")) == []
    put_ir(cache, "m")
    assert len(cache.find_requested(request_of("m"))) == 1


def test_requested_irs_come_newest_last(cache):
    for number, precision in enumerate(["FP32", "FP16", "INT8"]):
        put_ir(cache, "m", precision)
        Notes(cache.top, writable=True).note_request("9" * 64, ir_key("m", precision))
        note = cache.top.request("9" * 64) / ir_key("m", precision)
        os.utime(note, (1000 - number, 1000 - number))
    found = [manifest.precision for _, manifest in cache.find_requested("9" * 64)]
    assert found == ["INT8", "FP16", "FP32"]


def test_names_of_an_artifact():
    plain = Artifact(path="a", sha256="0" * 64)
    assert alias_names(plain) == []
    both = Artifact(path="a", sha384="1" * 96, sha512="2" * 128)
    assert alias_names(both) == [("sha384", "1" * 96), ("sha512", "2" * 128)]
    source = parse_source({"url": "https://example.org/u"})
    addressed = Artifact(path="a", sources=(source,))
    assert alias_names(addressed) == [("source", address_digest(addressed).hex)]
    assert address_digest(addressed) == address_digest(Artifact(path="b", sources=(source,)))


texts = st.text(max_size=8) | st.sampled_from(["0" * 64, "sha384:" + "1" * 96, "source:../x", "g" * 64])
records = st.builds(
    ArtifactRecord, path=texts, size=st.integers(), sha256=texts, names=st.tuples(texts, texts)
)
file_entries = st.builds(FileEntry, path=texts, size=st.integers(), sha256=texts)
resolutions = st.none() | st.builds(Resolution, of=texts, artifacts=st.just(({"path": "x"},)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(records, records), st.tuples(file_entries), texts, resolutions)
def test_hostile_manifests_derive_to_something(artifacts, files, text, resolution):
    more = {"declaration": text, "resolution": resolution}
    derived = Derived()
    derived.add_files(files_manifest(artifacts=artifacts, files=files, **more))
    derived.add_ir("key", ir_manifest(inputs=files, request=text, **more), 0.0)
    assert all(len(sha) == 64 for sha in derived.aliases.values())
    assert all(".." not in name for _, name in derived.aliases)
    assert all(len(request) == 64 for request in derived.requests)
