"""``omz_converter``: downloaded models as OpenVINO IR, in the layout of Open Model Zoo."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.conversion.trust import require_trust
from model_zoo.errors import ModelZooError
from model_zoo.omz.arguments import add_selection, exit_with, positive, select_entries
from model_zoo.omz.files import copy_if_changed
from model_zoo.omz.local import local_model
from model_zoo.omz.output import Output, process
from model_zoo.omz.selection import OmzCatalog, parse_precisions, subdirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.events import Event
    from model_zoo.schema import ConvertedModel, Model
    from model_zoo.zoo import Zoo

_HINT = "read that code, then run again with MODEL_ZOO_TRUST_CODE=1 in the environment"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    exit_with(convert, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omz_converter",
        description="Convert downloaded models to OpenVINO IR, in the same layout; nothing is downloaded.",
        epilog="Converting some PyTorch models runs Python code that is among their files, as it always did. "
        "That of other trees and catalogs runs only with MODEL_ZOO_TRUST_CODE=1 in the environment.",
    )
    parser.add_argument(
        "-d",
        "--download_dir",
        type=Path,
        metavar="DIR",
        default=Path.cwd(),
        help="the downloader's output folder",
    )
    parser.add_argument(
        "-o",
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="where to put the IRs (default: the download folder)",
    )
    add_selection(parser, "convert")
    parser.add_argument("--precisions", metavar="PREC[,PREC...]", help="make only IRs of these precisions")
    parser.add_argument(
        "-p", "--python", type=Path, metavar="PYTHON", help="Python executable to convert with"
    )
    parser.add_argument("--mo", type=Path, metavar="MO.PY", help="without meaning; accepted and ignored")
    parser.add_argument(
        "--add_mo_arg",
        "--add-mo-arg",
        dest="extra_mo_args",
        metavar="ARG",
        action="append",
        help="without meaning; accepted and ignored",
    )
    parser.add_argument(
        "--dry_run", "--dry-run", action="store_true", help="only print what would be converted"
    )
    parser.add_argument(
        "-j", "--jobs", type=_jobs, metavar="N", default=1, help='conversions at once, or "auto" (default: 1)'
    )
    return parser


def _jobs(text: str) -> int:
    if text == "auto":
        return os.cpu_count() or 1
    try:
        return positive(text)
    except argparse.ArgumentTypeError:
        msg = f'must be a positive integer or "auto" (got {text!r})'
        raise argparse.ArgumentTypeError(msg) from None


def convert(argv: Sequence[str]) -> int:
    """Convert what the flags select, and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    from model_zoo.zoo import Zoo

    zoo = Zoo()
    catalog = OmzCatalog(zoo, args.models_root)
    entries = select_entries(parser, args, catalog)
    conversions = Conversions(zoo, catalog, parse_precisions(args.precisions), args)
    out = Output()
    if args.mo is not None or args.extra_mo_args:
        out.warning("there is no Model Optimizer any more; --mo and --add_mo_arg are ignored")

    return process(entries, conversions.run, 1 if args.dry_run else args.jobs, out)


class Conversions:
    """The conversions of one run."""

    def __init__(
        self, zoo: Zoo, catalog: OmzCatalog, precisions: Sequence[str], args: argparse.Namespace
    ) -> None:
        self._zoo = zoo
        self._catalog = catalog
        self._precisions = precisions
        self._from: Path = args.download_dir
        self._to: Path = args.output_dir if args.output_dir is not None else args.download_dir
        self._dry: bool = args.dry_run
        python = None if args.python is None else str(args.python)
        self._python = None if python == sys.executable else python

    def run(self, model: Model, out: Output) -> bool:
        """Convert one model to every requested precision; errors are printed.

        Returns:
            Whether all of the IRs are there.
        """
        if model.framework == "openvino":
            out.section(f"Skipping {model.name} (no conversions defined)\n")
            return True
        precisions = [p for p in self._precisions if p in model.precisions]
        if not precisions:
            out.section(f"Skipping {model.name} (all conversions skipped)\n")
            return True
        try:
            return self._convert(model, precisions, out)
        except ModelZooError as error:
            out.error(str(error))
            out.line()
            return False

    def _convert(self, model: Model, precisions: Sequence[str], out: Output) -> bool:
        from model_zoo.zoo import Conversion, Request

        trusted = self._catalog.vouches_for(model) or os.environ.get("MODEL_ZOO_TRUST_CODE") == "1"
        if not self._dry:
            require_trust(model, trusted=trusted, hint=_HINT)
        source = self._from / subdirectory(model)
        local = model if self._dry or not model.convertible else local_model(model, source, self._zoo)
        for precision in precisions:
            target = self._to / subdirectory(model) / precision
            dry = "(DRY RUN) " if self._dry else ""
            out.section(f"{dry}Converting {model.name} to IR ({precision})")
            command = ["model-zoo", "convert", model.name, "--precision", precision, "-o", str(self._to)]
            out.line(f"Conversion command: {shlex.join(command)}")
            if not self._dry:
                how = Conversion(trust_code=trusted, python=self._python)
                done = self._zoo.pipeline().convert(Request(local, precision), how, _printer(out))
                _copy(done, target)
            out.line()
        return True


def _copy(converted: ConvertedModel, target: Path) -> None:
    digests = {entry.path: entry.sha256 for entry in converted.manifest.outputs}
    # Weights first: whoever finds the .xml finds both.
    for source, suffix in ((converted.bin, ".bin"), (converted.xml, ".xml")):
        copy_if_changed(converted.model.name + suffix, source, digests[source.name], target)


def _printer(out: Output) -> Callable[[Event], None]:
    """Return a function that prints what a conversion is doing."""

    def show(event: Event) -> None:
        if event.event == "convert_stage":
            out.line(f"... {event.message}")
        elif event.event in {"note", "wait"}:
            out.warning(str(event.message))

    return show
