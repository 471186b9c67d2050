"""``list``: the models of the catalogs."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import click

from model_zoo.cli.options import json_option
from model_zoo.cli.output import print_table
from model_zoo.errors import UsageError
from model_zoo.schema import TASKS, canonical_task, task_matches, task_spellings
from model_zoo.text import human_size, near_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model_zoo.cli.session import Session
    from model_zoo.schema import Model


F = TypeVar("F", bound="Callable[..., Any]")


def _values_of(model: Model, field: str) -> set[str]:
    """Return a model's values of a filter."""
    if field == "source":
        return {source.kind for artifact in model.artifacts for source in artifact.sources}
    if field == "needs":
        from model_zoo.conversion.stacks import needed

        return set(needed(model))
    if field == "license":
        return {model.license.spdx or "unknown"}
    value = getattr(model, field)
    return {str(value)} if value else set()


def _known_values(session: Session, field: str) -> Counter[str]:
    """Return the values of a filter that some model in the catalogs has, and how many have each."""
    return Counter(value for model in session.zoo.catalog for value in _values_of(model, field))


def _filter_option(field: str, metavar: str, text: str) -> Callable[[F], F]:
    """Return the option of a filter, which completes the values that models have."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        return [value for value in sorted(_known_values(context.obj, field)) if value.startswith(incomplete)]

    return click.option(f"--{field}", metavar=metavar, help=text, shell_complete=complete)


@click.command("list")
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@_filter_option("task", "TASK", "Only models for this task or one below it, in any spelling.")
@_filter_option("framework", "FRAMEWORK", "Only models of this framework.")
@_filter_option("source", "KIND", "Only models with a source of this kind, such as wheel, url or hf.")
@_filter_option(
    "license", "EXPR", "Only models that these SPDX licences allow: 'MIT OR Apache-2.0', 'BSD-*', unknown."
)
@_filter_option("needs", "WHAT", "Only models whose conversion needs this: torch, trust-code, nothing, …")
@click.option("--cached", is_flag=True, help="Only models that are in the cache.")
@click.option(
    "--families", is_flag=True, help="Print a table with one row per family: its variants, task and licence."
)
@click.option("--tasks", is_flag=True, help="Print the tasks instead, with the number of models for each.")
@click.option("-l", "--long", is_flag=True, help="Print a table: name, task, framework, size, cached or not.")
@json_option("Print an array with one object per model.")
@click.pass_obj
def list_command(
    session: Session,
    /,
    patterns: tuple[str, ...],
    *,
    long: bool,
    cached: bool,
    tasks: bool,
    families: bool,
    **filters: str | None,
) -> None:
    """Print the names of the models that match every filter, one per line.

    A PATTERN is a shell wildcard on the name, or a word that begins somewhere in the name, task (also asr,
    tts, ocr, embeddings, …), licence, framework or kind of source. In quotes, several words must all match.
    """
    zoo = session.zoo
    if session.as_json or long or cached or tasks or families or patterns or any(filters.values()):
        models = zoo.list_models(*patterns, cached=True if cached else None, **filters)
        names = [model.name for model in models]
        if not names:
            _check_filters(session, filters)
    else:
        names = zoo.catalog.names()
    if not names and not cached:
        _explain_no_match(session, patterns, filters)
    if tasks or families:
        (_print_tasks if tasks else _print_families)(session, models)
        return
    if not (session.as_json or long):
        click.echo("".join(f"{name}\n" for name in names), nl=False)
        return
    from model_zoo.zoo.info import summary

    rows = [summary(zoo, model) for model in models]
    head = ("NAME", "TASK", "FRAMEWORK", "SIZE", "CACHED")
    session.print_result(lambda: print_table([_cells(row) for row in rows], head), rows)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cached = "yes" if row["cached"] else "no"
    return [row["name"], row["task"], row["framework"] or "composite", human_size(row["size"]), cached]


def _print_tasks(session: Session, models: Sequence[Model]) -> None:
    """Print the tasks of the models in the order of the taxonomy; a parent counts what is below it."""
    counts = Counter(model.task for model in models)
    names = dict.fromkeys([*TASKS, *sorted(counts)])
    totals = {name: sum(n for task, n in counts.items() if task_matches(task, name)) for name in names}
    rows = [
        (name, total, TASKS[name].does if name in TASKS else "") for name, total in totals.items() if total
    ]
    session.print_result(
        lambda: print_table([[name, str(n), finds] for name, n, finds in rows], ("TASK", "MODELS", "FINDS")),
        [{"task": name, "models": total, "finds": finds} for name, total, finds in rows],
    )


def _print_families(session: Session, models: Sequence[Model]) -> None:
    """Print one row per family of models: what differs in the names of its variants."""
    from model_zoo.catalog.search import family_of

    families: dict[str, list[Model]] = {}
    for model in models:
        families.setdefault(family_of(model), []).append(model)
    rows = [
        {
            "family": name,
            "variants": [model.name for model in those],
            "task": those[0].task,
            "licenses": sorted({str(model.license) for model in those}),
        }
        for name, those in families.items()
    ]
    head = ("FAMILY", "VARIANTS", "TASK", "LICENCE")
    session.print_result(lambda: print_table([_family_cells(row) for row in rows], head), rows)


def _family_cells(row: Mapping[str, Any]) -> list[str]:
    variants = [name.removeprefix(row["family"]).strip("-_") or name for name in row["variants"]]
    several = ", ".join(variants) if len(variants) > 1 else ""
    return [
        row["family"] if several else row["variants"][0],
        several,
        row["task"],
        ", ".join(row["licenses"]),
    ]


def _check_filters(session: Session, filters: Mapping[str, str | None]) -> None:
    """Refuse a filter value that no model can have.

    Raises:
        UsageError: names similar values.
    """
    from model_zoo.catalog.search import license_satisfies

    for field, value in filters.items():
        if value is None or value in _possible_values(field):
            continue
        known = _known_values(session, field)
        if value in known or (field == "task" and canonical_task(value) in TASKS):
            continue
        if field == "license" and any(
            license_satisfies(one, re.split(r"\s+OR\s+|,", value)) for one in known
        ):
            continue
        near = near_names(value, {*known, *(task_spellings() if field == "task" else ())})
        near = [*dict.fromkeys(map(canonical_task, near))] if field == "task" else near
        choice = ", ".join(f"{one} ({count})" for one, count in sorted(known.items()))
        hint = f"did you mean: {', '.join(near)}" if near else f"choose from: {choice}"
        raise UsageError(f"unknown {field} {value!r}", hint=hint)


def _possible_values(field: str) -> set[str]:
    """Return the values of a filter that a model could have, though none may have them now."""
    from typing import get_args

    from model_zoo.schema import Framework
    from model_zoo.sources import known_names

    return {"framework": set(get_args(Framework)), "source": set(known_names())}.get(field, set())


def _explain_no_match(session: Session, patterns: tuple[str, ...], filters: Mapping[str, str | None]) -> None:
    """Say on stderr why no model is printed, and which names are similar."""
    given = " and ".join(f"the {field} {value!r}" for field, value in filters.items() if value)
    if given:
        session.note(f"no model{' with such a name' if patterns else ''} has {given}")
    elif patterns:
        names = session.zoo.catalog.names()
        words = {word for name in names for word in (name, *re.split(r"[-_.]", name))}
        near = [word for pattern in patterns for word in near_names(pattern, words)]
        suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
        session.note(f"no name matches {' '.join(patterns)}{suggestion}")
