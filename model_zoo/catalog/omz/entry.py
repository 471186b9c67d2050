"""One ``model.yml`` or ``composite-model.yml`` of a tree → one ``Model``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from model_zoo.catalog import OMZ_NAMES
from model_zoo.catalog.omz.recipe import recipe_of
from model_zoo.catalog.plain_yaml import load_yaml
from model_zoo.catalog.reader import read_text, to_struct
from model_zoo.errors import CatalogError
from model_zoo.schema import PRECISIONS, Model, canonical_task

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
FRAMEWORKS = {"dldt": "openvino", "onnx": "onnx", "pytorch": "pytorch", "tf": "tensorflow"}
FORMATS = {"zip": "zip", "tar": "tar", "gztar": "tar.gz", "bztar": "tar.bz2", "xztar": "tar.xz"}
"""The formats' names in ``shutil.unpack_archive``, which the files use, and in our catalogs."""
MODEL_INFO = ("model_type", "confidence_threshold", "iou_threshold", "resize_type", "anchors", "masks")


@dataclass(frozen=True)
class OmzOrigin:
    """Where a description was found.

    ``name`` is the model's, which is that of its directory; ``subdirectory`` that directory below the root of
    the tree, with slashes; ``composite`` the composite model that it is a stage of; ``file`` what errors call
    the file.
    """

    name: str
    subdirectory: str
    composite: str | None = None
    file: str = ""


def to_model(raw: dict[str, Any], origin: OmzOrigin, *, text: str = "", composite: bool = False) -> Model:
    """Turn the parsed content of a ``model.yml``, or of a ``composite-model.yml``, into a model.

    ``text`` is the YAML itself, for line numbers in errors.
    """
    file = origin.file or origin.name
    omz: dict[str, Any] = {"subdirectory": origin.subdirectory, "composite": origin.composite}
    try:
        data = {
            "schema": 1,
            "name": origin.name,
            "task": raw["task_type"],
            "license": raw["license"],
            "description": raw["description"],
            "framework": _look_up(FRAMEWORKS, raw["framework"], "framework"),
            **({"stages": raw["stages_order"]} if composite else _model_fields(raw, origin)),
        }
        task = raw["task_type"]
        if isinstance(task, str) and canonical_task(task) != task:
            omz["task"] = task
        data["omz"] = omz | data.get("omz", {})
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, ValueError) else "a field has a value of the wrong type"
        if isinstance(error, KeyError):
            reason = f"{error.args[0]} is missing"
        kind = "composite model" if composite else "model description"
        what = f"{file}: not a {kind} of Open Model Zoo: {reason}"
        raise CatalogError(what, hint="correct the file") from error
    return to_struct(data, Model, text, file)


def _model_fields(raw: dict[str, Any], origin: OmzOrigin) -> dict[str, Any]:
    recipe, reason = recipe_of(raw, origin.name)
    info = raw.get("model_info") or {}
    fields = _files(raw) | {"recipe": recipe, "omz": _inputs(raw, recipe)}
    fields["model_info"] = {key: info[key] for key in MODEL_INFO if key in info}
    if reason:
        fields |= {"convertible": False, "reason": reason}
    if "labels" in info:
        fields["labels"] = info["labels"]
    return fields


def _look_up(table: dict[str, T], word: str, what: str) -> T:
    if word not in table:
        raise ValueError(f"unknown {what} {word!r}; known: {', '.join(table)}")
    return table[word]


def _files(raw: dict[str, Any]) -> dict[str, Any]:
    """Return artifacts and replacements; archives are unpacked in place and not kept."""
    archives: dict[str, str] = {}
    edits = []
    for step in raw.get("postprocessing") or ():
        if step["$type"] == "unpack_archive":
            archives[str(PurePosixPath(step["file"]))] = _look_up(FORMATS, step["format"], "archive format")
        elif step["$type"] == "regex_replace":
            edits.append({k: step[k] for k in ("file", "pattern", "replacement", "count") if k in step})
        else:
            raise ValueError(f"unknown postprocessing {step['$type']!r}")
    ready = raw["framework"] == "dldt" and "model_optimizer_args" not in raw
    artifacts = [_artifact(file, archives, ready=ready) for file in raw["files"]]
    unknown = archives.keys() - {artifact["path"] for artifact in artifacts}
    if unknown:
        raise ValueError(f"postprocessing unpacks {', '.join(sorted(unknown))}, which is not among the files")
    if not ready and "model_optimizer_args" not in raw:
        raise ValueError("it is not an IR, and has no model_optimizer_args")
    return {"artifacts": artifacts, "replace": [edit | {"omz": True} for edit in edits]}


def _artifact(file: dict[str, Any], archives: dict[str, str], *, ready: bool) -> dict[str, Any]:
    path = PurePosixPath(file["name"])
    checksum = file["checksum"]
    if isinstance(checksum, dict):
        checksum = checksum["value"]
    if not isinstance(checksum, str):
        msg = f"the checksum of {path} must be text, not {checksum!r}"
        raise ValueError(msg)  # noqa: TRY004 - it is the file that is wrong
    # The misspelt key is one the zoo's own files have.
    originals = (file.get("original_source"), file.get("oroginal_source"))
    sources = [_source(source) for source in (file["source"], *originals) if source]
    entry: dict[str, Any] = {
        "path": str(path),
        "size": file["size"],
        "sha384": checksum.lower(),
        "sources": [source for index, source in enumerate(sources) if source not in sources[:index]],
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
    key, field = _look_up(kinds, source["$type"], "kind of source")
    return {key: source[field]}


def _inputs(raw: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return ``omz.inputs``, unless they equal the recipe's inputs."""
    keys = ("name", "shape", "layout")
    described, converted = (
        [{key: port[key] for key in keys if port.get(key)} for port in ports or ()]
        for ports in (raw.get("input_info"), recipe.get("inputs"))
    )
    return {} if described == converted else {"inputs": described}


MODEL, COMPOSITE = OMZ_NAMES


def read_omz(path: Path, root: Path) -> Model:
    """Read one ``model.yml`` or ``composite-model.yml`` of a tree; its root has ``intel``, ``public``."""
    text = read_text(path)
    raw = load_yaml(text, str(path))
    directory = path.parent
    if not isinstance(raw, dict):
        raise CatalogError(f"{path}: not a model description of Open Model Zoo", hint="correct the file")
    composite = directory.parent.name if (directory.parent / COMPOSITE).is_file() else None
    origin = OmzOrigin(directory.name, directory.relative_to(root).as_posix(), composite, str(path))
    model = to_model(raw, origin, text=text, composite=path.name == COMPOSITE)
    for stage in model.stages:
        if not stage.startswith(f"{directory.name}-") or not (directory / stage / MODEL).is_file():
            what = f"{path}: stages_order names {stage}, which is not a model in its subfolders"
            expected = f"a folder {directory.name}-… with a {MODEL}"
            raise CatalogError(what, expected=expected, hint="correct the file")
    return model


def models_root(directory: Path) -> Path:
    """Return the root of the tree in a checkout of Open Model Zoo, or the directory itself."""
    for candidate in (directory / "models", directory):
        if candidate.is_dir():
            return candidate
    what = f"{directory}: no such tree of models"
    raise CatalogError(what, hint="check the path (OMZ_ROOT, --models_root)")
