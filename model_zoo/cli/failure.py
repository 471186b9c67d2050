"""Every way a run can end: a message on stderr and an exit code of the contract."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from model_zoo.cli.common import REFERENCES
from model_zoo.cli.output import UNWRITABLE
from model_zoo.errors import CacheError, ModelZooError, UsageError
from model_zoo.text import near_names

if TYPE_CHECKING:
    from model_zoo.cli.session import Session

INTERRUPTED = 130
BROKEN_PIPE = 141
ALIASES = {
    "": {
        **dict.fromkeys(("download", "get", "install"), "fetch"),
        **dict.fromkeys(("load", "optimize", "quantize", "compress"), "convert"),
        **dict.fromkeys(("run", "compile", "predict"), "infer"),
        **dict.fromkeys(("ls", "search", "find"), "list"),
        **dict.fromkeys(("clean", "gc", "prune"), "cache gc"),
        **dict.fromkeys(("delete", "remove", "rm"), "cache rm"),
        "benchmark": "bench",
        "show": "info",
        "validate": "catalog validate",
        "verify": "cache verify",
    },
    "cache": {
        **dict.fromkeys(("clear", "clean", "empty", "prune", "purge"), "gc or rm"),
        **dict.fromkeys(("delete", "remove"), "rm"),
        **dict.fromkeys(("list", "show"), "ls"),
        **dict.fromkeys(("check", "validate"), "verify"),
        "path": "info",
    },
    "catalog": {
        **dict.fromkeys(("check", "verify"), "validate"),
        "import": "import-omz",
    },
}
"""Command names of other programs, by the group they are typed in, and what they are called here."""
_UNUSABLE = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP}
"""What looking at a path that somebody typed may fail with; those of the cache have errors of their own."""
_SHOWN = 120
"""Characters of such a path that are printed."""


def code_of(error: BaseException, session: Session) -> int:
    """Print how a run ended, and return its exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, FileNotFoundError) and not _has_current_directory():
        what = "the current folder no longer exists"
        error = UsageError(what, hint="change to a folder that exists, and run the command again")
    if isinstance(error, OSError) and error.errno in _UNUSABLE and error.filename is not None:
        what = f"cannot use {os.fsdecode(error.filename)[:_SHOWN]}: {error.strerror}"
        error = UsageError(what, hint="name another path, or check its permissions").with_traceback(
            error.__traceback__
        )
    if isinstance(error, ModelZooError):
        session.fail(error)
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    if isinstance(error, click.ClickException):
        session.fail(usage_error(error))
        return UsageError.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        what = "interrupted; completed files are kept, and the next run resumes the rest"
        session.emit("interrupted", what)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _discard_output()
        return BROKEN_PIPE
    unwritable = isinstance(error, OSError) and error.filename is None and error.errno in UNWRITABLE
    return _unwritable(error, session) if unwritable else _bug(error, session)


def _has_current_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the same, without an import
    except FileNotFoundError:
        return False
    return True


def _discard_output() -> None:
    """Send what is left to nowhere: Python flushes once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritable(error: BaseException, session: Session) -> int:
    _discard_output()
    what = f"cannot write to standard output: {getattr(error, 'strerror', error)}"
    session.fail(CacheError(what, hint="free space where the output goes, or redirect it elsewhere"))
    return CacheError.exit_code


def usage_error(error: click.ClickException) -> UsageError:
    """Return click's complaint about the arguments as our own error, with near names."""
    context = getattr(error, "ctx", None)
    what = error.format_message().rstrip(".")
    if not isinstance(context, click.Context):
        return UsageError(what, hint="see 'model-zoo --help'")
    path, near = context.command_path, []
    unknown = re.match(r"No such command '(.*?)'", what)
    if isinstance(error, click.NoSuchOption):
        what = f"no such option: {error.option_name}"
        near = near_names(error.option_name, _options(context))
        takes_models = any(param.name in REFERENCES for param in context.command.params)
        if takes_models and error.option_name in {"--name", "--model"}:
            hint = f"name models without {error.option_name}: '{path} NAME'"
            return UsageError(what, expected=_usage(context), hint=hint)
    elif unknown and isinstance(context.command, click.Group):
        what = f"no such command: {unknown[1]}"
        group = "" if context.parent is None else str(context.info_name)
        alias = ALIASES.get(group, {}).get(unknown[1])
        near = [alias] if alias else near_names(unknown[1], context.command.list_commands(context))
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    hint = f"{meant}see '{path} --help'"
    return UsageError(f"{what[:1].lower()}{what[1:]}", expected=_usage(context), hint=hint)


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _options(context: click.Context) -> list[str]:
    params = context.command.get_params(context)
    return [name for param in params for name in param.opts if isinstance(param, click.Option)]


def _bug(error: BaseException, session: Session) -> int:
    import traceback
    from pathlib import Path

    from model_zoo.version import __version__

    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"{Path(frame.filename).name}:{frame.lineno}"
    what = f"this is a bug in model-zoo {__version__}: {type(error).__name__}: {error} ({location})"
    bug = ModelZooError(what, hint="run again with -v -v and report the output")
    session.fail(bug.with_traceback(error.__traceback__))
    return ModelZooError.exit_code
