"""What every command has in common: examples, the global options after its name, completion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from model_zoo.cli.examples import EXAMPLES
from model_zoo.cli.options import global_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

REFERENCES = {"reference", "references"}
"""Names of the arguments that take a model."""
_COMPLETED = {**dict.fromkeys(REFERENCES, "reference"), "precisions": "precision", "device": "device"}
"""Text parameters, by name, and what completes them: ``complete_…`` of ``completion``."""


class _CompletedType(click.types.StringParamType):
    """Text that is completed by a function of ``completion``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what starts with ``incomplete``."""
        del param
        from model_zoo.cli.commands import completion

        found: list[CompletionItem] = getattr(completion, f"complete_{self.kind}")(ctx, incomplete)
        return found


def add_common(command: click.Command, path: str) -> click.Command:
    """Add everything that commands have in common to one, or to a group of them, and return it.

    ``path`` has its words after ``model-zoo``, such as ``cache gc``.
    """
    if command.help:  # raw docstrings carry click's \\b as two characters
        command.help = re.sub(r"^( *)\\b$", "\\1\b", command.help, flags=re.MULTILINE)
    lines = EXAMPLES.get(path)
    if lines and not command.epilog:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            add_common(inner, f"{path} {name}")
        return command
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    command.params += [option for option in global_options(hidden=True) if not taken & set(option.opts)]
    for param in command.params:
        if param.name in _COMPLETED and param.type is click.STRING:
            param.type = _CompletedType(_COMPLETED[param.name])
    return command
