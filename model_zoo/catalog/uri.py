"""A URI, or a path that exists → a model, as if a catalog had it.

In two steps, because a place may have to be asked in between: ``draft_of`` says where the files are, as far
as the text tells; the caller resolves what floats; ``model_of`` makes the model of the files that there are.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from model_zoo.catalog import detect
from model_zoo.catalog.torchvision import torchvision_model, weights_of
from model_zoo.errors import SourceUnavailableError, UsageError
from model_zoo.files import hash_file
from model_zoo.formats.onnx import external_files
from model_zoo.schema import EXPORTED, UNSTATED, Artifact, Framework, Model, Recipe, Unpack
from model_zoo.sources.file import FileSource
from model_zoo.sources.hf.source import HfSource
from model_zoo.sources.tfhub import TfhubSource
from model_zoo.sources.url import UrlSource, safe_url
from model_zoo.sources.wheel import WheelSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HF = re.compile(
    r"(?P<repo>[^/@]+(?:/[^/@]+)?)(?:@(?P<rev>refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(?P<file>.+))?"
)
_UNSAID = "unspecified"
_FORMATS = ("FP16", "INT8", "INT4", "FP32")
SCHEMES = ("https", "http", "hf", "torchvision", "tfhub", "wheel", "file")


@dataclass(frozen=True)
class Draft:
    """What a URI says before its place was asked.

    Attributes:
        uri: as people type it, but for passwords and tokens.
        stem: what the model is called for people; the name adds what makes it unique.
        artifacts: the files, of which some may float.
        asked: of the files of ``artifacts``, the one (or the folder) that the URI names.
        framework: where the URI tells; else it is guessed from the names of the files.
        known: the whole model, where there is nothing left to find out.
        url: an address for people that may say more, such as the licence.
        full: the URI with everything in it, where ``uri`` leaves something out.
    """

    uri: str
    stem: str
    artifacts: tuple[Artifact, ...]
    asked: str | None = None
    framework: Framework | None = None
    known: Model | None = None
    url: str | None = None
    full: str | None = None

    @property
    def name(self) -> str:
        """The model's name: readable, and different for different URIs."""
        return f"{slug(self.stem)}-{hashlib.sha256((self.full or self.uri).encode()).hexdigest()[:8]}"


def slug(text: str) -> str:
    """Return text as a model's name may have it."""
    return re.sub(r"[^0-9A-Za-z._-]+", "-", text).strip("-.")[:80] or "model"


def draft_of(uri: str) -> Draft:
    """Read a URI; local files are hashed, nothing else is asked.

    Raises:
        UsageError: it is not a URI of a known kind, or names something that is not there.
    """
    scheme, _, rest = uri.partition(":")
    readers: dict[str, Callable[[str], Draft]] = {
        "https": lambda _: _web(uri),
        "http": lambda _: _web(uri),
        "hf": _hf,
        "torchvision": _torchvision,
        "tfhub": _tfhub,
        "wheel": _wheel,
        "file": _file,
    }
    if scheme not in readers:
        what = f"{uri!r}: unknown kind of URI {scheme + ':'!r}"
        raise UsageError(
            what, expected=", ".join(f"{one}:" for one in SCHEMES), hint="see 'model-zoo fetch -h'"
        )
    try:
        return readers[scheme](rest)
    except ValueError as error:
        raise UsageError(
            f"{safe_url(uri) if '://' in uri else uri}: {error}", hint="check the URI"
        ) from error


def model_of(draft: Draft, artifacts: tuple[Artifact, ...]) -> Model:
    """Make the model of a draft whose artifacts were resolved.

    Raises:
        SourceUnavailableError: there is no such file.
        UsageError: its framework cannot be told.
    """
    if draft.known is not None:
        return draft.known
    if any(artifact.unpack for artifact in artifacts):
        if draft.framework is None:
            what = f"{draft.uri}: the framework of an archive cannot be told from its name"
            hint = "write a catalog entry that says framework and recipe, and pass it with --catalog"
            raise UsageError(what, hint=hint)
        return _model(draft, artifacts, draft.framework, None)
    chosen, kept = _choose(draft, [artifact.path for artifact in artifacts])
    taken = tuple(artifact for artifact in artifacts if artifact.path in kept)
    if draft.asked is not None:
        taken, chosen = _at_the_top(draft.asked, taken, chosen)
    return _model(draft, taken, chosen.framework, chosen.network)


