"""``path`` and ``why``: where a cached IR is, and why it would be converted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from model_zoo.cli.options import isolate_option, json_option, reference_argument
from model_zoo.errors import CacheMissError, OfflineError

if TYPE_CHECKING:
    from model_zoo.cli.session import Session
    from model_zoo.zoo import Request


@click.command("path")
@reference_argument
@json_option("Print one object: name, precision, path, key.")
@click.pass_obj
def path_command(session: Session, reference: str) -> None:
    """Print the path of a cached IR, or exit with 6; never uses the network, never converts."""
    from model_zoo.zoo.plan import single

    session.override(offline=True)
    try:
        request = single(session.zoo.planner.request(reference))
    except OfflineError as error:
        raise _not_cached(reference, f"run 'model-zoo convert {reference}'") from error
    found = session.zoo.planner.substitute(session.zoo.planner.plan(request))
    if found is None:
        raise _not_cached(reference, _how_to_get(session, reference, request))
    path = str(found.path)
    row = {"name": request.model.name, "precision": found.precision, "path": path, "key": found.key}
    session.print_result(path, row)


def _not_cached(reference: str, hint: str) -> CacheMissError:
    return CacheMissError(f"the IR of {reference} is not in the cache", hint=hint)


def _how_to_get(session: Session, reference: str, request: Request) -> str:
    model = request.model
    if not model.convertible:
        return f"this model cannot be converted: {model.reason}"
    cached = session.zoo.planner.cached_precisions(request)
    others = " or ".join(f"{model.name}@{precision}" for precision in cached)
    return f"run 'model-zoo convert {reference}'" + (f", or use the cached {others}" if others else "")


@click.command("why")
@reference_argument
@click.option("--python", metavar="PY", help="As for convert.")
@isolate_option
@json_option("Print an array of lines.")
@click.pass_obj
def why_command(session: Session, reference: str, python: str | None, *, isolate: bool | None) -> None:
    """Print how the IR key that a conversion would have now differs from those of the cached IRs."""
    from model_zoo.zoo import Conversion

    request = session.zoo.planner.request(reference)
    lines = session.zoo.planner.why(request, Conversion(python=python, isolate=isolate))
    session.print_result("\n".join(lines), lines)
