"""The IR key: everything that determines a converted IR, as plain data, and its digest.

Not in it: the model's name, device, host, paths outside the model, dates, addresses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.conversion.toolchain import is_compressed, is_quantized
from model_zoo.errors import UsageError
from model_zoo.files.tree import walk
from model_zoo.schema import Digest, Labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.schema import FileEntry, KeyParts, Model

_WIDTH = 80
SCHEMA = 1
"""Raised when our own conversion code changes the bytes it makes from the same parts."""


def key_parts(
    model: Model,
    precision: str,
    inputs: Sequence[FileEntry],
    versions: Mapping[str, str | None],
    *,
    calibration: Path | str | None = None,
) -> KeyParts:
    """Return everything that determines the IR, as plain JSON data.

    ``inputs`` are the model's files after unpacking and replacing; ``calibration`` is data that the caller
    names instead of the recipe.

    Raises:
        UsageError: the calibration data does not exist.
    """
    recipe = msgspec.to_builtins(model.recipe)
    recipe.pop("precisions", None)
    if recipe.get("builder"):
        recipe["builder"].pop("requirements", None)  # what matters is what is installed: the versions have it
    if not is_compressed(precision):
        recipe.pop("compress", None)
    if not is_quantized(precision):
        recipe.pop("quantize", None)
    parts: KeyParts = {
        "schema": SCHEMA,
        "converter": model.framework,
        "precision": precision,
        "ready": is_ready(model, precision),
        "inputs": sorted([entry.path, entry.sha256] for entry in inputs),
        "versions": dict(sorted(versions.items())),
        "recipe": recipe,
        "model_info": msgspec.to_builtins(model.ir_info),
        "labels": _labels(model),
    }
    if calibration is not None:
        digest = _calibration_digest(calibration)  # also proves that the data exists
        if is_quantized(precision) or is_compressed(precision):
            parts["calibration"] = digest
    # Through JSON and back, so that new parts compare equal to those read from a manifest.
    return json.loads(json.dumps(parts))  # type: ignore[no-any-return]


def is_ready(model: Model, precision: str) -> bool:
    """Whether the model's files already are an IR of that precision."""
    if model.framework != "openvino":
        return False
    tagged = any(artifact.precision for artifact in model.artifacts)
    return tagged or precision == model.precisions[0]


def _labels(model: Model) -> dict[str, Any] | None:
    labels = model.labels
    if labels is None:
        return None
    if isinstance(labels, Labels):
        return dict(msgspec.to_builtins(labels))
    return {"count": len(labels), "digest": str(Digest.of_json(list(labels)))}


def _calibration_digest(calibration: Path | str) -> str:
    """Return the digest of a file, or of a directory's files with names; ``random`` and ``auto`` as is."""
    from model_zoo.files import hash_file  # rarely needed

    if calibration in {"random", "auto"}:
        return str(calibration)
    path = Path(calibration)
    if path.is_file():
        return str(hash_file(path)["sha256"])
    if not path.is_dir():
        what = f"the calibration data {path} does not exist"
        raise UsageError(what, hint="give a folder of images, a .npy or .npz file, or the word 'random'")
    root = path.resolve()
    files = sorted(Path(entry.path) for entry in walk(root) if entry.is_file())
    return str(Digest.of_json([[f.relative_to(root).as_posix(), hash_file(f)["sha256"].hex] for f in files]))


def ir_key(parts: KeyParts) -> str:
    """Return the IR key: 64 hex digits, the sha256 of the parts as canonical JSON."""
    return Digest.of_json(parts).hex


def differences(wanted: KeyParts, cached: KeyParts, label: str = "cached") -> list[str]:
    """Return one readable line for each part that differs; ``label`` is what they call the second set."""
    lines: list[str] = []
    for name in sorted({*wanted, *cached}):
        old, new = cached.get(name), wanted.get(name)
        if name == "inputs":
            old, new = dict(old or []), dict(new or [])
        _compare(name, new, old, lines, label)
    return lines


def _compare(path: str, wanted: object, cached: object, lines: list[str], label: str) -> None:
    if wanted == cached:
        return
    if isinstance(wanted, dict) and isinstance(cached, dict):
        for key in sorted({*wanted, *cached}):
            _compare(f"{path}.{key}", wanted.get(key), cached.get(key), lines, label)
        return
    if isinstance(wanted, list) and isinstance(cached, list) and len(wanted) == len(cached):
        for index, (new, old) in enumerate(zip(wanted, cached, strict=True)):
            _compare(f"{path}[{index}]", new, old, lines, label)
        return
    lines.append(f"{path}: now {_brief(wanted)}, {label} {_brief(cached)}")


def _brief(value: object) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
