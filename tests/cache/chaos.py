"""Kill processes at random instants of their work on one cache, and look whether anything was lost.

Run as ``python -m tests.cache.chaos ROOT KILLS SEED``; prints one JSON object. Children are forked, so that a
kill costs milliseconds. Every other kill hits a child that repairs damage made on purpose.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from model_zoo.cache import Cache
from model_zoo.cache.care import repair as care_repair
from model_zoo.cache.care.gc import apply, plan_gc, plan_rm
from model_zoo.cache.care.pins import pin
from model_zoo.cache.care.usage import Usage
from model_zoo.cache.care.verify import verify
from model_zoo.errors import CacheError
from tests.cache.made import flip, ir_key, put_ir, put_model

NAMES = [f"model-{number}" for number in range(6)]
KEPT = ("kept-0", "kept-1")


def contents(name):
    """Return a model's files: some of its own, some shared with every other model."""
    return {"own.bin": name.encode() * 3000, "sub/shared.bin": b"shared" * 5000, "more.txt": name.encode()}


def publish(cache, chance):
    name = chance.choice(NAMES)
    with cache.use(timeout=20):
        put_model(cache, name, contents(name), chance.choice(["sha256", "sha384"]))
        put_ir(cache, name, chance.choice(["FP32", "FP16"]), name.encode() * 4000)


def publish_again(cache, chance):
    with cache.use(timeout=20):
        for name in KEPT:
            put_model(cache, name, contents(name), "sha384")
            put_ir(cache, name, data=name.encode())


def collect(cache, chance):
    budget = chance.randrange(1, 400_000)
    apply(cache, lambda age: plan_gc(cache.top, budget, min_age=age), timeout=20)


def remove(cache, chance):
    name = chance.choice(NAMES)
    with contextlib.suppress(CacheError):
        apply(cache, lambda _: plan_rm(cache.top, [(name, None)]), timeout=20)


def forget(cache, chance):
    """Lose the notes, then look: they are derived and written again."""
    away = cache.top.root.parent / f"away-{os.getpid()}-{chance.random()}"
    with contextlib.suppress(FileNotFoundError):
        cache.top.state.rename(away)
    shutil.rmtree(away, ignore_errors=True)
    cache.find_requested("0" * 64)
    Usage(cache.top, writable=True).totals()


def repair(cache, chance):
    with cache.use(timeout=20):
        problems = verify(cache.layers, lambda _: None).problems
    repaired = care_repair.repair(cache, problems, timeout=20)
    with cache.use(timeout=20):
        for name, _ in repaired.fetch:
            put_model(cache, name, contents(name), "sha384" if name in KEPT else "sha256")
        for name, precision in repaired.convert:
            put_ir(cache, name, precision, name.encode() * (1 if name in KEPT else 4000))


WORK = {work.__name__: work for work in (publish, publish_again, collect, remove, forget)}


def killed(work, root, chance, most):
    """Run work in a child and kill it after a random time; return whether it was still at it."""
    child = os.fork()
    if child == 0:
        try:
            work(Cache(root), chance)
        except BaseException as error:  # noqa: BLE001 - the child must not go on as the parent
            sys.stderr.write(f"{work.__name__}: {type(error).__name__}: {error}\n")
            os._exit(3)
        os._exit(0)
    time.sleep(chance.uniform(0, most))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, f"{work.__name__} failed by itself"
        return False
    return True


def duration(work, root, chance):
    """Return how long work takes when nobody disturbs it, twice over."""
    began = time.monotonic()
    work(Cache(root), chance)
    return 2 * (time.monotonic() - began)


def faults(root):
    return verify(Cache(root).layers, lambda _: None).problems


def look(root, what):
    """Nothing is damaged, and what must stay is there."""
    cache, problems = Cache(root), faults(root)
    assert problems == [], f"after {what}: {problems}"
    for name in KEPT:
        folders = list((cache.top.models / name).iterdir())
        assert len(folders) == 1, f"after {what}: {name} has {folders}"
        assert cache.find_files(name, folders[0].name), f"after {what}: {name} is gone"
        assert cache.find_ir(ir_key(name)), f"after {what}: the IR of {name} is gone"


def harm(root, chance):
    """Damage one published file; return its path."""
    cache = Cache(root)
    good = [p for top in (cache.top.blobs, cache.top.irs) for p in sorted(top.rglob("*")) if p.is_file()]
    victim = chance.choice(good)
    flip(victim, chance.randrange(victim.stat().st_size))
    return victim


def main(root, kills, seed):
    chance = random.Random(seed)
    cache = Cache(root)
    publish_again(cache, chance)
    for name in KEPT:
        pin(cache.top, name, None)
    times = {name: duration(work, root, chance) for name, work in WORK.items()}
    done, cut = Counter(), Counter()
    for number in range(kills):
        if number % 2:
            victim = harm(root, chance)
            before = {p.path for p in faults(root)}
            cut["repair"] += killed(repair, root, chance, times.setdefault("repair", 0.2))
            done["repair"] += 1
            after = {p.path for p in faults(root)}
            assert after <= before, f"repairing {victim} harmed {after - before}"
            began = time.monotonic()
            repair(Cache(root), chance)
            times["repair"] = 1.5 * (time.monotonic() - began)
            publish_again(Cache(root), chance)
            look(root, f"repairing {victim}")
        else:
            name = chance.choice(list(WORK))
            cut[name] += killed(WORK[name], root, chance, times[name])
            done[name] += 1
            look(root, name)
    apply(Cache(root), lambda age: plan_gc(cache.top, 10**9, min_age=age))
    for path in cache.top.partials.iterdir():
        os.utime(path, (1, 1))
    apply(Cache(root), lambda age: plan_gc(cache.top, 10**9, min_age=age))
    litter = [path.name for path in cache.top.partials.iterdir()]
    assert litter == [], litter
    look(root, "everything")
    sys.stdout.write(json.dumps({"killed": {name: [cut[name], done[name]] for name in done}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
