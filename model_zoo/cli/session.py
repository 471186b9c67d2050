"""One invocation of the command line: its global options, the zoo they describe, its output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_zoo.cli.output import print_error, print_json, print_note, printable
from model_zoo.text import hide_secrets, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.errors import ModelZooError
    from model_zoo.progress import ProgressReport
    from model_zoo.settings import Settings
    from model_zoo.zoo import Zoo


@dataclass
class Session:
    """The global options of one invocation, the options that many commands share, and the zoo they describe.

    Attributes:
        catalogs: catalogs added with ``--catalog``.
        cache: the writable layer named with ``--cache``.
        offline: ``--offline``.
        progress: ``auto``, ``bar``, ``json`` or ``none``.
        quiet: results and errors only.
        verbose: how often ``-v`` was given.
        require_pinned: ``--require-pinned`` of a command that fetches.
        lockfile: ``--locked`` of a command that fetches.
        as_json: ``--json`` of any command.
    """

    catalogs: tuple[str, ...] = ()
    cache: str | None = None
    offline: bool = False
    progress: str = "auto"
    quiet: bool = False
    verbose: int = 0
    require_pinned: bool = False
    lockfile: Path | None = None
    as_json: bool = False
    _report: ProgressReport | None = None

    @cached_property
    def settings(self) -> Settings:
        """Environment, settings file and the global options.

        Raises:
            UsageError: a variable or the settings file is invalid.
        """
        import msgspec

        from model_zoo.settings import load_settings

        settings = load_settings(
            cache=Path(self.cache) if self.cache else None, offline=True if self.offline else None
        )
        catalogs = (*settings.catalogs, *(Path(path) for path in self.catalogs))
        return msgspec.structs.replace(settings, catalogs=catalogs)

    def override(self, *, jobs: int | None = None, offline: bool | None = None) -> None:
        """Let a command's own options override the settings; None changes nothing."""
        import msgspec

        changes = {"jobs": jobs, "offline": offline}
        given = {name: value for name, value in changes.items() if value is not None}
        self.settings = msgspec.structs.replace(self.settings, **given)

    @cached_property
    def zoo(self) -> Zoo:
        """The zoo of this invocation."""
        from model_zoo.zoo import Zoo

        return Zoo(settings=self.settings, require_pinned=self.require_pinned, lock=self.lockfile)

    @property
    def mtime(self) -> int:
        """The time stamped on what is written for others, in seconds since 1970."""
        return self.settings.source_date_epoch or 0

    @property
    def report(self) -> ProgressReport:
        """Where events go: bars, lines or JSON on stderr."""
        if self._report is None:
            from model_zoo.progress import make_report

            mode = "none" if self.quiet and self.progress == "auto" else self.progress
            self._report = make_report(mode, sys.stderr)
        return self._report

    def report_wait(self, owner: str) -> None:
        """Report that another process holds what is needed."""
        from model_zoo.events import Event

        self.report(Event(event="wait", message=f"waiting for {owner}"))

    def close_progress(self) -> None:
        """Remove the progress display, so that what follows starts on a line of its own."""
        if self._report is not None:
            self._report.close()
            self._report = None

    def log(self, text: str) -> None:
        """Print a line of the log to stderr, above any bars."""
        if self._report is not None and self.progress != "json":
            self._report.write(printable(text))
        else:
            self._emit("log", text)

    def emit(self, event: str, text: str, **fields: object) -> None:
        """Print something about the run itself to stderr: as text, or as JSON with ``--progress json``."""
        self.close_progress()
        self._emit(event, text, **fields)

    def _emit(self, event: str, text: str, **fields: object) -> None:
        if self.progress == "json":
            import json

            click.echo(json.dumps({"event": event, "message": text, **fields}, default=str), err=True)
        elif event == "error":
            print_error(text)
        else:
            print_note(text)

    def note(self, text: str) -> None:
        """Print something that is neither a result nor an error, unless the run is quiet."""
        if not self.quiet:
            self.emit("note", text)

    def note_beside_result(self, text: str) -> None:
        """Print a summary for people who read the result; ``--json`` has it in the result."""
        if not (self.quiet or self.as_json):
            print_note(text)

    def fail(self, error: ModelZooError) -> None:
        """Print an error to stderr; its traceback too with ``-v -v``."""
        self.close_progress()
        if self.verbose > 1 and self.progress != "json":
            import traceback

            click.echo(redact(hide_secrets("".join(traceback.format_exception(error)))), err=True)
        self.emit("error", str(error), exit_code=error.exit_code, hint=error.hint)

    def print_result(self, shown: str | Callable[[], None], value: object) -> None:
        """Print the result of a command: its text or what a function prints, or with ``--json`` the value."""
        self.close_progress()
        if self.as_json:
            print_json(value)
        elif callable(shown):
            shown()
        elif shown:
            click.echo(shown)

    def close(self) -> None:
        """Remove the progress display, and stop showing the log."""
        self.close_progress()
        if self.verbose:
            from model_zoo.cli.logs import hide_logs

            hide_logs()

    def finish(self, errors: Sequence[tuple[str, ModelZooError]], total: int) -> None:
        """End a command that works on several models: print errors and a summary, exit as the first says."""
        self.close_progress()
        if not errors:
            return
        for _, error in errors:
            self.fail(error)
        if total > 1:
            names = ", ".join(f"{name} (exit {error.exit_code})" for name, error in errors)
            self.emit("summary", f"{len(errors)} of {total} models failed: {names}")
        raise SystemExit(errors[0][1].exit_code)
