"""Environment variables, the settings file and the catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.cli.checks import Finding, from_error, note, ok
from model_zoo.errors import ModelZooError
from model_zoo.settings import VARIABLES, settings_file
from model_zoo.text import near_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.cli.session import Session

_DEVELOPMENT = ("MODEL_ZOO_TEST_", "MODEL_ZOO_LINT_", "MODEL_ZOO_QUICKSTART_", "MODEL_ZOO_BENCH_")
"""Prefixes of variables that only this project's own scripts read."""


def check_settings(session: Session, env: Mapping[str, str]) -> Iterator[Finding]:
    """Check the settings; ``session.settings`` can be used afterwards only if nothing here is wrong."""
    for name in sorted(env):
        if name.startswith("MODEL_ZOO_") and name not in VARIABLES and not name.startswith(_DEVELOPMENT):
            near = near_names(name, VARIABLES)
            hint = f"did you mean {near[0]}?" if near else f"valid variables: {', '.join(VARIABLES)}"
            yield note("settings", name, "unknown variable, ignored", hint)
    try:
        session.settings  # noqa: B018 - reads the variables and the file
    except ModelZooError as error:
        yield from_error("settings", "settings", error)
        return
    file = settings_file(env)
    exists = file is not None and file.is_file()
    yield ok("settings", "settings file", str(file) if exists else f"none ({file})")
    given = [name for name in VARIABLES if env.get(name)]
    yield ok("settings", "environment", ", ".join(given) or "no MODEL_ZOO variable is set")


def check_catalogs(session: Session) -> Iterator[Finding]:
    """Check whether the catalogs can be listed; ``catalog validate`` reads every entry."""
    try:
        catalog = session.zoo.catalog
        yield ok("catalog", "models", str(len(catalog.names())))
    except ModelZooError as error:
        yield from_error("catalog", "catalogs", error)
        return
    for root in catalog.roots:
        yield ok("catalog", "catalog", str(root))
