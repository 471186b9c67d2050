"""The frame of the command line: global options, commands imported when they are run, errors → exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.errors import ModelZooError
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.settings import Settings
    from model_zoo.zoo import Report, Zoo

COMMANDS = {
    "list": ("model_zoo.cli.browse:list_command", "Names of the models in the catalogs."),
    "info": ("model_zoo.cli.browse:info_command", "Everything known about a model."),
    "fetch": ("model_zoo.cli.pipeline:fetch_command", "Get models' files into the cache."),
    "convert": ("model_zoo.cli.pipeline:convert_command", "Make models' IRs available in the cache."),
    "path": ("model_zoo.cli.pipeline:path_command", "Path of a cached IR; no network, no conversion."),
    "why": ("model_zoo.cli.pipeline:why_command", "What differs between a wanted IR and the cached ones."),
    "infer": ("model_zoo.cli.run:infer_command", "Run a model on images, arrays, audio, or zeros."),
    "bench": ("model_zoo.cli.run:bench_command", "Latency and throughput of a model on a device."),
    "cache": ("model_zoo.cli.cache:cache_group", "Look after the cache."),
    "catalog": ("model_zoo.cli.catalog:catalog_group", "Check and write catalogs."),
}
GROUPS = {
    "Models": ("list", "info"),
    "Pipeline": ("fetch", "convert", "path", "why"),
    "Run": ("infer", "bench"),
    "Care": ("cache", "catalog"),
}
INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass
class Run:
    """The global options of one invocation, and the zoo they describe."""

    catalogs: tuple[str, ...] = ()
    cache: str | None = None
    offline: bool = False
    progress: str = "auto"
    quiet: bool = False
    verbose: int = 0
    require_pinned: bool = False
    _reports: list[Any] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        """Environment, settings file and the global options."""
        import msgspec

        from model_zoo.settings import load_settings

        settings = load_settings(
            cache=Path(self.cache) if self.cache else None, offline=True if self.offline else None
        )
        catalogs = (*settings.catalogs, *(Path(path) for path in self.catalogs))
        return msgspec.structs.replace(settings, catalogs=catalogs)

    @cached_property
    def zoo(self) -> Zoo:
        """The zoo of this invocation."""
        from model_zoo.zoo import Zoo

        return Zoo(settings=self.settings, require_pinned=self.require_pinned)

    @cached_property
    def report(self) -> Report:
        """Where events go: bars, lines or JSON on stderr."""
        from model_zoo.cli.progress import make_report

        mode = "none" if self.quiet and self.progress == "auto" else self.progress
        report: Report = make_report(mode, sys.stderr)
        self._reports.append(report)
        return report

    def close(self) -> None:
        """Finish the progress display, so that what follows starts on a line of its own."""
        while self._reports:
            self._reports.pop().close()

    def fail(self, error: ModelZooError) -> None:
        """Print an error to stderr; its traceback too with ``-v -v``."""
        self.close()
        if self.verbose > 1:
            click.echo("".join(traceback.format_exception(error)), err=True)
        click.echo(f"error: {error}", err=True)

    def finish(self, errors: Sequence[tuple[str, ModelZooError]], total: int) -> None:
        """End a run over several models: print each failure and the summary, leave with the first's code."""
        self.close()
        if not errors:
            return
        for _, error in errors:
            self.fail(error)
        if total > 1:
            names = ", ".join(f"{name} (exit {error.exit_code})" for name, error in errors)
            click.echo(f"{len(errors)} of {total} models failed: {names}", err=True)
        raise SystemExit(errors[0][1].exit_code)


_current: list[Run] = []
"""The run in progress, for the error paths; the context is gone when they are taken."""


class Commands(click.Group):
    """A group that imports a command's module only when the command is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the pipeline."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a typo in the table above
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, offering near names where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=3, cutoff=0.5)
            hint = f" Did you mean: {', '.join(near)}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by group, without importing any."""
        del ctx
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--catalog", "catalogs", multiple=True, metavar="P", help="Catalog folder or file to add; may repeat."
)
@click.option(
    "--cache", metavar="DIR", help="Writable cache layer (default: MODEL_ZOO_CACHE, else the user's)."
)
@click.option("--offline", is_flag=True, help="Open no socket, ever (as MODEL_ZOO_OFFLINE=1).")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    help="How to show progress.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show results and errors only.")
@click.option("-v", "--verbose", count=True, help="Say more; twice for tracebacks.")
@click.version_option(__version__, prog_name="model-zoo")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - as declared above
    r"""Fetch pretrained models, check them, convert them to OpenVINO IR, run them.

    Results go to stdout, everything else to stderr. A reference REF is a model's NAME or NAME@PRECISION.

    \b
    model-zoo list face
    model-zoo convert magika-standard-v3@FP16
    model-zoo infer magika-standard-v3 --top 5
    """
    ctx.obj = Run(**options)
    _current.append(ctx.obj)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with the exit code of the contract.

    Raises:
        SystemExit: always.
    """
    raise SystemExit(run(cli, argv))


def run(command: click.Command, argv: Sequence[str] | None, name: str = "model-zoo") -> int:
    """Run a command and return its exit code; every error becomes a message and a code here."""
    _current.clear()
    try:
        with command.make_context(name, list(sys.argv[1:] if argv is None else argv)) as ctx:
            command.invoke(ctx)
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place where errors become exit codes
        return _code_of(error, (_current or [Run()])[-1])
    finally:
        for one in _current:
            one.close()
    return 0


def _code_of(error: BaseException, run_: Run) -> int:
    if isinstance(error, ModelZooError):
        run_.fail(error)
        return error.exit_code
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo("interrupted; what was transferred is kept and will be resumed", err=True)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return _bug(error, run_)


def _bug(error: BaseException, run_: Run) -> int:
    run_.close()
    if run_.verbose > 1:
        click.echo("".join(traceback.format_exception(error)), err=True)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    what = f"{type(error).__name__}: {error} ({place})"
    click.echo(f"error: this is a bug in model-zoo {__version__}: {what}", err=True)
    click.echo("  next:     run again with -v -v and report what it prints", err=True)
    return 1
