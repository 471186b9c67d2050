"""Files, locks and processes of Windows; what the functions are for, ``posix`` says.

An open file can be renamed or deleted only if everybody who has it open allows that. What this package opens
for longer, it opens that way. Others do not (a program that has mapped a model's weights, a virus scanner, an
indexer), so whatever renames or deletes waits a moment for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import signal
import stat
import sys
import time
from ctypes import wintypes
from typing import TYPE_CHECKING, Any

with contextlib.suppress(ImportError):  # elsewhere this module can be imported, but not used
    import _winapi
    import msvcrt
    import winreg

assert sys.platform == "win32" or not TYPE_CHECKING  # noqa: S101 - which names os and ctypes have

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

HELD = frozenset({errno.EACCES})  # what ERROR_LOCK_VIOLATION becomes
HAS_MODES = False
NO_LINK = 1 << 30
NO_WAIT = 0
NEW_SESSION: dict[str, Any] = {"creationflags": 0x08000000}  # CREATE_NO_WINDOW: a console of its own, unseen
HOME = "USERPROFILE"

_LOCKED = 1 << 30
"""The byte that is locked, far beyond the text: others cannot read what is locked."""
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6)
"""Seconds between attempts on a file that somebody has open; 1.2 s in all."""
_BUSY = {5, 32, 33}  # winerror.h: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_INVALID = ctypes.c_void_p(-1).value
_EOF = 38  # winerror.h: ERROR_HANDLE_EOF
_BOOT_KEY = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"


class _Overlapped(ctypes.Structure):
    """OVERLAPPED of minwinbase.h: where in a file a call reads or writes."""

    _fields_ = (
        ("internal", ctypes.c_void_p),
        ("internal_high", ctypes.c_void_p),
        ("offset", wintypes.DWORD),
        ("offset_high", wintypes.DWORD),
        ("event", wintypes.HANDLE),
    )


class _JobLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION of winnt.h, of which only the flags matter here."""

    _fields_ = (
        ("times", ctypes.c_int64 * 2),
        ("flags", wintypes.DWORD),
        ("sizes", ctypes.c_size_t * 2),
        ("processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("classes", wintypes.DWORD * 2),
        ("counters", ctypes.c_uint64 * 6),
        ("memory", ctypes.c_size_t * 4),
    )


@functools.cache
def _kernel() -> ctypes.WinDLL:
    """Return kernel32 with the arguments of the functions that are used here."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateFileW.restype = wintypes.HANDLE
    kernel.CreateFileW.argtypes = (wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID,
                                    wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE)  # fmt: skip
    for name in ("ReadFile", "WriteFile"):
        getattr(kernel, name).argtypes = (wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD,
                                            wintypes.LPDWORD, wintypes.LPVOID)  # fmt: skip
    kernel.LockFileEx.argtypes = (wintypes.HANDLE, *(wintypes.DWORD,) * 4, wintypes.LPVOID)
    kernel.OpenProcess.restype = kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
    kernel.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
    kernel.SetInformationJobObject.argtypes = (
        wintypes.HANDLE,
        ctypes.c_int,
        wintypes.LPVOID,
        wintypes.DWORD,
    )
    kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    kernel.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    return kernel


def _error(path: object = None) -> OSError:
    """Return the error of the last call, as ``os`` would raise it."""
    code = ctypes.get_last_error()
    return OSError(None, ctypes.FormatError(code).strip(), None if path is None else str(path), code)


# --- descriptors


def open_file(path: Path | str, flags: int, mode: int = 0o666) -> int:
    """Open a file that may be renamed or deleted meanwhile; text is not translated."""
    del mode
    read, write, share_all = 0x80000000, 0x40000000, 7
    kind = flags & (os.O_WRONLY | os.O_RDWR)
    access = {os.O_WRONLY: write, os.O_RDWR: read | write}.get(kind, read)
    if not flags & os.O_CREAT:
        disposition = 5 if flags & os.O_TRUNC else 3  # TRUNCATE_EXISTING, OPEN_EXISTING
    elif flags & os.O_EXCL:
        disposition = 1  # CREATE_NEW
    else:
        disposition = 2 if flags & os.O_TRUNC else 4  # CREATE_ALWAYS, OPEN_ALWAYS
    attributes = 0x80 | (0x00200000 if flags & NO_LINK else 0)  # NORMAL, FILE_FLAG_OPEN_REPARSE_POINT
    for pause in (*_PAUSES, None):
        handle = _kernel().CreateFileW(str(path), access, share_all, None, disposition, attributes, None)
        if handle not in {None, _INVALID}:
            break
        deleted = _is_being_deleted()
        error = _error(path)
        if deleted and not flags & os.O_CREAT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        if not deleted or pause is None:
            raise error
        time.sleep(pause)
    return msvcrt.open_osfhandle(handle, kind | os.O_BINARY | os.O_NOINHERIT)


def _is_being_deleted() -> bool:
    """Whether the last call failed because the file's name goes when somebody closes it."""
    delete_pending = 0xC0000056  # ntstatus.h
    return bool(ctypes.WinDLL("ntdll").RtlGetLastNtStatus() & 0xFFFFFFFF == delete_pending)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write at an offset."""
    data = data if isinstance(data, bytes) else bytes(data)
    done, where = wintypes.DWORD(), _at(offset)
    handle = msvcrt.get_osfhandle(descriptor)
    if not _kernel().WriteFile(handle, data, len(data), ctypes.byref(done), ctypes.byref(where)):
        raise _error()
    return done.value


def read_at(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read at an offset."""
    done, where = wintypes.DWORD(), _at(offset)
    into = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    handle = msvcrt.get_osfhandle(descriptor)
    if not _kernel().ReadFile(handle, into, len(buffer), ctypes.byref(done), ctypes.byref(where)):
        if ctypes.get_last_error() == _EOF:
            return 0
        raise _error()
    return done.value


def _at(offset: int) -> _Overlapped:
    return _Overlapped(offset=offset & 0xFFFFFFFF, offset_high=offset >> 32)


def lock(descriptor: int, *, shared: bool) -> None:
    """Lock an open file."""
    flags = 1 | (0 if shared else 2)  # LOCKFILE_FAIL_IMMEDIATELY, LOCKFILE_EXCLUSIVE_LOCK
    handle = msvcrt.get_osfhandle(descriptor)
    if not _kernel().LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(_at(_LOCKED))):
        raise _error()


