"""``fetch``: models' files into the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import (
    all_option,
    fetching_options,
    json_option,
    output_option,
    references_argument,
)
from model_zoo.cli.selection import process, select

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.cli.session import Session
    from model_zoo.schema import FetchedModel


@click.command("fetch")
@references_argument
@all_option
@click.option("-j", "--jobs", type=click.IntRange(1), help="Number of parallel downloads (default: 8).")
@output_option("DIR", "Also copy the files to DIR/NAME.")
@fetching_options
@json_option("Print an array with one object per model: name, precision, path, error.")
@click.pass_obj
def fetch_command(
    session: Session,
    references: tuple[str, ...],
    *,
    everything: bool,
    jobs: int | None,
    output: Path | None,
) -> None:
    """Download and verify model files, and print the directory of each model.

    NAME@PRECISION fetches only the files of that precision, where the model comes as ready-made IRs.
    """
    session.override(jobs=jobs)

    def describe(fetched: FetchedModel) -> str:
        if output is None:
            return str(fetched.directory)
        from model_zoo.export.views import copy_out

        return str(copy_out(fetched.files, output, fetched.model.name))

    zoo, report = session.zoo, session.report
    selected = select(session, references, everything=everything)
    process(session, selected, lambda requests: zoo.fetch_all(requests, report), describe)
