"""What is wrong with an entry, in words: similar field names, allowed values, what YAML's errors mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from model_zoo.text import near_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_SAME = {
    "float": "f32",
    "float32": "f32",
    "half": "f16",
    "float16": "f16",
    "double": "f64",
    "bool": "boolean",
}
"""Other names of element types, none of which is spelt like the right one."""


def explain_field(problem: str, steps: tuple[str | int, ...], parent: object = None) -> str:
    """Return what is wrong with a field, with the names or values that are allowed there.

    ``problem`` is what msgspec states, without the field that ``steps`` lead to; ``parent`` is the mapping
    that has the field.
    """
    if steps == ("schema",) and problem.startswith("invalid enum value "):
        version = problem.removeprefix("invalid enum value ")
        return f"{version} is not supported: this version of model-zoo reads schema 1; update model-zoo"
    if problem == "unknown field" and steps:
        schemas = _schemas_at(steps[:-1])
        given = parent.keys() if isinstance(parent, dict) else set()
        meant = [schema for schema in schemas if schema.get("required") and given >= {*schema["required"]}]
        names = {name for schema in meant or schemas for name in schema.get("properties", ())}
        known = f"; known fields: {', '.join(sorted(names))}" if names else ""
        return "unknown field" + (_suggest(str(steps[-1]), names) or known)
    invalid = re.fullmatch(r"invalid enum value (.+)", problem)
    allowed = [str(v) for schema in _schemas_at(steps) for v in schema.get("enum", ()) if v is not None]
    if invalid and allowed:
        choice = ("one of " if len(allowed) > 1 else "") + ", ".join(allowed)
        return f"{invalid[1]} is not {choice}" + _suggest(invalid[1].strip("'\""), allowed)
    return problem


def explain_yaml(problem: str | None, text: str, line: int | None) -> str:
    """Return what a YAML error means; ``line`` counts from 0."""
    tag = re.fullmatch(r"could not determine a constructor for the tag (.+)", str(problem))
    if tag:
        return f"the tag {tag[1]} is not allowed"
    if problem == "mapping values are not allowed in this context":
        return f"{problem}; put text that contains ': ' in quotes"
    lines = text.splitlines()
    if line is not None and line < len(lines) and "\t" in re.match(r"\s*", lines[line])[0]:  # type: ignore[index]
        return "the line is indented with a tab; use spaces"
    return str(problem)


def _suggest(name: str, known: Iterable[str]) -> str:
    known = set(known)
    near = [_SAME[name]] if _SAME.get(name) in known else near_names(name, known, count=1)
    return f"; did you mean {near[0]}?" if near else ""


def _schemas_at(steps: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """Return the parts of the JSON Schema that describe what the steps lead to."""
    from model_zoo.catalog.json_schema import json_schema  # it imports every kind of source

    root = json_schema()
    schemas = list(_alternatives(root, root))
    for step in steps:
        is_field = isinstance(step, str)
        inner = [s.get("properties", {}).get(step) if is_field else s.get("items") for s in schemas]
        schemas = [flat for one in inner if isinstance(one, dict) for flat in _alternatives(one, root)]
    return schemas


def _alternatives(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a schema, references followed."""
    if "$ref" in schema:
        yield from _alternatives(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            yield from _alternatives(alternative, root)
    else:
        yield schema
