"""A URI, or a path that exists → a model, as if a catalog had it.

In two steps, because a server may have to be asked in between: ``parse_uri`` says where the files are, as far
as the text tells; the caller resolves what floats; ``model_from_uri`` builds the model from what was found.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from model_zoo.catalog.detect import (
    Detection,
    archive_format,
    companion_files,
    detect_network,
    drop_other_formats,
    precision_in,
    required_names,
    some_of,
)
from model_zoo.catalog.torchvision import torchvision_model, weights_of
from model_zoo.errors import ModelZooError, SourceUnavailableError, UsageError
from model_zoo.files import hash_file
from model_zoo.files.tree import is_real_directory
from model_zoo.formats.onnx import external_files
from model_zoo.schema import (
    EXPORTED,
    UNSPECIFIED,
    UNSTATED,
    Artifact,
    Framework,
    License,
    Model,
    Recipe,
    Unpack,
)
from model_zoo.sources.file import FileSource
from model_zoo.sources.hf.source import HfSource
from model_zoo.sources.tfhub import TfhubSource
from model_zoo.sources.url import UrlSource
from model_zoo.sources.wheel import WheelSource
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_HF = re.compile(
    r"(?P<repo>[^/@]+(?:/[^/@]+)?)(?:@(?P<rev>refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(?P<file>.+))?"
)
_MOST_FILES = 10_000
"""Files and folders of a local model: the largest published ones have some hundreds."""
_EXPORT_PRECISIONS = ("FP16", "INT8", "INT4", "FP32")


@dataclass(frozen=True)
class ParsedUri:
    """What a URI says by itself.

    Attributes:
        uri: as people type it, without passwords and tokens.
        stem: what the model is called for people; the name adds what makes it unique.
        requested: the file or directory, among those of ``artifacts``, that the URI names.
        framework: if the URI determines it; otherwise it is detected from the names of the files.
        model: the whole model, if there is nothing left to find out.
        url: an address where people may find out more, such as the licence.
        full: the URI with everything in it, if ``uri`` leaves something out.
    """

    uri: str
    stem: str
    artifacts: tuple[Artifact, ...]
    requested: str | None = None
    framework: Framework | None = None
    model: Model | None = None
    url: str | None = None
    full: str | None = None

    @property
    def name(self) -> str:
        """The model's name: readable, and different for different URIs."""
        return f"{slug(self.stem)}-{hashlib.sha256((self.full or self.uri).encode()).hexdigest()[:8]}"


def slug(text: str) -> str:
    """Return text reduced to what a model's name may contain."""
    return re.sub(r"[^0-9A-Za-z._-]+", "-", text).strip("-.")[:80] or "model"


def parse_uri(uri: str) -> ParsedUri:
    """Read a URI; local files are hashed, nothing else is looked up.

    Raises:
        UsageError: its scheme is unknown, or it names something that does not exist.
    """
    scheme, _, rest = uri.partition(":")
    if scheme not in _READERS:
        what = f"{uri!r}: unknown URI scheme {scheme + ':'!r}"
        expected = ", ".join(f"{known}:" for known in _READERS)
        raise UsageError(what, expected=expected, hint="see 'model-zoo fetch -h'")
    try:
        return _READERS[scheme](uri if scheme.startswith("http") else rest)
    except (ValueError, OSError, RuntimeError) as error:
        shown = safe_url(uri) if "://" in uri else uri
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{shown}: {why}", hint="check the URI") from None  # it may quote a password


def model_from_uri(parsed: ParsedUri, artifacts: tuple[Artifact, ...]) -> Model:
    """Build the model of a URI whose artifacts were resolved.

    Raises:
        SourceUnavailableError: there is no such file, or files have names that differ in case only.
        UsageError: its framework cannot be determined.
    """
    if parsed.model is not None:
        return parsed.model
    if any(artifact.unpack for artifact in artifacts):
        if parsed.framework is None:
            what = f"{parsed.uri}: cannot tell the framework of an archive from its name"
            hint = "write a catalog entry with the framework and a recipe, and pass it with --catalog"
            raise UsageError(what, hint=hint)
        return _model(parsed, artifacts, parsed.framework, None)
    chosen, kept = _choose(parsed, [artifact.path for artifact in artifacts])
    artifacts = tuple(artifact for artifact in artifacts if artifact.path in kept)
    if parsed.requested is not None:
        artifacts, chosen = _relative_to_requested(parsed.requested, artifacts, chosen)
    try:
        return _model(parsed, artifacts, chosen.framework, chosen.network)
    except ValueError as error:  # names that differ in case only
        what = f"{parsed.uri}: {error}"
        raise SourceUnavailableError(what, hint="name one of the files") from error


