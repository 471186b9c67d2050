"""What every command gets without saying so: examples, the global options after its name, completion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.examples import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

REFERENCES = {"reference", "references"}
"""Names of the arguments that take a model."""


COMPLETED = {**dict.fromkeys(REFERENCES, "reference"), "precisions": "precision", "device": "device"}
"""Parameters of text, by name, and what completes them: a function of ``completion``."""


class CompletedType(click.types.StringParamType):
    """Text that a function of ``completion`` completes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what begins like ``incomplete``."""
        del param
        from model_zoo.cli.commands import completion

        found: list[CompletionItem] = getattr(completion, f"complete_{self.kind}")(ctx, incomplete)
        return found


def dressed(command: click.Command, path: str) -> click.Command:
    """Return the command with everything that commands have in common.

    Args:
        command: a command or a group of commands, as its module defines it.
        path: its words after ``model-zoo``, such as ``cache gc``.
    """
    if command.help:  # docstrings are raw where they hold a backslash, so click's mark arrives as two letters
        command.help = re.sub(r"^( *)\\b$", "\\1\b", command.help, flags=re.MULTILINE)
    lines = EXAMPLES.get(path)
    if lines and not command.epilog:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            dressed(inner, f"{path} {name}")
        return command
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    command.params += [option for option in global_options(hidden=True) if not taken & set(option.opts)]
    for param in command.params:
        if param.name in COMPLETED and param.type is click.STRING:
            param.type = CompletedType(COMPLETED[param.name])
    return command


def global_options(*, hidden: bool) -> list[click.Option]:
    """Return the options of the whole program.

    They belong before the command; ``hidden`` ones are accepted after its name too, where people put them.
    """
    more: dict[str, Any] = {"hidden": hidden, "expose_value": False, "callback": _take}
    if hidden:
        more["default"] = None
    return [
        click.Option(
            ["--catalog", "catalogs"],
            multiple=True,
            metavar="P",
            help="Catalog folder or file to add; may repeat.",
            type=click.Path(),
            **more,
        ),
        click.Option(
            ["--cache"],
            metavar="DIR",
            help="Writable cache layer (default: MODEL_ZOO_CACHE, else the user's).",
            type=click.Path(),
            **more,
        ),
        click.Option(
            ["--offline"], is_flag=True, help="Open no socket, ever (as MODEL_ZOO_OFFLINE=1).", **more
        ),
        click.Option(
            ["--progress"],
            type=click.Choice(["auto", "bar", "json", "none"]),
            help="How to show progress; auto: bars on a terminal, else a line per model.",
            **more,
        ),
        click.Option(["-q", "--quiet"], is_flag=True, help="Show results and errors only.", **more),
        click.Option(["-v", "--verbose"], count=True, help="Say more; twice for tracebacks.", **more),
    ]


def _take(ctx: click.Context, param: click.Parameter, value: Sequence[str] | str | int | None) -> None:
    """Keep a global option where the run looks for it; one that is not given changes nothing."""
    run = ctx.obj
    if not value or run is None:
        return
    name = str(param.name)
    before = getattr(run, name)
    setattr(run, name, before + value if name in {"catalogs", "verbose"} else value)
