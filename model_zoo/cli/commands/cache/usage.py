"""``cache info`` and ``cache ls``: where the cache is, and what is in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import json_option
from model_zoo.cli.output import iso_time, print_fields, print_json, print_table
from model_zoo.files import exists, is_directory
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.cache import Layer
    from model_zoo.cache.care.usage import ModelUsage
    from model_zoo.cache.environments import Environment
    from model_zoo.cli.session import Session


@click.command("info")
@json_option("Print one object: layers, max_size, free, pinned.")
@click.pass_obj
def info_command(session: Session) -> None:
    """Print where the cache is, and how many files and bytes each part of it holds."""
    from model_zoo.cache import Cache
    from model_zoo.cache.care.pins import pins
    from model_zoo.download.partial import free_space

    cache = Cache(session.settings.cache, session.settings.layers)
    layers = [_layer_info(layer, top=layer is cache.top) for layer in cache.layers]
    budget, top = session.settings.max_size, cache.top
    pinned = sorted(pins(top)) if top else []
    free = free_space(top.root) if top else None
    pairs = [("budget", human_size(budget) if budget is not None else "none (MODEL_ZOO_MAX_SIZE)")]
    pairs += [("free on disk", human_size(free))] if free is not None else []
    pairs += [("pinned", ", ".join(pinned) or "nothing")]

    def show() -> None:
        for layer in layers:
            _print_layer(layer)
        print_fields(pairs)

    session.print_result(show, {"layers": layers, "max_size": budget, "free": free, "pinned": pinned})


def _print_layer(layer: Mapping[str, Any]) -> None:
    kind = "writable" if layer["writable"] else "not writable" if layer["top"] else "read-only"
    state = "" if layer["exists"] else ", does not exist yet" if layer["top"] else ", does not exist"
    click.echo(f"{layer['path']} ({kind}{state})")
    parts = layer["folders"].items()
    rows = [[f"  {name}", str(part["count"]), human_size(part["bytes"])] for name, part in parts]
    print_table([*rows, ["  total", "", human_size(layer["bytes"])]])
    print_table([["  converter environment", *_cells(row)] for row in layer["environments"]])


def _can_write(path: Path) -> bool:
    """Whether a directory, or the nearest existing one above it, is writable."""
    nearest = next((directory for directory in (path, *path.parents) if exists(directory)), path)
    return os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _layer_info(layer: Layer, *, top: bool) -> dict[str, Any]:
    from model_zoo.cache.care.usage import Usage
    from model_zoo.cache.environments import environments

    totals = Usage(layer, writable=top).totals()
    return {
        "path": str(layer.root),
        "top": top,
        "writable": top and _can_write(layer.root),
        "exists": is_directory(layer.root),
        "bytes": sum(part.size for part in totals.values()),
        "folders": {name: {"count": part.count, "bytes": part.size} for name, part in totals.items()},
        "environments": [_environment_row(environment) for environment in environments(layer)],
    }


@click.command("ls", short_help="List cached models and converter environments.")
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@json_option("Print an array with one object per model or converter environment.")
@click.pass_obj
def ls_command(session: Session, patterns: tuple[str, ...]) -> None:
    """List cached models with the precisions of their IRs, size and last use, then converter environments.

    Files shared by several models are counted for each of them; last use is recorded once a day. An
    environment is named env:STACK.
    """
    from model_zoo.cache import Cache
    from model_zoo.cache.care.pins import is_pinned, pins
    from model_zoo.cache.care.usage import Usage
    from model_zoo.cache.environments import environments

    cache = Cache(session.settings.cache, session.settings.layers)
    pinned = pins(cache.top) if cache.top else {}
    found = [e for layer in cache.layers for e in Usage(layer, writable=layer is cache.top).by_model()]
    envs = [_environment_row(e) for layer in cache.layers for e in environments(layer)]
    if patterns:
        from model_zoo.catalog import match_names

        names = sorted({entry.name for entry in found} | {row["name"] for row in envs})
        wanted = set(match_names(names, patterns))
        found = [entry for entry in found if entry.name in wanted]
        envs = [row for row in envs if row["name"] in wanted]
    rows = [_entry_row(e, pinned=e.layer is cache.top and is_pinned(pinned, e.name)) for e in found]
    if session.as_json:
        print_json([*rows, *envs])
        return
    if patterns and not (rows or envs):
        session.note(f"nothing cached matches {' '.join(patterns)}")
    for found_rows, cells_of, head in (
        (rows, _model_cells, ["NAME", "IR", "FILES", "SIZE", "LAST USE", "PINNED"]),
        (envs, _cells, ["ENVIRONMENT", "SIZE", "LAST USE", "CONTAINS"]),
    ):
        if len(cache.layers) > 1:
            print_table([[*cells_of(row), row["layer"]] for row in found_rows], [*head, "LAYER"])
        else:
            print_table([cells_of(row) for row in found_rows], head)


def _model_cells(row: Mapping[str, Any]) -> list[str]:
    """Return what a line shows of a model."""
    precisions = " ".join(sorted({ir["precision"] for ir in row["ir"]})) or "-"
    files = counted(sum(files["count"] for files in row["files"]), "file")
    pinned = "pinned" if row["pinned"] else ""
    return [row["name"], precisions, files, human_size(row["bytes"]), row["last_use"][:10], pinned]


def _entry_row(entry: ModelUsage, *, pinned: bool) -> dict[str, Any]:
    layer = entry.layer
    return {
        "name": entry.name,
        "layer": str(layer.root),
        "pinned": pinned,
        "bytes": entry.size,
        "last_use": iso_time(entry.used),
        "files": [
            {
                "declaration": row.declaration,
                "path": str(layer.files(entry.name, row.declaration)),
                "count": row.count,
                "bytes": row.size,
                "last_use": iso_time(entry.uses[row.declaration]),
            }
            for row in entry.files
        ],
        "ir": [
            {
                "key": key,
                "precision": row.precision,
                "framework": row.framework,
                "path": str(layer.ir(key)),
                "bytes": row.size,
                "last_use": iso_time(entry.uses[key]),
            }
            for key, row in entry.irs.items()
        ],
    }


def _environment_row(environment: Environment) -> dict[str, Any]:
    manifest = environment.manifest
    return {
        "name": f"env:{environment.stack}",
        "kind": "environment",
        "layer": str(environment.layer.root),
        "path": str(environment.directory),
        "digest": environment.digest,
        "pinned": False,
        "bytes": manifest.size,
        "last_use": iso_time(environment.used),
        "python": manifest.python or None,
        "requirements": manifest.requirements,
        "packages": manifest.packages,
        "versions": environment.pinned_versions,
        "fault": environment.fault,
        "files": [],
        "ir": [],
    }


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Return what a line shows of an environment."""
    versions = " ".join(f"{name} {version}" for name, version in row["versions"].items())
    state = f"unusable: {row['fault']}" if row["fault"] else f"Python {row['python']}, {versions}"
    return [row["name"], human_size(row["bytes"]), row["last_use"][:10], state]
