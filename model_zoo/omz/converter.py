"""``omz_converter``: downloaded models as OpenVINO IR, in the layout of Open Model Zoo."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.conversion.trust import require_trust
from model_zoo.errors import ModelZooError
from model_zoo.export.views import copy_out
from model_zoo.omz.arguments import Parser, positive, program
from model_zoo.omz.local import local_model
from model_zoo.omz.output import Output, process
from model_zoo.omz.selection import parse_precisions, subdirectory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from model_zoo.events import Event
    from model_zoo.omz.selection import OmzCatalog
    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo

_HINT = "read that code, then run again with MODEL_ZOO_TRUST_CODE=1 in the environment"


def _parser() -> Parser:
    parser = Parser(
        "omz_converter",
        "Convert downloaded models to OpenVINO IR, in the same layout; nothing is downloaded.",
        epilog="Converting some PyTorch models runs Python code that is among their files, as it always did. "
        "That of other trees and catalogs runs only with MODEL_ZOO_TRUST_CODE=1 in the environment.",
    )
    parser.add_directory(
        "-d", "--download_dir", default=Path.cwd(), text="the downloader's output folder (default: here)"
    )
    parser.add_directory("-o", "--output_dir", text="where to put the IRs (default: the download folder)")
    parser.add_selection("convert")
    only = "make only IRs of these precisions"
    parser.add_argument("--precisions", metavar="PREC[,PREC...]", help=only)
    parser.add_argument("-p", "--python", metavar="PYTHON", help="Python executable to convert with")
    ignored = "accepted for compatibility, and ignored"
    parser.add_argument("--mo", metavar="MO.PY", help=ignored)
    parser.add_argument("--add_mo_arg", "--add-mo-arg", metavar="ARG", action="append", help=ignored)
    parser.add_argument(
        "--dry_run", "--dry-run", action="store_true", help="only print what would be converted"
    )
    parser.add_argument(
        "-j", "--jobs", type=_jobs, metavar="N", default=1, help='conversions at once, or "auto" (default: 1)'
    )
    return parser


def _jobs(text: str) -> int:
    return os.cpu_count() or 1 if text == "auto" else positive(text, 'a positive integer or "auto"')


@program
def main(argv: Sequence[str]) -> int:
    """Convert what the flags select, and return the exit code."""
    from model_zoo.zoo import Zoo

    parser = _parser()
    args = parser.parse_args(argv)
    zoo, out = Zoo(), Output()
    catalog, entries = parser.select(args, zoo)
    conversions = Conversions(zoo, catalog, parse_precisions(args.precisions), args)
    if args.mo is not None or args.add_mo_arg:
        out.warning("there is no Model Optimizer any more; --mo and --add_mo_arg are ignored")
    return process(entries, conversions.run, 1 if args.dry_run else args.jobs, out)


@dataclass
class Conversions:
    """The conversions of one run."""

    zoo: Zoo
    catalog: OmzCatalog
    precisions: Sequence[str]
    args: argparse.Namespace

    def run(self, model: Model, out: Output) -> bool:
        """Convert one model to every requested precision; return whether it worked. Errors are printed."""
        if model.framework == "openvino":
            out.section(f"Skipping {model.name} (no conversions defined)\n")
            return True
        precisions = [p for p in self.precisions if p in model.precisions]
        if not precisions:
            out.section(f"Skipping {model.name} (all conversions skipped)\n")
            return True
        try:
            self._convert(model, precisions, out)
        except ModelZooError as error:
            out.error(str(error))
            out.line()
            return False
        return True

    def _convert(self, model: Model, precisions: Sequence[str], out: Output) -> None:
        from model_zoo.zoo import Conversion, Request

        args, below = self.args, subdirectory(model)
        output: Path = args.download_dir if args.output_dir is None else args.output_dir
        trusted = self.catalog.vouches_for(model) or os.environ.get("MODEL_ZOO_TRUST_CODE") == "1"
        how = Conversion(trust_code=trusted, python=None if args.python == sys.executable else args.python)
        local = model
        if not args.dry_run:
            require_trust(model, trusted=trusted, hint=_HINT)
            if model.convertible:
                local = local_model(model, args.download_dir / below, self.zoo)
        for precision in precisions:
            dry = "(DRY RUN) " if args.dry_run else ""
            out.section(f"{dry}Converting {model.name} to IR ({precision})")
            command = ["model-zoo", "convert", model.name, "--precision", precision, "-o", str(output)]
            out.line(f"Conversion command: {shlex.join(command)}")
            if not args.dry_run:
                made = self.zoo.pipeline().convert(Request(local, precision), how, _printer(out))
                # Weights first: whoever finds the .xml finds both.
                for file in (made.bin, made.xml):
                    copy_out({f"{model.name}{file.suffix}": file}, output, f"{below}/{precision}")
            out.line()


def _printer(out: Output) -> Callable[[Event], None]:
    """Return a function that prints what a conversion is doing."""

    def show(event: Event) -> None:
        if event.event == "convert_stage":
            out.line(f"... {event.message}")
        elif event.event in {"note", "wait"}:
            out.warning(str(event.message))

    return show
