"""Tar files: deterministic when written, distrusted when read."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_zoo.errors import CacheDamagedError, IntegrityError
from model_zoo.files import tar as tars
from model_zoo.files.tar import Member, Tar, read_tar

NAMES = st.text("abc-é.", min_size=1, max_size=60).filter(
    lambda name: name.strip(".") and not name.endswith(".")
)


def whole(tar, start=0):
    return b"".join(tar.chunks(start))


PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(PATHS, st.binary(max_size=3000), max_size=6), st.integers(0, 2**33))
@settings(max_examples=60, deadline=None)
def test_python_and_we_read_what_was_written(tmp_path_factory, files, mtime):
    folders = {parent for path in files for parent in Path(path).parents}
    files = {path: data for path, data in files.items() if Path(path) not in folders}
    files = {
        path: data
        for path, data in files.items()
        if [p.casefold() for p in files].count(path.casefold()) == 1
    }
    tar = Tar([Member(path, data) for path, data in files.items()], mtime)
    data = whole(tar)
    assert len(data) == tar.size
    assert len(data) % tarfile.RECORDSIZE == 0
    reverse = Tar([Member(path, data) for path, data in reversed(files.items())], mtime)
    assert reverse.sha256 == tar.sha256
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
        assert all((m.uid, m.gid, m.mtime, m.uname) == (0, 0, mtime, "") for m in archive)
    assert found == files
    path = tmp_path_factory.mktemp("tar") / "t"
    path.write_bytes(data)
    assert {one.path: b"".join(one.chunks()) for one in read_tar(path, "t")} == files


def test_any_offset_gives_the_rest(tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(256)) * 5000)
    members = [
        Member("a/b", tmp_path / "big", 1280000),
        Member("c", b"xyz"),
        Member("d", lambda n: iter([b"stream"[n:]]), 6),
    ]
    tar = Tar([*members, Member("e", link="c")], 7)
    data = whole(tar)
    for start in (0, 1, 511, 512, 1000, 1_048_576, 1_200_000, tar.size - 5, tar.size):
        assert whole(tar, start) == data[start:]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmember("e").linkname == "c"
        assert archive.extractfile("d").read() == b"stream"


@pytest.mark.parametrize("size", [4, 6])
def test_file_of_another_length_is_refused(tmp_path, size):
    (tmp_path / "f").write_bytes(b"12345")
    with pytest.raises(CacheDamagedError, match="changed while it was read"):
        whole(Tar([Member("f", tmp_path / "f", size)]))


def test_file_that_is_gone_is_said(tmp_path):
    with pytest.raises(CacheDamagedError, match="No such file"):
        whole(Tar([Member("f", tmp_path / "f", 3)]))


def make(*members, kind=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, type_, more in members:
            info = tarfile.TarInfo(name)
            info.type = type_
            data = more if isinstance(more, bytes) else b""
            info.size = len(data)
            if isinstance(more, str):
                info.linkname = more
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


FILE, DIR, LNK, SYM = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", FILE, b"x")],
        [("/etc/passwd", FILE, b"x")],
        [("a/../../b", FILE, b"x")],
        [("a\\b", FILE, b"x")],
        [("c:/x", FILE, b"x")],
        [("a//b", FILE, b"x")],
        [("./a", FILE, b"x")],
        [("a/con.txt", FILE, b"x")],
        [("a\nb", FILE, b"x")],
        [("x" * 300, FILE, b"x")],
        [("/".join(["abc"] * 200), FILE, b"x")],
        [("link", SYM, "/etc/passwd")],
        [("link", SYM, "a"), ("link/x", FILE, b"x")],
        [("a", FILE, b"x"), ("hard", LNK, "../a")],
        [("hard", LNK, "a"), ("a", FILE, b"x")],
        [("a", FILE, b"x"), ("a", LNK, "a")],
        [("fifo", tarfile.FIFOTYPE, b"")],
        [("dev", tarfile.CHRTYPE, b"")],
        [("a", FILE, b"x"), ("a", FILE, b"y")],
        [("a", FILE, b"x"), ("A", FILE, b"y")],
        [("a", FILE, b"x"), ("a/b", FILE, b"y")],
        [("a/b", FILE, b"x"), ("A", FILE, b"y")],
        [("a", FILE, b"x"), ("a", DIR, b"")],
    ],
    ids=lambda members: repr(members[-1][0])[:20],
)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_hostile_member_is_refused(tmp_path, members, kind):
    (tmp_path / "t").write_bytes(make(*members, kind=kind))
    with pytest.raises(IntegrityError, match="was rejected|damaged, or not a tar"):
        for one in read_tar(tmp_path / "t", "t.tar"):
            list(one.chunks())


def test_folders_and_earlier_links_are_let_through(tmp_path):
    (tmp_path / "t").write_bytes(make(("d", DIR, b""), ("d/a", FILE, b"x"), ("b", LNK, "d/a")))
    found = [(one.path, one.link) for one in read_tar(tmp_path / "t", "t")]
    assert found == [("d/a", None), ("b", "d/a")]


@pytest.mark.parametrize(
    ("packed", "keep"), [(False, 1), (False, 100), (False, 700), (False, 1500), (True, 1), (True, 60)]
)
def test_cut_archive_is_refused(tmp_path, packed, keep):
    data = make(("a", FILE, b"x" * 2000), ("b", FILE, b"y"))
    data = gzip.compress(data) if packed else data
    (tmp_path / "t").write_bytes(data[:keep])
    with pytest.raises(IntegrityError, match="damaged, or not a tar"):
        for one in read_tar(tmp_path / "t", "t"):
            list(one.chunks())


def test_gzip_is_undone(tmp_path):
    (tmp_path / "t").write_bytes(gzip.compress(make(("a", FILE, b"x"))))
    assert [list(one.chunks()) for one in read_tar(tmp_path / "t", "t")] == [[b"x"]]


def test_noise_is_refused(tmp_path):
    (tmp_path / "t").write_bytes(b"\x1f\x8b" + bytes(range(256)) * 8)
    with pytest.raises(IntegrityError, match="damaged, or not a tar"):
        list(read_tar(tmp_path / "t", "t"))


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "MOST_MEMBERS", 3)
    (tmp_path / "t").write_bytes(make(*((f"f{i}", FILE, b"") for i in range(4))))
    with pytest.raises(IntegrityError, match="more than 3"):
        list(read_tar(tmp_path / "t", "t"))
