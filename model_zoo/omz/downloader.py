"""``omz_downloader``: model files in the layout of Open Model Zoo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from model_zoo.errors import ModelZooError
from model_zoo.export.views import copy_out
from model_zoo.omz.arguments import Parser, positive, program
from model_zoo.omz.files import FileEvents
from model_zoo.omz.output import Output, process
from model_zoo.omz.selection import PRECISIONS, parse_precisions, subdirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo


def _parser() -> Parser:
    parser = Parser(
        "omz_downloader",
        "Download models into Open Model Zoo's layout, through the cache of model-zoo.",
        helpful=True,
    )
    parser.add_selection("download")
    only = f"download only files of these precisions of ready-made models: {','.join(PRECISIONS)}"
    parser.add_argument("--precisions", metavar="PREC[,PREC...]", help=only)
    parser.add_directory(
        "-o", "--output_dir", default=Path.cwd(), text="where to save models (default: here)"
    )
    parser.add_directory("--cache_dir", text="cache of downloaded files (default: MODEL_ZOO_CACHE)")
    attempts = "try each source up to N times without progress (default: as in the settings)"
    parser.add_argument("--num_attempts", type=positive, metavar="N", help=attempts)
    parser.add_argument(
        "--progress_format", choices=("text", "json"), default="text", help="how to report progress"
    )
    parser.add_argument(
        "-j", "--jobs", type=positive, metavar="N", default=1, help="models to download at once (default: 1)"
    )
    return parser


@program
def main(argv: Sequence[str]) -> int:
    """Download what the flags select, and return the exit code."""
    from model_zoo.settings import load_settings
    from model_zoo.zoo import Zoo

    parser = _parser()
    args = parser.parse_args(argv)
    zoo = Zoo(settings=load_settings(cache=args.cache_dir, attempts=args.num_attempts))
    _, entries = parser.select(args, zoo)
    precisions = parse_precisions(args.precisions)

    def download(model: Model, out: Output) -> bool:
        return Download(zoo, precisions, args.output_dir, args.cache_dir, out).run(model)

    return process(entries, download, args.jobs, Output(as_json=args.progress_format == "json"))


@dataclass
class Download:
    """Gets one model from its sources through the cache into the output directory."""

    zoo: Zoo
    precisions: Sequence[str]
    output: Path
    cache: Path | None
    out: Output

    def run(self, model: Model) -> bool:
        """Download one model; return whether all of its files are there. Errors are printed."""
        out = self.out
        out.group(f"Downloading {model.name}")
        unsupported = [p for p in self.precisions if p not in model.precisions]
        if len(unsupported) == len(self.precisions):
            listed = ", ".join(f"'{precision}'" for precision in sorted(unsupported))
            what = f"model is unsupported in {{{listed}}} precisions"
            out.section(f"Skipping {model.name} ({what})\n")
            return True
        out.event("model_download_begin", model=model.name, num_files=len(model.artifacts))
        try:
            good = self._fetch(self._without_other_precisions(model))
        except ModelZooError as error:
            out.error(str(error))
            good = False
        if not good:
            out.event("model_download_end", model=model.name, successful=False)
        return good

    def _without_other_precisions(self, model: Model) -> Model:
        """Return the model with only the files that the requested precisions need."""
        others = set(PRECISIONS) - set(self.precisions)
        dropped = {artifact.path for artifact in model.artifacts if _precision_of(artifact.path) in others}
        if not dropped:
            return model
        artifacts = tuple(artifact for artifact in model.artifacts if artifact.path not in dropped)
        edits = tuple(edit for edit in model.replace if edit.file not in dropped)
        return msgspec.structs.replace(model, artifacts=artifacts, replace=edits)

    def _fetch(self, model: Model) -> bool:
        from model_zoo.zoo import Request

        out = self.out
        directory = self.output / subdirectory(model)
        request = Request(model, adopt_from=(directory, *([self.cache] if self.cache else [])))
        files = FileEvents(model, self.output, self.zoo.cache, out)
        fetched = self.zoo.fetch_all([request], files)[0]
        if not files.finish(fetched.error):
            return False
        out.event("model_download_end", model=model.name, successful=True)
        archives = [artifact.path for artifact in model.artifacts if artifact.unpack is not None]
        if archives or model.replace:
            out.event("model_postprocessing_begin", model=model.name)
        for path in archives:
            out.section(f"Unpacking {directory / path}")
        for edit in model.replace:
            out.section(f"Replacing text in {directory / edit.file}")
        remaining = {path: file for path, file in fetched.unwrap().files.items() if path not in files.copied}
        copy_out(remaining, self.output, subdirectory(model))
        if archives or model.replace:
            out.event("model_postprocessing_end", model=model.name)
            out.line()
        return True


def _precision_of(path: str) -> str | None:
    """Return the precision of ``PRECISION/FILE``, or None: other files belong to every precision."""
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) == 2 and parts[0] in PRECISIONS else None  # noqa: PLR2004
