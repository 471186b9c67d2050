"""Configuration files beside models in the layout of Hugging Face.

Standard library only: the worker process needs it too.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_MODULES = "modules.json"
"""Lists the layers of an embedding model of sentence-transformers."""
_POOLINGS = {
    "mean": "MEAN",
    "mean_tokens": "MEAN",
    "cls": "CLS",
    "cls_token": "CLS",
    "lasttoken": "LAST_TOKEN",
}
"""Pooling modes of sentence-transformers, and what OpenVINO GenAI calls them."""
POOLING_TYPES = tuple(sorted(set(_POOLINGS.values())))


def read_config(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if there is no such file, or it has no object."""
    config = _read_json(path)
    return config if isinstance(config, dict) else {}


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError):
        return None


def module_types(directory: Path) -> list[str]:
    """Return the full names of the classes that the layers of sentence-transformers are made of."""
    return [str(one.get("type")) for one in _modules(directory)]


def _modules(directory: Path) -> list[dict[str, Any]]:
    modules = _read_json(directory / _MODULES)
    return [one for one in modules if isinstance(one, dict)] if isinstance(modules, list) else []


def classes_named(directory: Path, framework: str) -> list[str]:
    """Return the full names of all classes that the configuration files of a model make a library import.

    Args:
        directory: of the model's files.
        framework: ``sentence-transformers`` or ``diffusers``; other libraries import none by full name.
    """
    if framework not in {"diffusers", "sentence-transformers"}:
        return []
    if framework == "diffusers":
        config = read_config(directory / "model_index.json")
        pairs = [value for value in config.values() if isinstance(value, list) and len(value) == 2]  # noqa: PLR2004
        return [f"{library}.{name}" for library, name in pairs if library is not None]
    names = module_types(directory)
    for path in sorted(directory.rglob("*config.json")):
        config = read_config(path)
        types = config.get("types")  # of a router, or its older name
        names += map(str, types.values()) if isinstance(types, dict) else []
        names += [str(config["activation_function"])] if "." in str(config.get("activation_function")) else []
    return names


def pooling_of(directory: Path) -> dict[str, str | bool] | None:
    """Return how the last hidden state becomes an embedding, as options of ``TextEmbeddingPipeline``.

    None if that is not declared, or if more is done than pooling and normalising.
    """
    modules = _modules(directory)
    kinds = [name.rpartition(".")[2] for name in module_types(directory)]
    if (
        kinds[:2] != ["Transformer", "Pooling"]
        or kinds[2:] not in ([], ["Normalize"])
        or modules[0].get("path")
    ):
        return None
    path = str(modules[1].get("path"))
    config = read_config(directory / path / "config.json") if _is_below(path) else {}
    prefix = "pooling_mode_"  # one flag a mode; newer versions have a single field
    modes = [key.removeprefix(prefix) for key in config if key.startswith(prefix) and config[key]]
    modes = [config["pooling_mode"]] if config.get("pooling_mode") else modes
    if len(modes) != 1 or not isinstance(modes[0], str) or modes[0] not in _POOLINGS:
        return None
    return {"pooling_type": _POOLINGS[modes[0]], "normalize": "Normalize" in kinds}


def _is_below(path: str) -> bool:
    """Whether a path that a configuration names stays in the model's directory."""
    return not PurePath(path).is_absolute() and ".." not in path.replace("\\", "/").split("/")


def config_files(directory: Path) -> list[str]:
    """Return the small files that sentence-transformers keeps beside the network."""
    paths = [str(one.get("path")) for one in _modules(directory)]
    names = [_MODULES, "config_sentence_transformers.json", "sentence_bert_config.json"]
    names += [f"{path}/config.json" for path in paths if path and _is_below(path)]
    return [name for name in names if (directory / name).is_file()]
