"""``fetch``, ``convert``, ``path``, ``why``: the stages of the pipeline, one command each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.output import print_json
from model_zoo.errors import CacheMissError, ModelZooError, OfflineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.cli.main import Run
    from model_zoo.outcome import Outcome
    from model_zoo.schema import ConvertedModel, FetchedModel
    from model_zoo.zoo import Request

F = Any


def fetching_options(command: F) -> F:
    """Add what every command that may fetch accepts."""
    command = click.option(
        "--locked",
        type=click.Path(path_type=Path),
        metavar="LOCK",
        expose_value=False,
        callback=_take_lock,
        help="Refuse whatever is not as this lock file says (see 'lock').",
    )(command)
    return click.option(
        "--require-pinned", is_flag=True, help="Refuse files whose content no full digest fixes."
    )(command)


def _take_lock(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    context.obj.locked = value


def isolate_option(command: F) -> F:
    """Add ``--isolate``; not given, the settings say."""
    return click.option(
        "--isolate/--no-isolate",
        default=None,
        help="Convert in an environment built once for the framework's packages (MODEL_ZOO_ISOLATE).",
    )(command)


def converting_options(command: F) -> F:
    """Add what every command that may convert accepts."""
    command = click.option("--trust-code", is_flag=True, help="Let recipes run Python code of their own.")(
        command
    )
    command = click.option("--python", metavar="PY", help="Convert with this Python interpreter.")(command)
    command = isolate_option(command)
    command = click.option(
        "--calibrate",
        "calibration",
        metavar="DATA",
        help="Images, .npy or .npz to quantise with, or 'random'.",
    )(command)
    return fetching_options(command)


Slot = tuple[str, "Request | ModelZooError"]
"""One model of a command line, by the name it was given: what to do, or why that cannot be told."""


def chosen(
    run: Run, references: tuple[str, ...], *, everything: bool, precisions: list[str | None]
) -> list[Slot]:
    """Return what a command line names, in its order, without doubles; composites stand for their stages.

    Raises:
        UsageError: nothing, or both names and ``--all``, were given.
    """
    if everything == bool(references):
        wrong = "give names or --all, not both" if everything else "name at least one model, or --all for all"
        raise UsageError(wrong, hint="run 'model-zoo list' for the names")
    names = run.zoo.catalog.names() if everything else references
    slots: dict[tuple[str, str | None], Slot] = {}
    for precision in precisions:
        for name in names:
            try:
                for request in run.zoo.expand([name], precision):
                    slots[request.model.name, request.precision] = (request.model.name, request)
            except ModelZooError as error:
                slots[name, f"refused {precision}"] = (name, error)
    return list(slots.values())


def carry_out(
    run: Run,
    slots: list[Slot],
    work: Callable[[list[Request]], Sequence[Outcome[FetchedModel] | Outcome[ConvertedModel]]],
    show: Callable[[Any], str],
) -> None:
    """Do the work for all that can be done, print a line for each result, and end with the first failure.

    Args:
        run: the run.
        slots: what the command line names.
        work: fetches or converts all requests; one outcome each, in order.
        show: returns the line to print for a result; may raise a ModelZooError.
    """
    done = iter(work([request for _, request in slots if not isinstance(request, ModelZooError)]))
    run.close()
    run.zoo.catalog.save()  # the next run then finds these entries without reading YAML
    errors: list[tuple[str, ModelZooError]] = []
    rows: list[dict[str, Any]] = []
    for name, slot in slots:
        row: dict[str, Any] = {"name": name, "precision": None, "path": None, "error": None}
        try:
            if isinstance(slot, ModelZooError):
                raise slot
            result = next(done).unwrap()
            path = show(result)
            row |= {"precision": getattr(result, "precision", slot.precision), "path": path}
            if not run.as_json:
                click.echo(path)
        except ModelZooError as error:
            errors.append((name, error))
            row["error"] = {
                "class": type(error).__name__,
                "exit_code": error.exit_code,
                "message": str(error),
            }
        rows.append(row)
    if run.as_json:
        print_json(rows)
    run.finish(errors, len(slots))


def json_option(text: str) -> Callable[[F], F]:
    """Add ``--json``, which sets ``run.as_json``; ``text`` says what is printed then."""

    def take(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
        context.obj.as_json = value

    return click.option("--json", "as_json", is_flag=True, expose_value=False, callback=take, help=text)


def put_result(run: Run, text: str, **fields: object) -> None:
    """Print the one result of a command: its text, or with ``--json`` an object of the fields."""
    run.close()
    if run.as_json:
        print_json(fields)
    else:
        click.echo(text)


rows_option = json_option("One array with an object for each model: name, precision, path, error.")


@click.command("fetch")
@click.argument("references", nargs=-1, metavar="REF…")
@click.option("--all", "everything", is_flag=True, help="Every model of the catalogs.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Transfers at once (default 8).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Also copy the files to DIR/NAME."
)
@fetching_options
@rows_option
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

    def show(fetched: FetchedModel) -> str:
        return str(_copied(fetched.files, output / fetched.model.name) if output else fetched.directory)

    slots = chosen(run, references, everything=everything, precisions=[None])
    carry_out(run, slots, lambda requests: run.zoo.fetch_all(requests, run.report), show)


def set_jobs(run: Run, jobs: int | None) -> None:
    """Let ``-j`` override the settings."""
    if jobs is not None:
        import msgspec

        run.settings = msgspec.structs.replace(run.settings, jobs=jobs)


def convertible(run: Run, slots: list[Slot]) -> list[Slot]:
    """Leave out what the catalog says cannot be converted: nobody asked for it by name."""
    kept = [(name, slot) for name, slot in slots if isinstance(slot, ModelZooError) or slot.model.convertible]
    left = sorted({name for name, _ in slots} - {name for name, _ in kept})
    if left:
        run.remark(f"{len(left)} models cannot be converted and are left out: {', '.join(left)}")
    return kept


def _copied(files: dict[str, Path], target: Path) -> Path:
    from model_zoo.export.views import copy_out

    return copy_out(files, target)


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
@click.option("--dask", metavar="ADDRESS", help="Convert on the workers of this Dask scheduler.")
@click.option("--check-reproducible", "again", is_flag=True, help="Convert twice and compare the bytes.")
@converting_options
@rows_option
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
    dask: str | None,
    again: bool,
    require_pinned: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Make models' IRs available in the cache and print the .xml path (or the folder) of each."""
    from model_zoo.zoo import Conversion

    run.require_pinned = require_pinned
    set_jobs(run, jobs)
    wishes: list[str | None] = list(filter(None, precisions.split(","))) if precisions else [None]

    def show(converted: ConvertedModel) -> str:
        if again:
            run.zoo.pipeline().check_reproducible(converted, Conversion(**how))
        if output is None:
            return str(converted.path)
        name = converted.model.name
        target = output / name / converted.precision
        if converted.is_folder:
            return str(_copied(converted.files, target))
        files = {f"{name}.xml": converted.xml, f"{name}.bin": converted.bin}
        return str(_copied(files, target) / f"{name}.xml")

    slots = chosen(run, references, everything=everything, precisions=wishes)
    if everything:
        slots = convertible(run, slots)

    def work(requests: list[Request]) -> Sequence[Outcome[ConvertedModel]]:
        if dask is None:
            return run.zoo.convert_all(requests, Conversion(**how), report=run.report)
        from model_zoo.zoo.cluster import convert_on_cluster

        return convert_on_cluster(run.zoo, requests, Conversion(**how), dask, run.report)

    carry_out(run, slots, work, show)


