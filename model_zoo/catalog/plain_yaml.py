"""YAML → plain data, strictly and within bounds, whoever wrote it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

from model_zoo.catalog.error_text import explain_yaml
from model_zoo.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NODES = 200_000
"""Values and keys of one document; an alias counts as often as what it stands for."""
MAX_DEPTH = 50
MAX_DIGITS = 64
"""Characters of one number."""
_LONG = 1 << 18
"""Characters from which a document's values are counted before they are built."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_COLLECTIONS = frozenset(_TAG + name for name in ("seq", "map"))


def load_yaml(text: str, name: str) -> object:
    """Parse YAML into mappings, lists, texts, numbers and booleans; a date is its text.

    Raises:
        CatalogError: the text is not such YAML, has a key twice, or is too large or too deep.
    """
    try:
        loader = _Loader(text)
        try:
            if len(text) > _LONG:
                _count(text)
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node)
            data: object = loader.construct_document(node)
            return data
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line if error.problem_mark else None
        line = f":{at + 1}" if at is not None else ""
        problem = explain_yaml(error.problem, text, at)
        raise CatalogError(f"{name}{line}: not valid YAML: {problem}", hint="correct the file") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CatalogError(f"{name}: not valid YAML: {error}", hint="correct the file") from error


def line_of(text: str, steps: tuple[str | int, ...]) -> int | None:
    """Return the line, from 1, of the deepest node on the path to a field; None if the text is not YAML."""
    try:
        node = _Loader(text).get_single_node()
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if node is None:
        return None
    line: int = node.start_mark.line
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                break
            key, node = found[-1]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _scalar(loader: Any, node: yaml.Node) -> object:  # noqa: ANN401 - PyYAML is untyped
    kind, value = node.tag.removeprefix(_TAG), None
    if len(node.value) <= MAX_DIGITS:
        try:
            value = yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
        except (ValueError, LookupError, OverflowError, AttributeError):
            value = None
    if (
        value is None
        or (isinstance(value, float) and not math.isfinite(value))
        or (type(value) is int and not -(1 << 63) <= value < 1 << 63)
    ):
        _refuse(f"{node.value[:MAX_DIGITS]!r} is not a usable {kind}", node)
    return node.value if kind == "timestamp" else value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, libyaml's where there is one, with numbers that other programs can hold."""


for _kind in ("int", "float", "bool", "timestamp"):
    _Loader.add_constructor(_TAG + _kind, _scalar)


def _count(text: str) -> None:
    parser = _Loader(text)
    seen = 0
    while parser.check_event():
        event = parser.get_event()
        seen += isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent, yaml.AliasEvent))
        if seen > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=event.start_mark)


_TOO_MANY = f"more than {MAX_NODES} values, aliases counted"


def _check(root: yaml.Node) -> None:
    """Refuse a document with too much in it, keys that are not text, keys stated twice, and other types."""
    seen, pending = 0, [(root, 1)]
    while pending:
        node, depth = pending.pop()
        seen += 1
        if seen > MAX_NODES:
            _refuse(_TOO_MANY, node)
        if depth > MAX_DEPTH:
            _refuse(f"values nested more than {MAX_DEPTH} deep, or in themselves", node)
        pending += ((child, depth + 1) for child in _children(node))


def _children(node: yaml.Node) -> Iterable[yaml.Node]:
    """Return the keys and values directly in a node, which is checked by itself."""
    if isinstance(node, yaml.ScalarNode) and "\0" in node.value:
        _refuse("a text contains the character NUL", node)
    if node.tag not in (_SCALARS if isinstance(node, yaml.ScalarNode) else _COLLECTIONS):
        _refuse(f"the type {node.tag.removeprefix(_TAG)!r} is not allowed here", node)
    if not isinstance(node, yaml.MappingNode):
        return node.value if isinstance(node, yaml.SequenceNode) else ()
    keys = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            _refuse("a key must be a plain text", key)
        if key.value in keys:
            _refuse(f"duplicate key {key.value!r}", key)
        keys.add(key.value)
    return [part for pair in node.value for part in pair]


def _refuse(problem: str, node: yaml.Node) -> None:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
