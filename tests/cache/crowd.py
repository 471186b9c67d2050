"""Many processes on one cache, all at once: fetching, converting, collecting, verifying.

Run as ``python -m tests.cache.crowd CACHE CATALOG COUNT SEED BUDGET``. Children are forked from one process
that has everything imported, at most ``AT_ONCE`` at a time. Prints one JSON object: how each child ended, and
how often each model was transferred and converted.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import model_zoo.conversion
import model_zoo.download
import model_zoo.download.transfer
import model_zoo.runtime  # noqa: F401 - imported once, here, for all children
from model_zoo.cache.care.gc import apply, plan_gc
from model_zoo.cache.care.verify import verify
from model_zoo.errors import ModelZooError
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo

AT_ONCE = 20
FETCHED = [f"m{number}" for number in range(6)]
CONVERTED = ["m0", "m1"]


def work(zoo, chance, budget, log):
    """Do one thing, as somebody's process would."""

    def report(event):
        if event.event in {"fetch_end", "convert_end"}:
            log.append(f"{event.event} {event.model}")

    kind = chance.choices(["fetch", "convert", "collect", "verify"], [6, 3, 2, 1])[0]
    if kind == "fetch":
        for reference in chance.sample(FETCHED, 2):
            zoo.fetch(reference, progress=report)
    elif kind == "convert":
        zoo.convert(chance.choice(CONVERTED), progress=report)
    elif kind == "collect":
        apply(zoo.cache, lambda age: plan_gc(zoo.cache.top, budget, min_age=age), timeout=100)
    else:
        with zoo.cache.use(timeout=100):
            problems = verify(zoo.cache.layers, lambda _: None).problems
        log.append(f"ok {not problems} {[str(p) for p in problems]}")
    log.append(f"done {kind}")


def child(cache, catalog, seed, budget, results):
    log = []
    try:
        settings = Settings(cache=cache, catalogs=(catalog,), lock_timeout=100.0, attempts=2)
        work(Zoo(settings=settings), random.Random(seed), budget, log)
    except ModelZooError as error:
        log.append(f"documented {type(error).__name__}: {error}")
    except BaseException as error:  # noqa: BLE001 - that is what the parent is to hear of
        log.append(f"bug {type(error).__name__}: {error}")
    with results.open("a") as stream:
        stream.write("".join(line.replace("\n", " | ") + "\n" for line in log))
    os._exit(0)


def main(cache, catalog, count, seed, budget):
    results = cache.parent / f"results-{seed}"
    running = set()
    for number in range(count):
        if len(running) >= AT_ONCE:
            running.discard(os.waitpid(-1, 0)[0])
        pid = os.fork()
        if pid == 0:
            child(cache, catalog, seed * 10_000 + number, budget, results)
        running.add(pid)
    while running:
        running.discard(os.waitpid(-1, 0)[0])
    lines = results.read_text().splitlines()
    found = Counter(line.split(" ")[0] for line in lines)
    sys.stdout.write(
        json.dumps(
            {
                "ended": {key: found[key] for key in ("done", "documented", "bug")},
                "done": Counter(line for line in lines if line.startswith("done ")),
                "made": Counter(line for line in lines if "_end " in line),
                "errors": [line for line in lines if line.startswith(("documented", "bug"))],
                "faults": [line for line in lines if line.startswith("ok False")],
            }
        )
    )


if __name__ == "__main__":
    folder, entries, amount, start, limit = sys.argv[1:]
    main(Path(folder), Path(entries), int(amount), int(start), int(limit) if limit != "none" else None)
