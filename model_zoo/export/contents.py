"""What is handed out: models made available in the user's own cache, and the layer they amount to.

A layer is described as a list of members before anything is written, so that a folder (``seed``) and a tar
(``export --format tar``) hold the same bytes under the same names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from model_zoo.cache import Layer, alias_names, declaration_of
from model_zoo.cache.intake import SEED_NOTE, ir_members
from model_zoo.cache.layout import TAG, TAG_NAME
from model_zoo.cache.manifest import encode
from model_zoo.cache.notes import Derived, Notes
from model_zoo.errors import CacheMissError, ModelZooError
from model_zoo.files.tar import Member
from model_zoo.schema import FilesManifest, IrManifest, Resolution
from model_zoo.zoo.resolver import floating, key_of, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.cache import Cache
    from model_zoo.events import Report
    from model_zoo.schema import Artifact, ArtifactRecord, ConvertedModel, FetchedModel
    from model_zoo.zoo import Conversion, Request, Zoo

With = Literal["files", "ir", "both"]
_Manifest = TypeVar("_Manifest", FilesManifest, IrManifest)
_HERE = Layer(Path())


@dataclass
class Contents:
    """Models in the cache that are to be handed out, and those that could not be made available."""

    irs: list[ConvertedModel] = field(default_factory=list)
    fetched: list[FetchedModel] = field(default_factory=list)
    errors: list[tuple[str, ModelZooError]] = field(default_factory=list)


def gather(
    zoo: Zoo,
    requests: Sequence[Request],
    what: With,
    how: Conversion,
    report: Report,
    jobs: int | None = None,
) -> Contents:
    """Make models available in the zoo's cache, doing only what is missing.

    Args:
        zoo: whose cache.
        requests: which models; composites are expanded already.
        what: files as fetched, IRs, or both.
        how: how to convert.
        report: gets events.
        jobs: conversions at once.
    """
    contents = Contents()
    failed: dict[str, ModelZooError] = {}
    if what in {"ir", "both"}:
        converted_all = zoo.convert_all(requests, how, report=report, jobs=jobs)
        for request, converted in zip(requests, converted_all, strict=True):
            if converted.result is not None:
                ir = _as_declared(zoo, request, converted.result.manifest.portable())
                contents.irs.append(msgspec.structs.replace(converted.result, manifest=ir))
            elif converted.error is not None:
                failed.setdefault(request.name, converted.error)
    if what in {"files", "both"}:
        for request, fetched in zip(requests, zoo.fetch_all(requests, report), strict=True):
            if fetched.result is not None:
                manifest = fetched.result.manifest.portable()
                if not any(artifact.precision for artifact in request.model.artifacts):
                    # whichever precision was fetched first, the files are the same
                    manifest = msgspec.structs.replace(manifest, precision=None)
                manifest = _as_declared(zoo, request, manifest)
                contents.fetched.append(msgspec.structs.replace(fetched.result, manifest=manifest))
            elif fetched.error is not None:
                failed.setdefault(request.name, fetched.error)
    contents.errors = list(failed.items())
    return contents


def _as_declared(zoo: Zoo, request: Request, manifest: _Manifest) -> _Manifest:
    """Return a manifest that is looked up by what the catalog declares.

    A lock file adds digests to what the catalog declares, and whoever gets the layer may not have it.
    """
    if request.locked is None:
        return manifest
    if request.name in zoo.catalog.files:
        model = zoo.catalog.get(request.name)
        declared, wanted = model.artifacts, model.files_of(request.precision)
    else:
        from model_zoo.catalog.uri import parse_uri

        declared = wanted = parse_uri(request.name).artifacts
    if floating(declared):
        resolution = Resolution(of=key_of(declared), artifacts=tuple(plain(request.model.artifacts)))
        return msgspec.structs.replace(manifest, resolution=resolution)
    manifest = msgspec.structs.replace(manifest, declaration=declaration_of(request.model, wanted))
    if isinstance(manifest, FilesManifest):
        artifacts = tuple(_named(record, wanted) for record in manifest.artifacts)
        manifest = msgspec.structs.replace(manifest, artifacts=artifacts)
    return manifest


def _named(record: ArtifactRecord, declared: Sequence[Artifact]) -> ArtifactRecord:
    """Return what a manifest says of an artifact, with the names that its declaration is looked up under."""
    names = next((alias_names(artifact) for artifact in declared if artifact.path == record.path), [])
    return msgspec.structs.replace(record, names=tuple(f"{kind}:{name}" for kind, name in names))


def layer_members(contents: Contents, cache: Cache, mtime: int) -> list[Member]:
    """Return every file of the layer that holds exactly these models, with the notes its look-ups need.

    Raises:
        CacheMissError: a blob left the cache meanwhile.
    """
    found: dict[str, Member] = {}
    notes = Derived()
    for ir in contents.irs:
        _add(found, ir_members(ir.directory, ir.manifest, _HERE.ir(ir.key).as_posix()))
        notes.add_ir(ir.key, ir.manifest, mtime)
    for fetched in contents.fetched:
        _add(found, _files_members(fetched, cache))
        notes.add_files(fetched.manifest)
    _add(found, _note_members(notes))
    asked = sorted({(ir.model.name, ir.precision) for ir in contents.irs})
    held = sorted({fetched.model.name for fetched in contents.fetched})
    said = msgspec.json.encode({"schema": 1, "irs": asked, "files": held}) + b"\n"
    _add(found, [Member(TAG_NAME, TAG.encode("ascii")), Member(f"state-v1/{SEED_NOTE}", said)])
    return [found[path] for path in sorted(found)]


def _add(found: dict[str, Member], members: list[Member]) -> None:
    found.update((member.path, member) for member in members)


def _files_members(fetched: FetchedModel, cache: Cache) -> list[Member]:
    manifest = fetched.manifest
    directory = _HERE.files(fetched.model.name, manifest.declaration).as_posix()
    members = [Member(f"{directory}/{manifest.FILE_NAME}", encode(manifest))]
    blobs = {}
    for artifact in manifest.artifacts:
        sha256 = artifact.sha256
        blobs[sha256] = _HERE.blob(sha256).as_posix()
        members.append(Member(blobs[sha256], _blob(cache, sha256, fetched), artifact.size, sha256=sha256))
    for entry in manifest.files:
        path = f"{directory}/{entry.path}"
        if entry.sha256 in blobs:
            members.append(Member(path, link=blobs[entry.sha256]))
        else:
            members.append(Member(path, fetched.directory / entry.path, entry.size, sha256=entry.sha256))
    return members


def _blob(cache: Cache, sha256: str, fetched: FetchedModel) -> Path:
    for layer in cache.layers:
        if (path := layer.blob(sha256)).is_file():
            return path
    what = f"{fetched.model.name}: the blob {sha256} is not in the cache any more"
    raise CacheMissError(what, hint="run 'model-zoo cache repair', then the same command again")


def _note_members(notes: Derived) -> list[Member]:
    """Return the notes as a cache keeps them, all of them and marked complete: it writes them itself."""
    with tempfile.TemporaryDirectory(prefix="model-zoo-notes-") as folder:
        layer = Layer(Path(folder))
        layer.prepare()
        Notes(layer).write_all(notes)
        files = sorted(path for path in layer.state.rglob("*") if path.is_file())
        return [Member(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
