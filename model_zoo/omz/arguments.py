"""The flags that the commands share, and their exit codes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from model_zoo.errors import ModelZooError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.omz.selection import Entry, OmzCatalog

FAILED = 1
"""The exit code of every failure but a wrong flag."""


class HelpfulParser(argparse.ArgumentParser):
    """Prints the whole help after an error, as the downloader does."""

    def error(self, message: str) -> NoReturn:
        """Print the error and the help, and exit with 2."""
        sys.stderr.write(f"error: {message}\n")
        self.print_help()
        sys.exit(2)


def positive(text: str) -> int:
    """Parse a positive integer.

    Raises:
        ArgumentTypeError: it is not one.
    """
    if text.isdecimal() and int(text) > 0:
        return int(text)
    msg = f"must be a positive integer (got {text!r})"
    raise argparse.ArgumentTypeError(msg)


def add_selection(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add the flags that select models; ``verb`` says what is done with them."""
    parser.add_argument(
        "--name", metavar="PAT[,PAT...]", help=f"{verb} the models whose names fit one of the patterns"
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE.LST",
        help=f"{verb} the models whose names fit a pattern in the file",
    )
    parser.add_argument("--all", action="store_true", help=f"{verb} all models")
    parser.add_argument("--print_all", action="store_true", help="print the names of all models")
    parser.add_argument(
        "--models_root",
        type=Path,
        metavar="DIR",
        help="use this tree of model.yml files instead of the catalog (default: OMZ_ROOT, if set)",
    )


def select_entries(
    parser: argparse.ArgumentParser, args: argparse.Namespace, catalog: OmzCatalog
) -> list[Entry]:
    """Return the models that the flags select; ``--print_all`` prints the names and exits.

    Raises:
        UnknownModelError: a pattern matches nothing.
        UsageError: the list file cannot be read.
        SystemExit: the flags contradict each other, or the names were printed.
    """
    if args.print_all:
        sys.stdout.write("".join(f"{entry.model.name}\n" for entry in catalog.entries))
        raise SystemExit(0)
    given = [args.all, args.name is not None, args.list is not None]
    if sum(given) > 1:
        parser.error('at most one of "--all", "--name" or "--list" can be specified')
    if not any(given):
        parser.error('one of "--print_all", "--all", "--name" or "--list" must be specified')
    if args.all:
        return catalog.entries
    from model_zoo.omz.selection import read_list

    return catalog.matching(args.name.split(",") if args.name is not None else read_list(args.list))


def exit_with(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> NoReturn:
    """Run a command and exit with its code; errors are printed without a traceback."""
    try:
        code = command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        code = FAILED
    except ModelZooError as error:
        sys.stderr.write(f"error: {error}\n")
        code = FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; completed files are kept, and the next run resumes the rest\n")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = FAILED
    sys.exit(code)
