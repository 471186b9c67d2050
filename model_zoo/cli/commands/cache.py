"""``cache``: look at the cache and pin models in it; ``upkeep`` has the commands that prove and mend it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.commands.care import (
    gc_command,
    iso,
    json_option,
    print_value,
    repair_command,
    resolve,
    rm_command,
    verify_command,
)
from model_zoo.cli.output import print_fields, print_table
from model_zoo.files import exists, is_directory
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_zoo.cache import Layer
    from model_zoo.cache.care.usage import ModelUsage
    from model_zoo.cache.environments import Environment
    from model_zoo.cli.main import Run


@click.group("cache")
def cache_group() -> None:
    """Look at the cache, prove it, mend it, make room in it."""


for _command in (verify_command, repair_command, gc_command, rm_command):
    cache_group.add_command(_command)


# --- looking


@cache_group.command("info")
@json_option
@click.pass_obj
def info_command(run: Run, *, as_json: bool) -> None:
    """Print where the cache is, and how many files and bytes each part of it holds."""
    from model_zoo.cache import Cache
    from model_zoo.cache.care.pins import pins

    cache = Cache(run.settings.cache, run.settings.layers)
    layers = [_layer_info(layer, top=layer is cache.top) for layer in cache.layers]
    budget, top = run.settings.max_size, cache.top
    pinned = sorted(pins(top)) if top else []
    free = _free(top) if top else None
    if as_json:
        print_value({"layers": layers, "max_size": budget, "free": free, "pinned": pinned})
        return
    for layer in layers:
        kind = "writable" if layer["writable"] else "cannot be written" if layer["top"] else "read-only"
        there = "" if layer["exists"] else ", not there yet" if layer["top"] else ", not there"
        click.echo(f"{layer['path']} ({kind}{there})")
        rows = [
            [f"  {name}", str(part["count"]), human_size(part["bytes"])]
            for name, part in layer["folders"].items()
        ]
        print_table([*rows, ["  together", "", human_size(layer["bytes"])]])
        print_table([["  converter environment", *_cells(one)] for one in layer["environments"]])
    pairs = [("budget", human_size(budget) if budget is not None else "none (MODEL_ZOO_MAX_SIZE)")]
    pairs += [("free on the disk", human_size(free))] if free is not None else []
    print_fields([*pairs, ("pinned", ", ".join(pinned) or "nothing")])


def _can_write(path: Path) -> bool:
    """Whether a folder, or the nearest one above it that exists, may be written to."""
    there = next((one for one in (path, *path.parents) if exists(one)), path)
    return os.access(there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _layer_info(layer: Layer, *, top: bool) -> dict[str, Any]:
    from model_zoo.cache.care.usage import Usage
    from model_zoo.cache.environments import environments

    totals = Usage(layer, writable=top).totals()
    return {
        "path": str(layer.root),
        "top": top,
        "writable": top and _can_write(layer.root),
        "exists": is_directory(layer.root),
        "bytes": sum(shelf.size for shelf in totals.values()),
        "folders": {name: {"count": shelf.count, "bytes": shelf.size} for name, shelf in totals.items()},
        "environments": [_environment(one) for one in environments(layer)],
    }


def _free(layer: Layer) -> int | None:
    try:
        return shutil.disk_usage(layer.root).free
    except OSError:
        return None


@cache_group.command("ls")
@click.argument("patterns", nargs=-1, metavar="[PATTERN…]")
@json_option
@click.pass_obj
def ls_command(run: Run, patterns: tuple[str, ...], *, as_json: bool) -> None:
    """List the models that are cached: precisions of their IRs, size, last use. Then converter environments.

    Files that several models share count for each of them; last use is noted once a day. An environment is
    called env: and the name of its stack.
    """
    from model_zoo.cache import Cache
    from model_zoo.cache.care.pins import is_pinned, pins
    from model_zoo.cache.care.usage import Usage
    from model_zoo.cache.environments import environments

    cache = Cache(run.settings.cache, run.settings.layers)
    pinned = pins(cache.top) if cache.top else {}
    found = [e for layer in cache.layers for e in Usage(layer, writable=layer is cache.top).by_model()]
    envs = [_environment(one) for layer in cache.layers for one in environments(layer)]
    if patterns:
        from model_zoo.catalog import match_names

        names = sorted({entry.name for entry in found} | {row["name"] for row in envs})
        wanted = set(match_names(names, patterns))
        found = [entry for entry in found if entry.name in wanted]
        envs = [row for row in envs if row["name"] in wanted]
    rows = [
        _entry(entry, pinned=entry.layer is cache.top and is_pinned(pinned, entry.name)) for entry in found
    ]
    if as_json:
        print_value([*rows, *envs])
        return
    several = len(cache.layers) > 1
    last = ["LAYER"] if several else []
    print_table(
        [
            [
                row["name"],
                " ".join(sorted({ir["precision"] for ir in row["ir"]})) or "-",
                counted(sum(f["count"] for f in row["files"]), "file"),
                human_size(row["bytes"]),
                row["last_use"][:10],
                "pinned" if row["pinned"] else "",
                *([row["layer"]] if several else []),
            ]
            for row in rows
        ],
        ["NAME", "IR", "FILES", "SIZE", "LAST USE", "PINNED", *last],
    )
    print_table(
        [[row["name"], *_cells(row)[1:], *([row["layer"]] if several else [])] for row in envs],
        ["ENVIRONMENT", "SIZE", "LAST USE", "HOLDS", *last],
    )


def _entry(entry: ModelUsage, *, pinned: bool) -> dict[str, Any]:
    layer = entry.layer
    return {
        "name": entry.name,
        "layer": str(layer.root),
        "pinned": pinned,
        "bytes": entry.size,
        "last_use": iso(entry.used),
        "files": [
            {
                "declaration": row.declaration,
                "path": str(layer.files(entry.name, row.declaration)),
                "count": row.count,
                "bytes": row.size,
                "last_use": iso(entry.uses[row.declaration]),
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
                "last_use": iso(entry.uses[key]),
            }
            for key, row in entry.irs.items()
        ],
    }


def _environment(environment: Environment) -> dict[str, Any]:
    versions, asked = environment.packages, environment.pinned
    return {
        "name": f"env:{environment.stack}",
        "kind": "environment",
        "layer": str(environment.layer.root),
        "path": str(environment.directory),
        "digest": environment.digest,
        "pinned": False,
        "bytes": environment.size,
        "last_use": iso(environment.used),
        "python": environment.python_version,
        "requirements": environment.requirements,
        "packages": versions,
        "versions": {name: versions[name] for name in asked if name in versions},
        "fault": environment.fault,
        "files": [],
        "ir": [],
    }


def _cells(row: dict[str, Any]) -> list[str]:
    """Return what a line shows of an environment."""
    versions = " ".join(f"{name} {version}" for name, version in row["versions"].items())
    state = f"unusable: {row['fault']}" if row["fault"] else f"Python {row['python']}, {versions}"
    return [row["name"], human_size(row["bytes"]), row["last_use"][:10], state]


# --- pins


@cache_group.command("pin")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@json_option
@click.pass_obj
def pin_command(run: Run, references: tuple[str, ...], *, as_json: bool) -> None:
    """Keep models from ever being collected, cached already or not."""
    from model_zoo.cache.care.pins import pin

    layer, wanted = run.zoo.cache.writable, resolve(run, references)
    _print_pins(layer, [one for one in wanted if pin(layer, *one)], "pinned", as_json=as_json)


@cache_group.command("unpin")
@click.argument("references", nargs=-1, required=True, metavar="REF…")
@json_option
@click.pass_obj
def unpin_command(run: Run, references: tuple[str, ...], *, as_json: bool) -> None:
    """Let models be collected again."""
    from model_zoo.cache.care.pins import unpin

    layer, wanted = run.zoo.cache.writable, resolve(run, references)
    _print_pins(layer, [one for one in wanted if unpin(layer, *one)], "unpinned", as_json=as_json)


def _print_pins(layer: Layer, done: Iterable[tuple[str, str | None]], verb: str, *, as_json: bool) -> None:
    from model_zoo.cache.care.pins import pins

    changed = [f"{model}@{precision}" if precision else model for model, precision in done]
    if as_json:
        names = [f"{m}@{p}" if p else m for m, ps in pins(layer).items() for p in sorted(ps or [""])]
        print_value({"changed": changed, "pinned": names})
    else:
        click.echo("".join(f"{name}: {verb}\n" for name in changed) or f"already {verb}\n", nl=False)
