"""What ``doctor`` checks, one module per area. A check only looks; it repairs nothing.

A check is here only if it finds a problem before a command runs into it. Where the rule is part of the
library, the check calls the library and shows its error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from model_zoo.text import redact

if TYPE_CHECKING:
    from model_zoo.errors import ModelZooError


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        area: what it belongs to, such as ``cache``.
        check: a short stable name, unique within the area.
        status: ``ok``; ``note`` for something worth knowing that stops nothing; ``wrong`` for a problem.
        found: what was found, in a few words.
        hint: what to do about it.
        exit_code: the exit code of the errors that the problem would cause; 0 unless it is wrong.
    """

    area: str
    check: str
    status: Literal["ok", "note", "wrong"]
    found: str
    hint: str | None = None
    exit_code: int = 0

    def __post_init__(self) -> None:
        """Take secrets of addresses out of the texts."""
        object.__setattr__(self, "found", redact(self.found))
        object.__setattr__(self, "hint", self.hint and redact(self.hint))


def ok(area: str, check: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(area, check, "ok", found)


def note(area: str, check: str, found: str, hint: str | None = None) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(area, check, "note", found, hint)


def wrong(area: str, check: str, found: str, hint: str, exit_code: int) -> Finding:
    """Return a problem."""
    return Finding(area, check, "wrong", found, hint, exit_code)


def from_error(area: str, check: str, error: ModelZooError) -> Finding:
    """Return the problem that an error of the library stands for."""
    return Finding(area, check, "wrong", error.what, error.hint, error.exit_code)