def _choose(draft: Draft, paths: list[str]) -> tuple[detect.Guess, set[str]]:
    asked = draft.asked
    if asked is None:
        chosen = detect.guess(paths, draft.uri)
        return chosen, set(detect.without_other_formats(chosen, paths))
    if asked in paths:
        kept = detect.beside(asked, paths)
        return detect.guess(kept, draft.uri), set(kept)
    inside = [path for path in paths if path.startswith(f"{asked}/")]
    if not inside:
        near = [path for path in paths if PurePosixPath(path).suffix == PurePosixPath(asked).suffix]
        what = f"{draft.uri}: there is no file or folder {asked!r}"
        shown = ", ".join(sorted(near or paths)[:8])
        raise SourceUnavailableError(
            what, found=f"among others {shown}" if shown else "no files", hint="name one of them"
        )
    below = [path[len(asked) + 1 :] for path in inside]
    chosen = detect.guess(below, draft.uri)
    needed = {f"{asked}/{path}" for path in detect.without_other_formats(chosen, below)}
    return replace(chosen, network=(PurePosixPath(asked) / chosen.network).as_posix()), needed


def _at_the_top(
    asked: str, artifacts: tuple[Artifact, ...], chosen: detect.Guess
) -> tuple[tuple[Artifact, ...], detect.Guess]:
    """Drop the folders above what was asked for."""
    paths = {artifact.path for artifact in artifacts}
    above = PurePosixPath(asked).parent if asked in paths else PurePosixPath(asked)
    moved = tuple(
        msgspec.structs.replace(a, path=PurePosixPath(a.path).relative_to(above).as_posix())
        for a in artifacts
    )
    network = PurePosixPath(chosen.network).relative_to(above).as_posix()
    return moved, replace(chosen, network=network)


def _model(draft: Draft, artifacts: tuple[Artifact, ...], framework: Framework, network: str | None) -> Model:
    recipe: dict[str, Any] = {"model": network} if network and framework not in EXPORTED else {}
    stated = detect.precision_in(f"{draft.asked or draft.uri}") if framework == "openvino" else None
    if framework in EXPORTED:
        recipe["precisions"] = _FORMATS
    elif stated or (recipe.get("model") == "." and framework == "openvino"):
        recipe["precisions"] = (stated or UNSTATED,)
    return Model(
        schema=1,
        name=draft.name,
        task=_UNSAID,
        framework=framework,
        license=draft.url or _UNSAID,
        description=f"The model at {draft.uri}.",
        artifacts=artifacts,
        recipe=Recipe(**recipe),
    )


# --- one reader for each kind


def _web(uri: str) -> Draft:
    parts = urlsplit(uri)
    name = PurePosixPath(unquote(parts.path)).name
    if not name:
        msg = "the address names no file"
        raise ValueError(msg)
    stem = PurePosixPath(name).stem
    packed = detect.archive_format(name)
    if packed:
        unpack = Unpack(format=packed, into=".")  # type: ignore[arg-type]
        artifacts: Iterable[Artifact] = [Artifact(path=name, sources=(UrlSource(url=uri),), unpack=unpack)]
    else:
        last = parts.path.rpartition("/")[2]
        artifacts = [
            Artifact(path=one, sources=(UrlSource(url=_sibling(uri, last, name, one)),))
            for one in detect.needed(name)
        ]
    return Draft(safe_url(uri), stem, tuple(artifacts), url=safe_url(uri), full=uri)


