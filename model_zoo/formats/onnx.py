"""Which other files an ONNX file refers to, read from its protocol buffer without the onnx package.

Field numbers are those of onnx.proto (github.com/onnx/onnx): ModelProto.graph = 7, GraphProto.node = 1 and
initializer = 5, NodeProto.attribute = 5, AttributeProto.t = 5, g = 6, tensors = 10 and graphs = 11,
TensorProto.external_data = 13, StringStringEntryProto.key = 1 and value = 2.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DEPTH = 100
"""Of messages in one another: the default of protocol buffers. A graph in a graph takes three."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CHILDREN = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {13: "entry"},
}


def external_files(path: Path) -> list[str]:
    """Return the locations of external data, as written in the file, sorted.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not ONNX.
    """
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return sorted(set(_locations(data, 0, len(data), "model")))
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path} is not an ONNX file: {error}") from error


def _locations(data: mmap.mmap, start: int, end: int, kind: str, depth: int = 0) -> Iterator[str]:
    if kind == "entry":
        values = {number: data[a:b].decode("utf-8") for number, a, b in _fields(data, start, end)}
        if values.get(1) == "location":
            yield values.get(2, "")
        return
    if depth > MAX_DEPTH:
        raise ValueError(f"its messages are nested more than {MAX_DEPTH} deep")
    for number, first, last in _fields(data, start, end):
        inner = _CHILDREN[kind].get(number)
        if inner is not None:
            yield from _locations(data, first, last, inner, depth + 1)


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of every length-delimited field."""
    while position < end:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _BYTES:
            length, position = _varint(data, position)
            position += length
            if position > end:
                break
            yield tag >> 3, position - length, position
        elif kind == _VARINT:
            _, position = _varint(data, position)
        elif kind in {_FIXED64, _FIXED32}:
            position += 8 if kind == _FIXED64 else 4
        else:
            raise IndexError(f"wire type {kind} at byte {position}")
    if position != end:
        raise IndexError(f"a field ends beyond its message, which ends at byte {end}")


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follow
            return value, position
        if shift > 63:  # noqa: PLR2004 - a varint has at most 64 bits
            raise IndexError(f"no number ends at byte {position}")
