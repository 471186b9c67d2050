"""File-system primitives, also on platforms that lack something."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from model_zoo.errors import CacheError, CacheFullError, CacheReadOnlyError
from model_zoo.files import (
    as_cache_error,
    cache_error,
    clone,
    copy_file,
    hash_file,
    link_file,
    links,
    make_directory,
    set_mode,
    write_file,
)
from model_zoo.systems import system


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    return path


def refuse(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_hash_file(tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    found = hash_file(tmp_path / "f", ("sha256", "sha384", "sha512"))
    assert {name: digest.hex for name, digest in found.items()} == {
        name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha384", "sha512")
    }


def test_hash_of_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        hash_file(tmp_path / "f")


def test_set_mode(tmp_path):
    previous = os.umask(0o027)
    try:
        (tmp_path / "f").write_text("")
        set_mode(tmp_path / "f", 0o444)
        assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o440
        (tmp_path / "d").mkdir()
        (tmp_path / "d").chmod(0o2700)
        set_mode(tmp_path / "d", 0o777)
        assert (tmp_path / "d").stat().st_mode & 0o7777 == 0o2750
        set_mode(tmp_path / "nothing", 0o444)
    finally:
        os.umask(previous)


def test_write_file(tmp_path):
    path = tmp_path / "f"
    write_file(path, b"one")
    write_file(path, b"two", durable=False)
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_write_file_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_file(path, b"one")
    monkeypatch.setattr(system, "flush_file", refuse)
    with pytest.raises(OSError, match="not permitted"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_write_file_replaces_a_link(tmp_path, source):
    (tmp_path / "f").symlink_to(source)
    write_file(tmp_path / "f", b"one")
    assert not (tmp_path / "f").is_symlink()
    assert source.read_bytes() == b"content" * 1000


def test_link_file_prefers_a_hard_link(tmp_path, source):
    link_file(source, tmp_path / "f")
    assert (tmp_path / "f").samefile(source)
    assert not (tmp_path / "f").is_symlink()


def test_link_file_then_a_clone(tmp_path, source, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(links, "clone", lambda s, t: bool(t.write_bytes(s.read_bytes())))
    link_file(source, tmp_path / "f")
    assert not (tmp_path / "f").samefile(source)


def test_link_file_then_a_relative_link(tmp_path, source, monkeypatch):
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(links, "clone", lambda *_: False)
    (tmp_path / "d").mkdir()
    link_file(source, tmp_path / "d/f")
    assert (tmp_path / "d/f").readlink().as_posix() == "../source"
    link_file(source, tmp_path / "d/g", symlink=False)
    assert not (tmp_path / "d/g").is_symlink()


@pytest.mark.parametrize("error", [OSError(1314, "A required privilege is not held"), NotImplementedError()])
def test_link_file_then_a_copy(tmp_path, source, monkeypatch, error):
    """Windows without developer mode: no symbolic links."""

    def no_privilege(*_):
        raise error

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(links, "clone", lambda *_: False)
    monkeypatch.setattr("pathlib.Path.symlink_to", no_privilege)
    link_file(source, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == source.read_bytes()
    assert not (tmp_path / "f").samefile(source)


def test_link_file_replaces_nothing(tmp_path, source, monkeypatch):
    (tmp_path / "f").write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            link_file(source, tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"mine"
        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(links, "clone", lambda *_: False)


def test_a_clone_shares_nothing_visible(tmp_path, source):
    if clone(source, tmp_path / "f"):
        assert (tmp_path / "f").read_bytes() == source.read_bytes()
        assert not (tmp_path / "f").samefile(source)
    else:
        assert not (tmp_path / "f").exists()


def test_copy_file(tmp_path, source):
    copy_file(source, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == source.read_bytes()
    assert not (tmp_path / "f").samefile(source)
    with pytest.raises(FileExistsError):
        copy_file(source, tmp_path / "f")


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, CacheFullError, 6),
        (errno.EDQUOT, CacheFullError, 6),
        (errno.EROFS, CacheReadOnlyError, 6),
        (errno.EACCES, CacheReadOnlyError, 6),
        (errno.EPERM, CacheReadOnlyError, 6),
        (errno.EIO, CacheError, 6),
        (errno.ENAMETOOLONG, CacheError, 6),
    ],
)
def test_errors_of_the_disk(tmp_path, number, kind, code):
    path = tmp_path / "f"
    with pytest.raises(kind) as caught, as_cache_error(path, left="the partial is kept"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind
    assert caught.value.exit_code == code
    assert str(path) in caught.value.what
    assert caught.value.left == "the partial is kept"
    assert caught.value.hint
    assert str(tmp_path / "g") in cache_error(OSError(number, "x", str(tmp_path / "g")), path).what


def test_make_folder(tmp_path):
    assert make_directory(tmp_path / "a/b").is_dir()
    (tmp_path / "f").write_text("")
    with pytest.raises(CacheError):
        make_directory(tmp_path / "f/b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_pipe_or_a_device_is_never_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OSError, match="a device or a pipe"):
            write_file(path, b"data")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]
