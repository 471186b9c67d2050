"""What an export contains: models made available in the user's own cache, and the layer they make up.

A layer is described as a list of members before anything is written, so that a directory (``seed``) and a tar
(``export --format tar``) have the same bytes under the same names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from model_zoo.cache import Layer, alias_names, declaration_of
from model_zoo.cache.intake import SEED_NOTE, Imported, import_layer, ir_members
from model_zoo.cache.layout import TAG, TAG_NAME
from model_zoo.cache.manifest import encode
from model_zoo.cache.notes import Derived, Notes
from model_zoo.errors import CacheMissError, ModelZooError, UntrustedCodeError, UsageError
from model_zoo.files import write_stream
from model_zoo.files.tar import Member, Tar
from model_zoo.files.tree import walk
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
    """Models in the cache that are to be exported, and those that could not be made available."""

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
    """Make models available in the zoo's cache, doing only what is missing; composites are expanded."""
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
        refused = {name for name, error in failed.items() if isinstance(error, UntrustedCodeError)}
        requests = [request for request in requests if request.name not in refused]
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
    """Return a manifest as it is exported: looked up by what the catalog declares.

    A lockfile adds digests to what the catalog declares. Whoever receives the layer has only the catalog.
    """
    if request.locked is None:
        return manifest
    if request.name in zoo.catalog.files:
        model = zoo.catalog.get(request.name)
        declared, requested = model.artifacts, model.files_of(request.precision)
    else:
        from model_zoo.catalog.uri import parse_uri

        declared = requested = parse_uri(request.name).artifacts
    if floating(declared):
        resolution = Resolution(of=key_of(declared), artifacts=tuple(plain(request.model.artifacts)))
        return msgspec.structs.replace(manifest, resolution=resolution)
    manifest = msgspec.structs.replace(manifest, declaration=declaration_of(request.model, requested))
    if isinstance(manifest, FilesManifest):
        artifacts = tuple(_as_requested(record, requested) for record in manifest.artifacts)
        manifest = msgspec.structs.replace(manifest, artifacts=artifacts)
    return manifest


def _as_requested(record: ArtifactRecord, declared: Sequence[Artifact]) -> ArtifactRecord:
    """Return the record of an artifact, with the digests and names that its declaration has."""
    artifact = next(artifact for artifact in declared if artifact.path == record.path)
    digests = tuple(str(digest) for digest in artifact.digests)
    names = tuple(f"{kind}:{name}" for kind, name in alias_names(artifact))
    return msgspec.structs.replace(record, digests=digests, names=names)


def layer_members(contents: Contents, cache: Cache, mtime: int) -> list[Member]:
    """Return every file of the layer with exactly these models, including the notes for its look-ups.

    Raises:
        CacheMissError: a blob was removed from the cache meanwhile.
    """
    members: list[Member] = []
    notes = Derived()
    for ir in contents.irs:
        members += ir_members(ir.directory, ir.manifest, _HERE.ir(ir.key).as_posix())
        notes.add_ir(ir.key, ir.manifest, mtime)
    for fetched in contents.fetched:
        members += _files_members(fetched, cache)
        notes.add_files(fetched.manifest)
    members += _note_members(notes)
    irs = sorted({(ir.model.name, ir.precision) for ir in contents.irs})
    files = sorted({fetched.model.name for fetched in contents.fetched})
    seed_note = msgspec.json.encode({"schema": 1, "irs": irs, "files": files}) + b"\n"
    members += [Member(TAG_NAME, TAG.encode("ascii")), Member(f"state-v1/{SEED_NOTE}", seed_note)]
    by_path = {member.path: member for member in members}  # models may share blobs
    return [by_path[path] for path in sorted(by_path)]


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
    what = f"{fetched.model.name}: blob {sha256} is no longer in the cache"
    raise CacheMissError(what, hint="run 'model-zoo cache repair', then this command again")


def _note_members(notes: Derived) -> list[Member]:
    """Return the complete notes, in the form in which the cache itself writes them."""
    with tempfile.TemporaryDirectory(prefix="model-zoo-notes-") as folder:
        layer = Layer(Path(folder))
        layer.prepare()
        Notes(layer).write_all(notes)
        files = sorted(Path(entry.path) for entry in walk(layer.state))
        return [Member(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]


def export_tar(contents: Contents, cache: Cache, out: Path, *, mtime: int) -> Path:
    """Write a layer as one tar file, completely or not at all; unpacked anywhere it is a layer again.

    Raises:
        CacheError: it cannot be written, or a file of the cache changed.
    """
    return write_stream(Tar(layer_members(contents, cache, mtime), mtime).chunks(), out)


def import_tar(zoo: Zoo, file: Path) -> Imported:
    """Import a tar written by ``export_tar`` into the zoo's cache; every digest is verified first.

    Raises:
        IntegrityError: something in it is wrong; nothing was published.
        UsageError: there is no such file.
        CacheError: the cache cannot be written.
    """
    if not file.is_file():
        raise UsageError(f"no such file: {file}", hint="name a tar made by 'model-zoo export --format tar'")
    return import_layer(zoo.cache, {"": file}, file.name, timeout=zoo.settings.lock_timeout)
