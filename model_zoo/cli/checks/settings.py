"""What was asked for: environment variables, the settings file, the catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.errors import ModelZooError
from model_zoo.text import near_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.cli.main import Run

VARIABLES = (
    "MODEL_ZOO_CACHE",
    "MODEL_ZOO_LAYERS",
    "MODEL_ZOO_CATALOG",
    "MODEL_ZOO_OFFLINE",
    "MODEL_ZOO_CONFIG",
    "MODEL_ZOO_MAX_SIZE",
    "MODEL_ZOO_ISOLATE",
    "MODEL_ZOO_MIRRORS",
    "MODEL_ZOO_ADOPT",
    "MODEL_ZOO_REMOTE",
)
"""Everything this package reads from the environment under its own name."""
OTHERS = ("MODEL_ZOO_TEST_", "MODEL_ZOO_LINT_", "MODEL_ZOO_QUICKSTART_", "MODEL_ZOO_BENCH_")


def examine_wishes(run: Run, env: Mapping[str, str]) -> Iterator[Finding]:
    """Examine the settings; ``run.settings`` can be used afterwards only if nothing here is wrong."""
    from model_zoo.settings import settings_file

    for name in sorted(env):
        if name.startswith("MODEL_ZOO_") and name not in VARIABLES and not name.startswith(OTHERS):
            near = near_names(name, VARIABLES)
            meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(VARIABLES)}"
            yield note("settings", name, "is set, and nothing reads it", meant)
    file = settings_file(env)
    try:
        settings = run.settings
    except ModelZooError as error:
        hint = error.hint or "correct it"
        yield wrong("settings", "settings", error.what, hint, error.exit_code)
        return
    there = file is not None and file.is_file()
    yield ok("settings", "settings file", str(file) if there else f"none ({file})")
    given = [name for name in VARIABLES if env.get(name)]
    yield ok("settings", "environment", ", ".join(given) or "no MODEL_ZOO variable is set")
    del settings


def examine_catalogs(run: Run) -> Iterator[Finding]:
    """Examine whether the catalogs can be listed; ``catalog validate`` reads every entry."""
    try:
        catalog = run.zoo.catalog
        names = catalog.names()
    except ModelZooError as error:
        hint = error.hint or "run 'model-zoo catalog validate'"
        yield wrong("catalog", "catalogs", error.what, hint, error.exit_code)
        return
    yield ok("catalog", "models", str(len(names)))
    for root in catalog.roots:
        yield ok("catalog", "catalog", str(root))
