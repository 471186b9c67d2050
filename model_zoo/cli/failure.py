"""Every way a run can end, as a message on stderr and the exit code of the contract."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from model_zoo.cli.aliases import HABITS
from model_zoo.cli.common import REFERENCES
from model_zoo.errors import CacheError, ModelZooError, UsageError
from model_zoo.text import near_names

if TYPE_CHECKING:
    from model_zoo.cli.main import Run

INTERRUPTED = 130
BROKEN_PIPE = 141
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


def code_of(error: BaseException, run: Run) -> int:
    """Print what there is to say about the end of a run, and return its exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, ModelZooError):
        run.fail(error)
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    if isinstance(error, click.ClickException):
        run.fail(usage_error(error))
        return UsageError.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        run.tell(
            "interrupted", "interrupted; what is complete stays, and a transfer goes on where it stopped"
        )
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    unwritable = isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE
    return _unwritable(error, run) if unwritable else _bug(error, run)


def _unwritable(error: BaseException, run: Run) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more at its end
    what = f"cannot write standard output: {getattr(error, 'strerror', error)}"
    run.fail(CacheError(what, hint="free space where it goes, or send it elsewhere"))
    return CacheError.exit_code


def usage_error(error: click.ClickException) -> UsageError:
    """Return what click found wrong with the arguments in our own form, with near names."""
    context = getattr(error, "ctx", None)
    what = error.format_message().rstrip(".")
    if not isinstance(context, click.Context):
        return UsageError(what, hint="see 'model-zoo --help'")
    path, near = context.command_path, []
    unknown = re.match(r"No such command '(.*?)'", what)
    if isinstance(error, click.NoSuchOption):
        what, near = f"no such option: {error.option_name}", near_names(error.option_name, _options(context))
        takes_models = any(param.name in REFERENCES for param in context.command.params)
        if takes_models and error.option_name in {"--name", "--model"}:
            hint = f"models are named without {error.option_name}: '{path} NAME'"
            return UsageError(what, expected=_usage(context), hint=hint)
    elif unknown and isinstance(context.command, click.Group):
        what = f"no such command: {unknown[1]}"
        group = "" if context.parent is None else str(context.info_name)
        usual = HABITS.get(group, {}).get(unknown[1])
        near = [usual] if usual else near_names(unknown[1], context.command.list_commands(context))
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    hint = f"{meant}see '{path} --help'"
    return UsageError(f"{what[:1].lower()}{what[1:]}", expected=_usage(context), hint=hint)


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _options(context: click.Context) -> list[str]:
    params = context.command.get_params(context)
    return [name for param in params for name in param.opts if isinstance(param, click.Option)]


def _bug(error: BaseException, run: Run) -> int:
    import traceback
    from pathlib import Path

    from model_zoo.version import __version__

    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    what = f"this is a bug in model-zoo {__version__}: {type(error).__name__}: {error} ({place})"
    bug = ModelZooError(what, hint="run again with -v -v and report what it prints")
    run.fail(bug.with_traceback(error.__traceback__))
    return ModelZooError.exit_code
