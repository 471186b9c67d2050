"""Tiny models and catalog entries: real ONNX bytes, written without the onnx package.

The encoding is protocol buffers' (tag = field << 3 | wire type), the field numbers are those of
``onnx.proto``.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _port(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_bytes(1, _int(1, d) if d >= 0 else _bytes(2, f"d{i}")) for i, d in enumerate(shape))
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, 1) + _bytes(2, dims)))


def tiny_onnx(
    add: float = 1.0,
    shape: Sequence[int] = (1, 4),
    op: str = "Add",
    *,
    weights: int = 1,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return an ONNX model ``y = x OP c``: f32 ``x``, ``y`` of ``shape``, ``c`` of ``weights`` equal numbers.

    With an ``op`` that ONNX does not know the model is well formed but cannot be converted. ``metadata`` are
    its ``metadata_props``.
    """
    constant = _int(1, weights) + _int(2, 1) + _bytes(8, "c") + _bytes(9, struct.pack("<f", add) * weights)
    node = _bytes(1, "x") + _bytes(1, "c") + _bytes(2, "y") + _bytes(3, "n") + _bytes(4, op)
    ports = _bytes(11, _port("x", shape)) + _bytes(12, _port("y", shape))
    graph = _bytes(1, node) + _bytes(2, "g") + _bytes(5, constant) + ports
    props = (_bytes(1, name) + _bytes(2, text) for name, text in (metadata or {}).items())
    return _int(1, 8) + _bytes(8, _int(2, 13)) + _bytes(7, graph) + b"".join(_bytes(14, one) for one in props)


def external_onnx(location: str, shape: Sequence[int] = (1, 4)) -> bytes:
    """Return ``y = x + c`` whose ``c`` is the first four bytes (f32) of another file."""
    place = [("location", location), ("offset", "0"), ("length", "4")]
    entries = b"".join(_bytes(13, _bytes(1, key) + _bytes(2, value)) for key, value in place)
    constant = _int(1, 1) + _int(2, 1) + _bytes(8, "c") + entries + _int(14, 1)
    node = _bytes(1, "x") + _bytes(1, "c") + _bytes(2, "y") + _bytes(3, "n") + _bytes(4, "Add")
    ports = _bytes(11, _port("x", shape)) + _bytes(12, _port("y", shape))
    graph = _bytes(1, node) + _bytes(2, "g") + _bytes(5, constant) + ports
    return _int(1, 8) + _bytes(8, _int(2, 13)) + _bytes(7, graph)


def entry(name: str, data: bytes, *sources: dict[str, str], path: str = "m.onnx", **more: object) -> dict:
    """Return a catalog entry of one artifact with the digest of ``data``."""
    artifact = {
        "path": path,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "sources": list(sources),
    }
    return {
        "schema": 1,
        "name": name,
        "task": "test",
        "framework": "onnx",
        "license": "MIT",
        "description": "Adds a number.",
        "artifacts": [artifact],
        **more,
    }


def write_entry(folder: Path, data: dict) -> Path:
    """Write a catalog entry to ``folder/<name>.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data['name']}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path
