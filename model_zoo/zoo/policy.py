"""What a run refuses although it could be done: what is unpinned, edited, or not as locked.

Each is an IntegrityError that says what differs; what is not in the lock at all is a UsageError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.catalog.lockfile import LOCK_AGAIN
from model_zoo.conversion import differences, ir_key
from model_zoo.errors import IntegrityError, UsageError
from model_zoo.sources import LocatedSource, integrity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cache import Cache
    from model_zoo.catalog.lockfile import LockedIr
    from model_zoo.schema import ConvertedModel, FileEntry, KeyParts
    from model_zoo.zoo.plan import Request


def check_request(request: Request, cache: Cache, *, require_pinned: bool) -> None:
    """Refuse what is not to be used, be it in the cache or not."""
    for artifact in request.artifacts if require_pinned else ():
        level = integrity_of(artifact)
        if level != "pinned":
            raise IntegrityError(
                f"{request.model.name}: {artifact.title} is not pinned, and --require-pinned is set",
                expected="pinned: a full digest in the catalog or the lock file",
                found=level,
                hint="add its sha256 to the catalog entry, or lock the model with 'model-zoo lock'",
            )
    lines = edited_files(request, cache)
    if lines:
        raise IntegrityError(
            f"{request.model.name}: a file changed since its first use, which its catalog entry goes by",
            found="; ".join(lines),
            left="the cache has what was made of the earlier content",
            hint=f"add its sha256 to the entry, or run 'model-zoo cache rm {request.name}' to start anew",
        )


def edited_files(request: Request, cache: Cache) -> list[str]:
    """Return, one line each, which local files without a digest are no longer what they were at first use."""
    lines = []
    for artifact in request.artifacts:
        source = None if artifact.digests else next(iter(artifact.sources), None)
        if not isinstance(source, LocatedSource) or source.local is None:
            continue
        first = cache.sha256_of(artifact)
        now = cache.proofs.digest_of_local(artifact, source.local, first) if first else None
        if now not in {None, first}:
            found = f"at first use sha256 {first}, now {now}"
            lines.append(f"{artifact.path}: {source.local} was edited: {found}")
    return lines


def check_bytes(cache: Cache, converted: ConvertedModel) -> None:
    """Refuse a locked IR of another cache whose files are not those that its manifest lists."""
    if not cache.proofs.is_proven(converted.directory, converted.manifest):
        what = f"{converted.model.name}: the IR in {converted.directory} differs from its manifest"
        raise IntegrityError(what, hint="make that layer again, or leave it out of MODEL_ZOO_LAYERS")


def locked_ir(request: Request) -> LockedIr:
    """Return what is locked of a locked request's IR."""
    assert request.locked is not None  # noqa: S101 - asked of locked requests only
    found = request.locked.ir.get(str(request.precision))
    if found is None:
        what = f"the lock file has no IR of {request.name} in {request.precision}"
        hint = f"lock it too: 'model-zoo lock {request.name}@{request.precision} …'"
        raise UsageError(what, found=", ".join(sorted(request.locked.ir)) or "files only", hint=hint)
    return found


def check_inputs(name: str, known: Sequence[FileEntry], locked: Sequence[FileEntry]) -> None:
    """Refuse a locked IR that was not made from the files that the entry and the lock file pin."""
    ours, theirs = ({(entry.path, entry.sha256) for entry in entries} for entries in (known, locked))
    if ours != theirs:
        what = f"{name}: the locked IR was made from other files than those that are pinned"
        found = ", ".join(sorted({path for path, _ in ours ^ theirs}))
        raise IntegrityError(what, found=found, hint="lock again with 'model-zoo lock'")


def check_locked(request: Request, parts: KeyParts, outputs: Sequence[FileEntry] | None = None) -> None:
    """Refuse a conversion that is not as locked; without a lock file nothing is.

    ``outputs`` are the files of the IR, once they are known.
    """
    if request.locked is None:
        return
    locked = locked_ir(request)
    lines = differences(parts, locked.parts, label="locked")
    if not lines and locked.key != ir_key(locked.parts):
        lines = [f"key: locked {locked.key}, which is not the key of the locked parts"]
    if lines:
        what = f"{request.name}: converting it now would not reproduce the locked IR"
        hint = f"use the locked versions and recipe; {LOCK_AGAIN}"
        raise IntegrityError(what, found="; ".join(lines), left="nothing was published", hint=hint)
    made = {entry.path: entry.sha256 for entry in outputs or ()}
    for entry in locked.outputs if outputs is not None else ():
        if made.get(entry.path) != entry.sha256:
            raise IntegrityError(
                f"{request.name}: {entry.path} of the IR differs from the locked one",
                expected=f"sha256 {entry.sha256}",
                found=f"sha256 {made.get(entry.path)}",
                left="nothing was published",
                hint=f"equal inputs should give equal bytes; {LOCK_AGAIN}",
            )
