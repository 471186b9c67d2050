"""``list`` and ``info``: what there is, and everything known about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.report import human_size, print_fields, print_json, print_table

if TYPE_CHECKING:
    from model_zoo.cli.frame import Run
    from model_zoo.spec import Artifact, Model
    from model_zoo.zoo import Zoo


@click.command("list")
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@click.option("--task", help="Only models for this task.")
@click.option("--framework", help="Only models of this framework.")
@click.option("--source", help="Only models with a source of this kind, such as wheel, url or hf.")
@click.option("--cached", is_flag=True, help="Only models that are in the cache.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects.")
@click.pass_obj
def list_command(
    run: Run, /, patterns: tuple[str, ...], *, as_json: bool, cached: bool, **filters: str | None
) -> None:
    """Print the names of the models that match every filter, one a line.

    A PATTERN is a shell wildcard, or a word that the name contains.
    """
    zoo = run.zoo
    if not (as_json or cached or any(filters.values())):
        from model_zoo.catalog import match_names

        names = match_names(zoo.catalog.names(), patterns)
        click.echo("".join(f"{name}\n" for name in names), nl=False)
        return
    models = zoo.list_models(*patterns, cached=True if cached else None, **filters)
    if as_json:
        print_json([_summary(zoo, model) for model in models])
    else:
        click.echo("".join(f"{model.name}\n" for model in models), nl=False)


def _summary(zoo: Zoo, model: Model) -> dict[str, Any]:
    sizes = [a.size for a in model.artifacts]
    return {
        "name": model.name,
        "task": model.task,
        "framework": model.framework,
        "license": model.license,
        "description": model.description,
        "precisions": list(model.precisions) if model.artifacts else [],
        "sources": sorted({s.kind for a in model.artifacts for s in a.sources}),
        "size": None if None in sizes else sum(s for s in sizes if s is not None),
        "stages": list(model.stages),
        "convertible": model.convertible,
        "cached": zoo.is_cached(model),
    }


@click.command("info")
@click.argument("reference", metavar="REF")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def info_command(run: Run, reference: str, *, as_json: bool) -> None:
    """Print everything known about a model: licence, files, sources, integrity, what is cached."""
    zoo = run.zoo
    model = zoo.request(reference).model
    facts = describe(zoo, model)
    if as_json:
        print_json(facts)
        return
    pairs = [
        (name, str(facts[name]))
        for name in ("name", "task", "framework", "license", "description")
        if facts[name]
    ]
    if model.stages:
        pairs.append(("stages", ", ".join(model.stages)))
    else:
        pairs.append(("precisions", ", ".join(model.precisions)))
        pairs.append(("integrity", facts["integrity"]))
        pairs.append(("size", human_size(facts["size"])))
    if not model.convertible:
        pairs.append(("not convertible", str(model.reason)))
    pairs.append(("catalog", facts["catalog"]))
    print_fields(pairs)
    if facts["artifacts"]:
        click.echo("files:")
        print_table([_row(artifact) for artifact in facts["artifacts"]])
    if facts["inputs"]:
        click.echo("inputs:")
        print_table(
            [
                [f"  {i.get('name', '')}", str(i.get("type", "")), str(i.get("shape", ""))]
                for i in facts["inputs"]
            ]
        )
    click.echo(f"files cached: {facts['cached']['files'] or 'no'}")
    for precision, path in facts["cached"]["ir"].items():
        click.echo(f"IR {precision} cached: {path or 'no'}")


def _row(artifact: dict[str, Any]) -> list[str]:
    digest = next(iter(artifact["digests"]), "no digest")
    return [f"  {artifact['path']}", human_size(artifact["size"]), digest, " | ".join(artifact["sources"])]


def describe(zoo: Zoo, model: Model) -> dict[str, Any]:
    """Return everything known about a model as plain data."""
    import msgspec

    from model_zoo.sources import LEVELS, integrity_of
    from model_zoo.zoo import Request

    stages = [zoo.catalog.get(name) for name in model.stages]
    levels = [integrity_of(a) for m in (model, *stages) for a in m.artifacts]
    fetched = zoo.fetching.find(Request(model)) if model.artifacts else None
    summary = _summary(zoo, model)
    return summary | {
        "integrity": max(levels, key=LEVELS.index),
        "reason": model.reason,
        "catalog": str(zoo.catalog.files.get(model.name, "")),
        "artifacts": [_artifact(artifact) for artifact in model.artifacts],
        "inputs": [msgspec.to_builtins(one) for one in model.recipe.inputs],
        "recipe": msgspec.to_builtins(model.recipe),
        "model_info": model.model_info,
        "cached": {
            "files": str(fetched.directory) if fetched else None,
            "ir": {p: _ir_path(zoo, Request(model, p)) for p in summary["precisions"]},
        },
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    from model_zoo.sources import LocatedSource, integrity_of

    return {
        "path": artifact.path,
        "size": artifact.size,
        "digests": [str(digest) for digest in artifact.digests],
        "integrity": integrity_of(artifact),
        "precision": artifact.precision,
        "sources": [s.describe() for s in artifact.sources if isinstance(s, LocatedSource)],
    }


def _ir_path(zoo: Zoo, request: Any) -> str | None:  # noqa: ANN401 - Request, imported late
    found = zoo.converting.find(request, any_version=True)
    return str(found.xml) if found else None
