"""``omz_converter``: what the downloader left in a folder, as OpenVINO IR in the same layout."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import ModelZooError
from model_zoo.omz.arguments import FAILED, add_selection, choose, leave, positive
from model_zoo.omz.files import put
from model_zoo.omz.local import local_model
from model_zoo.omz.output import Output, in_parallel
from model_zoo.omz.selection import Entry, Shelf, requested, subdirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.events import Event
    from model_zoo.schema import ConvertedModel, Model
    from model_zoo.zoo import Zoo


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    leave(convert, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omz_converter",
        description="Convert downloaded models to OpenVINO IR, in the same layout; nothing is downloaded.",
        epilog="Converting some PyTorch models runs Python code that is among their files, as it always did.",
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
    """Convert what the flags name and return the exit code."""
    parser = _parser()
    wishes = parser.parse_args(argv)
    from model_zoo.zoo import Zoo

    zoo = Zoo()
    entries = choose(parser, wishes, Shelf(zoo, wishes.models_root))
    task = Conversions(zoo, requested(wishes.precisions), wishes)
    out = Output()
    if wishes.mo is not None or wishes.extra_mo_args:
        out.warning("there is no Model Optimizer any more; --mo and --add_mo_arg are ignored")

    def one(entry: Entry, to: Output) -> bool:
        good = [task.run(model, to) for model in entry.parts]  # every stage, whatever became of the others
        return all(good)

    done = in_parallel(1 if wishes.dry_run else wishes.jobs, one, entries, out)
    failed = [entry.model.name for entry, good in zip(entries, done, strict=True) if not good]
    if failed:
        out.line("\n".join(["FAILED:", *failed]))
        return FAILED
    return 0


class Conversions:
    """What all conversions of one run share."""

    def __init__(self, zoo: Zoo, precisions: Sequence[str], wishes: argparse.Namespace) -> None:
        self._zoo = zoo
        self._precisions = precisions
        self._from: Path = wishes.download_dir
        self._to: Path = wishes.output_dir if wishes.output_dir is not None else wishes.download_dir
        self._dry: bool = wishes.dry_run
        named = wishes.python
        self._python = str(named) if named is not None and str(named) != sys.executable else None

    def run(self, model: Model, out: Output) -> bool:
        """Convert one model to every precision wanted; what goes wrong is printed.

        Returns:
            Whether all of them are there.
        """
        if model.framework == "openvino":
            out.section(f"Skipping {model.name} (no conversions defined)\n")
            return True
        wanted = [one for one in self._precisions if one in model.precisions]
        if not wanted:
            out.section(f"Skipping {model.name} (all conversions skipped)\n")
            return True
        try:
            return self._convert(model, wanted, out)
        except ModelZooError as error:
            out.error(str(error))
            out.line()
            return False

    def _convert(self, model: Model, precisions: Sequence[str], out: Output) -> bool:
        from model_zoo.zoo import Conversion, Request

        source = self._from / subdirectory(model)
        local = model if self._dry or not model.convertible else local_model(model, source, self._zoo)
        for precision in precisions:
            target = self._to / subdirectory(model) / precision
            dry = "(DRY RUN) " if self._dry else ""
            out.section(f"{dry}Converting {model.name} to IR ({precision})")
            command = ["model-zoo", "convert", model.name, "--precision", precision, "-o", str(self._to)]
            out.line(f"Conversion command: {shlex.join(command)}")
            if not self._dry:
                how = Conversion(trust_code=True, python=self._python)
                done = self._zoo.pipeline().convert(Request(local, precision), how, _Stages(out))
                self._put(done, target)
            out.line()
        return True

    @staticmethod
    def _put(done: ConvertedModel, target: Path) -> None:
        digests = {entry.path: entry.sha256 for entry in done.manifest.outputs}
        # Weights first: who finds the .xml finds both.
        for source, suffix in ((done.bin, ".bin"), (done.xml, ".xml")):
            put(done.model.name + suffix, source, digests[source.name], target)


class _Stages:
    """Prints what a conversion is doing."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def __call__(self, event: Event) -> None:
        if event.event == "convert_stage":
            self._out.line(f"... {event.message}")
        elif event.event in {"note", "wait"}:
            self._out.warning(str(event.message))
