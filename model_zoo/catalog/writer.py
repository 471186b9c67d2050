"""One ``Model`` → one YAML file that reads well and changes in few lines.

Small mappings and lists stand on one line as long as it is short; everything else has a line of its own.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from model_zoo.schema import Model

WIDTH = 110
_PLAIN = re.compile(r"[\w./$][\w./+=*$ ()-]*", re.ASCII)
_FLOW_PLAIN = re.compile(r"[\w./$][\w./+=$-]*", re.ASCII)
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", "none", ".inf", ".nan"}
_BLOCK = {"artifacts", "sources", "replace", "inputs"}
_BLOCK_OF_MAPPINGS = {"outputs", "metrics"}
"""Lists whose items get a line each; of the second only if they are mappings."""


def to_yaml(model: Model, *, comment: str = "") -> str:
    """Return the text of a model's catalog file.

    Paths are as the file should say them, so relative; ``comment`` has lines to put first, without number
    sign.
    """
    # Through JSON, so that tuples are lists.
    data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(model))
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    if len(data["license"]) <= 1 and not model.license.gated:
        data["license"] = str(model.license)
    for key, value in data.items():
        if key == "description":
            lines += ["description: >-", *_filled(value, WIDTH, "  ")]
        elif value not in ({}, [], None):
            lines += _entry(key, value, "")
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, indent: str) -> list[str]:  # noqa: ANN401 - plain data of any shape
    """Return the lines of ``key: value``."""
    flow = f"{indent}{_scalar(key)}: {_flow(value)}"
    if not isinstance(value, (dict, list)) or (
        not _is_block(key, value) and len(flow) <= WIDTH and not _is_deep(value)
    ):
        return [flow]
    if isinstance(value, dict):
        lines = [f"{indent}{_scalar(key)}:"]
        for name, inner in value.items():
            lines += _entry(name, inner, f"{indent}  ")
        return lines
    if all(isinstance(item, (int, float)) for item in value):
        return [
            f"{indent}{_scalar(key)}: [",
            *_filled("".join(f"{_scalar(item)}, " for item in value), WIDTH - 1, f"{indent}  "),
            f"{indent}]",
        ]
    return [f"{indent}{_scalar(key)}:", *(line for item in value for line in _item(item, f"{indent}  "))]


def _is_block(key: str, value: Any) -> bool:  # noqa: ANN401
    return key in _BLOCK or (
        key in _BLOCK_OF_MAPPINGS and isinstance(value, list) and isinstance(value[0], dict)
    )


def _is_deep(value: dict[str, Any] | list[Any]) -> bool:
    """Whether a mapping holds a list that has a line for each item."""
    return isinstance(value, dict) and any(_is_block(name, inner) and inner for name, inner in value.items())


def _filled(text: str, width: int, indent: str) -> list[str]:
    """Return lines that are as full as they may be."""
    layout = textwrap.TextWrapper(width, indent, indent, break_on_hyphens=False, break_long_words=False)
    return layout.wrap(text)


def _item(value: Any, indent: str) -> list[str]:  # noqa: ANN401
    flow = f"{indent}- {_flow(value)}"
    nested = isinstance(value, dict) and any(isinstance(inner, list) for inner in value.values())
    if not isinstance(value, dict) or (len(flow) <= WIDTH and not (nested and "sources" in value)):
        return [flow]
    lines: list[str] = []
    for name, inner in value.items():
        lines += _entry(name, inner, f"{indent}  ")
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]


def _flow(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow_scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow_scalar(item) for item in value) + "]"
    return _scalar(value)


def _flow_scalar(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, (dict, list)):
        return _flow(value)
    if isinstance(value, str) and not (_FLOW_PLAIN.fullmatch(value) and not _looks_special(value)):
        return _quoted(value)
    return _scalar(value)


def _scalar(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not value.endswith(" ") and not _looks_special(value)
        return value if plain else _quoted(value)
    if isinstance(value, float) and math.isfinite(value):
        text = repr(value)  # YAML 1.1 takes 1e-05 for text, and 1.0e-05 for a number
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Return text in double quotes; what cannot be seen is escaped: to YAML some of it breaks a line."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)


def _looks_special(text: str) -> bool:
    """Whether YAML would take plain text for something that is not text."""
    number = re.fullmatch(r"[-+.\d][\d_.,:eE+-]*|0[xob].*", text)
    return text.lower() in _RESERVED or number is not None
