"""Embedding models as sentence-transformers lays them out: a network, and how its tokens become one vector.

Standard library only: both processes need it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MODULES = "modules.json"
_POOLINGS = {
    "mean": "MEAN",
    "mean_tokens": "MEAN",
    "cls": "CLS",
    "cls_token": "CLS",
    "lasttoken": "LAST_TOKEN",
}
"""What sentence-transformers calls a pooling, and OpenVINO GenAI."""


def pooling_of(folder: Path) -> dict[str, Any] | None:
    """Return how the network's last hidden state becomes an embedding, as options of TextEmbeddingPipeline.

    None where nothing says, or where more is done than pooling and normalising.
    """
    modules = _json(folder / MODULES)
    if not isinstance(modules, list):
        return None
    kinds = [str(one.get("type")).rpartition(".")[2] for one in modules]
    if (
        kinds[:2] != ["Transformer", "Pooling"]
        or kinds[2:] not in ([], ["Normalize"])
        or modules[0].get("path")
    ):
        return None
    said = _json(folder / str(modules[1].get("path")) / "config.json")
    if not isinstance(said, dict):
        return None
    stated = said.get("pooling_mode")
    modes = (
        [stated] if stated else [key[13:] for key in said if key.startswith("pooling_mode_") and said[key]]
    )
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        return None
    return {"pooling_type": _POOLINGS[modes[0]], "normalize": "Normalize" in kinds}


def settings_of(folder: Path) -> list[str]:
    """Return the small files that sentence-transformers keeps beside the network."""
    modules = _json(folder / MODULES)
    paths = [str(one.get("path")) for one in modules] if isinstance(modules, list) else []
    names = [MODULES, "config_sentence_transformers.json", "sentence_bert_config.json"]
    names += [f"{path}/config.json" for path in paths if path]
    return [name for name in names if (folder / name).is_file()]


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