# --- flushing

flush = os.fsync


def flush_file(path: Path) -> None:
    """Flush a file's bytes, which takes a descriptor that may write."""
    descriptor = open_file(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_directory(path: Path) -> None:
    """Do nothing: the journal of the file system keeps names."""
    del path


def flush_tree(directory: Path) -> None:
    """Do nothing: only an administrator may flush a whole volume."""
    del directory


def start_flush(descriptor: int, first: int, end: int) -> None:
    """Do nothing: there is no such call, and only speed is lost."""
    del descriptor, first, end


# --- names


def rename(source: Path | str, target: Path | str) -> None:
    """Rename a file or folder, after a while if something in it is open."""
    _patiently(lambda: os.rename(source, target), source, target)  # noqa: PTH104


def replace(source: Path | str, target: Path | str) -> None:
    """Rename a file over another one, after a while if one of them is open."""
    _patiently(lambda: os.replace(source, target), source, target)  # noqa: PTH105


def unlink(path: Path | str) -> None:
    """Remove a file, after a while if it is open."""
    _patiently(lambda: os.unlink(path), path)  # noqa: PTH108


def _patiently(act: Callable[[], None], *paths: Path | str) -> None:
    """Do it again while somebody has one of the files open, for a limited time."""
    for pause in _PAUSES:
        try:
            return act()
        except OSError as error:
            if error.winerror not in _BUSY or os.path.isdir(paths[-1]):  # noqa: PTH112
                raise
            _make_writable(paths[-1])
            time.sleep(pause)
    return act()


def _make_writable(path: Path | str) -> None:
    """Clear the read-only attribute, which forbids removing a file."""
    with contextlib.suppress(OSError):
        if not os.lstat(path).st_mode & stat.S_IWRITE:
            os.chmod(path, stat.S_IWRITE)  # noqa: PTH101


def link_directory(name: Path, directory: Path) -> None:
    """Give a directory a second name: by a junction, which needs no privilege."""
    _winapi.CreateJunction(str(directory), str(name))


def clone(source: int, target: int) -> bool:
    """Share nothing: only ReFS could."""
    del source, target
    return False


def copy_range(source: int, target: int, size: int) -> int:
    """Copy nothing: there is no such call."""
    del source, target, size
    return 0


def status(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the status from the file itself: listings have neither inode nor number of names."""
    return os.lstat(entry.path)


def umask() -> int:
    """Return nothing to take away: there are no modes."""
    return 0


# --- processes


def accept_interrupts() -> None:
    """Let Ctrl-Break do what Ctrl-C does, instead of ending the process on the spot."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGBREAK, signal.default_int_handler)


def is_alive(pid: int) -> bool:
    """Whether a process lives."""
    synchronize, invalid_parameter, timed_out = 0x00100000, 87, 0x102
    handle = _kernel().OpenProcess(synchronize, False, pid & 0xFFFFFFFF)  # noqa: FBT003
    if not handle:
        return ctypes.get_last_error() != invalid_parameter
    try:
        return bool(_kernel().WaitForSingleObject(handle, 0) == timed_out)
    finally:
        _kernel().CloseHandle(handle)


@functools.cache
def boot_id() -> str:
    """Return the number of this start of the machine."""
    with contextlib.suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _BOOT_KEY) as key:
        return f"boot {winreg.QueryValueEx(key, 'BootId')[0]}"
    return ""


class ProcessTree:
    """A job object: it holds a child and everything that starts, and ends with the handle to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._job: int | None = _kernel().CreateJobObjectW(None, None)
        limits = _JobLimits(flags=0x2000)  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        extended = 9  # JobObjectExtendedLimitInformation
        _kernel().SetInformationJobObject(self._job, extended, ctypes.byref(limits), ctypes.sizeof(limits))
        _kernel().AssignProcessToJobObject(self._job, int(process._handle))  # type: ignore[attr-defined]  # noqa: SLF001

    def kill(self) -> None:
        """Kill them all."""
        if self._job is not None:
            _kernel().TerminateJobObject(self._job, 1)
        with contextlib.suppress(PermissionError):  # it has ended
            self.process.kill()

    def close(self) -> None:
        """End what is left of them."""
        if self._job is not None:
            _kernel().CloseHandle(self._job)
        self._job = None


def end_with_parent() -> None:
    """Do nothing: the parent's job object does it.

    A thread that reads standard input would block every library that asks what kind of file that is.
    """


def allocated(found: os.stat_result) -> int:
    """Return the size: how much is allocated, no status tells."""
    return found.st_size


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / "Scripts" / "python.exe"
