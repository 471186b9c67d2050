"""Holding a conversion to what a lock file says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.catalog.lockfile import refuse_other_outputs, refuse_other_parts
from model_zoo.conversion import differences, ir_key
from model_zoo.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from model_zoo.catalog.lockfile import LockedIr
    from model_zoo.schema import FileEntry
    from model_zoo.zoo.plan import Request


def locked_ir(request: Request) -> LockedIr:
    """Return what is locked of a request's IR.

    Raises:
        UsageError: no IR of that precision is locked.
    """
    assert request.locked is not None  # noqa: S101 - asked of locked requests only
    found = request.locked.ir.get(str(request.precision))
    if found is None:
        what = f"the lock file has no IR of {request.name} in {request.precision}"
        hint = f"lock it too: 'model-zoo lock {request.name}@{request.precision} …'"
        raise UsageError(what, found=", ".join(sorted(request.locked.ir)) or "files only", hint=hint)
    return found


def refuse_other_inputs(name: str, known: Sequence[FileEntry], locked: Sequence[FileEntry]) -> None:
    """Refuse a locked IR that was not made from the files that the entry and the lock file pin.

    Raises:
        IntegrityError: names the files that differ.
    """
    ours, theirs = ({(entry.path, entry.sha256) for entry in entries} for entries in (known, locked))
    if ours != theirs:
        what = f"{name}: the locked IR was made from other files than those that are pinned"
        found = ", ".join(sorted({path for path, _ in ours ^ theirs}))
        raise IntegrityError(what, found=found, hint="lock again with 'model-zoo lock'")


def check_locked(
    request: Request, parts: Mapping[str, Any], outputs: Sequence[FileEntry] | None = None
) -> None:
    """Refuse a conversion that is not as locked; without a lock file nothing is.

    Args:
        request: what is converted.
        parts: everything that determines its IR.
        outputs: the files of the IR, once they are known.

    Raises:
        UsageError: no IR of that precision is locked.
        IntegrityError: says what differs.
    """
    if request.locked is None:
        return
    locked = locked_ir(request)
    lines = differences(parts, locked.parts, label="locked")
    if not lines and locked.key != ir_key(locked.parts):
        lines = [f"key: locked {locked.key}, which is not the key of the locked parts"]
    refuse_other_parts(request.name, lines)
    if outputs is not None:
        refuse_other_outputs(request.name, outputs, locked)
