"""``fetch``, ``convert``, ``path``, ``why``: the stages of the pipeline, one command each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.errors import CacheMissError, ModelZooError, UsageError

if TYPE_CHECKING:
    from model_zoo.cli.frame import Run
    from model_zoo.zoo import Request

F = Any


def fetching_options(command: F) -> F:
    """Add what every command that may fetch accepts."""
    return click.option(
        "--require-pinned", is_flag=True, help="Refuse files whose content no full digest fixes."
    )(command)


def converting_options(command: F) -> F:
    """Add what every command that may convert accepts."""
    command = click.option("--trust-code", is_flag=True, help="Let recipes run Python code of their own.")(
        command
    )
    command = click.option("--python", metavar="PY", help="Convert with this Python interpreter.")(command)
    command = click.option(
        "--calibrate",
        "calibration",
        metavar="DATA",
        help="Images, .npy or .npz to quantise with, or 'random'.",
    )(command)
    return fetching_options(command)


def chosen(
    run: Run, references: tuple[str, ...], *, everything: bool, precisions: list[str | None]
) -> list[Request]:
    """Return the requests a command line names; composites stand for their stages.

    Raises:
        UsageError: nothing, or both names and ``--all``, were given, or a name is unknown.
    """
    if everything == bool(references):
        what = (
            "name at least one model, or --all for every one"
            if not everything
            else "give names or --all, not both"
        )
        raise UsageError(what, hint="run 'model-zoo list' for the names")
    names = run.zoo.catalog.names() if everything else references
    found: dict[tuple[str, str | None], Request] = {}
    for precision in precisions:
        for request in run.zoo.expand(names, precision):
            found[request.model.name, request.precision] = request
    return list(found.values())


@click.command("fetch")
@click.argument("references", nargs=-1, metavar="REF…")
@click.option("--all", "everything", is_flag=True, help="Every model of the catalogs.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Transfers at once (default 8).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Also copy the files to DIR/NAME."
)
@fetching_options
@click.pass_obj
def fetch_command(
    run: Run,
    references: tuple[str, ...],
    *,
    everything: bool,
    jobs: int | None,
    output: Path | None,
    require_pinned: bool,
) -> None:
    """Get models' files into the cache, checked, and print the folder of each.

    NAME@PRECISION fetches the files of one precision where a model has ready-made ones.
    """
    run.require_pinned = require_pinned
    set_jobs(run, jobs)
    requests = chosen(run, references, everything=everything, precisions=[None])
    results = run.zoo.fetching.fetch_all(requests, run.report)
    run.close()
    errors: list[tuple[str, ModelZooError]] = []
    for done in results:
        name = done.request.model.name
        if done.result is None:
            errors.append((name, _error(done.error)))
            continue
        click.echo(_copied(done.result.directory, done.result.files, output, name, errors))
    run.finish(errors, len(results))


def set_jobs(run: Run, jobs: int | None) -> None:
    """Let ``-j`` override the settings."""
    if jobs is not None:
        import msgspec

        run.settings = msgspec.structs.replace(run.settings, jobs=jobs)


def _error(error: ModelZooError | None) -> ModelZooError:
    assert error is not None  # noqa: S101 - there is an error where there is no result
    return error


def _copied(
    directory: Path,
    files: dict[str, Path],
    output: Path | None,
    name: str,
    errors: list[tuple[str, ModelZooError]],
) -> str:
    """Copy a model's files out of the cache, if that was asked for, and return what to print."""
    if output is None:
        return str(directory)
    from model_zoo.handoff.views import copy_out

    try:
        return str(copy_out(files, output / name))
    except ModelZooError as error:
        errors.append((name, error))
        return str(directory)


@click.command("convert")
@click.argument("references", nargs=-1, metavar="REF…")
@click.option("--all", "everything", is_flag=True, help="Every model of the catalogs.")
@click.option(
    "--precision", "precisions", metavar="P,…", help="Precisions to make (default: each model's first)."
)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Conversions at once.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also copy to DIR/NAME/PRECISION/NAME.xml.",
)
@converting_options
@click.pass_obj
def convert_command(
    run: Run,
    /,
    references: tuple[str, ...],
    *,
    everything: bool,
    precisions: str | None,
    jobs: int | None,
    output: Path | None,
    require_pinned: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Make models' IRs available in the cache and print the .xml path of each."""
    from model_zoo.zoo import Conversion

    run.require_pinned = require_pinned
    set_jobs(run, jobs)
    wishes: list[str | None] = list(filter(None, precisions.split(","))) if precisions else [None]
    requests = chosen(run, references, everything=everything, precisions=wishes)
    results = run.zoo.convert_all(requests, Conversion(**how), report=run.report)
    run.close()
    errors: list[tuple[str, ModelZooError]] = []
    for done in results:
        name = done.request.model.name
        if done.result is None:
            errors.append((name, _error(done.error)))
            continue
        xml = done.result.xml
        if output is not None:
            files = {f"{name}.xml": xml, f"{name}.bin": done.result.bin}
            folder = _copied(xml.parent, files, output, f"{name}/{done.result.precision}", errors)
            xml = Path(folder) / (f"{name}.xml" if folder != str(xml.parent) else xml.name)
        click.echo(str(xml))
    run.finish(errors, len(results))


@click.command("path")
@click.argument("reference", metavar="REF")
@click.pass_obj
def path_command(run: Run, reference: str) -> None:
    """Print the .xml path of a cached IR, or exit 6; never uses the network, never converts."""
    request = run.zoo.request(reference)
    if request.model.stages:
        what = f"{request.model.name} is made of several models"
        raise UsageError(what, hint=f"name one of its stages: {', '.join(request.model.stages)}")
    found = run.zoo.converting.find(request, any_version=True)
    if found is None:
        what = f"the IR of {reference} is not in the cache"
        raise CacheMissError(what, hint=f"make it with 'model-zoo convert {reference}'")
    click.echo(str(found.xml))


@click.command("why")
@click.argument("reference", metavar="REF")
@click.option("--python", metavar="PY", help="As for convert.")
@click.pass_obj
def why_command(run: Run, reference: str, python: str | None) -> None:
    """Print which parts of the IR key differ between the IR this would make now and the cached ones."""
    from model_zoo.zoo import Conversion

    request = run.zoo.request(reference)
    for line in run.zoo.converting.why(request, Conversion(python=python)):
        click.echo(line)
