"""``omz_downloader``: model files in the layout of Open Model Zoo."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from model_zoo.errors import ModelZooError
from model_zoo.omz.arguments import HelpfulParser, add_selection, exit_with, positive, select_entries
from model_zoo.omz.files import FileEvents, copy_if_changed
from model_zoo.omz.output import Output, process
from model_zoo.omz.selection import (
    PRECISIONS,
    OmzCatalog,
    format_set,
    parse_precisions,
    precisions_of,
    subdirectory,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from model_zoo.schema import Model
    from model_zoo.zoo import Zoo


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    exit_with(download, argv)


def _parser() -> argparse.ArgumentParser:
    parser = HelpfulParser(
        prog="omz_downloader",
        description="Download models into Open Model Zoo's layout, through the cache of model-zoo.",
    )
    add_selection(parser, "download")
    parser.add_argument(
        "--precisions",
        metavar="PREC[,PREC...]",
        help=f"download only files of these precisions of ready-made models: {','.join(PRECISIONS)}",
    )
    parser.add_argument(
        "-o",
        "--output_dir",
        type=Path,
        metavar="DIR",
        default=Path.cwd(),
        help="where to save models (default: here)",
    )
    parser.add_argument(
        "--cache_dir", type=Path, metavar="DIR", help="cache of downloaded files (default: MODEL_ZOO_CACHE)"
    )
    parser.add_argument(
        "--num_attempts",
        type=positive,
        metavar="N",
        help="try each place up to N times without progress (default: as in the settings)",
    )
    parser.add_argument(
        "--progress_format", choices=("text", "json"), default="text", help="how to report progress"
    )
    parser.add_argument(
        "-j", "--jobs", type=positive, metavar="N", default=1, help="models to download at once (default: 1)"
    )
    return parser


def download(argv: Sequence[str]) -> int:
    """Download what the flags select, and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    zoo = _zoo(args)
    entries = select_entries(parser, args, OmzCatalog(zoo, args.models_root))
    precisions = parse_precisions(args.precisions)
    out = Output(as_json=args.progress_format == "json")

    def download_model(model: Model, to: Output) -> bool:
        return Download(zoo, precisions, args.output_dir, args.cache_dir, to).run(model)

    return process(entries, download_model, args.jobs, out)


def _zoo(args: argparse.Namespace) -> Zoo:
    from model_zoo.settings import load_settings
    from model_zoo.zoo import Zoo

    return Zoo(settings=load_settings(cache=args.cache_dir, attempts=args.num_attempts))


class Download:
    """Gets one model from its sources through the cache into the output directory."""

    def __init__(
        self, zoo: Zoo, precisions: Sequence[str], output: Path, cache: Path | None, out: Output
    ) -> None:
        self._zoo = zoo
        self._precisions = precisions
        self._output = output
        self._cache = cache
        self._out = out

    def run(self, model: Model) -> bool:
        """Download one model; errors are printed.

        Returns:
            Whether all of its files are there.
        """
        out = self._out
        out.group(f"Downloading {model.name}")
        available = precisions_of(model)
        if not set(self._precisions) & set(available):
            unsupported = format_set([p for p in self._precisions if p not in available])
            out.section(f"Skipping {model.name} (model is unsupported in {unsupported} precisions)")
            out.line()
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
        dropped = {
            artifact.path
            for artifact in model.artifacts
            if (precision := _precision_of(artifact.path)) is not None and precision not in self._precisions
        }
        if not dropped:
            return model
        artifacts = tuple(artifact for artifact in model.artifacts if artifact.path not in dropped)
        edits = tuple(edit for edit in model.replace if edit.file not in dropped)
        return msgspec.structs.replace(model, artifacts=artifacts, replace=edits)

    def _fetch(self, model: Model) -> bool:
        from model_zoo.zoo import Request

        out = self._out
        directory = self._output / subdirectory(model)
        candidates = (directory, *([self._cache] if self._cache else []))
        request = Request(model, adopt_from=candidates)
        files = FileEvents(model, directory, self._zoo, out)
        fetched = self._zoo.fetch_all([request], files)[0]
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
        if fetched.result is not None:
            for entry in fetched.result.manifest.files:
                if entry.path not in files.copied:
                    source = fetched.result.files[entry.path]
                    copy_if_changed(entry.path, source, entry.sha256, directory)
        if archives or model.replace:
            out.event("model_postprocessing_end", model=model.name)
            out.line()
        return True


def _precision_of(path: str) -> str | None:
    """Return the precision of ``PRECISION/FILE``, or None: other files belong to every precision."""
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) == 2 and parts[0] in PRECISIONS else None  # noqa: PLR2004
