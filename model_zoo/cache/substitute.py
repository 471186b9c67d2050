"""Regular expressions of others, in a process that is stopped when they take too long.

A backtracking pattern can take for ever, and a replacement can fill the memory; neither shows in their text.
So the standard library's ``re``, whose syntax catalogs use, runs in a child.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from typing_extensions import Self

    from model_zoo.schema import Replacement

MAX_SECONDS = 8.0
"""For all replacements of one model."""
MAX_TEXT = 64 << 20
"""Bytes of a file that can be edited."""
_MAX_MATCHES = 1_000_000
_GROWTH = 1 << 20
"""Characters by which a text may grow besides becoming four times as large."""
_LIMITS = {"seconds": 2 * int(MAX_SECONDS), "growth": _GROWTH, "matches": _MAX_MATCHES}
_CHILD = """
import json, re, signal, sys
for line in sys.stdin.buffer:
    job = json.loads(line)
    if hasattr(signal, "alarm"):  # should nobody be left to stop it
        signal.alarm(job["seconds"])
    text = sys.stdin.buffer.read(job["size"]).decode("utf-8")
    left = job["growth"] + 4 * len(text)

    def expand(match):
        global left
        new = match.expand(job["replacement"])
        left -= len(new)
        if left < 0:
            raise OverflowError
        return new

    try:
        edited, count = re.subn(job["pattern"], expand, text, count=job["count"] or job["matches"])
        answer = {"count": count, "large": count == job["matches"]}
    except OverflowError:
        edited, answer = "", {"large": True}
    data = edited.encode("utf-8")
    sys.stdout.buffer.write(json.dumps({**answer, "size": len(data)}).encode() + b"\\n" + data)
    sys.stdout.buffer.flush()
    if hasattr(signal, "alarm"):
        signal.alarm(0)
"""


class Substitution:
    """The replacements of one model, one after the other; a context manager, which ends the child."""

    def __init__(self, seconds: float = MAX_SECONDS) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._limit = self._left = seconds

    def __enter__(self) -> Self:
        """Start nothing yet: most models have no replacement."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def apply(self, replacement: Replacement, text: str, where: str) -> tuple[bytes, int]:
        """Return a text with a pattern replaced, as UTF-8, and how often that was done.

        CatalogError where that takes too long or makes the text too large.
        """
        if self._child is None:
            argv, pipe = [sys.executable, "-I", "-S", "-c", _CHILD], subprocess.PIPE
            self._child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        child, began = self._child, time.monotonic()
        timer = threading.Timer(self._left, child.kill)
        timer.start()
        try:
            answer, edited = _ask(child, replacement, text.encode("utf-8"))
        except (OSError, ValueError) as error:
            if time.monotonic() - began < self._left:
                what = f"{where}: the pattern {replacement.pattern!r} cannot be applied to this file"
                raise CatalogError(what, hint="correct the pattern or the replacement") from error
            raise CatalogError(
                f"{where}: the pattern takes too long on this file",
                expected=f"at most {self._limit:.0f} s for all replacements of a model",
                found=repr(replacement.pattern),
                hint="write the pattern without nested repetitions",
            ) from error
        finally:
            timer.cancel()
        self._left -= time.monotonic() - began
        if answer["large"]:
            raise CatalogError(
                f"{where}: the result would be too large",
                expected=f"4 times the file and {_GROWTH} characters, from fewer than {_MAX_MATCHES} matches",
                found="more",
                hint="correct the pattern or the replacement",
            )
        return edited, answer["count"]


def _ask(
    child: subprocess.Popen[bytes], replacement: Replacement, data: bytes
) -> tuple[dict[str, int], bytes]:
    """Send one job and return the answer; a child that was stopped has none, which is a ValueError."""
    assert child.stdin is not None  # noqa: S101 - both are pipes
    assert child.stdout is not None  # noqa: S101
    job = {
        **_LIMITS,
        "pattern": replacement.pattern,
        "replacement": replacement.replacement,
        "count": replacement.count,
        "size": len(data),
    }
    child.stdin.write(json.dumps(job).encode() + b"\n" + data)
    child.stdin.flush()
    answer: dict[str, int] = json.loads(child.stdout.readline())
    return answer, child.stdout.read(answer["size"])
