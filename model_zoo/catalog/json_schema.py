"""The JSON Schema of a catalog entry, generated from the structs, for editors and other tools."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from model_zoo.schema import Model, Source
from model_zoo.sources import KINDS, kind_of


def json_schema() -> dict[str, Any]:
    """Return the schema of one ``catalog/<provider>/<model>.yaml``, built-in source kinds included."""
    kinds = [kind_of(name) for name in sorted(KINDS)]

    def source_schema(kind: type) -> dict[str, Any]:
        if kind is not Source:
            raise NotImplementedError
        references: list[dict[str, Any]] = [{"$ref": f"#/$defs/{one.__name__}"} for one in kinds]
        foreign = {"type": "object", "not": {"anyOf": [{"required": [name]} for name in sorted(KINDS)]}}
        return {"anyOf": [*references, foreign]}

    _, definitions = msgspec.json.schema_components(
        [Model, *kinds], schema_hook=source_schema, ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "model-zoo catalog entry, schema 1",
        "$ref": "#/$defs/Model",
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def schema_text() -> str:
    """Return the schema as the text that is kept in ``catalog/schema.json``."""
    return json.dumps(json_schema(), indent=2) + "\n"
