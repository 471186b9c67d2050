"""``completion``: shell completion for bash, zsh and fish, with the names of models.

The scripts call this program with what was typed so far; it answers from the names in the catalogs, and
opens no socket. Only what completion of every shell needs is imported.
"""

from __future__ import annotations

import contextlib
import os
from itertools import islice
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from model_zoo.errors import ModelZooError
from model_zoo.schema import UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.cli.main import Run

VARIABLE = "_MODEL_ZOO_COMPLETE"
_OF_CACHE = {"rm", "unpin"}
"""Commands whose references are of what the cache has."""
MOST = 2000
"""Candidates offered at once: shells get slow long before a person reads that many."""

# Bash breaks words at "@" and ":", which references contain: so the line is split by us, and what stands
# before the last break is taken off the answers, which bash then puts in place of the word it sees.
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
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *@ ]] && compopt -o nospace 2>/dev/null
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


class Bash(BashComplete):
    """Bash 4.4 or later, without the package bash-completion."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script; no bash is asked for its version, as none need be here."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the whole words before the cursor, and the word it is in."""
        from click.shell_completion import split_arg_string

        line = os.environ.get("MODEL_ZOO_LINE", "")
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return one answer, without what bash takes for earlier words."""
        _, incomplete = self.get_completion_args()
        before = max(incomplete.rfind(mark) for mark in "@:=") + 1
        value = item.value[before:] if item.value.startswith(incomplete[:before]) else item.value
        return f"{item.type},{value}"


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion_command(shell: str) -> None:
    """Print a script that makes a shell complete commands, options and models.

    Needs bash 4.4, zsh 5 or fish 3, or later.
    """
    click.echo(SHELLS[shell](click.Command("model-zoo"), {}, "model-zoo", VARIABLE).source())


def answer(command: click.Command, run: Run) -> int:
    """Answer the script's question on stdout; a shell's prompt is no place for errors."""
    shell, _, task = os.environ.get(VARIABLE, "").partition("_")
    if shell not in SHELLS or task != "complete":
        return 1
    with contextlib.suppress(ModelZooError, OSError):
        if found := SHELLS[shell](command, {"obj": run}, "model-zoo", VARIABLE).complete():
            click.echo(found)
    return 0


def complete_reference(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the references that begin with what was typed: names, and precisions after ``@``."""
    name, at, _ = incomplete.partition("@")
    found: list[CompletionItem] = []
    of_cache = ctx.info_name in _OF_CACHE
    with contextlib.suppress(ModelZooError):
        if of_cache:
            values = _cached(ctx, name if at else None)
        elif at:
            values = [f"{name}@{precision}" for precision in ctx.obj.zoo.catalog.get(name).precisions]
        else:
            values = ctx.obj.zoo.catalog.names()
        found = _beginning(values, incomplete)
    if not (found or at or of_cache):
        found = [CompletionItem(incomplete, type="file")]
    return found


def complete_precision(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the precisions that are asked for most, after those of the list that stand there already."""
    del ctx
    before, comma, last = incomplete.rpartition(",")
    offered = [one for one in (*UNIVERSAL, "FP16-INT8", "FP32-INT8") if one not in before.upper().split(",")]
    return [CompletionItem(f"{before}{comma}{item.value}") for item in _beginning(offered, last)]


def complete_device(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return names of devices as OpenVINO has them, without asking it which there are: that takes long."""
    del ctx
    return _beginning(("AUTO", "CPU", "GPU", "NPU"), incomplete)


def _beginning(values: Iterable[str], typed: str) -> list[CompletionItem]:
    folded = typed.casefold()
    found = (CompletionItem(value) for value in values if value.casefold().startswith(folded))
    return list(islice(found, MOST))


def _cached(ctx: click.Context, name: str | None) -> list[str]:
    """Return the models of the writable layer, or one's IRs; for ``rm`` its converter environments too."""
    from model_zoo.cli.commands.care import cached_models

    cached = cached_models(ctx.obj)
    if name is not None:
        return sorted(f"{name}@{precision}" for precision in cached.get(name, ()) if precision)
    return [*sorted(cached), *(_environments(ctx) if ctx.info_name == "rm" else ())]


def _environments(ctx: click.Context) -> list[str]:
    """Return the converter environments of the writable layer, as ``cache rm`` takes them."""
    from model_zoo.cache.environments import KIND, environments

    top = ctx.obj.zoo.cache.top
    return sorted({f"{KIND}:{one.stack}" for one in environments(top)}) if top is not None else []
