"""One ``model.yml`` or ``composite-model.yml``, as plain data → one ``Model``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from model_zoo.catalog.omz.recipe import recipe_of
from model_zoo.catalog.reader import to_struct
from model_zoo.errors import CatalogError
from model_zoo.schema import PRECISIONS, Model

T = TypeVar("T")
FRAMEWORKS = {"dldt": "openvino", "onnx": "onnx", "pytorch": "pytorch", "tf": "tensorflow"}
FORMATS = {
    "zip": "zip",
    "tar": "tar",
    "gztar": "tar.gz",
    "bztar": "tar.bz2",
    "xztar": "tar.xz",
}
"""``shutil.unpack_archive``'s names of formats, which the files use, and ours."""
MODEL_INFO = ("model_type", "confidence_threshold", "iou_threshold", "resize_type", "anchors", "masks")


@dataclass(frozen=True)
class Place:
    """Where a description was found.

    Attributes:
        name: the model's name, which is its folder's.
        subdirectory: that folder below the root of the tree, with slashes.
        composite: the composite model it is a stage of.
        file: what errors call the file.
    """

    name: str
    subdirectory: str
    composite: str | None = None
    file: str = ""


def to_model(raw: dict[str, Any], place: Place, *, text: str = "") -> Model:
    """Turn the content of a ``model.yml`` into a model.

    Args:
        raw: the parsed YAML.
        place: where it was found.
        text: the YAML itself, to name lines in errors.

    Raises:
        CatalogError: a field is missing or wrong.
    """
    try:
        data = _common(raw, place)
        data["framework"] = _framework(raw, place)
        data |= _files(raw, place)
        data["recipe"], reason = recipe_of(raw, place.name)
        if reason:
            data |= {"convertible": False, "reason": reason}
        info = raw.get("model_info") or {}
        data["model_info"] = {key: info[key] for key in MODEL_INFO if key in info}
        if "labels" in info:
            data["labels"] = info["labels"]
        data["omz"] |= _inputs(raw, data["recipe"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"{place.file or place.name}: not a model description of Open Model Zoo: {_said(error)}"
        raise CatalogError(what, hint="correct the file") from error
    return to_struct(data, Model, text, place.file or place.name)


def to_composite(raw: dict[str, Any], place: Place, *, text: str = "") -> Model:
    """Turn the content of a ``composite-model.yml`` into a model made of stages.

    Raises:
        CatalogError: a field is missing or wrong.
    """
    try:
        data = _common(raw, place)
        data |= {"framework": _framework(raw, place), "stages": raw["stages_order"]}
    except (KeyError, TypeError, AttributeError) as error:
        what = f"{place.file or place.name}: not a composite model of Open Model Zoo: {_said(error)}"
        raise CatalogError(what, hint="correct the file") from error
    return to_struct(data, Model, text, place.file or place.name)


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _known(table: dict[str, T], word: str, what: str) -> T:
    if word not in table:
        msg = f"unknown {what} {word!r}"
        raise ValueError(msg)
    return table[word]


def _common(raw: dict[str, Any], place: Place) -> dict[str, Any]:
    omz = {"subdirectory": place.subdirectory} | ({"composite": place.composite} if place.composite else {})
    return {
        "schema": 1,
        "name": place.name,
        "task": raw["task_type"],
        "license": raw["license"],
        "description": raw["description"],
        "omz": omz,
    }


def _framework(raw: dict[str, Any], place: Place) -> str:
    if raw["framework"] not in FRAMEWORKS:
        raise CatalogError(
            f"{place.file or place.name}: framework: not one that Open Model Zoo had",
            expected=", ".join(FRAMEWORKS),
            found=raw["framework"],
            hint="correct the file",
        )
    return FRAMEWORKS[raw["framework"]]


def _files(raw: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return artifacts and replacements: archives are unpacked beside themselves and not kept."""
    archives: dict[str, str] = {}
    edits = []
    for step in raw.get("postprocessing") or ():
        if step["$type"] == "unpack_archive":
            archives[str(PurePosixPath(step["file"]))] = _known(FORMATS, step["format"], "archive format")
        elif step["$type"] == "regex_replace":
            edits.append({k: step[k] for k in ("file", "pattern", "replacement", "count") if k in step})
        else:
            msg = f"unknown postprocessing {step['$type']!r}"
            raise ValueError(msg)
    ready = raw["framework"] == "dldt" and "model_optimizer_args" not in raw
    artifacts = [_artifact(file, archives, ready=ready) for file in raw["files"]]
    unknown = archives.keys() - {artifact["path"] for artifact in artifacts}
    if unknown:
        msg = f"postprocessing unpacks {', '.join(sorted(unknown))}, which is not one of the files"
        raise ValueError(msg)
    if not ready and "model_optimizer_args" not in raw:
        msg = "it is no IR, and there are no model_optimizer_args"
        raise ValueError(msg)
    del place
    return {"artifacts": artifacts, "replace": [edit | {"omz": True} for edit in edits]}


def _artifact(file: dict[str, Any], archives: dict[str, str], *, ready: bool) -> dict[str, Any]:
    path = PurePosixPath(file["name"])
    checksum = file["checksum"]
    if isinstance(checksum, dict):
        checksum = checksum["value"]
    # The misspelt key is one the zoo's own files have.
    originals = (file.get("original_source"), file.get("oroginal_source"))
    sources = [_source(source) for source in (file["source"], *originals) if source]
    entry: dict[str, Any] = {
        "path": str(path),
        "size": file["size"],
        "sha384": checksum.lower(),
        "sources": [one for index, one in enumerate(sources) if one not in sources[:index]],
    }
    if str(path) in archives:
        entry["unpack"] = {"format": archives[str(path)], "into": str(path.parent)}
    if ready and len(path.parts) == 2 and path.parts[0] in PRECISIONS:  # noqa: PLR2004 - PRECISION/FILE
        entry["precision"] = path.parts[0]
    return entry


def _source(source: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(source, str):
        return {"url": source}
    if "wheel" in source:
        return source
    kinds = {"http": ("url", "url"), "google_drive": ("gdrive", "id")}
    key, field = _known(kinds, source["$type"], "kind of source")
    return {key: source[field]}


def _inputs(raw: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return ``omz.inputs``, unless the recipe's inputs say the same."""
    keys = ("name", "shape", "layout")
    stated = [{k: one[k] for k in keys if one.get(k)} for one in raw.get("input_info") or ()]
    same = [{k: one[k] for k in keys if one.get(k)} for one in recipe.get("inputs", ())]
    return {} if stated == same else {"inputs": stated}
