"""One error out of the reasons of every place that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.errors import (
    DownloadError,
    IntegrityError,
    ModelZooError,
    SourceUnavailableError,
    TransferInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.download.tasks import Candidate, Wanted

_HINTS: tuple[tuple[type[ModelZooError], str], ...] = (
    (
        IntegrityError,
        "do not use these bytes; if the file was replaced on purpose, correct the catalog's size and digest",
    ),
    (TransferInterruptedError, "run the same command again: it goes on where this one stopped"),
    (
        DownloadError,
        "check the address and the network (proxy, certificates), set MODEL_ZOO_MIRRORS, or add a source",
    ),
)


def verdict(wanted: Wanted, failed: Sequence[Candidate], left: str) -> ModelZooError:
    """Return the error of an artifact that no place delivered.

    A place that was merely interrupted may still have the right bytes, so the file then counts as not
    obtained (DownloadError). Otherwise wrong bytes count for more than places that have nothing.
    """
    reasons = [one.reason for one in failed if one.reason is not None]
    chosen = next(
        (
            one
            for kind in (TransferInterruptedError, IntegrityError)
            for one in reasons
            if isinstance(one, kind)
        ),
        reasons[0] if reasons else SourceUnavailableError("no place was tried"),
    )
    hint = chosen.hint or next(text for kind, text in _HINTS if isinstance(chosen, kind))
    if len(reasons) == 1:
        what = f"{wanted.label}: {chosen.what}"
    else:
        lines = "".join(f"\n  - {_line(one)}" for one in reasons)
        what = f"{wanted.label}: none of {len(reasons)} places delivered it{lines}"
    return type(chosen)(what, expected=chosen.expected, found=chosen.found, left=left, hint=hint)


def _line(reason: ModelZooError) -> str:
    if reason.expected is None:
        return reason.what
    return f"{reason.what} (expected {reason.expected}, found {reason.found})"
