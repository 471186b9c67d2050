"""Printing results: aligned tables, sizes for people, JSON for programs. Results go to stdout only."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEP = 1000


def human_size(size: int | None) -> str:
    """Return a size for people, in powers of ten as disks are sold: ``1.3 MB``."""
    if size is None:
        return "unknown"
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} TB"


def print_json(value: object) -> None:
    """Print one JSON value to stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns; the last column is cut to the terminal's width, if there is one."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(line if limit is None or len(line) <= limit else line[: limit - 1] + "…")


def print_fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print ``name: value`` lines with the values aligned."""
    width = max((len(name) for name, _ in pairs), default=0) + 1
    for name, value in pairs:
        click.echo(f"{name + ':':<{width}} {value}".rstrip())
