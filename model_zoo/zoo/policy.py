"""What a run refuses although it could be done: by its licence, unpinned, edited, or not as locked.

A licence that is not allowed is a PolicyError, what is not in the lock at all a UsageError. Everything else
is an IntegrityError that says what differs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from model_zoo.catalog.lockfile import LOCK_AGAIN
from model_zoo.conversion import differences, ir_key
from model_zoo.errors import IntegrityError, PolicyError, UsageError
from model_zoo.schema.spdx import is_allowed, spdx_expression
from model_zoo.sources import LEVELS, LocatedSource, integrity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cache import Cache
    from model_zoo.catalog.lockfile import LockedIr
    from model_zoo.schema import ConvertedModel, FileEntry, KeyParts
    from model_zoo.settings import Policy
    from model_zoo.zoo.plan import Conversion, Request


_LEAST = {
    "pinned": "pinned: a full digest in the catalog or the lock file",
    "revision": "at least revision: an address that fixes the content, such as a commit",
    "prefix": "at least prefix: the beginning of a digest",
}


def check_request(request: Request, cache: Cache, policy: Policy, *, require_pinned: bool) -> None:
    """Refuse what is not to be used, be it in the cache or not."""
    check_license(request.name, str(request.model.license), policy)
    least = "pinned" if require_pinned else policy.integrity
    demand = "--require-pinned is set" if require_pinned else "the policy of the settings demands it"
    for artifact in request.artifacts if least != "first-use" else ():
        level = integrity_of(artifact)
        if LEVELS.index(level) > LEVELS.index(least):
            firmly = "" if least == "pinned" else " firmly enough"
            raise IntegrityError(
                f"{request.model.name}: {artifact.title} is not pinned{firmly}, and {demand}",
                expected=_LEAST[least],
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


def check_license(name: str, stated: str, policy: Policy) -> None:
    """Refuse what is under a licence that is not allowed; one that nobody knows is not allowed either."""
    if policy.licenses is None:
        return
    expression = spdx_expression(stated)
    if expression is not None and is_allowed(expression, policy.licenses):
        return
    allowed = ", ".join(policy.licenses) or "none"
    if expression is None:
        raise PolicyError(
            f"{name}: its licence is unknown, and the policy allows only licences that it names",
            expected=allowed,
            found=stated,
            left="nothing was transferred",
            hint="read its terms; if they are one of these licences, say so in a catalog entry of your own",
        )
    raise PolicyError(
        f"{name}: the policy does not allow its licence, {expression}",
        expected=allowed,
        found=expression,
        left="nothing was transferred",
        hint=f"choose another model, or add {expression} to MODEL_ZOO_LICENSES, or to licenses under "
        "[policy] in the settings file",
    )


def with_trust(request: Request, conversion: Conversion, policy: Policy) -> Conversion:
    """Return how to convert a model; a policy trusts its code by its catalog name or whole URI."""
    if request.name in policy.trust_code and not conversion.trust_code:
        return replace(conversion, trust_code=True)
    return conversion


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
