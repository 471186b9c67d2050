"""Converter environments: which there are, and do they still start."""

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

AREA = "environments"
_AGAIN = "the next conversion in it builds it again; 'model-zoo cache gc' removes it"


def examine_environments(settings: Settings) -> Iterator[Finding]:
    """Examine the environments of every layer; each one's interpreter is started."""
    where = "in environments (MODEL_ZOO_ISOLATE, settings)" if settings.isolate else "in this interpreter"
    yield ok(AREA, "conversions", f"{where}, unless --isolate, --no-isolate or --python say otherwise")
    found = [one for layer in Cache(settings.cache, settings.layers).layers for one in environments(layer)]
    for one in found:
        yield _environment(one)
    if not found:
        stacks = ", ".join(stack_names())
        yield ok(AREA, "built", f"none; 'convert --isolate' builds what it needs: {stacks}")


def _environment(one: Environment) -> Finding:
    name = f"{KIND}:{one.stack} {one.digest[:8]}"
    fault = one.fault or fault_of(one.folder, str(one.data.get("python")))
    if fault is not None:
        return note(AREA, name, f"{one.folder} cannot be used: {fault}", _AGAIN)
    packages = one.packages
    versions = ", ".join(f"{known} {packages[known]}" for known in one.pinned if known in packages)
    return ok(AREA, name, f"Python {one.data.get('python')}, {human_size(one.size)}: {versions}")
