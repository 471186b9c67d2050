"""``completion``: shell completion for bash, zsh, fish and PowerShell, including the names of models.

click ships the scripts. A script calls this program with what was typed so far; it answers from the names in
the catalogs and opens no socket. Bash and PowerShell need scripts of our own.
"""

from __future__ import annotations

import contextlib
import os
import re
from itertools import islice
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from model_zoo.errors import ModelZooError
from model_zoo.schema import UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.cli.session import Session

VARIABLE = "_MODEL_ZOO_COMPLETE"
_CACHE_COMMANDS = {"rm", "unpin"}
"""Commands whose references name what is in the cache."""
_LIMIT = 2000
"""Maximum number of candidates: shells become slow long before a person reads that many."""

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' answer kind value typed
    typed=${COMP_LINE:0:COMP_POINT}
    COMPREPLY=()
    while read -r answer; do
        kind=${answer%%%%,*} value=${answer#*,}
        case $kind in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            *) COMPREPLY+=("$value") ;;
        esac
    done < <(MODEL_ZOO_LINE=$typed %(complete_var)s=bash_complete model-zoo 2>/dev/null)
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
%(complete_func)s_omz() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} last words
    last=${word##*,}
    case $before in
        --name) words=$("$1" --print_all 2>/dev/null) ;;
        --precisions) words="FP16 FP16-INT1 FP16-INT8 FP32 FP32-INT1 FP32-INT8" ;;
        *) [[ $word == -* ]] || return 0
           words=$("$1" --help 2>/dev/null | grep -oE -e '--[a-z_]+' | sort -u) ;;
    esac
    COMPREPLY=($(compgen -P "${word%%"$last"}" -W "$words" -- "$last"))
}
complete -o default -F %(complete_func)s_omz omz_downloader omz_converter omz_info_dumper omz_data_downloader
"""
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $command, $cursor)
    $typed = $cursor - $command.Extent.StartOffset
    $env:MODEL_ZOO_LINE = $command.Extent.Text.PadRight($typed).Substring(0, $typed)
    $env:%(complete_var)s = 'powershell_complete'
    try {
        %(prog_name)s 2>$null | ForEach-Object {
            $kind, $value = $_ -split ',', 2
            if ($kind -eq 'plain') {
                $shown = if ($value -match '[@,;\\s]') { "'$value'" } else { $value }
                [System.Management.Automation.CompletionResult]::new($shown, $value, 'ParameterValue', $value)
            }
        }
    } finally {
        Remove-Item Env:MODEL_ZOO_LINE, Env:%(complete_var)s
    }
}
"""


class Bash(BashComplete):
    """Bash 4.4 or later, without the bash-completion package.

    Bash breaks words at "@", ":" and "=", which references and options contain, and click's script passes the
    broken words on. This one passes the line, which is split here; what precedes the last break is removed
    from the answers, because bash replaces only what follows it. The script also completes the drop-in
    commands, which are not built with click.
    """

    source_template = _BASH

    def source(self) -> str:
        """Return the script, without running bash for its version as click does: it may not be here."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the part of the current word before it."""
        from click.shell_completion import split_arg_string

        line = os.environ.get("MODEL_ZOO_LINE", "")
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return one answer without what bash takes for earlier words."""
        _, incomplete = self.get_completion_args()
        before = max(incomplete.rfind(mark) for mark in "@:=") + 1
        value = item.value[before:] if item.value.startswith(incomplete[:before]) else item.value
        return f"{item.type},{value}"


class PowerShell(ShellComplete):
    """PowerShell 5.1 or later, which completes paths by itself where there is no answer."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the part of the current word before it."""
        line = os.environ.get("MODEL_ZOO_LINE", "")
        words = [word.strip("\"'") for word in re.findall(r""""[^"]*"?|'[^']*'?|\S+""", line)][1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return one answer: what it is, and its text."""
        return f"{item.type},{item.value}"


SHELLS: dict[str, type[ShellComplete]] = {
    "bash": Bash,
    "zsh": ZshComplete,
    "fish": FishComplete,
    "powershell": PowerShell,
}


def print_completions(command: click.Command, session: Session) -> int:
    """Print the completions that a shell's script asks for, and return the exit code.

    Errors are swallowed: they would end up in the prompt.
    """
    shell, _, task = os.environ.get(VARIABLE, "").partition("_")
    if shell not in SHELLS or task != "complete":
        return 1
    with contextlib.suppress(ModelZooError, OSError):
        if found := SHELLS[shell](command, {"obj": session}, "model-zoo", VARIABLE).complete():
            click.echo(found)
    return 0


def complete_reference(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the references that start with what was typed: names, and precisions after ``@``."""
    name, at, _ = incomplete.partition("@")
    found: list[CompletionItem] = []
    in_cache = ctx.info_name in _CACHE_COMMANDS
    with contextlib.suppress(ModelZooError):
        if in_cache:
            values = _cached(ctx, name if at else None)
        elif at:
            values = [f"{name}@{precision}" for precision in ctx.obj.zoo.catalog.get(name).precisions]
        else:
            values = ctx.obj.zoo.catalog.names()
        found = _starting_with(values, incomplete)
    if not (found or at or in_cache):
        found = [CompletionItem(incomplete, type="file")]
    return found


def complete_precision(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the most common precisions, after those already in the list."""
    del ctx
    before, comma, last = incomplete.rpartition(",")
    common = (*UNIVERSAL, "FP16-INT8", "FP32-INT8")
    offered = [precision for precision in common if precision not in before.upper().split(",")]
    return [CompletionItem(f"{before}{comma}{item.value}") for item in _starting_with(offered, last)]


def complete_device(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return OpenVINO's device names without asking it which exist, which takes long."""
    del ctx
    return _starting_with(("AUTO", "CPU", "GPU", "NPU"), incomplete)


def _starting_with(values: Iterable[str], typed: str) -> list[CompletionItem]:
    folded = typed.casefold()
    found = (CompletionItem(value) for value in values if value.casefold().startswith(folded))
    return list(islice(found, _LIMIT))


def _cached(ctx: click.Context, name: str | None) -> list[str]:
    """Return the models in the writable layer, or one model's IRs; for ``rm`` also the environments."""
    from model_zoo.cli.selection import cached_models

    cached = cached_models(ctx.obj)
    if name is not None:
        return sorted(f"{name}@{precision}" for precision in cached.get(name, ()) if precision)
    return [*sorted(cached), *(_environments(ctx) if ctx.info_name == "rm" else ())]


def _environments(ctx: click.Context) -> list[str]:
    """Return the converter environments in the writable layer, as ``cache rm`` accepts them."""
    from model_zoo.cache.environments import KIND, environments

    top = ctx.obj.zoo.cache.top
    return sorted({f"{KIND}:{environment.stack}" for environment in environments(top)}) if top else []


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion_command(shell: str) -> None:
    """Print a script that lets a shell complete commands, options and models.

    Requires bash 4.4, zsh 5, fish 3, PowerShell 5.1, or later.
    """
    click.echo(SHELLS[shell](click.Command("model-zoo"), {}, "model-zoo", VARIABLE).source())
