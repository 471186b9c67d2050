"""How an attempt can fail, when to try again, and the one error that a failed artifact ends with."""

from __future__ import annotations

import email.utils
import random
import re
import time
from typing import TYPE_CHECKING

from model_zoo.errors import (
    DownloadError,
    IntegrityError,
    ModelZooError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RETRY_AFTER = 120.0
"""Seconds. A server that asks for more is treated as if it had not said how long."""
NOTHING_LEFT = "nothing of this file"
"""What an error says is on disk when no part of a file is kept."""
_FIRST_DELAY = 0.5
_MAX_DELAY = 16.0
_HINTS: tuple[tuple[type[ModelZooError], str], ...] = (
    (
        IntegrityError,
        "do not use this file; if it was replaced on purpose, update its size and digest in the catalog",
    ),
    (TransferInterruptedError, "run the same command again; the download resumes where it stopped"),
    (
        DownloadError,
        "check the URL and the network (proxy, certificates), set MODEL_ZOO_MIRRORS, or add a source",
    ),
)


class AttemptError(Exception):
    """One attempt at one candidate failed."""


class RefusedError(AttemptError):
    """A permanent failure: the server does not have the file, or does not give it to us."""


class TransientError(AttemptError):
    """A failure that another attempt may not meet, after the seconds that the server asked to wait.

    Where it is ``unresponsive``, other candidates are worth trying first.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, unresponsive: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.unresponsive = unresponsive


class RangeError(AttemptError):
    """The server does not serve the range asked for: ask for the whole file, of ``total`` bytes if stated."""

    def __init__(self, reason: str, *, total: int | None = None) -> None:
        super().__init__(reason)
        self.total = total


class ContentChangedError(AttemptError):
    """The parts no longer belong to the same content: start again."""


class CancelledError(AttemptError):
    """The run was interrupted."""


def parse_retry_after(value: str | None) -> float | None:
    """Return Retry-After as seconds from now, from either form; None if it is missing or malformed."""
    if not value:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,12}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def backoff(failures: int, retry_after: float | None) -> float:
    """Return the seconds to wait before the next attempt.

    Exponential with full jitter (uniform between 0 and the ceiling), so that many clients do not come back
    together; the server's own Retry-After, plus a little jitter, if it is reasonable.
    """
    jitter = random.uniform(0, min(_MAX_DELAY, _FIRST_DELAY * 2 ** min(failures, 10)))  # noqa: S311
    if retry_after is None or retry_after > MAX_RETRY_AFTER:
        return jitter
    return retry_after + min(jitter, 0.5)


def summarize(label: str, errors: Sequence[ModelZooError], left: str) -> ModelZooError:
    """Return the error of an artifact that no source delivered, from the errors of all of them.

    A source that was merely interrupted may still have the right bytes, so the file then counts as not
    obtained (DownloadError). Otherwise wrong bytes outrank sources that have nothing.
    """
    ranked = [e for kind in (TransferInterruptedError, IntegrityError) for e in errors if isinstance(e, kind)]
    chosen = [*ranked, *errors, SourceUnavailableError("no source was tried")][0]
    hint = chosen.hint or next(text for kind, text in _HINTS if isinstance(chosen, kind))
    if isinstance(chosen, TransferInterruptedError) and left == NOTHING_LEFT and not chosen.hint:
        hint = "try again later; if it fails again, check the URL and the network (proxy, certificates)"
    if not isinstance(chosen, IntegrityError) and any(isinstance(e, IntegrityError) for e in errors):
        hint += "; remove the source whose content differs from its digest"
    if len(errors) == 1:
        what = f"{label}: {chosen.what}"
    else:
        what = f"{label}: all {counted(len(errors), 'source')} failed"
        for error in errors:
            details = "" if error.expected is None else f" (expected {error.expected}, found {error.found})"
            what += f"\n  - {error.what}{details}"
    return type(chosen)(what, expected=chosen.expected, found=chosen.found, left=left, hint=hint)
