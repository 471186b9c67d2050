"""Blobs become a model's folder: linked, unpacked, edited, and never at the blob's cost."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import zipfile

import pytest

from model_zoo.cache import materialise
from model_zoo.errors import CacheError, CatalogError, IntegrityError
from model_zoo.schema import Replacement, Unpack
from tests.cache.made import artifact, model, put_blob, tree


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files.items():
            file.writestr(name.replace("__", "/"), data)
    return out.getvalue()


@pytest.fixture
def fill(cache):
    """Materialise a model; return its entries and its folder, which lasts as long as the test."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def call(contents, *artifacts, **more):
            made = model("m", *artifacts, **more)
            blobs = {a.path: put_blob(cache, contents[a.path], a) for a in artifacts}
            folder = stack.enter_context(cache.staging("files")) / "tree"
            folder.mkdir()
            found = materialise(made, made.artifacts, blobs, folder, cache.top.root)
            for entry in found:
                data = (folder / entry.path).read_bytes()
                assert (entry.size, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
            assert {entry.path for entry in found} == set(tree(folder))
            return found, folder

        yield call


def test_plain_files_are_links(fill, cache):
    found, folder = fill({"a/b": b"1", "c": b"2"}, artifact("a/b", b"1"), artifact("c", b"2"))
    assert [entry.path for entry in found] == ["a/b", "c"]
    assert (folder / "c").samefile(cache.find_blob(artifact("c", b"2")))


def test_an_archive_beside_a_file(fill):
    data = zipped(top__a="1", top__b="2")
    contents = {"x": data, "labels.txt": b"l"}
    unpacked = artifact("x", data, unpack=Unpack(format="zip", strip=1))
    _, folder = fill(contents, unpacked, artifact("labels.txt", b"l"))
    assert tree(folder) == {"x/a": b"1", "x/b": b"2", "labels.txt": b"l"}
    assert (folder / "x/a").stat().st_mode & 0o222 == 0


def test_archives_into_one_folder(fill):
    one, two = zipped(a="1"), zipped(b="2")
    _, folder = fill(
        {"one.zip": one, "two.zip": two},
        artifact("one.zip", one, unpack=Unpack(format="zip", into="net")),
        artifact("two.zip", two, unpack=Unpack(format="zip", into="net")),
    )
    assert tree(folder) == {"net/a": b"1", "net/b": b"2"}


@pytest.mark.parametrize(
    ("plain", "member"), [("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), ("a/b", "A"), ("a/b", "a/B")]
)
def test_clashes_of_files_and_archives(fill, plain, member):
    data = zipped(**{member.replace("/", "__"): "1"})
    archive = artifact("x.zip", data, unpack=Unpack(format="zip", into="."))
    with pytest.raises(CatalogError):
        fill({plain: b"2", "x.zip": data}, artifact(plain, b"2"), archive)


def test_an_archive_that_must_not_be_unpacked(fill, tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("../../escape")
        tar.addfile(info)
    data = out.getvalue()
    with pytest.raises(IntegrityError, match="m: x.tar was rejected"):
        fill({"x.tar": data}, artifact("x.tar", data, unpack=Unpack(format="tar")))
    assert not list(tmp_path.rglob("escape"))


def test_edits_do_not_touch_the_blob(fill, cache):
    edit = Replacement(file="a.py", pattern="one", replacement="two")
    found, folder = fill({"a.py": b"one one"}, artifact("a.py", b"one one"), replace=(edit,))
    assert (folder / "a.py").read_bytes() == b"two two"
    assert cache.find_blob(artifact("a.py", b"one one")).read_bytes() == b"one one"
    assert len(found) == 1


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"file": "a.py", "pattern": "none"}, "does not match"),
        ({"file": "a.py", "pattern": "one", "count": 3}, "does not match"),
        ({"file": "b.py", "pattern": "one"}, "cannot edit the file"),
    ],
)
def test_edits_that_do_not_fit(fill, facts, message):
    edit = Replacement(replacement="x", **facts)
    with pytest.raises(CatalogError, match=message):
        fill({"a.py": b"one one"}, artifact("a.py", b"one one"), replace=(edit,))


def test_binary_files_are_not_edited(fill):
    edit = Replacement(file="a", pattern="x", replacement="y")
    with pytest.raises(CatalogError, match="cannot edit the file"):
        fill({"a": b"\xff\xfe"}, artifact("a", b"\xff\xfe"), replace=(edit,))


def test_edits_of_another_precisions_file_wait_for_that(cache):
    made = model(
        "m",
        artifact("FP16/a.xml", b"one", precision="FP16"),
        artifact("FP32/a.xml", b"one", precision="FP32"),
        replace=(
            Replacement(file="FP16/a.xml", pattern="one", replacement="two"),
            Replacement(file="FP32/a.xml", pattern="one", replacement="three"),
        ),
    )
    blob = put_blob(cache, b"one")
    with cache.staging("files") as folder:
        found = materialise(made, made.files_of("FP16"), {"FP16/a.xml": blob}, folder, cache.top.root)
        assert tree(folder) == {"FP16/a.xml": b"two"}
    assert [entry.path for entry in found] == ["FP16/a.xml"]


def test_a_full_disk_is_a_cache_error(fill, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["model_zoo.cache.materialise"], "link_file", full)
    with pytest.raises(CacheError, match="no space left"):
        fill({"a": b"1"}, artifact("a", b"1"))


def test_a_blob_of_another_layer_is_not_linked_symbolically(cache, tmp_path, monkeypatch):
    from model_zoo.cache import Cache

    low = Cache(tmp_path / "low")
    blob = put_blob(low, b"1")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "cross-device")))
    monkeypatch.setattr("model_zoo.files.links.clone", lambda *_: False)
    made = model("m", artifact("a", b"1"))
    with cache.staging("files") as folder:
        materialise(made, made.artifacts, {"a": blob}, folder, cache.writable.root)
        assert not (folder / "a").is_symlink()
        assert (folder / "a").read_bytes() == b"1"
