"""Class labels: from the catalog entry itself, or from a file of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from model_zoo.errors import ConversionError
from model_zoo.schema import Labels
from model_zoo.text import plain_reason

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import Model


def labels_of(model: Model, files: Path) -> list[str] | None:
    """Return the model's labels in order; None when it has none.

    Raises:
        ConversionError: the file does not have what the catalog says.
    """
    labels = model.labels
    if labels is None:
        return None
    if not isinstance(labels, Labels):
        return list(labels)
    if labels.artifact is None:
        what = f"labels.file: {labels.file} was not read with the catalog"
        raise ConversionError(what, hint="load the model through a catalog")
    try:
        text = (files / labels.artifact).read_text(encoding="utf-8")
        if labels.key is None:
            return text.splitlines()
        return _labels_at(json.loads(text), labels.key)
    except (OSError, ValueError, LookupError, TypeError) as error:
        what = f"{model.name}: {labels.artifact} has no labels where the catalog entry expects them"
        raise ConversionError(
            what,
            expected=f"a list at {labels.key}" if labels.key else "one label per line",
            found=plain_reason(error),
            left="nothing was published",
            hint="correct labels in the catalog entry",
        ) from error


def _labels_at(value: object, key: str) -> list[str]:
    for part in key.split("."):
        if isinstance(value, list):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value[part]
        else:
            raise TypeError(f"nothing at {part!r}")
    if isinstance(value, dict):  # {"0": "cat", "1": "dog"}, the id2label of many configurations
        value = [value[str(index)] for index in range(len(value))]
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} instead of a list")
    return [str(item) for item in value]
