"""Converter environments: which exist, and whether they still start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.cache import Cache
from model_zoo.cache.environments import KIND, environments
from model_zoo.cli.checks import Finding, note, ok
from model_zoo.conversion.environment import fault_of
from model_zoo.conversion.stacks import stack_names
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_zoo.cache.environments import Environment
    from model_zoo.settings import Settings

_AREA = "environments"


def check_environments(settings: Settings) -> Iterator[Finding]:
    """Check the cache's own environments by starting their interpreters; a layer's programs are not run."""
    default = "in environments (MODEL_ZOO_ISOLATE, settings)" if settings.isolate else "in this interpreter"
    yield ok(_AREA, "conversions", f"{default}, unless --isolate, --no-isolate or --python says otherwise")
    cache = Cache(settings.cache, settings.layers)
    found = environments(cache.top) if cache.top else []
    for environment in found:
        yield _check(environment)
    for environment in (e for layer in cache.below for e in environments(layer)):
        name = f"{KIND}:{environment.stack} {environment.digest[:8]}"
        yield ok(_AREA, name, f"{environment.directory} is not used: it belongs to a read-only layer")
    if not found:
        stacks = ", ".join(stack_names())
        yield ok(_AREA, "built", f"none; 'convert --isolate' builds them as needed: {stacks}")


def _check(environment: Environment) -> Finding:
    name = f"{KIND}:{environment.stack} {environment.digest[:8]}"
    python = environment.manifest.python
    fault = environment.fault or fault_of(environment.directory, python)
    if fault is not None:
        hint = "the next conversion that needs it rebuilds it; 'model-zoo cache gc' removes it"
        return note(_AREA, name, f"{environment.directory} is unusable: {fault}", hint)
    versions = ", ".join(f"{name} {version}" for name, version in environment.pinned_versions.items())
    return ok(_AREA, name, f"Python {python}, {human_size(environment.manifest.size)}: {versions}")
