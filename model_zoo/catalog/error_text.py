"""What is wrong with an entry, in words: near names of fields, allowed values, what YAML's errors mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def wording(what: str, steps: tuple[str | int, ...]) -> str:
    """Return what is wrong with a field, with the names or values that may stand there.

    Args:
        what: as msgspec says it, without the field.
        steps: the way to the field, the field itself last.
    """
    if what == "unknown field" and steps:
        names = {name for shape in _at(steps[:-1]) for name in shape.get("properties", ())}
        return f"unknown field{_meant(str(steps[-1]), names)}"
    found = re.fullmatch(r"invalid enum value (.+)", what)
    allowed = [str(value) for shape in _at(steps) for value in shape.get("enum", ()) if value is not None]
    if found and allowed:
        near = _near(found[1].strip("'\""), allowed)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{found[1]} is not {'one of ' * (len(allowed) > 1)}{', '.join(allowed)}{meant}"
    return what


def yaml_wording(problem: str | None, text: str, line: int | None) -> str:
    """Return what a YAML error means; ``line`` counts from 0."""
    lines = text.splitlines()
    if line is not None and line < len(lines) and "\t" in re.match(r"\s*", lines[line])[0]:  # type: ignore[index]
        return "the line begins with a tab; YAML wants spaces"
    return str(problem)


def _meant(name: str, known: Iterable[str]) -> str:
    near = _near(name, known)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _near(name: str, known: Iterable[str]) -> list[str]:
    import difflib  # only when something is wrong

    return difflib.get_close_matches(name, sorted(known), n=1)


def _at(steps: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """Return the parts of the JSON Schema that describe what the steps lead to."""
    from model_zoo.catalog.json_schema import json_schema  # it imports every kind of source

    schema = json_schema()
    shapes = list(_flat(schema, schema))
    for step in steps:
        fields = isinstance(step, str)
        inner = [s.get("properties", {}).get(step) if fields else s.get("items") for s in shapes]
        shapes = [flat for one in inner if isinstance(one, dict) for flat in _flat(one, schema)]
    return shapes


def _flat(shape: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a shape, references followed."""
    if "$ref" in shape:
        yield from _flat(schema["$defs"][shape["$ref"].rpartition("/")[2]], schema)
    elif "anyOf" in shape:
        for one in shape["anyOf"]:
            yield from _flat(one, schema)
    else:
        yield shape
