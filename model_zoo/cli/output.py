"""Printing: tables that fit the terminal, colour where it is welcome, JSON for programs.

Results go to stdout; notes and errors go to stderr. What comes from catalogs and servers is printed
without control characters, so that no file can drive the terminal.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
"""What writing to a stream may fail with, other than a closed pipe."""
_NARROWEST = 8
"""Columns of a table are not cut below this width."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
STYLES = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "good": {"fg": "green"},
    "title": {"bold": True},
    "label": {"dim": True},
}


class LossyStream:
    """A stream on a full disk: what does not fit is lost, and whoever writes goes on.

    The messages of a run are worth less than its results. A closed pipe is an error as ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of a stream
        """Return what the stream itself has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, and return the number of characters."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            # what is left in the buffer is written once more, at the end at the latest
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def printable(text: str) -> str:
    """Return the text with control characters, except tab and line end, replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def has_colour(stream: TextIO) -> bool:
    """Whether a stream gets colour: never with NO_COLOR, always with FORCE_COLOR, else on terminals."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") not in {None, "", "0"}:
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style of ``STYLES`` where the stream gets colour."""
    if not has_colour(stream):
        return text
    return click.style(text, **STYLES[style])  # type: ignore[arg-type]


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line as it is, colour codes included."""
    click.echo(text, err=err, color=True)


def print_note(text: str) -> None:
    """Print a remark to stderr."""
    print_line(printable(text), err=True)


def print_error(text: str, title: str = "error") -> None:
    """Print an error's message to stderr: a title, and one labelled line for each thing to know."""
    first, *others = printable(text).splitlines() or [""]
    lines = [f"{styled(f'{title}:', 'error' if title == 'error' else 'warning', sys.stderr)} {first}"]
    for line in others:
        label = re.match(r"  [a-z ]+: +", line)
        lines.append(
            styled(label[0], "label", sys.stderr) + line[label.end() :] if label is not None else line
        )
    print_line("\n".join(lines), err=True)


def print_json(value: object) -> None:
    """Print one JSON value to stdout; what JSON has no type for is printed as text."""
    import msgspec  # ten times as fast as json on the list of a large cache

    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def terminal_width() -> int | None:
    """Return the width of the terminal stdout is, None where it is none and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str] | None = None) -> None:
    """Print rows in aligned columns; on a terminal the widest columns are cut until a row fits.

    The ``header`` is printed on a terminal and nowhere else, so that pipes get rows only.
    """
    if not rows:
        return
    limit = terminal_width()
    cells = [[printable(cell) for cell in row] for row in rows]
    titled = [list(header), *cells] if header is not None and limit is not None else cells
    widths = [max(len(row[i]) for row in titled) for i in range(len(titled[0]))]
    if limit is not None:
        widths = fitted(widths, limit)
    for index, row in enumerate(titled):
        short = [_cut(cell, width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cell.ljust(width) for cell, width in zip(short, widths, strict=True)).rstrip()
        print_line(styled(line, "title", sys.stdout) if index == 0 and titled is not cells else line)


def fitted(widths: Sequence[int], limit: int) -> list[int]:
    """Return column widths that, with two spaces between them, fit the limit as far as that is possible.

    The widest gives way first, and the first column, which names the row, last of all.
    """
    fit = list(widths)
    for start in (1, 0):
        while (excess := sum(fit) + 2 * (len(fit) - 1) - limit) > 0:
            widest = max(range(start, len(fit)), key=fit.__getitem__, default=0)
            if fit[widest] <= _NARROWEST:
                break
            second = max((fit[i] for i in range(start, len(fit)) if i != widest), default=0)
            fit[widest] = max(_NARROWEST, fit[widest] - excess, min(second, fit[widest] - 1))
    return fit


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"


def print_fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print ``name: value`` lines with the values aligned, and long values wrapped on a terminal."""
    width = max((len(name) for name, _ in pairs), default=0) + 2
    limit = terminal_width()
    for name, value in pairs:
        label = styled(f"{name + ':':<{width}}", "label", sys.stdout)
        text = printable(value)
        if limit is not None and limit - width >= 2 * _NARROWEST:
            text = f"\n{' ' * width}".join(
                textwrap.wrap(text, limit - width, break_long_words=False, break_on_hyphens=False) or [""]
            )
        print_line(f"{label}{text}".rstrip())


def print_title(text: str) -> None:
    """Print the title of a part of the result."""
    print_line(styled(text, "title", sys.stdout))


def iso_time(seconds: float) -> str:
    """Return a time (seconds since 1970) as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
