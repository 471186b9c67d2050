"""What the commands have in common: how they start and end, and the flags that select models."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from model_zoo.errors import ModelZooError, UsageError
from model_zoo.omz.selection import OmzCatalog, read_list
from model_zoo.systems import system
from model_zoo.text import print_anything

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.omz.selection import Entry
    from model_zoo.zoo import Zoo

FAILED = 1
"""The exit code of every failure but a wrong flag."""


def program(run: Callable[[Sequence[str]], int]) -> Callable[..., NoReturn]:
    """Make a command of a function: it exits with the function's code, and prints errors as messages."""

    @functools.wraps(run)
    def main(argv: Sequence[str] | None = None) -> NoReturn:
        print_anything(sys.stdout)
        system.accept_interrupts()
        try:
            code = run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
        except ModelZooError as error:
            sys.stderr.write(f"{error}\n" if isinstance(error, UsageError) else f"error: {error}\n")
            code = FAILED
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; completed files are kept, and the next run resumes the rest\n")
            code = 130
        except BrokenPipeError:
            sys.stderr.close()
            code = FAILED
        sys.exit(code)

    return main


class _HelpFormatter(argparse.HelpFormatter):
    """Shows ``-o, --output_dir DIR`` as Python 3.13 does; earlier ones repeat ``DIR``."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        flags = ", ".join(action.option_strings)
        return flags if action.nargs == 0 else f"{flags} {self._format_args(action, action.dest)}"


class Parser(argparse.ArgumentParser):
    """A parser for the flags of one command; a ``helpful`` one prints the whole help after an error."""

    def __init__(
        self, prog: str, description: str, *, epilog: str | None = None, helpful: bool = False
    ) -> None:
        super().__init__(prog, description=description, epilog=epilog, formatter_class=_HelpFormatter)
        self._helpful = helpful

    def error(self, message: str) -> NoReturn:
        """Print the error and the help, and exit with 2."""
        if self._helpful:
            sys.stderr.write(f"error: {message}\n")
            self.print_help()
            sys.exit(2)
        super().error(message)

    def add_directory(self, *flags: str, text: str, default: Path | None = None) -> None:
        """Add a flag that takes a directory."""
        self.add_argument(*flags, type=Path, metavar="DIR", default=default, help=text)

    def add_selection(self, verb: str) -> None:
        """Add the flags that select models; ``verb`` says what is done with them."""
        models = f"{verb} the models whose names fit"
        self.add_argument("--name", metavar="PAT[,PAT...]", help=f"{models} one of the patterns")
        self.add_argument("--list", type=Path, metavar="FILE.LST", help=f"{models} a pattern in the file")
        self.add_argument("--all", action="store_true", help=f"{verb} all models")
        self.add_argument("--print_all", action="store_true", help="print the names of all models")
        tree = "use this tree of model.yml files instead of the catalog (default: OMZ_ROOT, if set)"
        self.add_directory("--models_root", text=tree)

    def select(self, args: argparse.Namespace, zoo: Zoo) -> tuple[OmzCatalog, list[Entry]]:
        """Return the catalog and the models that the flags select; ``--print_all`` prints names and exits."""
        catalog = OmzCatalog(zoo, args.models_root)
        if args.print_all:
            sys.stdout.write("".join(f"{entry.model.name}\n" for entry in catalog.entries))
            raise SystemExit(0)
        given = [args.all, args.name is not None, args.list is not None]
        if sum(given) > 1:
            self.error('at most one of "--all", "--name" or "--list" can be specified')
        if not any(given):
            self.error('one of "--print_all", "--all", "--name" or "--list" must be specified')
        if args.all:
            return catalog, catalog.entries
        patterns = read_list(args.list) if args.name is None else args.name.split(",")
        return catalog, catalog.matching(patterns)


def positive(text: str, expected: str = "a positive integer") -> int:
    """Parse a positive integer."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be {expected} (got {text!r})")
