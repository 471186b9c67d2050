"""What a run refuses although it could be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.errors import IntegrityError
from model_zoo.sources import integrity_of

if TYPE_CHECKING:
    from model_zoo.zoo.plan import Request


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
