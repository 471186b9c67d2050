"""``completion``: the script that teaches a shell to complete."""

from __future__ import annotations

import click

from model_zoo.cli.completion import SHELLS, VARIABLE


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion_command(shell: str) -> None:
    """Print a script that lets a shell complete commands, options and models.

    Requires bash 4.4, zsh 5, fish 3, or later.
    """
    click.echo(SHELLS[shell](click.Command("model-zoo"), {}, "model-zoo", VARIABLE).source())
