"""Which models a command line names, and what became of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.output import print_json
from model_zoo.errors import ModelZooError, UsageError
from model_zoo.outcome import Outcome
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from model_zoo.cli.session import Session
    from model_zoo.export.contents import Contents, With
    from model_zoo.schema import ConvertedModel, FetchedModel, Model
    from model_zoo.zoo import Request

Selected = tuple[str, "Outcome[Request]"]
"""One model of a command line: the name it was given, and its request or why there is none."""


def parse_precisions(text: str | None) -> list[str | None]:
    """Read ``--precision P,…``; ``[None]`` leaves the choice to the references."""
    return list(filter(None, text.split(","))) if text else [None]


def select(
    session: Session,
    references: Sequence[str],
    *,
    everything: bool,
    precisions: Sequence[str | None] = (None,),
) -> list[Selected]:
    """Return the models a command line names, in order, without duplicates, composites as their stages."""
    if everything == bool(references):
        both = "give either model names or --all, not both"
        what = both if everything else "name at least one model, or use --all"
        raise UsageError(what, hint="run 'model-zoo list' to see the names")
    names = session.zoo.catalog.names() if everything else references
    selected: dict[tuple[str, str | None], Selected] = {}
    for precision in precisions:
        for name in names:
            try:
                for request in session.zoo.planner.expand([name], precision):
                    selected[request.model.name, request.precision] = request.model.name, Outcome(request)
            except ModelZooError as error:
                selected[name, f"refused {precision}"] = name, Outcome(error=error)
    return list(selected.values())


def without_unconvertible(session: Session, selected: Sequence[Selected]) -> list[Selected]:
    """Leave out the models that the catalog says cannot be converted: nobody named them."""
    kept = [(name, one) for name, one in selected if one.result is None or one.result.model.convertible]
    skipped = sorted({name for name, _ in selected} - {name for name, _ in kept})
    if skipped:
        session.note(f"skipping {counted(len(skipped), 'inconvertible model')}: {', '.join(skipped)}")
    return kept


def process(
    session: Session,
    selected: Sequence[Selected],
    work: Callable[[list[Request]], Sequence[Outcome[FetchedModel] | Outcome[ConvertedModel]]],
    describe: Callable[[Any], str],
) -> None:
    """Do the work for everything that was selected, print a line per result, and exit with the first failure.

    ``work`` fetches or converts all requests and returns one outcome each, in order; ``describe`` returns the
    line to print for a result, and may raise a ModelZooError.
    """
    done = iter(work([one.result for _, one in selected if one.result is not None]))
    session.close_progress()
    session.zoo.catalog.save()  # the next run then finds these entries without reading YAML
    errors: list[tuple[str, ModelZooError]] = []
    rows: list[dict[str, object]] = []
    for name, one in selected:
        row: dict[str, object] = {"name": name, "precision": None, "path": None, "error": None}
        try:
            request = one.unwrap()
            result = next(done).unwrap()
            path = describe(result)
            row |= {"precision": getattr(result, "precision", request.precision), "path": path}
            if not session.as_json:
                click.echo(path)
        except ModelZooError as error:
            errors.append((name, error))
            facts = {"class": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
            row["error"] = facts
        rows.append(row)
    if session.as_json:
        print_json(rows)
    session.finish(errors, len(selected))


def gather_contents(
    session: Session,
    what: With,
    references: Sequence[str],
    *,
    everything: bool,
    precisions: str | None,
    jobs: int | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> tuple[list[Request], Contents]:
    """Make available what ``selecting_options`` name, all of it before anything is written, or exit."""
    from model_zoo.export.contents import gather
    from model_zoo.zoo import Conversion

    session.override(jobs=jobs)
    selected = select(session, references, everything=everything, precisions=parse_precisions(precisions))
    if everything and what != "files":
        selected = without_unconvertible(session, selected)
    refused = [(name, one.error) for name, one in selected if one.error is not None]
    session.finish(refused, len(selected))
    requests = [one.unwrap() for _, one in selected]
    contents = gather(session.zoo, requests, what, Conversion(**how), session.report, session.settings.jobs)
    session.finish(contents.errors, len(requests))
    _note_terms(session, [request.model for request in requests])
    return requests, contents


def _note_terms(session: Session, models: Iterable[Model]) -> None:
    """Say under which licences the models are that are passed on, and what some of them ask for."""
    named: dict[str, list[str]] = {}
    for model in sorted({model.name: model for model in models}.values(), key=lambda model: model.name):
        terms = model.license.spdx or f"unknown licence ({model.license})"
        named.setdefault(terms, []).append(model.name)
        if model.notice:
            session.note(f"{model.name}: {model.notice}")
    session.note(
        "passing on " + "; ".join(f"{', '.join(names)} under {terms}" for terms, names in named.items())
    )


def names_of(requests: Iterable[Request]) -> list[str]:
    """Return the models' names, as ``--json`` lists them."""
    return [request.model.name for request in requests]


def resolve_cached(session: Session, references: Iterable[str]) -> list[tuple[str, str | None]]:
    """Return the models and precisions that references mean, in the catalogs or in the cache alone."""
    from model_zoo.catalog import parse_reference

    found: list[tuple[str, str | None]] = []
    for text in references:
        try:
            found += [
                (request.model.name, request.precision) for request in session.zoo.planner.expand([text])
            ]
        except UsageError:
            parsed = parse_reference(text)
            if parsed.precision not in cached_models(session).get(str(parsed.name), set()):
                raise
            found.append((str(parsed.name), parsed.precision))
    return list(dict.fromkeys(found))


def cached_models(session: Session) -> dict[str, set[str | None]]:
    """Return what the writable layer holds or pins: model → its precisions, and None for all of it."""
    from model_zoo.cache.care.pins import pins
    from model_zoo.cache.care.usage import Usage

    top = session.zoo.cache.top
    if top is None:
        return {}
    known: dict[str, set[str | None]] = {
        entry.name: {None, *(row.precision for row in entry.irs.values())}
        for entry in Usage(top, writable=False).by_model()
    }
    for model, precisions in pins(top).items():
        known.setdefault(model, set()).update(precisions or (), (None,))
    return known
