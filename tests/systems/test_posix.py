"""What only POSIX systems have, and what they do where a file system or a kernel lacks it."""

import errno
import fcntl
import os
import sys

import pytest

from model_zoo.files import clone
from model_zoo.systems import posix


def refuse(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    return path


def test_umask(monkeypatch, tmp_path):
    previous = os.umask(0o027)
    try:
        assert posix.umask() == 0o027
        monkeypatch.setattr(posix, "_PROC", tmp_path)
        assert posix.umask() == 0o027
        assert os.umask(0o027) == 0o027, "it was put back"
    finally:
        os.umask(previous)


def test_a_clone_where_the_kernel_knows_none(tmp_path, source, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not clone(source, tmp_path / "f")


@pytest.mark.parametrize("answer", [True, False])
def test_a_clone_as_the_file_system_answers(tmp_path, source, monkeypatch, answer):
    monkeypatch.setattr(fcntl, "ioctl", (lambda *_: 0) if answer else refuse)
    assert clone(source, tmp_path / "f") is answer
    assert (tmp_path / "f").exists() is answer


def test_flush(tmp_path, source, monkeypatch):
    posix.flush_file(source)
    posix.flush_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        posix.flush_directory(tmp_path / "nothing")

    def invalid(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", invalid)
    posix.flush_directory(tmp_path)
    with pytest.raises(OSError, match="Invalid"):
        posix.flush_file(source)

    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        posix.flush_directory(tmp_path)


@pytest.mark.parametrize("known", [True, False])
def test_macos_flushes_the_cache_of_the_disk_too(source, monkeypatch, known):
    called = []
    monkeypatch.setattr(posix, "_FULL_FSYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, how: called.append(how) if known else refuse())
    monkeypatch.setattr(os, "fsync", lambda _: called.append("fsync"))
    posix.flush_file(source)
    assert called == ([51] if known else ["fsync"])


def test_a_system_without_syncfs(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(os, "sync", lambda: called.append(True))
    posix.flush_tree(tmp_path)
    assert called == []
    monkeypatch.setattr(posix, "_c_function", lambda _: None)
    posix.flush_tree(tmp_path)
    monkeypatch.setattr(posix, "_c_function", lambda _: lambda _: -1)
    posix.flush_tree(tmp_path)
    assert called == [True, True]


def test_what_another_kernel_lacks(source, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert posix._c_function.__wrapped__("sync_file_range") is None
    monkeypatch.undo()
    assert posix._c_function.__wrapped__("no_such_function") is None
    monkeypatch.setattr(posix, "_c_function", lambda _: None)
    posix.start_flush(0, 0, 1)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    with source.open("rb") as one, source.open("rb") as other:
        assert posix.copy_range(one.fileno(), other.fileno(), 1) == 0


def test_is_alive(monkeypatch):
    assert posix.is_alive(os.getpid())
    assert posix.is_alive(1)
    assert posix.is_alive(1 << 70), "no process can have that number, and none is known to have ended"
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError))
    assert not posix.is_alive(12345)


def test_boot_id(monkeypatch, tmp_path):
    assert len(posix.boot_id()) == 36
    monkeypatch.setattr(posix, "_PROC", tmp_path)
    assert posix.boot_id.__wrapped__() == ""
