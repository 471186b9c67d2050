"""One conversion as a value: what is converted, from which files, by which interpreter; and its request."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from model_zoo.conversion.key import is_ready
from model_zoo.errors import ConversionError
from model_zoo.formats.frameworks import choose_network
from model_zoo.schema import Labels
from model_zoo.text import plain_reason

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import KeyParts, Model


@dataclass(frozen=True)
class ConversionJob:
    """One conversion.

    Nothing is written to ``files``; ``parts`` is what ``key_parts`` returned. ``python`` is the interpreter
    to run the worker in, by default this one, and ``isolated`` if that is a converter environment's.
    ``calibration`` is data that the caller names instead of the recipe: a directory of images, a ``.npy`` or
    ``.npz`` file, or ``random``; for language models a file with one text a line. ``reference`` is what to
    type for the model, where that is not its name.
    """

    model: Model
    precision: str
    files: Path
    parts: KeyParts
    python: str | None = None
    isolated: bool = False
    trust_code: bool = False
    calibration: Path | str | None = None
    reference: str | None = None

    @property
    def name(self) -> str:
        """What is converted, for messages."""
        return f"{self.model.name}@{self.precision}"


def worker_request(job: ConversionJob, staging: Path) -> dict[str, object]:
    """Return the request for a worker that writes into ``staging``: the fields of ``worker.job.Job``.

    Raises:
        ConversionError: it is not clear which file is the network, or the labels cannot be read.
    """
    model = job.model
    artifacts = [artifact.path for artifact in model.files_of(job.precision)]
    source = None
    if not (model.recipe.builder or model.is_folder):
        source = choose_network(
            job.files,
            artifacts,
            framework=str(model.framework),
            recipe_model=model.recipe.model,
            model=model.name,
            error=ConversionError,
        )
    calibration = job.calibration
    if calibration is not None and calibration not in {"random", "auto"}:
        calibration = _absolute(calibration)
    return {
        "framework": model.framework,
        "files": _absolute(job.files),
        "staging": _absolute(staging),
        "source": None if source is None else _absolute(source),
        "precision": job.precision,
        "artifacts": artifacts,
        "recipe": msgspec.to_builtins(model.recipe),
        "model_info": msgspec.to_builtins(model.ir_info),
        "labels": labels_of(model, job.files),
        "ready": is_ready(model, job.precision),
        "folder": model.is_folder,
        "trust_code": job.trust_code,
        "calibration": None if calibration is None else str(calibration),
    }


def _absolute(path: Path | str) -> str:
    """Return an absolute path in which links stay links: the files beside a link matter."""
    return os.path.abspath(path)  # noqa: PTH100


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
