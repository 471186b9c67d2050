"""``omz_downloader``: models' files, in Open Model Zoo's layout."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from model_zoo.errors import ModelZooError
from model_zoo.omz.arguments import FAILED, HelpfulParser, add_selection, choose, leave, positive
from model_zoo.omz.files import FileEvents, put
from model_zoo.omz.output import Output, in_parallel
from model_zoo.omz.selection import (
    PRECISIONS,
    Entry,
    Shelf,
    precisions_of,
    requested,
    show_set,
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
    leave(download, argv)


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
    """Download what the flags name and return the exit code."""
    parser = _parser()
    wishes = parser.parse_args(argv)
    zoo = _zoo(wishes)
    entries = choose(parser, wishes, Shelf(zoo, wishes.models_root))
    precisions = requested(wishes.precisions)
    out = Output(as_json=wishes.progress_format == "json")

    def one(entry: Entry, to: Output) -> bool:
        task = Download(zoo, precisions, wishes.output_dir, wishes.cache_dir, to)
        good = [task.run(model) for model in entry.parts]  # every stage, whatever became of the others
        return all(good)

    done = in_parallel(wishes.jobs, one, entries, out)
    failed = [entry.model.name for entry, good in zip(entries, done, strict=True) if not good]
    if failed:
        out.line("\n".join(["FAILED:", *failed]))
        return FAILED
    return 0


def _zoo(wishes: argparse.Namespace) -> Zoo:
    from model_zoo.settings import load_settings
    from model_zoo.zoo import Zoo

    return Zoo(settings=load_settings(cache=wishes.cache_dir, attempts=wishes.num_attempts))


class Download:
    """How one model gets from its sources through the cache into the output folder."""

    def __init__(
        self, zoo: Zoo, precisions: Sequence[str], output: Path, cache: Path | None, out: Output
    ) -> None:
        self._zoo = zoo
        self._precisions = precisions
        self._output = output
        self._cache = cache
        self._out = out

    def run(self, model: Model) -> bool:
        """Download one model; what goes wrong is printed.

        Returns:
            Whether all its files are there.
        """
        out = self._out
        out.group(f"Downloading {model.name}")
        offered = precisions_of(model)
        if not set(self._precisions) & set(offered):
            unsupported = show_set([one for one in self._precisions if one not in offered])
            out.section(f"Skipping {model.name} (model is unsupported in {unsupported} precisions)")
            out.line()
            return True
        out.event("model_download_begin", model=model.name, num_files=len(model.artifacts))
        try:
            good = self._fetch(self._without_others(model))
        except ModelZooError as error:
            out.error(str(error))
            good = False
        if not good:
            out.event("model_download_end", model=model.name, successful=False)
        return good

    def _without_others(self, model: Model) -> Model:
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
        folder = self._output / subdirectory(model)
        places = (folder, *([self._cache] if self._cache else []))
        request = Request(model, adopt_from=places)
        files = FileEvents(model, folder, self._zoo, out)
        fetched = self._zoo.fetch_all([request], files)[0]
        if not files.finish(fetched.error):
            return False
        out.event("model_download_end", model=model.name, successful=True)
        archives = [artifact.path for artifact in model.artifacts if artifact.unpack is not None]
        if archives or model.replace:
            out.event("model_postprocessing_begin", model=model.name)
        for path in archives:
            out.section(f"Unpacking {folder / path}")
        for edit in model.replace:
            out.section(f"Replacing text in {folder / edit.file}")
        if fetched.result is not None:
            for entry in fetched.result.manifest.files:
                if entry.path not in files.copied:
                    put(entry.path, fetched.result.files[entry.path], entry.sha256, folder)
        if archives or model.replace:
            out.event("model_postprocessing_end", model=model.name)
            out.line()
        return True


def _precision_of(path: str) -> str | None:
    """Return the precision of ``PRECISION/FILE``; other files belong to every precision."""
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) == 2 and parts[0] in PRECISIONS else None  # noqa: PLR2004