def _sibling(uri: str, last: str, name: str, other: str) -> str:
    """Return the address of a file beside the one that the address ends in."""
    if other == name:
        return uri
    parts = urlsplit(uri)
    ending = PurePosixPath(other).suffix
    path = parts.path[: len(parts.path) - len(last)] + str(PurePosixPath(last).with_suffix(ending))
    return parts._replace(path=path).geturl()


def _hf(rest: str) -> Draft:
    match = _HF.fullmatch(rest.strip("/"))
    if not match:
        msg = "expected hf:ORGANISATION/NAME[@REVISION][/FILE]"
        raise ValueError(msg)
    repo, revision, file = match["repo"], unquote(match["rev"] or "main"), match["file"]
    source = HfSource(hf=repo, revision=revision)
    stem = repo.rpartition("/")[2] + (f"-{PurePosixPath(file).stem}" if file else "")
    uri = f"hf:{repo}" + (f"@{match['rev']}" if match["rev"] else "") + (f"/{file}" if file else "")
    from model_zoo.sources.hf import hub

    page = f"{safe_url(hub.endpoint())}/{repo}"
    return Draft(uri, stem, (Artifact(path=".", sources=(source,)),), asked=file, url=page)


def _torchvision(rest: str) -> Draft:
    weights = weights_of(rest)
    draft = Draft(f"torchvision:{rest}", rest.replace(".", "-"), ())
    model = torchvision_model(weights, draft.name)
    return replace(draft, artifacts=model.artifacts, known=model)


def _tfhub(rest: str) -> Draft:
    source = TfhubSource(tfhub=rest)
    parts = [part for part in urlsplit(source.handle).path.split("/") if part]
    unpack = Unpack(format="tar.gz")
    artifact = Artifact(path=".", sources=(source,), unpack=unpack)
    return Draft(
        source.describe(),
        "-".join(parts[-3:]),
        (artifact,),
        framework="tensorflow",
        url=safe_url(source.handle),
    )


def _wheel(rest: str) -> Draft:
    wheel, _, member = rest.partition("/")
    if not member:
        msg = "expected wheel:NAME==VERSION/MEMBER"
        raise ValueError(msg)
    folder = PurePosixPath(member).parent
    artifacts = [
        Artifact(path=name, sources=(WheelSource(wheel=wheel, member=(folder / name).as_posix()),))
        for name in detect.needed(PurePosixPath(member).name)
    ]
    stem = f"{wheel.partition('==')[0]}-{PurePosixPath(member).stem}"
    return Draft(f"wheel:{rest}", stem, tuple(artifacts))


def _file(rest: str) -> Draft:
    path = Path(unquote(rest[2:]) if rest.startswith("//") else rest).expanduser().absolute()
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.is_file() and not _hidden(one, path))
        files = {one.relative_to(path).as_posix(): one for one in found}
    elif path.is_file():
        files = _with_companions(path)
    else:
        msg = f"there is nothing at {path}"
        raise ValueError(msg)
    artifacts = tuple(_hashed(name, one) for name, one in files.items())
    return Draft(f"file:{path}", path.stem, artifacts)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _with_companions(path: Path) -> dict[str, Path]:
    """Return a file and those that belong to it, by the paths they need to have to one another."""
    packed = detect.archive_format(path.name)
    if packed:
        msg = f"{path.name} is an archive: unpack it, or write a catalog entry with 'unpack'"
        raise ValueError(msg)
    names = [one.name for one in path.parent.iterdir() if one.is_file()]
    if path.suffix.lower() == ".onnx":
        found = [path.name, *external_files(path)]
    else:
        found = detect.beside(path.name, names)
    missing = [name for name in found if not (path.parent / name).is_file()]
    if missing:
        msg = f"{path.name} needs {', '.join(missing)} beside it, and there is no such file"
        raise ValueError(msg)
    return {name: path.parent / name for name in found}


def _hashed(name: str, path: Path) -> Artifact:
    """Return a local file as an artifact; what it holds now is what the model is."""
    try:
        digest = hash_file(path)["sha256"]
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    return Artifact(path=name, size=size, sha256=digest.hex, sources=(FileSource(file=str(path)),))
