"""Everything known about a model as plain data: what ``list``, ``info`` and the catalog page show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.catalog.search import family_of
from model_zoo.schema import PIPELINES, complexity_in_words, license_in_words, metrics_in_words
from model_zoo.sources import LEVELS, LocatedSource, integrity_of
from model_zoo.zoo.plan import Request
from model_zoo.zoo.usage import needs_in_words, needs_of, python_lines, shell_lines

if TYPE_CHECKING:
    from model_zoo.schema import Artifact, Model
    from model_zoo.zoo import Zoo


def summary(zoo: Zoo, model: Model) -> dict[str, object]:
    """Return what a list shows of a model.

    ``size`` is in bytes, of rounded figures where nothing better is published, and None where it is unknown.
    """
    stages = [zoo.catalog.get(name) for name in model.stages]
    artifacts = [artifact for part in (model, *stages) for artifact in part.artifacts]
    sizes = [_size(zoo, part, artifact) for part in (model, *stages) for artifact in part.artifacts]
    return {
        "name": model.name,
        "task": model.task,
        "framework": model.framework,
        "license": str(model.license),
        "license_url": model.license.url,
        "gated": model.license.gated,
        "description": model.description,
        "precisions": list(model.precisions) if model.artifacts else [],
        "sources": sorted({source.kind for artifact in artifacts for source in artifact.sources}),
        "size": None if None in sizes else sum(size for size in sizes if size is not None),
        "size_is_exact": all(artifact.size is not None for artifact in artifacts),
        "stages": list(model.stages),
        "family": family_of(model),
        "convertible": model.convertible,
        "cached": zoo.is_cached(model),
    }


def facts(zoo: Zoo, model: Model) -> dict[str, object]:
    """Return everything known about a model: the summary, its files, inputs, recipe, and what is cached."""
    stages = [zoo.catalog.get(name) for name in model.stages]
    levels = [integrity_of(artifact) for part in (model, *stages) for artifact in part.artifacts]
    request = Request(model)
    fetched = zoo.planner.plan_files(request).cached if model.artifacts else None
    short = summary(zoo, model)
    irs = zoo.planner.cached_irs(request) if model.artifacts else {}
    is_folder = bool(model.artifacts) and model.is_folder
    unopened = PIPELINES.get(model.task) if is_folder else None  # as far as the task tells
    opens = next((ir.manifest.opens for ir in irs.values() if ir), unopened)
    parts = stages or [model]
    needs = needs_of(parts, opens)
    return short | {
        "integrity": max(levels, key=LEVELS.index),
        "reason": model.reason,
        "needs": needs,
        "in_words": {
            "feeds": (model if model.chain is None else parts[0]).feeds_in_words,
            "gives": model.gives_in_words,
            "needs": needs_in_words(needs),
            "license": license_in_words(model.license),
            "metrics": metrics_in_words(model.metrics),
            "complexity": complexity_in_words(model.complexity),
        },
        "code": {
            "shell": shell_lines(model, needs, parts),
            "python": python_lines(model, needs, parts, opens),
        },
        "catalog": str(zoo.catalog.files.get(model.name, "")),
        "artifacts": [_artifact(artifact) for artifact in model.artifacts],
        "upstream": msgspec.to_builtins(model.upstream),
        "metrics": msgspec.to_builtins(model.metrics),
        "complexity": msgspec.to_builtins(model.complexity),
        "inputs": [msgspec.to_builtins(one) for one in model.feeds],
        "outputs": [msgspec.to_builtins(one) for one in model.outputs],
        "decode": msgspec.to_builtins(model.decode),
        "notice": model.notice,
        "recipe": msgspec.to_builtins(model.recipe),
        "model_info": msgspec.to_builtins(model.ir_info),
        "cached": {
            "files": str(fetched.directory) if fetched else None,
            "ir": {precision: str(ir.path) if ir else None for precision, ir in irs.items()},
        },
        "ports": {
            precision: msgspec.to_builtins(ir.manifest.ports)
            for precision, ir in irs.items()
            if ir and ir.manifest.ports
        },
        "folder": is_folder,
        "opens": opens,
    }


def _size(zoo: Zoo, model: Model, artifact: Artifact) -> int | None:
    """Return the bytes of a file; of a folder whose files only its source knows, what was fetched once."""
    if artifact.size is not None or artifact.approximate_size is not None:
        return artifact.size if artifact.size is not None else artifact.approximate_size
    fetched = zoo.planner.plan_files(Request(model)).cached
    return (
        sum(entry.size for entry in fetched.manifest.files) if fetched and len(model.artifacts) == 1 else None
    )


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": artifact.path,
        "size": artifact.size,
        "approximate_size": artifact.approximate_size,
        "digests": [str(digest) for digest in artifact.digests],
        "integrity": integrity_of(artifact),
        "precision": artifact.precision,
        "sources": [source.describe() for source in artifact.sources if isinstance(source, LocatedSource)],
    }