@click.command("path")
@click.argument("reference", metavar="REF")
@json_option("One object: name, precision, path, key.")
@click.pass_obj
def path_command(run: Run, reference: str) -> None:
    """Print the path of a cached IR, or exit 6; never uses the network, never converts."""
    import msgspec

    run.settings = msgspec.structs.replace(run.settings, offline=True)
    missing = f"make it with 'model-zoo convert {reference}'"
    try:
        request = run.zoo.request(reference)
    except OfflineError as error:
        raise CacheMissError(f"the IR of {reference} is not in the cache", hint=missing) from error
    if request.model.stages:
        what = f"{request.model.name} is made of several models"
        raise UsageError(what, hint=f"name one of its stages: {', '.join(request.model.stages)}")
    found = run.zoo.planner.substitute(run.zoo.plan(request))
    if found is None:
        model = request.model
        if not model.convertible:
            missing = f"none can be made: {model.reason}"
        elif others := run.zoo.planner.cached_precisions(request):
            missing += f"; in the cache there is {' or '.join(f'{model.name}@{one}' for one in others)}"
        raise CacheMissError(f"the IR of {reference} is not in the cache", hint=missing)
    name, precision = request.model.name, found.precision
    put_result(run, str(found.path), name=name, precision=precision, path=str(found.path), key=found.key)


@click.command("why")
@click.argument("reference", metavar="REF")
@click.option("--python", metavar="PY", help="As for convert.")
@isolate_option
@click.option("--json", "as_json", is_flag=True, help="One array of lines.")
@click.pass_obj
def why_command(run: Run, reference: str, python: str | None, *, isolate: bool | None, as_json: bool) -> None:
    """Print which parts of the IR key differ between the IR this would make now and the cached ones."""
    from model_zoo.zoo import Conversion

    request = run.zoo.request(reference)
    lines = run.zoo.planner.why(request, Conversion(python=python, isolate=isolate))
    if as_json:
        print_json(lines)
        return
    for line in lines:
        click.echo(line)
