"""What Windows does differently, with its own means."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from model_zoo.files import copy_file, hash_file, link_file, remove_tree, write_file
from model_zoo.files.lock import lock
from model_zoo.systems import system

if TYPE_CHECKING:
    from pathlib import Path

LINES = b"one\ntwo\r\nthree\x1afour\n" * 1000


def run(code: str, *arguments: object, **more: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


def test_bytes_are_what_they_were(tmp_path: Path) -> None:
    """Text mode would write CR LF, and end at Ctrl-Z."""
    path = tmp_path / "f"
    descriptor = system.open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    assert system.write_at(descriptor, LINES, 7) == len(LINES)
    assert system.write_at(descriptor, memoryview(b"0123456"), 0) == 7
    assert os.fstat(descriptor).st_size == len(LINES) + 7
    buffer = memoryview(bytearray(100))
    assert system.read_at(descriptor, buffer, 7) == 100
    assert bytes(buffer) == LINES[:100]
    assert system.read_at(descriptor, buffer, len(LINES) + 7) == 0
    system.flush(descriptor)
    os.close(descriptor)
    assert path.read_bytes() == b"0123456" + LINES


def test_flags(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with pytest.raises(FileNotFoundError):
        system.open_file(path, os.O_RDONLY)
    path.write_bytes(b"x")
    with pytest.raises(FileExistsError):
        system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.close(system.open_file(path, os.O_RDWR | os.O_CREAT | system.NO_LINK))
    assert path.read_bytes() == b"x"
    os.close(system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert path.read_bytes() == b""


def test_positions_are_each_thread_s_own(tmp_path: Path) -> None:
    descriptor = system.open_file(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    pieces = [bytes([number]) * 4096 for number in range(64)]

    def write(first: int) -> None:
        for number in range(first, 64, 8):
            system.write_at(descriptor, pieces[number], number * 4096)

    threads = [threading.Thread(target=write, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(descriptor)
    assert (tmp_path / "f").read_bytes() == b"".join(pieces)


def test_our_own_open_files_can_be_renamed_and_deleted(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"content")
    descriptor = system.open_file(path, os.O_RDONLY)
    system.rename(path, tmp_path / "g")
    system.unlink(tmp_path / "g")
    os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_going_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    descriptor = system.open_file(path, os.O_RDWR | os.O_CREAT)
    system.unlink(path)
    with pytest.raises(FileNotFoundError):
        system.open_file(path, os.O_RDONLY)
    threading.Timer(0.3, os.close, [descriptor]).start()
    os.close(system.open_file(path, os.O_RDWR | os.O_CREAT))
    assert path.exists()


def test_what_others_have_open_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    reader = path.open("rb")
    threading.Timer(0.3, reader.close).start()
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    began = time.monotonic()
    with path.open("rb"), pytest.raises(PermissionError):
        write_file(path, b"new")
    assert time.monotonic() - began > 1.0
    assert [found.name for found in tmp_path.iterdir()] == ["f"], "nothing is left beside it"
    assert path.read_bytes() == b"old"


def test_read_only_files_are_replaced_and_removed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("f", "d/g", "h"):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(stat.S_IREAD)
    write_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    remove_tree(tmp_path / "d")
    system.unlink(tmp_path / "h")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_directory_that_is_in_the_way_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()
    began = time.monotonic()
    with pytest.raises(OSError, match="d"):
        system.replace(tmp_path / "f", tmp_path / "d")
    assert time.monotonic() - began < 1.0


HOLD = """
import sys, time
from pathlib import Path
from model_zoo.files.lock import lock
with lock(Path(sys.argv[1]), timeout=5, shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_locks(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = run(HOLD, path, "alone")
    assert holder.stdout is not None
    holder.stdout.readline()
    said: list[str] = []
    threading.Timer(0.5, holder.kill).start()
    with lock(path, timeout=30, on_wait=said.append) as works:
        assert works
    assert said == [f"PID {holder.pid} on {socket.gethostname()}"]
    holder.communicate()
    holder = run(HOLD, path, "shared")
    assert holder.stdout is not None
    holder.stdout.readline()
    with lock(path, timeout=5, shared=True) as works:
        assert works
    holder.kill()
    holder.communicate()


TREE = """
import subprocess, sys, time
inner = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", inner, sys.argv[1]])
print(child.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
from model_zoo.systems import system
argv = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **system.NEW_SESSION)
tree = system.ProcessTree(child)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(60)
"""


def test_a_tree_of_processes_ends_together(tmp_path: Path) -> None:
    child = run(TREE, tmp_path / "begun", **system.NEW_SESSION)
    tree = system.ProcessTree(child)
    assert child.stdout is not None
    inner = int(child.stdout.readline())
    assert system.is_alive(child.pid)
    assert system.is_alive(inner)
    tree.kill()
    child.communicate()
    assert _ended(inner)
    tree.kill()
    tree.close()


def test_a_tree_ends_with_whoever_started_it(tmp_path: Path) -> None:
    parent = run(PARENT, tmp_path / "begun", TREE)
    assert parent.stdout is not None
    numbers = [int(text) for text in parent.stdout.readline().split()]
    assert all(map(system.is_alive, numbers))
    parent.kill()
    parent.communicate()
    assert all(map(_ended, numbers))


def _ended(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while system.is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not system.is_alive(pid)


@pytest.mark.parametrize("name", ["two words", "Grüße, łódź", "x" * 200 + "/" + "y" * 200])
def test_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "file"
    path.parent.mkdir(parents=True)
    write_file(path, LINES)
    copy_file(path, path.with_name("copy"))
    link_file(path, path.with_name("link"))
    assert {hash_file(found)["sha256"].hex for found in path.parent.iterdir()} == {
        hash_file(path)["sha256"].hex
    }
    assert path.with_name("link").stat().st_nlink == 2


def test_directories_have_second_names(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    system.link_directory(tmp_path / "name", tmp_path / "d")
    (tmp_path / "d" / "f").write_bytes(b"1")
    assert (tmp_path / "name" / "f").read_bytes() == b"1"
    remove_tree(tmp_path / "name")
    assert (tmp_path / "d" / "f").exists(), "a link is not followed"


def test_listings_tell_inodes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    os.link(tmp_path / "f", tmp_path / "g")
    with os.scandir(tmp_path) as entries:
        found = [system.status(entry) for entry in entries]
    assert found[0].st_ino == found[1].st_ino != 0
    assert found[0].st_nlink == 2
