"""``convert``: models' IRs into the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import json_option, output_option, selecting_options
from model_zoo.cli.selection import parse_precisions, process, select, without_unconvertible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_zoo.cli.session import Session
    from model_zoo.outcome import Outcome
    from model_zoo.schema import ConvertedModel
    from model_zoo.zoo import Request


@click.command("convert")
@selecting_options
@output_option("DIR", "Also copy each IR to DIR/NAME/PRECISION/NAME.xml.")
@click.option("--dask", metavar="ADDRESS", help="Convert on the workers of this Dask scheduler.")
@click.option("--check-reproducible", is_flag=True, help="Convert twice and compare the bytes.")
@json_option("Print an array with one object per model: name, precision, path, error.")
@click.pass_obj
def convert_command(
    session: Session,
    /,
    references: tuple[str, ...],
    *,
    everything: bool,
    precisions: str | None,
    jobs: int | None,
    output: Path | None,
    dask: str | None,
    check_reproducible: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Convert models to OpenVINO IR, and print the .xml path of each (the directory, for a folder model)."""
    from model_zoo.zoo import Conversion

    session.override(jobs=jobs)
    conversion = Conversion(**how)

    def work(requests: list[Request]) -> Sequence[Outcome[ConvertedModel]]:
        if dask is None:
            return session.zoo.convert_all(requests, conversion, report=session.report)
        from model_zoo.zoo.cluster import convert_on_cluster

        return convert_on_cluster(session.zoo, requests, conversion, dask, session.report)

    def describe(converted: ConvertedModel) -> str:
        if check_reproducible:
            session.zoo.pipeline().check_reproducible(converted, conversion)
        return str(converted.path if output is None else _copy(converted, output))

    selected = select(session, references, everything=everything, precisions=parse_precisions(precisions))
    if everything:
        selected = without_unconvertible(session, selected)
    process(session, selected, work, describe)


def _copy(converted: ConvertedModel, output: Path) -> Path:
    """Copy an IR below the output directory, and return the path to print."""
    from model_zoo.export.views import copy_out, ir_files

    name = converted.model.name
    directory = copy_out(ir_files(converted, name), output, f"{name}/{converted.precision}")
    return directory if converted.is_folder else directory / f"{name}.xml"