def needed_files(parsed: ParsedUri, paths: Sequence[str]) -> Collection[str]:
    """Return which of all files the model consists of; all of them if that cannot be told."""
    try:
        return _choose(parsed, list(paths))[1]
    except ModelZooError:
        return paths


def _choose(parsed: ParsedUri, paths: list[str]) -> tuple[Detection, set[str]]:
    """Return what the model is, and which of the files it needs."""
    requested = parsed.requested
    if requested is not None and requested in paths:
        kept = companion_files(requested, paths)
        return detect_network(kept, parsed.uri), set(kept)
    prefix = f"{requested}/" if requested is not None else ""
    below = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
    if requested is not None and not below:
        similar = [path for path in paths if PurePosixPath(path).suffix == PurePosixPath(requested).suffix]
        what = f"{parsed.uri}: no file or folder {requested!r}"
        raise SourceUnavailableError(
            what, found=some_of(similar or paths) or "no files", hint="name one of them"
        )
    chosen = detect_network(below, parsed.uri)
    network = (PurePosixPath(requested or ".") / chosen.network).as_posix()
    return replace(chosen, network=network), {prefix + path for path in drop_other_formats(chosen, below)}


def _relative_to_requested(
    requested: str, artifacts: tuple[Artifact, ...], chosen: Detection
) -> tuple[tuple[Artifact, ...], Detection]:
    """Drop the directories above what was requested."""
    is_file = any(artifact.path == requested for artifact in artifacts)
    root = PurePosixPath(requested).parent if is_file else PurePosixPath(requested)

    def relative(path: str) -> str:
        return PurePosixPath(path).relative_to(root).as_posix()

    moved = tuple(msgspec.structs.replace(artifact, path=relative(artifact.path)) for artifact in artifacts)
    return moved, replace(chosen, network=relative(chosen.network))


def _model(
    parsed: ParsedUri, artifacts: tuple[Artifact, ...], framework: Framework, network: str | None
) -> Model:
    recipe = Recipe(model=network if framework not in EXPORTED else None)
    precision = precision_in(parsed.requested or parsed.uri) if framework == "openvino" else None
    if framework in EXPORTED:
        recipe = msgspec.structs.replace(recipe, precisions=_EXPORT_PRECISIONS)
    elif precision or (recipe.model == "." and framework == "openvino"):
        recipe = msgspec.structs.replace(recipe, precisions=(precision or UNSTATED,))
    return Model(
        schema=1,
        name=parsed.name,
        task=UNSPECIFIED,
        framework=framework,
        license=License(url=parsed.url),
        description=f"The model at {parsed.uri}.",
        artifacts=artifacts,
        recipe=recipe,
    )


# --- one reader per scheme


def _web(uri: str) -> ParsedUri:
    parts = urlsplit(uri)
    name = PurePosixPath(unquote(parts.path)).name
    if not name:
        raise ValueError("the URL names no file")
    packed = archive_format(name)
    unpack = Unpack(format=packed, into=".") if packed else None
    artifacts = tuple(
        Artifact(path=file, sources=(UrlSource(url=_sibling(uri, name, file)),), unpack=unpack)
        for file in required_names(name)
    )
    return ParsedUri(safe_url(uri), PurePosixPath(name).stem, artifacts, url=safe_url(uri), full=uri)


def _sibling(uri: str, name: str, other: str) -> str:
    """Return the URL of a file next to the one that ``uri`` ends in."""
    if other == name:
        return uri
    parts = urlsplit(uri)
    parent, slash, last = parts.path.rpartition("/")
    sibling = PurePosixPath(last).with_suffix(PurePosixPath(other).suffix)
    return parts._replace(path=f"{parent}{slash}{sibling}").geturl()


def _hf(rest: str) -> ParsedUri:
    match = _HF.fullmatch(rest.strip("/"))
    if not match or ":" in match["repo"]:
        raise ValueError("expected hf:ORGANISATION/NAME[@REVISION][/FILE]")
    repo, revision, file = match["repo"], unquote(match["rev"] or "main"), match["file"]
    source = HfSource(hf=repo, revision=revision)
    stem = repo.rpartition("/")[2] + (f"-{PurePosixPath(file).stem}" if file else "")
    uri = f"hf:{repo}" + (f"@{match['rev']}" if match["rev"] else "") + (f"/{file}" if file else "")
    from model_zoo.sources.hf import hub

    page = f"{safe_url(hub.endpoint())}/{repo}"
    return ParsedUri(uri, stem, (Artifact(path=".", sources=(source,)),), requested=file, url=page)


