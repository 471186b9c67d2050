"""The command line: its commands, each imported only when it is run, and the exit code of every end."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from model_zoo.cli.common import add_common
from model_zoo.cli.examples import EXAMPLES
from model_zoo.cli.failure import code_of
from model_zoo.cli.options import global_options
from model_zoo.cli.output import LossyStream, styled
from model_zoo.cli.session import Session
from model_zoo.systems import system
from model_zoo.text import print_anything
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "list": ("list:list_command", "List the models in the catalogs."),
    "info": ("info:info_command", "Show everything known about a model."),
    "fetch": ("fetch:fetch_command", "Download model files into the cache."),
    "convert": ("convert:convert_command", "Convert models to OpenVINO IR in the cache."),
    "path": ("path:path_command", "Print the path of a cached IR; no network, no conversion."),
    "why": ("path:why_command", "Explain why an IR would be converted again."),
    "lock": ("lock:lock_command", "Pin revisions, digests and IR keys in a lock file."),
    "infer": ("infer:infer_command", "Run a model on images, arrays, audio, or zeros."),
    "bench": ("infer:bench_command", "Measure a model's latency and throughput."),
    "seed": ("seed:seed_command", "Write a read-only cache layer for a container image."),
    "export": ("export:export_command", "Write models in other programs' formats."),
    "import": ("transfer:import_command", "Import an exported tar into the cache."),
    "push": ("transfer:push_command", "Push IRs to a registry."),
    "pull": ("transfer:pull_command", "Pull IRs from a registry into the cache."),
    "cache": ("cache:cache_group", "Inspect, verify and clean up the cache."),
    "catalog": ("catalog:catalog_group", "Validate, write and publish catalogs."),
    "doctor": ("doctor:doctor_command", "Diagnose problems on this machine."),
    "completion": ("completion:completion_command", "Print a completion script for your shell."),
}
"""Command → ``module:attribute`` below ``commands``, and one line for the list of commands."""
GROUPS = {
    "Models": ("list", "info"),
    "Pipeline": ("fetch", "convert", "path", "why", "lock"),
    "Run": ("infer", "bench"),
    "Distribution": ("seed", "export", "import", "push", "pull"),
    "Maintenance": ("cache", "catalog", "doctor", "completion"),
}


class Commands(click.Group):
    """A group that imports a command's module only when the command is run."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as click has it
    ) -> click.Context:
        """Make sure that there is a session for the options to go to."""
        extra.setdefault("obj", Session())
        return super().make_context(info_name, args, parent, **extra)

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
        command = getattr(
            import_module(module if "." in module else f"model_zoo.cli.commands.{module}"), attribute
        )
        assert isinstance(command, click.Command)  # noqa: S101 - a typo in the table above
        if cmd_name not in self.commands:
            self.commands[cmd_name] = add_common(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by group, without importing any."""
        del ctx
        for title, names in GROUPS.items():
            with formatter.section(styled(title, "title", sys.stdout)):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=global_options(hidden=False),
    epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[""]),
)
@click.version_option(__version__, prog_name="model-zoo")
def cli() -> None:
    """Download pretrained models, verify them, convert them to OpenVINO IR and run them.

    REF is a model's NAME, NAME@PRECISION, a URI or a path, optionally with @PRECISION. Results go to stdout,
    everything else to stderr. The global options below are accepted before and after the command.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a code of the contract."""
    gc.set_threshold(20_000)  # imports create no garbage, and looking for it took 7 % of a short command
    if "_MODEL_ZOO_COMPLETE" in os.environ:
        from model_zoo.cli.commands.completion import print_completions

        raise SystemExit(print_completions(cli, Session()))
    raise SystemExit(run(cli, argv))


def run(command: click.Command, argv: Sequence[str] | None, name: str = "model-zoo") -> int:
    """Run a command and return its exit code; every error becomes a message and a code here."""
    session = Session()
    system.accept_interrupts()
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the parent process
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        print_anything(getattr(sys, stream))
    with contextlib.redirect_stderr(cast("TextIO", LossyStream(sys.stderr))):
        return _run(command, argv, name, session)


def _run(command: click.Command, argv: Sequence[str] | None, name: str, session: Session) -> int:
    try:
        arguments = list(sys.argv[1:] if argv is None else argv)
        with command.make_context(name, arguments, obj=session) as ctx:
            command.invoke(ctx)
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place where errors become exit codes
        return code_of(error, session)
    finally:
        session.close()
    return 0
