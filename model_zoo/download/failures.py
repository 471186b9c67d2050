"""How an attempt can fail, by what to do about it."""

from __future__ import annotations

import email.utils
import random
import re
import time

LONGEST_RETRY_AFTER = 120.0
"""A server that asks for more seconds than this is treated as if it had not said how long."""
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 16.0


class AttemptError(Exception):
    """One attempt at one place failed."""


class Refused(AttemptError):  # noqa: N818 - reads as what happened
    """For good: the place does not have the file, or does not give it."""


class Interrupted(AttemptError):  # noqa: N818
    """For now: trying again can help.

    Args:
        reason: for people.
        after: seconds the server asked to wait, when it did.
        dead: the place did not react at all, so another one is worth trying first.
    """

    def __init__(self, reason: str, *, after: float | None = None, dead: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.dead = dead


class NoRanges(AttemptError):  # noqa: N818
    """The place cannot be asked for parts: ask for the whole.

    Args:
        reason: for people.
        total: the size of the whole, when the refusal states it.
    """

    def __init__(self, reason: str, *, total: int | None = None) -> None:
        super().__init__(reason)
        self.total = total


class Changed(AttemptError):  # noqa: N818
    """The parts are not of the same content any more: start again."""


class Stopped(AttemptError):  # noqa: N818
    """The run was interrupted."""


def retry_after(value: str | None) -> float | None:
    """Read Retry-After in seconds from now, in either form; None where it says nothing sensible."""
    if not value:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,12}", text):
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max(0.0, when.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def delay(failures: int, after: float | None) -> float:
    """Return the seconds to wait before the next attempt.

    Exponential with full jitter (a uniform draw between 0 and the ceiling), so that many clients do not
    come back together; the server's own wish, plus a little jitter, where it is a sensible one.
    """
    drawn = random.uniform(0, min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(failures, 10)))  # noqa: S311
    if after is None or after > LONGEST_RETRY_AFTER:
        return drawn
    return after + min(drawn, 0.5)
