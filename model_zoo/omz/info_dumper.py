"""``omz_info_dumper``: what is known about models, as one JSON array."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from model_zoo.omz.arguments import add_selection, choose, leave
from model_zoo.omz.selection import OMZ_FRAMEWORKS, Entry, Shelf, precisions_of, subdirectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_zoo.schema import Model


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    leave(dump, argv)


def dump(argv: Sequence[str]) -> int:
    """Print the array and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="omz_info_dumper", description="Print what is known about models as one JSON array."
    )
    add_selection(parser, "describe")
    wishes = parser.parse_args(argv)
    from model_zoo.zoo import Zoo

    shelf = Shelf(Zoo(), wishes.models_root)
    entries = choose(parser, wishes, shelf)
    json.dump([describe(entry, shelf) for entry in entries], sys.stdout, indent=4)
    sys.stdout.write("\n")
    return 0


def describe(entry: Entry, shelf: Shelf) -> dict[str, Any]:
    """Return one model in the fields and the order of the old command."""
    model = entry.model
    composite = model.name if model.stages else model.omz.composite if model.omz else None
    files = shelf.catalog.files
    stages = [Entry(stage, (), files[stage.name]) for stage in entry.stages]
    return {
        "name": model.name,
        "composite_model_name": composite,
        "description": model.description,
        "framework": OMZ_FRAMEWORKS.get(str(model.framework), model.framework),
        "license_url": model.license,
        "accuracy_config": _beside(entry.config, "accuracy-check.yml"),
        "model_config": None if model.stages else str(entry.config),
        "precisions": list(precisions_of(entry.parts[0])),
        "subdirectory": subdirectory(model),
        "task_type": model.task,
        "input_info": _inputs(model),
        "model_stages": [describe(stage, shelf) for stage in stages],
    }


def _beside(config: Path | None, name: str) -> str | None:
    """Return a file of a tree of model.yml files; our own catalog has none."""
    if config is None or not config.name.endswith("model.yml"):
        return None
    path = config.with_name(name)
    return str(path) if path.is_file() else None


def _inputs(model: Model) -> list[dict[str, Any]]:
    stated = model.omz.inputs if model.omz else ()
    return [
        {"name": one.name, "shape": list(one.shape or ()), "layout": one.layout or ""}
        for one in (stated or model.recipe.inputs)
    ]
