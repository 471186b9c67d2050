"""One YAML file → one ``Model``, strictly: a CatalogError names file, line and field of whatever is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from model_zoo.catalog.error_text import explain_field
from model_zoo.errors import CatalogError
from model_zoo.files.read import TooLargeError, read_bounded
from model_zoo.schema import Artifact, Labels, Model, Source
from model_zoo.sources import LocatedSource, integrity_of, source_hook
from model_zoo.text import plain_reason, plain_types

MAX_BYTES = 4 << 20
MAX_LABELS = 16 << 20
T = TypeVar("T")


def read_model(path: Path) -> Model:
    """Read one catalog entry, and the labels file beside it if it names one.

    Raises:
        CatalogError: the file cannot be read or is not a valid entry; the message starts with
            ``FILE:LINE: FIELD``.
    """
    return with_labels(read_without_labels(path), path)


def read_without_labels(path: Path) -> Model:
    """Read one catalog entry; a labels file is named by its absolute path, but not read."""
    text = read_text(path)
    model = parse_model(text, str(path))
    _check_integrity(model, path, text)
    if model.name != path.stem:
        raise CatalogError(
            _location(path, text, ("name",)) + "name: must equal the file's stem",
            expected=path.stem,
            found=model.name,
            hint="rename the file or the model",
        )
    return _with_absolute_paths(model, path)


def read_text(path: Path) -> str:
    """Return a catalog file's text."""
    try:
        data, _ = read_bounded(path, MAX_BYTES)
        text = data.decode("utf-8")
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}", hint="check the path") from error
    except TooLargeError as error:
        raise CatalogError(
            f"{path}: the file is too large for a catalog entry",
            expected=f"at most {MAX_BYTES} bytes",
            found=f"{path.stat().st_size} bytes",
            hint="keep only catalog entries in a catalog",
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"{path}:{line}: not UTF-8: invalid byte 0x{data[error.start]:02x} ({error.reason})"
        raise CatalogError(what, hint="save the file as UTF-8") from error
    if not text.strip():
        raise CatalogError(f"{path}: the file is empty", hint="write an entry, or delete the file")
    return text


def parse_model(text: str, name: str) -> Model:
    """Parse the text of one entry; ``name`` is what errors call the file."""
    from model_zoo.catalog.plain_yaml import load_yaml  # and YAML itself, which the index makes needless

    return to_struct(load_yaml(text, name), Model, text, name)


def to_struct(data: object, kind: type[T], text: str, name: str) -> T:
    """Convert plain data into a struct of the catalog."""
    try:
        return msgspec.convert(data, kind, dec_hook=source_hook)
    except msgspec.ValidationError as error:
        what, field = split_error(str(error))
        if data is None:
            raise CatalogError(
                f"{name}: the file contains no entry", hint="write one, or delete the file"
            ) from error
        field, what = _with_named_field(field, what, data)
        steps = split_field(field)
        where = _location(name, text, steps)
        shown = f"{field}: " if field else ""
        what = explain_field(what, steps, _value_at(data, steps[:-1])) if kind is Model else what
        found = _value_at(data, steps)
        if what.startswith("expected ") and isinstance(found, (str, int, float)):
            what = f"{what.partition(', found ')[0]}, found {found!r}"
        hint = "see catalog/schema.json, or run 'model-zoo catalog validate'"
        raise CatalogError(f"{where}{shown}{what}", hint=hint) from error


def artifacts_from(data: object) -> tuple[Artifact, ...]:
    """Build artifacts from plain data; ValueError if it is not that of artifacts."""
    return msgspec.convert(data, tuple[Artifact, ...], dec_hook=source_hook)


def split_error(message: str) -> tuple[str, str]:
    """Split msgspec's message into what is wrong and the path of the field (``artifacts[0].size``)."""
    what, _, path = message.rpartition(" - at `$")
    what, field = (what, path.rstrip("`").lstrip(".")) if what else (message, "")
    inner = re.match(r"([A-Za-z_][\w.\[\]]*): (.+)", what, re.DOTALL)
    if inner and ".sources[" in f".{field}":
        field, what = f"{field}.{inner[1]}", inner[2]
    for pattern, plain in _FIELD_ERRORS:
        match = re.fullmatch(pattern, what)
        if match:
            return plain, f"{field}.{match[1]}".lstrip(".")
    return _plain(what), field


_FIELD_ERRORS = (
    (r"Object contains unknown field `(.+)`", "unknown field"),
    (r"Object missing required field `(.+)`", "required field is missing"),
)


def _with_named_field(field: str, what: str, data: object) -> tuple[str, str]:
    """Add the field that a rule's message begins with, where the mapping at ``field`` has it."""
    data = _value_at(data, split_field(field))
    inner = re.match(r"((\w+)[\w.\[\]]*)(?:: | )(.+)", what, re.DOTALL)
    if not (inner and isinstance(data, dict) and inner[2] in data):
        return field, what
    return f"{field}.{inner[1]}".lstrip("."), inner[3]


def _value_at(data: object, steps: tuple[str | int, ...]) -> object:
    """Return the part of plain data that the steps lead to; None if they lead nowhere."""
    for step in steps:
        try:
            data = data[step]  # type: ignore[index]
        except (LookupError, TypeError):
            return None
    return data


def _plain(what: str) -> str:
    """State a type in YAML's terms instead of Python's."""
    what = plain_types(what)
    what = what.replace("`int`", "a whole number").replace("`float`", "a number").replace("`", "")
    if what.startswith("Expected str matching regex"):
        digits = {"64": "sha256", "96": "sha384", "128": "sha512"}
        size = re.search(r"\{(\d+)\}", what)
        if size and size[1] in digits:
            return f"expected {size[1]} lower-case hex digits ({digits[size[1]]})"
    return what[:1].lower() + what[1:]


def split_field(field: str) -> tuple[str | int, ...]:
    """Split ``artifacts[0].sources[1].url`` into its steps."""
    found = re.findall(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)", field)
    return tuple(int(index) if index.isdigit() else name for index, name in found)


def _location(name: object, text: str, steps: tuple[str | int, ...]) -> str:
    """Return ``FILE:LINE: `` of the deepest node on the path to a field."""
    from model_zoo.catalog.plain_yaml import line_of

    line = line_of(text, steps)
    return f"{name}: " if line is None else f"{name}:{line}: "


def _with_absolute_paths(model: Model, path: Path) -> Model:
    """Make paths absolute that the entry states relative to its own file."""

    def absolute(source: Source) -> Source:
        return source.rooted(path.parent) if isinstance(source, LocatedSource) else source

    artifacts = tuple(
        msgspec.structs.replace(artifact, sources=tuple(map(absolute, artifact.sources)))
        for artifact in model.artifacts
    )
    labels = model.labels
    if isinstance(labels, Labels) and labels.file is not None:
        labels = msgspec.structs.replace(labels, file=str(path.parent.absolute() / labels.file))
    return msgspec.structs.replace(model, artifacts=artifacts, labels=labels)


def with_labels(model: Model, path: Path) -> Model:
    """Return the model with the labels of the file it names; ``path`` is its catalog file."""
    if not (isinstance(model.labels, Labels) and model.labels.file is not None):
        return model
    file = Path(model.labels.file)
    try:
        inside = file.resolve().is_relative_to(path.parent.resolve())
    except (OSError, RuntimeError):  # links in a circle
        inside = False
    if not inside:
        what = f"{path}: labels.file: {file} is not below the folder of the entry"
        raise CatalogError(what, hint="move the labels there, and correct the path")
    try:
        text = read_bounded(file, MAX_LABELS)[0].decode("utf-8")
        return msgspec.structs.replace(model, labels=read_labels(text, model.labels.key))
    except (OSError, ValueError) as error:
        what = f"{path}: labels.file: {plain_reason(error)}"
        raise CatalogError(what, hint="correct the path or the key") from error


def _check_integrity(model: Model, path: Path, text: str) -> None:
    """Refuse an artifact whose content nothing fixes: a digest, an immutable address, or a declared level."""
    for index, artifact in enumerate(model.artifacts):
        if not artifact.sources:
            where = _location(path, text, ("artifacts", index))
            what = f"{where}artifacts[{index}].sources: needs at least one source"
            raise CatalogError(
                what, hint='state where the file is, for example sources: [{url: "https://…"}]'
            )
        if artifact.digests or artifact.integrity or integrity_of(artifact) != "first-use":
            continue
        where = _location(path, text, ("artifacts", index))
        raise CatalogError(
            f"{where}artifacts[{index}]: {artifact.path!r} has no digest, and its content can change",
            expected="sha256, sha384 or sha512",
            found="none",
            hint="add the digest, or accept the first bytes seen with 'integrity: first-use'",
        )


def read_labels(text: str, key: str | None) -> tuple[str, ...]:
    """Return the labels of a file: one a line, or the list at ``key`` (dots descend) of a JSON file.

    ValueError if there is no list of strings at ``key``.
    """
    if key is None:
        return tuple(text.splitlines())
    try:
        value: object = msgspec.json.decode(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"no list of labels at {key!r}")
    return tuple(value)
