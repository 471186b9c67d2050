"""Configuration files beside models in the layout of Hugging Face.

Standard library only: the worker process needs it too.
"""

from __future__ import annotations

import json
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


def read_config(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if there is no such file, or it has no object."""
    config = _read_json(path)
    return config if isinstance(config, dict) else {}


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def module_types(directory: Path) -> list[str]:
    """Return the full names of the classes that the layers of sentence-transformers are made of."""
    modules = _read_json(directory / _MODULES)
    return [str(one.get("type")) for one in modules] if isinstance(modules, list) else []


def pooling_of(directory: Path) -> dict[str, str | bool] | None:
    """Return how the last hidden state becomes an embedding, as options of ``TextEmbeddingPipeline``.

    None if that is not declared, or if more is done than pooling and normalising.
    """
    modules = _read_json(directory / _MODULES)
    if not isinstance(modules, list):
        return None
    kinds = [name.rpartition(".")[2] for name in module_types(directory)]
    if (
        kinds[:2] != ["Transformer", "Pooling"]
        or kinds[2:] not in ([], ["Normalize"])
        or modules[0].get("path")
    ):
        return None
    config = read_config(directory / str(modules[1].get("path")) / "config.json")
    prefix = "pooling_mode_"  # one flag a mode; newer versions have a single field
    modes = [key.removeprefix(prefix) for key in config if key.startswith(prefix) and config[key]]
    modes = [config["pooling_mode"]] if config.get("pooling_mode") else modes
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        return None
    return {"pooling_type": _POOLINGS[modes[0]], "normalize": "Normalize" in kinds}


def config_files(directory: Path) -> list[str]:
    """Return the small files that sentence-transformers keeps beside the network."""
    modules = _read_json(directory / _MODULES)
    paths = [str(one.get("path")) for one in modules] if isinstance(modules, list) else []
    names = [_MODULES, "config_sentence_transformers.json", "sentence_bert_config.json"]
    names += [f"{path}/config.json" for path in paths if path]
    return [name for name in names if (directory / name).is_file()]
