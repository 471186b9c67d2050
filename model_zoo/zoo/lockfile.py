"""Locking: which bytes a set of references means now, and which IRs they become, as a lock file's models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from model_zoo.catalog.lockfile import LockedIr, LockedModel, identity
from model_zoo.events import ignore
from model_zoo.sources.url import refuse_secrets
from model_zoo.zoo.plan import Conversion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.events import Report
    from model_zoo.schema import Artifact, ArtifactRecord, ConvertedModel, FetchedModel, Source
    from model_zoo.zoo import Zoo
    from model_zoo.zoo.plan import Request


def lock_models(
    zoo: Zoo,
    references: Iterable[str],
    conversion: Conversion | None = None,
    *,
    convert: bool = True,
    report: Report = ignore,
) -> dict[str, LockedModel]:
    """Fetch and convert what is missing, and return what to lock, by name or URI.

    What floats is asked for anew: locking is how a model moves on to a newer state of its branch. A model
    that cannot be converted is locked with its files only.

    ``zoo`` has no lock of its own. A name without a precision means all of its files, and the IR in its first
    precision. ``convert=False`` locks files only.

    Raises:
        ModelZooError: of the first model that fails; there is no lock of a part.
    """
    pipeline = zoo.pipeline()
    locked: dict[str, LockedModel] = {}
    for asked in pipeline.planner.expand(references, fresh=True):
        settled = pipeline.resolver.resolve(asked, fresh=True)
        if convert and asked.model.convertible:
            pipeline.require_trust(settled, conversion or Conversion())
        fixed = _is_of_catalog(asked) and asked is settled  # the lock file then has no addresses
        refuse_secrets([a for a in (*asked.artifacts, *settled.artifacts) if not (fixed and a.digests)])
        fetched = pipeline.fetch(settled, report)
        converted = None
        if convert and asked.model.convertible:
            converted = pipeline.convert(settled, conversion or Conversion(), report)
        model = _locked(asked, settled, fetched, converted)
        other = locked.get(asked.name)
        locked[asked.name] = model if other is None else _joined(other, model)
    return locked


def _is_of_catalog(asked: Request) -> bool:
    return asked.reference is None or asked.reference == asked.model.name


def _locked(
    asked: Request, settled: Request, fetched: FetchedModel, converted: ConvertedModel | None
) -> LockedModel:
    records = {record.path: record for record in fetched.manifest.artifacts}
    of_catalog = _is_of_catalog(asked)
    fixed = of_catalog and asked is settled
    artifacts = tuple(
        pinned(one, records[one.path], () if fixed else one.sources)
        for one in sorted(settled.artifacts, key=lambda artifact: artifact.path)
    )
    ir = {}
    if converted is not None:
        outputs = tuple(sorted(converted.manifest.outputs, key=lambda entry: entry.path))
        ir[converted.precision] = LockedIr(key=converted.key, outputs=outputs, parts=converted.manifest.parts)
    entry = None
    if not of_catalog:
        entry = {k: v for k, v in msgspec.to_builtins(asked.model).items() if k != "artifacts"}
        entry["schema"] = 1
    return LockedModel(
        artifacts=artifacts,
        declared={artifact.path: identity(artifact) for artifact in asked.artifacts},
        replace=tuple(msgspec.to_builtins(asked.model.replace)),
        entry=entry,
        ir=ir,
    )


def pinned(artifact: Artifact, record: ArtifactRecord, sources: tuple[Source, ...]) -> Artifact:
    """Return an artifact with the size and sha256 it turned out to have, and these sources."""
    changes = {"size": record.size, "sha256": record.sha256, "integrity": None}
    return msgspec.structs.replace(artifact, sources=sources, **changes)


def _joined(first: LockedModel, second: LockedModel) -> LockedModel:
    """Return one model for two precisions of it."""
    files = {artifact.path: artifact for artifact in (*first.artifacts, *second.artifacts)}
    return msgspec.structs.replace(
        first,
        artifacts=tuple(files[path] for path in sorted(files)),
        declared={**first.declared, **second.declared},
        ir={**first.ir, **second.ir},
    )
