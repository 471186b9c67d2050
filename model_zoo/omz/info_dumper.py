"""``omz_info_dumper``: information about models as one JSON array."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from model_zoo.omz.arguments import add_selection, exit_with, select_entries
from model_zoo.omz.selection import OMZ_FRAMEWORKS, Entry, OmzCatalog, precisions_of, subdirectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_zoo.schema import Model


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        SystemExit: always.
    """
    exit_with(dump, argv)


def dump(argv: Sequence[str]) -> int:
    """Print the array and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="omz_info_dumper", description="Print what is known about models as one JSON array."
    )
    add_selection(parser, "describe")
    args = parser.parse_args(argv)
    from model_zoo.zoo import Zoo

    catalog = OmzCatalog(Zoo(), args.models_root)
    entries = select_entries(parser, args, catalog)
    json.dump([describe(entry, catalog) for entry in entries], sys.stdout, indent=4)
    sys.stdout.write("\n")
    return 0


def describe(entry: Entry, catalog: OmzCatalog) -> dict[str, Any]:
    """Return one model with the fields of the old command, in their order."""
    model = entry.model
    composite = model.name if model.stages else model.omz.composite if model.omz else None
    files = catalog.catalog.files
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
        "model_stages": [describe(stage, catalog) for stage in stages],
    }


def _beside(config: Path | None, name: str) -> str | None:
    """Return a file beside a ``model.yml``, if there is one; our own catalog has none."""
    if config is None or not config.name.endswith("model.yml"):
        return None
    path = config.with_name(name)
    return str(path) if path.is_file() else None


def _inputs(model: Model) -> list[dict[str, Any]]:
    declared = model.omz.inputs if model.omz else ()
    return [
        {"name": port.name, "shape": list(port.shape or ()), "layout": port.layout or ""}
        for port in (declared or model.recipe.inputs)
    ]
