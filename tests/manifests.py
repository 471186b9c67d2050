"""Manifests for tests that care about a field or two."""

from __future__ import annotations

from typing import Any

from model_zoo.schema import FilesManifest, IrManifest


def ir_manifest(**fields: Any) -> IrManifest:
    """Return the manifest of an IR."""
    given = {"key": "k", "model": "m", "precision": "FP32", "framework": "onnx", "parts": {}, **fields}
    return IrManifest(schema=1, **{"inputs": (), "outputs": (), **given})


def files_manifest(**fields: Any) -> FilesManifest:
    """Return the manifest of a model's files."""
    given = {"model": "m", "declaration": "0" * 64, "precision": None, **fields}
    return FilesManifest(schema=1, **{"artifacts": (), "files": (), **given})
