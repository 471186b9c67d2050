"""What the scripts that generate catalogs share: put texts in a folder, or say how it differs from them."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT = {"README.md"}
"""Files of a generated folder that people write."""


def place(folder: Path, texts: dict[str, str], *, check: bool) -> int:
    """Make a folder hold exactly these files, or with ``check`` only print how it differs.

    Returns:
        The exit code: 1 if something differs that was only to be checked.
    """
    there = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    gone = sorted(there.keys() - texts.keys() - KEPT)
    changed = []
    for name, text in sorted(texts.items()):
        old = there[name].read_text(encoding="utf-8") if name in there else ""
        if old == text and name in there:
            continue
        changed.append(name)
        if check:
            both = (old.splitlines(), text.splitlines())
            print("\n".join(difflib.unified_diff(*both, name, "generated", lineterm="", n=1)))
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    for name in gone:
        print(f"{name}: not generated any more")
        if not check:
            there[name].unlink()
    did = "differ" if check else "written"
    print(f"{folder}: {len(texts)} files, {len(changed)} {did}, {len(gone)} too many", file=sys.stderr)
    return 1 if check and (changed or gone) else 0
