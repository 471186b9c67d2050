"""``omz_info_dumper``: information about models as one JSON array."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from model_zoo.omz.arguments import Parser, program
from model_zoo.omz.selection import subdirectory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_zoo.omz.selection import Entry
    from model_zoo.schema import Model

_FRAMEWORKS = {"openvino": "dldt", "tensorflow": "tf", "keras": "tf"}


@program
def main(argv: Sequence[str]) -> int:
    """Print the array and return the exit code."""
    from model_zoo.zoo import Zoo

    parser = Parser("omz_info_dumper", "Print what is known about models as one JSON array.")
    parser.add_selection("describe")
    _, entries = parser.select(parser.parse_args(argv), Zoo())
    json.dump([describe(entry) for entry in entries], sys.stdout, indent=4)
    sys.stdout.write("\n")
    return 0


def describe(entry: Entry) -> dict[str, object]:
    """Return one model with the fields of the old command, in their order."""
    model = entry.model
    return {
        "name": model.name,
        "composite_model_name": model.name if model.stages else model.omz.composite if model.omz else None,
        "description": model.description,
        "framework": _FRAMEWORKS.get(str(model.framework), model.framework),
        "license_url": model.license.url or str(model.license),
        "accuracy_config": _accuracy_config(entry.file),
        "model_config": None if model.stages else str(entry.file),
        "precisions": sorted(entry.parts[0].precisions),
        "subdirectory": subdirectory(model),
        "task_type": (model.omz and model.omz.task) or model.task,
        "input_info": _inputs(model),
        "model_stages": [describe(stage) for stage in entry.stages],
    }


def _accuracy_config(file: Path) -> str | None:
    """Return the file beside a ``model.yml``, if there is one; our own catalog has none."""
    path = file.with_name("accuracy-check.yml")
    return str(path) if file.name.endswith("model.yml") and path.is_file() else None


def _inputs(model: Model) -> list[dict[str, object]]:
    declared = model.omz.inputs if model.omz else ()
    return [
        {"name": port.name, "shape": list(port.shape or ()), "layout": port.layout or ""}
        for port in (declared or model.recipe.inputs)
    ]
