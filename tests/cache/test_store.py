"""Look-ups through layers, and publishing into the top one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_zoo.cache import Cache, declaration_of
from model_zoo.cache.care.gc import apply, plan_gc
from model_zoo.cache.care.verify import verify
from model_zoo.cache.layout import TAG_NAME
from model_zoo.cache.notes import Notes
from model_zoo.errors import CacheDamagedError, CacheError, CacheFullError, CacheReadOnlyError
from model_zoo.schema import MANIFEST_NAME, Artifact
from model_zoo.systems import system
from tests.cache.made import (
    IR_MANIFEST,
    OLD,
    age,
    artifact,
    entries,
    ir_key,
    put_blob,
    put_ir,
    put_model,
    request_of,
    tree,
)
from tests.tools import require_root


def stamps(folder):
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_ctime_ns) for p in [folder, *folder.rglob("*")]}


def test_a_blob_is_found_by_every_digest(cache):
    data = b"bytes"
    for algorithm in ("sha256", "sha384", "sha512"):
        one = artifact("m.bin", data, algorithm)
        blob = put_blob(cache, data, one)
        assert cache.find_blob(one) == blob
        assert blob.name == hashlib.sha256(data).hexdigest()
        assert cache.sha256_of(one) == blob.name


def test_an_undigested_artifact_is_found_by_its_address(cache):
    from model_zoo.sources import parse_source

    one = Artifact(path="m", sources=(parse_source({"url": "https://example.org/m"}),))
    other = Artifact(path="m", sources=(parse_source({"url": "https://example.org/n"}),))
    blob = put_blob(cache, b"bytes", one)
    assert cache.find_blob(one) == blob
    assert cache.find_blob(other) is None


def test_a_blob_of_another_size_than_declared_is_none(cache):
    put_blob(cache, b"bytes")
    good = artifact("m", b"bytes")
    assert cache.find_blob(good)
    assert cache.find_blob(Artifact(path="m", size=4, sha256=good.sha256)) is None


def test_blobs_are_read_only_and_keep_to_the_umask(cache):
    assert put_blob(cache, b"bytes").stat().st_mode & 0o777 == 0o444 & ~0o022
    _, folder = put_model(cache, "m", {"a": b"1"})
    assert (folder / MANIFEST_NAME).stat().st_mode & 0o222 == 0


def test_publishing_twice_keeps_the_first_file(cache):
    blob = put_blob(cache, b"bytes")
    inode = blob.stat().st_ino
    assert put_blob(cache, b"bytes") == blob
    assert blob.stat().st_ino == inode, "folders share the first one"


def test_publishing_replaces_a_damaged_blob(cache):
    blob = put_blob(cache, b"bytes")
    blob.chmod(0o644)
    blob.write_bytes(b"bytez")
    assert put_blob(cache, b"bytes").read_bytes() == b"bytes"
    blob.chmod(0o644)
    blob.write_bytes(b"byt")
    assert put_blob(cache, b"bytes").read_bytes() == b"bytes"


def test_a_folder_shares_its_bytes_with_the_blobs(cache):
    made, folder = put_model(cache, "m", {"a/b.bin": b"1", "c.bin": b"2"})
    assert (folder / "a/b.bin").stat().st_ino == cache.find_blob(made.artifacts[0]).stat().st_ino
    found = cache.find_files("m", declaration_of(made, made.artifacts))
    assert found is not None
    assert found[0] == folder
    assert "seal" not in found[1]


def test_layers_are_searched_from_the_top(tmp_path):
    low, middle = Cache(tmp_path / "low"), Cache(tmp_path / "middle")
    made, folder = put_model(low, "m", {"a": b"1"}, "sha384")
    ir = put_ir(low, "m")
    put_ir(middle, "n")
    cache = Cache(tmp_path / "top", [tmp_path / "middle", tmp_path / "low"])
    assert cache.find_files("m", folder.name) == (folder, low.find_files("m", folder.name)[1])
    assert cache.find_ir(ir.name)[0] == ir
    assert cache.find_blob(made.artifacts[0]).is_relative_to(tmp_path / "low")
    assert [path.name for path, _ in cache.find_requested(request_of("n"))] == [ir_key("n")]
    assert [path for path, _ in cache.find_irs_of("m")] == [ir]
    assert cache.find_inputs(folder.name) == entries(("a", b"1"))
    assert not (tmp_path / "top").exists(), "looking creates nothing"
    _, again = put_model(cache, "m", {"a": b"1"}, "sha384")
    assert cache.find_files("m", folder.name)[0] == again
    assert again.is_relative_to(tmp_path / "top")


def test_without_a_writable_layer(tmp_path):
    _, folder = put_model(Cache(tmp_path / "low"), "m", {"a": b"1"})
    cache = Cache(None, [tmp_path / "low"])
    assert cache.find_files("m", folder.name)
    with pytest.raises(CacheReadOnlyError, match="no writable cache layer"):
        put_blob(cache, b"2")
    with cache.use() as works:
        assert not works
    with pytest.raises(CacheReadOnlyError), cache.exclusive():
        pass


def test_a_hit_writes_nothing(cache, tmp_path):
    made, folder = put_model(cache, "m", {"a": b"1"}, "sha512")
    ir = put_ir(cache, "m")
    before = stamps(tmp_path)
    fresh = Cache(tmp_path / "cache")
    assert fresh.find_files("m", folder.name)
    assert fresh.find_ir(ir.name)
    assert fresh.find_blob(made.artifacts[0])
    assert fresh.find_requested(request_of("m"))
    assert fresh.find_inputs(folder.name)
    assert stamps(tmp_path) == before


def test_a_last_use_is_noted_once_a_day(cache, tmp_path):
    _, folder = put_model(cache, "m", {"a": b"1"})
    ir = put_ir(cache, "m")
    for path in (folder, ir):
        age(path)
    assert cache.find_files("m", folder.name)
    assert cache.find_ir(ir.name)
    marks = [cache.top.used("files", f"m@{folder.name}"), cache.top.used("ir", ir.name)]
    assert all(abs(mark.stat().st_mtime - time.time()) < 600 for mark in marks)
    before = stamps(tmp_path)
    assert cache.find_files("m", folder.name)
    assert cache.find_ir(ir.name)
    assert stamps(tmp_path) == before
    age(marks[1], OLD + 10)
    assert cache.find_ir(ir.name)
    assert abs(marks[1].stat().st_mtime - time.time()) < 600


def test_a_folder_without_manifest_does_not_count(cache):
    _, folder = put_model(cache, "m", {"a": b"1"})
    ir = put_ir(cache, "m")
    (folder / MANIFEST_NAME).unlink()
    (ir / IR_MANIFEST).unlink()
    assert cache.find_files("m", folder.name) is None
    assert cache.find_ir(ir.name) is None
    assert cache.find_requested(request_of("m")) == []
    assert cache.find_irs_of("m") == []


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"files": 7}', '{"files": [7]}', '{"files": []}'])
def test_a_manifest_that_is_none(cache, text):
    _, folder = put_model(cache, "m", {"a": b"1"})
    (folder / MANIFEST_NAME).chmod(0o644)
    (folder / MANIFEST_NAME).write_text(text)
    assert cache.find_files("m", folder.name) is None


def test_a_missing_or_short_file_makes_a_miss(cache):
    _, folder = put_model(cache, "m", {"a/b": b"11", "c": b"2"})
    ir = put_ir(cache, "m")
    (ir / "model.bin").chmod(0o644)
    (ir / "model.bin").write_bytes(b"")
    assert cache.find_ir(ir.name) is None
    (folder / "a/b").unlink()
    assert cache.find_files("m", folder.name) is None


def test_publishing_again_replaces_what_is_not_whole(cache, tmp_path):
    _, folder = put_model(cache, "m", {"a": b"1"})
    (folder / "a").unlink()
    _, again = put_model(cache, "m", {"a": b"1"})
    assert again == folder
    assert tree(folder)["a"] == b"1"
    assert list((tmp_path / "cache/partial-v1").iterdir()) == []


def test_publishing_again_keeps_what_is_whole(cache):
    ir = put_ir(cache, "m")
    inode = (ir / "model.bin").stat().st_ino
    assert put_ir(cache, "m") == ir
    assert (ir / "model.bin").stat().st_ino == inode


def test_a_file_in_the_way_of_a_folder_is_replaced(cache):
    target = cache.writable.ir(ir_key("m"))
    target.parent.mkdir()
    target.write_text("in the way")
    assert cache.find_ir(put_ir(cache, "m").name)


def test_two_that_publish_at_once_both_succeed(tmp_path):
    def publish(number):
        cache = Cache(tmp_path / "cache")
        return put_model(cache, "m", {"a": b"1" * 1000, "b": b"2"})[1], put_ir(cache, "m")

    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(publish, range(40)))
    assert len(results) == 1
    (folder, ir) = results.pop()
    cache = Cache(tmp_path / "cache")
    assert cache.find_files("m", folder.name)
    assert cache.find_ir(ir.name)
    assert list((tmp_path / "cache/partial-v1").iterdir()) == []


def test_staging_is_removed_after_an_error(cache):
    with pytest.raises(RuntimeError), cache.staging("x") as folder:
        (folder / "file").write_text("half")
        raise RuntimeError
    assert not folder.exists()


def test_everything_is_flushed_before_it_gets_its_name(cache, monkeypatch):
    """What a power loss leaves is decided by the order of flushes and renames."""
    put_blob(cache, b"warm up: the folders are there")
    log = []

    def watch(name, step):
        real = getattr(system, name)

        def call(*paths):
            log.append((step, *map(str, paths)))
            return real(*paths)

        monkeypatch.setattr(system, name, call)

    watch("flush_file", "flush")
    watch("flush_directory", "flush")
    watch("rename", "name")
    watch("replace", "name")
    ir = put_ir(cache, "m")
    _, folder = put_model(cache, "m", {"a": b"1", "sub/b": b"2"})
    for target, files in ((ir, [*ir.iterdir()]), (folder, [folder / MANIFEST_NAME])):
        ((place, staged),) = [
            (index, step[1]) for index, step in enumerate(log) if step[0] == "name" and step[2] == str(target)
        ]
        before, after = log[:place], log[place + 1 :]
        for file in files:
            assert ("flush", str(Path(staged) / file.relative_to(target))) in before
        assert ("flush", staged) in before, "the names in the folder"
        assert ("flush", str(target.parent)) in after, "the name of the folder"
    blob = cache.find_blob(artifact("a", b"1"))
    place = next(i for i, step in enumerate(log) if step[0] == "name" and step[2] == str(blob))
    assert ("flush", str(blob.parent)) in log[place:]


@pytest.mark.system
def test_a_small_disk_that_fills_up(tmp_path):
    require_root()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], check=True)
    try:
        cache = Cache(disk / "cache")
        _, folder = put_model(cache, "m", {"a": b"1" * 100_000})
        for number in range(10):
            data = os.urandom(90_000)
            try:
                put_model(cache, f"big{number}", {"b": data})
                put_ir(cache, f"big{number}", data=data)
            except (CacheFullError, OSError) as error:
                assert getattr(error, "errno", 28) == 28
                break
        else:
            pytest.fail("the disk did not fill up")
        assert cache.find_files("m", folder.name)
        assert [p for p in verify(cache.layers, lambda _: None).problems if p.subject != "state"] == []
        plan = apply(cache, lambda _: plan_gc(cache.top, 150_000))
        assert plan.freed > 0, "a full disk can still be collected"
        assert verify(cache.layers, lambda _: None).problems == []
        put_model(cache, "fits", {"b": os.urandom(90_000)})
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_the_partial(cache, monkeypatch):
    with cache.staging("x") as folder:
        staged = folder / "bytes"
        staged.write_bytes(b"bytes")
        real = system.replace

        def full(source, target):
            if source == staged:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return real(source, target)

        monkeypatch.setattr(system, "replace", full)
        with pytest.raises(CacheError, match="no space left") as caught:
            cache.publish_blob(staged, hashlib.sha256(b"bytes").hexdigest(), artifact("m", b"bytes"))
        assert staged.read_bytes() == b"bytes"
        assert "partial is kept" in str(caught.value)


def test_the_tag_is_that_of_the_specification(cache):
    put_blob(cache, b"1")
    text = (cache.top.root / TAG_NAME).read_text()
    assert text.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_the_folders_are_those_of_the_contract(cache):
    put_model(cache, "m", {"a": b"1"})
    put_ir(cache, "m")
    with cache.use():
        pass
    names = {path.name for path in cache.top.root.iterdir()}
    assert names == {
        "CACHEDIR.TAG",
        "blobs-v1",
        "files-v1",
        "ir-v1",
        "locks-v1",
        "partial-v1",
        "state-v1",
    }


def test_a_file_where_the_cache_should_be(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CacheError):
        put_blob(Cache(tmp_path / "cache"), b"1")


@pytest.mark.parametrize("part", ["blobs-v1", "blobs-v1/sha256", "files-v1", "files-v1/m", "partial-v1"])
def test_a_planted_link_is_not_followed_when_publishing(cache, tmp_path, part):
    cache.writable.prepare()
    outside = tmp_path / "outside"
    outside.mkdir()
    link = cache.top.root / part
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(CacheDamagedError, match="behind a symlink"):
        put_model(cache, "m", {"a": b"1"})
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["aliases", "inputs", "requests"])
def test_a_planted_link_is_not_followed_when_noting(cache, tmp_path, kind):
    cache.writable.prepare()
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(cache.top.state / kind)
    (cache.top.state / kind).symlink_to(outside)
    with pytest.raises(CacheDamagedError, match="behind a symlink"):
        if kind == "aliases":
            put_blob(cache, b"1", artifact("a", b"1", "sha384"))
        elif kind == "inputs":
            Notes(cache.top, writable=True).note_inputs("0" * 64, entries(("a", b"1")))
        else:
            Notes(cache.top, writable=True).note_request("0" * 64, "1" * 64)
    assert list(outside.iterdir()) == []


def test_a_planted_link_is_not_followed_when_looking(cache, tmp_path):
    made, folder = put_model(cache, "m", {"a": b"1"})
    ir = put_ir(cache, "m")
    for path in (cache.top.blobs, cache.top.models, cache.top.irs):
        moved = tmp_path / f"outside-{path.name}"
        path.rename(moved)
        path.symlink_to(moved)
    assert cache.find_files("m", folder.name) is None
    assert cache.find_ir(ir.name) is None
    assert cache.find_blob(made.artifacts[0]) is None


def test_a_linked_root_is_its_owners_decision(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cache = Cache(tmp_path / "link")
    _, folder = put_model(cache, "m", {"a": b"1"})
    assert cache.find_files("m", folder.name)


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../outside", "../../../blobs-v1"])
def test_a_planted_file_link_does_not_count(cache, tmp_path, target):
    (tmp_path / "outside").write_bytes(b"1")
    _, folder = put_model(cache, "m", {"a": b"1"})
    (folder / "a").unlink()
    (folder / "a").symlink_to(target)
    assert cache.find_files("m", folder.name) is None


def test_a_link_to_a_folder_inside_an_entry_does_not_count(cache, tmp_path):
    _, folder = put_model(cache, "m", {"a/b": b"1"})
    (folder / "a").rename(tmp_path / "outside")
    (folder / "a").symlink_to(tmp_path / "outside")
    assert cache.find_files("m", folder.name) is None


def test_a_hostile_manifest_points_nowhere(cache, tmp_path):
    (cache.top.root.parent / "secret").write_bytes(b"1")
    _, folder = put_model(cache, "m", {"a": b"1"})
    manifest = folder / MANIFEST_NAME
    manifest.chmod(0o644)
    for path in ("../../../../secret", str(tmp_path / "secret"), "x\0y"):
        manifest.write_text(f'{{"files": [{{"path": "{path}", "size": 1}}]}}'.replace("\0", "\\u0000"))
        assert cache.find_files("m", folder.name) is None


def test_a_tag_that_is_a_link_is_replaced(tmp_path):
    root = tmp_path / "cache"
    root.mkdir()
    (root / TAG_NAME).symlink_to(tmp_path / "outside")
    put_blob(Cache(root), b"1")
    assert not (tmp_path / "outside").exists()
    assert (root / TAG_NAME).is_file()
    assert not (root / TAG_NAME).is_symlink()


def test_relative_paths_are_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = Cache(Path("cache"))
    _, folder = put_model(cache, "m", {"a": b"1"})
    monkeypatch.chdir("/")
    assert folder.is_absolute()
    assert cache.find_files("m", folder.name)


def test_notes_survive_a_clock_that_is_wrong(cache):
    ir = put_ir(cache, "m")
    future = time.time() + 10 * 365 * 86400
    age(ir, future)
    assert cache.find_ir(ir.name)
    assert cache.find_ir(ir.name)
    assert os.path.lexists(cache.top.used("ir", ir.name))
