"""What a run refuses although it could be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.errors import IntegrityError
from model_zoo.sources import LocatedSource, integrity_of

if TYPE_CHECKING:
    from model_zoo.cache import Cache
    from model_zoo.schema import ConvertedModel
    from model_zoo.zoo.plan import Request


def check_request(request: Request, cache: Cache, *, require_pinned: bool) -> None:
    """Refuse what is not to be used, be it in the cache or not.

    Raises:
        IntegrityError: an artifact is not pinned, where that is required, or a local file was edited.
    """
    if require_pinned:
        check_pinned(request)
    check_unedited(request, cache)


def check_pinned(request: Request) -> None:
    """Refuse a model that has an artifact no full digest fixes.

    Raises:
        IntegrityError: names the artifact and its integrity level.
    """
    for artifact in request.artifacts:
        level = integrity_of(artifact)
        if level != "pinned":
            raise IntegrityError(
                f"{request.model.name}: {artifact.title} is not pinned, and --require-pinned demands it",
                expected="pinned: a full digest in the catalog or the lock file",
                found=level,
                hint="add its sha256 to the catalog entry, or lock the model with 'model-zoo lock'",
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


def check_unedited(request: Request, cache: Cache) -> None:
    """Refuse a model with a local file that is no longer what it was at first use.

    Raises:
        IntegrityError: names the file and both digests.
    """
    lines = edited_files(request, cache)
    if lines:
        raise IntegrityError(
            f"{request.model.name}: a file changed since its first use, which its catalog entry goes by",
            found="; ".join(lines),
            left="the cache has what was made of the earlier content",
            hint=f"add its sha256 to the entry, or run 'model-zoo cache rm {request.name}' to start anew",
        )


def check_bytes(cache: Cache, converted: ConvertedModel) -> None:
    """Refuse a locked IR of another cache whose files are not those that its manifest lists.

    Raises:
        IntegrityError: they are not.
    """
    if not cache.proofs.is_proven(converted.directory, converted.manifest):
        what = f"{converted.model.name}: the IR in {converted.directory} differs from its manifest"
        raise IntegrityError(what, hint="make that layer again, or leave it out of MODEL_ZOO_LAYERS")
