"""A URI → a catalog entry with everything resolved and pinned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog import parse_reference
from model_zoo.catalog.uri import slug
from model_zoo.errors import UsageError
from model_zoo.events import ignore
from model_zoo.schema import NAME, License
from model_zoo.schema.spdx import spdx_expression
from model_zoo.sources.file import FileSource
from model_zoo.sources.url import refuse_secrets
from model_zoo.zoo.lockfile import pinned

if TYPE_CHECKING:
    from model_zoo.events import Report
    from model_zoo.schema import Artifact, Model, Source
    from model_zoo.settings import Settings
    from model_zoo.zoo import Zoo


def entry_of(zoo: Zoo, uri: str, *, target: Path | None = None, report: Report = ignore) -> Model:
    """Fetch what a URI means now, and return the catalog entry that means exactly that.

    ``target`` is the file the entry is for: its stem is the model's name, and local files are named relative
    to its folder.

    Raises:
        UsageError: it is no URI, cannot be told what it is, or holds a password or a signature.
        ModelZooError: it cannot be fetched.
    """
    request = zoo.planner.request(uri, fresh=True)
    if request.reference in {None, request.model.name}:
        what = f"{uri!r} is in the catalog already: {zoo.catalog.files.get(request.model.name)}"
        raise UsageError(what, hint="give a URI such as hf:ORGANISATION/NAME/FILE, or a path")
    refuse_secrets(request.model.artifacts)
    name = target.stem if target is not None else request.model.name
    if not NAME.fullmatch(name):
        what = f"{target}: a model cannot be called {name!r}"
        raise UsageError(what, hint="name the file with letters, digits, dot, underscore and dash")
    fetched = zoo.pipeline().fetch(request, report)
    records = {record.path: record for record in fetched.manifest.artifacts}
    folder = target.absolute().parent if target is not None else None
    artifacts = tuple(
        pinned(one, records[one.path], tuple(_near(source, folder) for source in one.sources))
        for one in request.model.artifacts
    )
    license_, task = _card(artifacts, zoo.settings)
    return msgspec.structs.replace(
        request.model,
        name=name,
        artifacts=artifacts,
        license=License(spdx=license_) if license_ else request.model.license,
        task=task or request.model.task,
    )


def _near(source: Source, folder: Path | None) -> Source:
    """Name a local file relative to the entry, so that both can move together."""
    if not isinstance(source, FileSource) or folder is None:
        return source
    file = Path(source.file)
    try:
        # Folders resolved: the system takes ".." from where a link leads to.
        path = os.path.relpath(file.parent.resolve() / file.name, folder.resolve())
    except ValueError:  # on another drive of Windows
        return source
    return FileSource(file=Path(path).as_posix())


def default_target(zoo: Zoo, uri: str) -> Path | None:
    """Return the file that the entry of a local file or folder goes to: its stem, here; None for other URIs.

    Raises:
        UsageError: there is such a file already, or ``uri`` is none.
    """
    parsed = parse_reference(uri)
    if parsed.name in zoo.catalog.files or not (parsed.uri or "").startswith("file:"):
        return None
    target = Path(f"{slug(Path(str(parsed.uri).removeprefix('file:')).absolute().stem)}.yaml")
    if target.exists():
        raise UsageError(f"{target} is there already", hint="name the entry to write with -o FILE")
    return target


def _card(artifacts: tuple[Artifact, ...], settings: Settings) -> tuple[str | None, str | None]:
    """Return licence and task that a model card states, where there is one."""
    from model_zoo.sources.hf import hub
    from model_zoo.sources.hf.source import HfSource

    source = next((s for a in artifacts for s in a.sources if isinstance(s, HfSource)), None)
    if source is None:
        return None, None
    listing = hub.list_files(source.hf, source.revision, settings)
    stated = spdx_expression(listing.license) if listing.license else None
    return stated, listing.task
