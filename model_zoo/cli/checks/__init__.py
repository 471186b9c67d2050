"""What ``doctor`` examines, a file for each kind of place. A check looks and tells; it mends nothing.

``machine`` is Python, OpenVINO and the packages beside them, ``network`` what stands between here and a
download, ``storage`` the cache and its layers, ``environments`` those that conversions run in, ``wishes`` the
settings and the catalogs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was examined.

    Attributes:
        area: what it belongs to, such as ``cache``.
        check: a short stable name, unique within the area.
        status: ``ok``; ``note`` for what is worth knowing and stops nothing; ``wrong`` for a problem.
        found: what was found, in a few words.
        hint: what to do about it.
        exit_code: the exit code of the class of errors that this would cause; 0 unless it is wrong.
    """

    area: str
    check: str
    status: Status
    found: str
    hint: str | None = None
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def ok(area: str, check: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(area, check, "ok", found)


def note(area: str, check: str, found: str, hint: str | None = None) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(area, check, "note", found, hint)


def wrong(area: str, check: str, found: str, hint: str, exit_code: int) -> Finding:
    """Return a problem."""
    return Finding(area, check, "wrong", found, hint, exit_code)
