"""One process that converts in an environment: ``python -m tests.zoo.isolating CACHE CATALOG STACKS``.

Prints the events as JSON lines, flushed as they come.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from model_zoo.conversion import stacks
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo


def main(cache, catalog, folder):
    stacks.DIRECTORY = folder

    def report(event):
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()

    zoo = Zoo(settings=Settings(cache=cache, catalogs=(catalog,), lock_timeout=60))
    zoo.convert("adder", isolate=True, trust_code=True, progress=report)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
