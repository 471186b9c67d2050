"""``list`` and ``info``: what there is, and everything known about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.output import print_fields, print_json, print_table, print_title
from model_zoo.errors import UsageError
from model_zoo.text import human_size, near_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from model_zoo.cli.main import Run
    from model_zoo.schema import Model


def _values_of(model: Model, what: str) -> set[str | None]:
    """Return a model's values of a filter."""
    if what == "source":
        return {source.kind for artifact in model.artifacts for source in artifact.sources}
    return {getattr(model, what)}


def _complete(what: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem as Item

        del param
        known = {str(value) for model in ctx.obj.zoo.catalog for value in _values_of(model, what) if value}
        return [Item(value) for value in sorted(known) if value.startswith(incomplete)]

    return complete


@click.command("list")
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@click.option("--task", help="Only models for this task.", shell_complete=_complete("task"))
@click.option("--framework", help="Only models of this framework.", shell_complete=_complete("framework"))
@click.option(
    "--source",
    help="Only models with a source of this kind, such as wheel, url or hf.",
    shell_complete=_complete("source"),
)
@click.option("--cached", is_flag=True, help="Only models that are in the cache.")
@click.option("-l", "--long", is_flag=True, help="A table: name, task, framework, size, what is cached.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@click.pass_obj
def list_command(
    run: Run, /, patterns: tuple[str, ...], *, as_json: bool, long: bool, cached: bool, **filters: str | None
) -> None:
    """Print the names of the models that match every filter, one a line.

    A PATTERN is a shell wildcard, or a word that the name contains.
    """
    zoo = run.zoo
    if not (as_json or long or cached or any(filters.values())):
        from model_zoo.catalog import match_names

        names = match_names(zoo.catalog.names(), patterns)
        click.echo("".join(f"{name}\n" for name in names), nl=False)
        if not names:
            _explain_nothing(run, patterns, filters)
        return
    models = zoo.list_models(*patterns, cached=True if cached else None, **filters)
    if not models:
        _check_filters(run, filters)
        if not cached:
            _explain_nothing(run, patterns, filters)
    if as_json or long:
        from model_zoo.zoo.info import summary

        found = [summary(zoo, model) for model in models]
        if as_json:
            print_json(found)
        else:
            print_table([_row_of(one) for one in found], ("NAME", "TASK", "FRAMEWORK", "SIZE", "CACHED"))
        return
    click.echo("".join(f"{model.name}\n" for model in models), nl=False)


def _row_of(one: dict[str, Any]) -> list[str]:
    cached = "yes" if one["cached"] else "no"
    return [one["name"], one["task"], one["framework"] or "composite", human_size(one["size"]), cached]


def _check_filters(run: Run, filters: dict[str, str | None]) -> None:
    """Refuse what no model can have.

    Raises:
        UsageError: names what comes near.
    """
    for what, wish in filters.items():
        if wish is None or wish in _possible(what):
            continue
        known = {str(value) for model in run.zoo.catalog for value in _values_of(model, what) if value}
        if wish in known:
            continue
        near = near_names(wish, known)
        hint = f"did you mean: {', '.join(near)}" if near else f"there are: {', '.join(sorted(known))}"
        raise UsageError(f"no model has the {what} {wish!r}", hint=hint)


def _possible(what: str) -> set[str]:
    """Return the values of a filter that a model could have, though none may have them now."""
    from typing import get_args

    from model_zoo.schema import Framework
    from model_zoo.sources import known_names

    return {"framework": set(get_args(Framework)), "source": set(known_names())}.get(what, set())


def _explain_nothing(run: Run, patterns: tuple[str, ...], filters: dict[str, str | None]) -> None:
    """Say on stderr why no model is printed, and what comes near."""
    words = {word for name in run.zoo.catalog.names() for word in (name, *re.split(r"[-_.]", name))}
    near = [word for pattern in patterns for word in near_names(pattern, words)]
    given = " and ".join(f"the {what} {wish!r}" for what, wish in filters.items() if wish)
    if given:
        run.remark(f"no model{' of these names' if patterns else ''} has {given}")
    elif patterns:
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        run.remark(f"no name matches {' '.join(patterns)}{meant}")


@click.command("info")
@click.argument("reference", metavar="REF")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def info_command(run: Run, reference: str, *, as_json: bool) -> None:
    """Print everything known about a model: licence, files, sources, integrity, what is cached."""
    from model_zoo.zoo.info import facts

    model = run.zoo.request(reference).model
    origins = {artifact.path: run.zoo.cache.adopted_from(artifact) for artifact in model.artifacts}
    known = facts(run.zoo, model) | {"adopted": {path: origin for path, origin in origins.items() if origin}}
    if as_json:
        print_json(known)
        return
    print_fields(_fields(known))
    if known["artifacts"]:
        print_title("files:")
        print_table([_row(artifact) for artifact in known["artifacts"]])
    if known["inputs"]:
        print_title("inputs:")
        print_table([_input_row(one) for one in known["inputs"]])
    cached = known["cached"]
    print_title("cached:")
    rows = [("files", cached["files"] or "no")]
    rows += [(f"IR {precision}", path or "no") for precision, path in cached["ir"].items()]
    rows += [(f"{path} adopted", f"from {origin}") for path, origin in known["adopted"].items()]
    path = next((path for path in cached["ir"].values() if path), None)
    if known["folder"] and path:
        from model_zoo.schema import opening_line

        rows.append(("open it with", opening_line(known["opens"], f'r"{path}"')))
    print_fields([(f"  {name}", value) for name, value in rows])


def _fields(known: dict[str, Any]) -> list[tuple[str, str]]:
    shown = ["name", "task", "framework", "license", "description"]
    pairs = [(name, str(known[name])) for name in shown if known[name]]
    if known["stages"]:
        pairs.append(("stages", ", ".join(known["stages"])))
    else:
        pairs.append(("precisions", ", ".join(known["precisions"])))
    if known["folder"]:
        opens = f" for {known['opens']}" if known["opens"] else ""
        pairs.append(("becomes", f"a folder of IRs, tokenizers and configurations{opens}"))
    pairs.append(("integrity", known["integrity"]))
    pairs.append(("size", human_size(known["size"])))
    if not known["convertible"]:
        pairs.append(("not convertible", str(known["reason"])))
    return [*pairs, ("catalog", known["catalog"])]


def _input_row(one: dict[str, Any]) -> list[str]:
    shape = ",".join(str(dim) for dim in one.get("shape", ()))
    shown = [f"  {one.get('name', '')}", str(one.get("type", "")), f"[{shape}]", one.get("layout", "")]
    shown += [f"{field} {_numbers(one[field])}" if field in one else "" for field in ("mean", "scale")]
    return [*shown, "reverse channels" if one.get("reverse_channels") else ""]


def _numbers(value: float | list[float]) -> str:
    return " ".join(f"{number:g}" for number in (value if isinstance(value, (list, tuple)) else [value]))


def _row(artifact: dict[str, Any]) -> list[str]:
    digest = next(iter(artifact["digests"]), "no digest")
    return [f"  {artifact['path']}", human_size(artifact["size"]), digest, " | ".join(artifact["sources"])]