def _torchvision(rest: str) -> ParsedUri:
    weights = weights_of(rest)
    parsed = ParsedUri(f"torchvision:{rest}", rest.replace(".", "-"), ())
    model = torchvision_model(weights, parsed.name)
    return replace(parsed, artifacts=model.artifacts, model=model)


def _tfhub(rest: str) -> ParsedUri:
    source = TfhubSource(tfhub=rest)
    parts = [part for part in urlsplit(source.handle).path.split("/") if part]
    unpack = Unpack(format="tar.gz")
    artifact = Artifact(path=".", sources=(source,), unpack=unpack)
    return ParsedUri(
        source.describe(),
        "-".join(parts[-3:]),
        (artifact,),
        framework="tensorflow",
        url=safe_url(source.handle),
    )


def _wheel(rest: str) -> ParsedUri:
    wheel, _, member = rest.partition("/")
    if not member:
        raise ValueError("expected wheel:NAME==VERSION/MEMBER")
    folder = PurePosixPath(member).parent
    artifacts = [
        Artifact(path=name, sources=(WheelSource(wheel=wheel, member=(folder / name).as_posix()),))
        for name in required_names(PurePosixPath(member).name)
    ]
    stem = f"{wheel.partition('==')[0]}-{PurePosixPath(member).stem}"
    return ParsedUri(f"wheel:{rest}", stem, tuple(artifacts))


def _file(rest: str) -> ParsedUri:
    path = Path(unquote(rest[2:]) if rest.startswith("//") else rest).expanduser().absolute()
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in sorted(_files_below(path))}
    elif path.is_file():
        files = _with_companions(path)
    else:
        raise ValueError(f"{path} does not exist")
    artifacts = tuple(local_artifact(name, file) for name, file in files.items())
    return ParsedUri(f"file:{path}", path.stem, artifacts)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are not hidden; what cannot be read is an error, not left out.

    Raises:
        UsageError: it holds more than any model does, as a home or the root of a disk do, or cannot be read.
    """
    pending, count = [folder], 0
    while pending:
        try:
            entries = sorted(pending.pop().iterdir())
        except OSError as error:
            what = f"cannot read {error.filename}: {error.strerror}"
            raise UsageError(what, hint="check its permissions") from error
        count += len(entries)
        if count > _MOST_FILES:
            what = f"{folder} holds more than {_MOST_FILES} files and folders, which no model does"
            raise UsageError(what, hint="name the model's own folder, or its file")
        for path in entries:
            if path.name.startswith("."):
                continue
            if is_real_directory(path):
                pending.append(path)
            elif path.is_file():
                yield path


def _with_companions(path: Path) -> dict[str, Path]:
    """Return a file and its companions, by the paths they must have relative to each other."""
    if archive_format(path.name):
        raise ValueError(f"{path.name} is an archive; unpack it, or write a catalog entry with 'unpack'")
    if path.suffix.lower() == ".onnx":
        found = [path.name, *external_files(path)]
    else:
        found = companion_files(path.name, [f.name for f in path.parent.iterdir() if f.is_file()])
    missing = [name for name in found if not (path.parent / name).is_file()]
    if missing:
        raise ValueError(f"{path.name} needs {', '.join(missing)} next to it, which does not exist")
    return {name: path.parent / name for name in found}


def local_artifact(name: str, path: Path) -> Artifact:
    """Return a local file as an artifact, pinned to its present content."""
    try:
        digest = hash_file(path)["sha256"]
        size = path.stat().st_size
    except OSError as error:
        hint = (
            "check its permissions"
            if isinstance(error, PermissionError)
            else "name a file that stays as it is"
        )
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    return Artifact(path=name, size=size, sha256=digest.hex, sources=(FileSource(file=str(path)),))


_READERS: dict[str, Callable[[str], ParsedUri]] = {
    "https": _web,
    "http": _web,
    "hf": _hf,
    "torchvision": _torchvision,
    "tfhub": _tfhub,
    "wheel": _wheel,
    "file": _file,
}
"""By scheme; the web's get the whole URI, the others what follows the scheme."""
