"""Which files below a directory a living process has open or mapped, as far as Linux tells.

A look-up takes no lock, so a program that has read an IR holds nothing but the mapping of its weights.
Removing the file would free nothing until it ends, and the next run would have to make it again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from model_zoo.files.tree import scan

PROC = Path("/proc")


def open_files_below(root: Path) -> dict[str, int]:
    """Return each open file below ``root``, and each directory above one, with the process that has it open.

    Processes of other users, and those that a container cannot see, are left out.
    """
    real = os.path.realpath(root)
    start = real + os.sep
    found: dict[str, int] = {}
    for process in sorted(int(entry.name) for entry in scan(PROC) if entry.name.isdigit()):
        for path in _paths(PROC / str(process), start):
            while path != real:
                found.setdefault(f"{root}{path[len(real) :]}", process)
                path = os.path.dirname(path)  # noqa: PLW2901, PTH120 - upwards to the root
    return found


def _paths(process: Path, start: str) -> set[str]:
    found: set[str] = set()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        maps = (process / "maps").read_text(encoding="utf-8")
        if start in maps:
            found |= {line[line.index(start) :] for line in maps.splitlines() if start in line}
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                path = str(descriptor.readlink())
                if path.startswith(start):
                    found.add(path)
    return found
