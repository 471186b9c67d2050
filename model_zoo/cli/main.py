"""The frame of the command line: its commands, imported when they are run, and the zoo they run on."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.common import dressed, global_options
from model_zoo.cli.examples import EXAMPLES
from model_zoo.cli.failure import code_of
from model_zoo.cli.output import paint, put_error, say
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.errors import ModelZooError
    from model_zoo.events import Report
    from model_zoo.settings import Settings
    from model_zoo.zoo import Zoo

COMMANDS = {
    "list": ("browse:list_command", "Names of the models in the catalogs."),
    "info": ("browse:info_command", "Everything known about a model."),
    "fetch": ("pipeline:fetch_command", "Get models' files into the cache."),
    "convert": ("pipeline:convert_command", "Make models' IRs available in the cache."),
    "path": ("pipeline:path_command", "Path of a cached IR; no network, no conversion."),
    "why": ("pipeline:why_command", "What differs between a wanted IR and the cached ones."),
    "lock": ("lock:lock_command", "Pin revisions, digests and IR keys in a lock file."),
    "infer": ("infer:infer_command", "Run a model on images, arrays, audio, or zeros."),
    "bench": ("infer:bench_command", "Latency and throughput of a model on a device."),
    "seed": ("hand_off:seed_command", "A read-only layer for a container image."),
    "export": ("hand_off:export_command", "Models as other programs want them."),
    "import": ("hand_off:import_command", "Take an exported tar into the cache."),
    "push": ("hand_off:push_command", "Send IRs to a registry."),
    "pull": ("hand_off:pull_command", "Take IRs from a registry into the cache."),
    "cache": ("cache:cache_group", "Look after the cache."),
    "catalog": ("catalog:catalog_group", "Check catalogs, write entries, show them."),
    "doctor": ("doctor:doctor_command", "What is wrong on this machine, and how to mend it."),
    "completion": ("completion:completion_command", "Completion for bash, zsh or fish."),
}
GROUPS = {
    "Models": ("list", "info"),
    "Pipeline": ("fetch", "convert", "path", "why", "lock"),
    "Run": ("infer", "bench"),
    "Hand-off": ("seed", "export", "import", "push", "pull"),
    "Care": ("cache", "catalog", "doctor", "completion"),
}


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
    as_json: bool = False
    locked: Path | None = None
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

        return Zoo(settings=self.settings, require_pinned=self.require_pinned, lock=self.locked)

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

    def tell(self, event: str, text: str, **fields: object) -> None:
        """Put something about the run itself on stderr: text, or one more event with ``--progress json``."""
        self.close()
        if self.progress == "json":
            import json

            click.echo(json.dumps({"event": event, "message": text, **fields}, default=str), err=True)
        elif event == "error":
            put_error(text)
        else:
            say(text)

    def fail(self, error: ModelZooError) -> None:
        """Print an error to stderr; its traceback too with ``-v -v``."""
        self.close()
        if self.verbose > 1 and self.progress != "json":
            import traceback

            click.echo("".join(traceback.format_exception(error)), err=True)
        self.tell("error", str(error), exit_code=error.exit_code, hint=error.hint)

    def remark(self, text: str) -> None:
        """Say something that is neither a result nor an error, unless the run is quiet."""
        if not self.quiet:
            self.tell("note", text)

    def finish(self, errors: Sequence[tuple[str, ModelZooError]], total: int) -> None:
        """End a run over several models: print each failure and the summary, leave with the first's code."""
        self.close()
        if not errors:
            return
        for _, error in errors:
            self.fail(error)
        if total > 1:
            names = ", ".join(f"{name} (exit {error.exit_code})" for name, error in errors)
            self.tell("summary", f"{len(errors)} of {total} models failed: {names}")
        raise SystemExit(errors[0][1].exit_code)


class Commands(click.Group):
    """A group that imports a command's module only when the command is run."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as click has it
    ) -> click.Context:
        """Make sure that there is a run for the options to go to."""
        extra.setdefault("obj", Run())
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
            self.commands[cmd_name] = dressed(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by group, without importing any."""
        del ctx
        for title, names in GROUPS.items():
            with formatter.section(paint(title, "title", sys.stdout)):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=global_options(hidden=False),
    epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[""]),
)
@click.version_option(__version__, prog_name="model-zoo")
def cli() -> None:
    """Fetch pretrained models, check them, convert them to OpenVINO IR, run them.

    A reference REF is a model's NAME, NAME@PRECISION, a URI, or a path, perhaps with @PRECISION too. Results
    go to stdout, everything else to stderr. The options below go before the command, and are understood
    after it too.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with the exit code of the contract.

    Raises:
        SystemExit: always.
    """
    gc.set_threshold(20_000)  # imports make no garbage, and looking for it took 7 % of a short command
    if "_MODEL_ZOO_COMPLETE" in os.environ:
        from model_zoo.cli.commands.completion import answer

        raise SystemExit(answer(cli, Run()))
    raise SystemExit(run(cli, argv))


def run(command: click.Command, argv: Sequence[str] | None, name: str = "model-zoo") -> int:
    """Run a command and return its exit code; every error becomes a message and a code here."""
    this = Run()
    for name_of_stream in ("stdout", "stderr"):
        if getattr(sys, name_of_stream) is None:  # closed by whoever started us
            setattr(sys, name_of_stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    try:
        arguments = list(sys.argv[1:] if argv is None else argv)
        with command.make_context(name, arguments, obj=this) as ctx:
            command.invoke(ctx)
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the one place where errors become exit codes
        return code_of(error, this)
    finally:
        this.close()
    return 0
