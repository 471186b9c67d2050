"""Environments on disk: counted only when whole, looked at, proven, collected."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care.gc import ENV_GRACE, apply, plan_gc, plan_rm
from model_zoo.cache.care.repair import repair
from model_zoo.cache.care.usage import Usage
from model_zoo.cache.care.verify import verify
from model_zoo.cache.environments import (
    claim,
    environments,
    faults_of,
    find_environment,
    note_use,
    sweep_unfinished,
)
from model_zoo.errors import CacheDamagedError, CacheMissError
from tests.cache.made import ENV_MANIFEST, age, flip, put_environment, rewrite

DAY = 86400.0


def collect(cache, budget=None):
    plan = apply(cache, lambda min_age: plan_gc(cache.top, budget, min_age=min_age))
    return [(removal.item.label, removal.why) for removal in plan.removals]


def problems(cache):
    return [(p.path.name, p.cause) for p in verify(cache.layers, lambda _: None).problems]


def test_what_is_published_is_found_and_whole(cache):
    folder = put_environment(cache, "torch")
    one = find_environment(cache, folder.name)
    assert (one.directory, one.stack, one.pinned_versions) == (folder, "torch", {"code": "1.0"})
    assert one.manifest.packages == {"code": "1.0"}
    assert one.manifest.modules == {"code": "code"}
    assert one.manifest.requirements == ("code==1.0",)
    assert list(faults_of(one)) == []
    assert problems(cache) == []
    assert verify(cache.layers, lambda _: None).environments == 1
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    assert Usage(cache.top, writable=False).totals()["envs"].size == size
    assert find_environment(cache, "0" * 64) is None
    assert environments(Cache(cache.top.root / "none").layers[0]) == []


@pytest.mark.parametrize("damage", ["flip", "delete", "more", "manifest", "seal", "python"])
def test_every_damage_is_found_and_mended(cache, damage):
    folder = put_environment(cache, "torch")
    code = folder / "lib/python3/site-packages/code/__init__.py"
    if damage == "flip":
        flip(code)
        wanted = ("__init__.py", "its content changed")
    elif damage == "delete":
        code.unlink()
        wanted = ("__init__.py", "cannot be read: No such file")
    elif damage == "more":
        (code.parent / "more.py").write_text("x = 1\n")
        wanted = (folder.name, "it holds 4 files of")
    elif damage == "manifest":
        (folder / ENV_MANIFEST).unlink()
        wanted = (ENV_MANIFEST, "missing or damaged")
    elif damage == "seal":
        text = (folder / ENV_MANIFEST).read_bytes()
        rewrite(folder / ENV_MANIFEST, text.replace(b'"3.1"', b'"3.2"'))
        wanted = (ENV_MANIFEST, "missing or damaged")
    else:
        (folder / "bin/python").unlink()
        (folder / "bin/python").symlink_to("/nowhere/python3")
        wanted = ("python", "/nowhere/python3 no longer exists")
    ((name, cause), *_) = found = problems(cache)
    assert name == wanted[0]
    assert wanted[1] in cause
    assert len(found) == (2 if damage == "python" else 1)  # a link to elsewhere has another length
    repaired = repair(cache, verify(cache.layers, lambda _: None).problems)
    assert {done for _, done in repaired.done} == {
        "removed; the next conversion that needs it builds it again"
    }
    assert (repaired.fetch, repaired.convert, repaired.left) == (set(), set(), [])
    assert environments(cache.top) == []
    assert problems(cache) == []


def test_foreign_things_beside_environments(cache, tmp_path):
    put_environment(cache, "torch")
    (cache.top.envs / "note.txt").write_text("mine")
    (cache.top.envs / "link").symlink_to(tmp_path)
    assert sorted(name for name, _ in problems(cache)) == ["link", "note.txt"]
    assert [one.stack for one in environments(cache.top)] == ["torch"]


def test_two_packages_may_bring_the_same_file(cache):
    folder = put_environment(cache, "torch")
    other = folder / "lib/python3/site-packages/other-1.0.dist-info"
    other.mkdir()
    (other / "RECORD").write_text("code/__init__.py,sha256=AAAA,3\n")
    ((_, cause),) = faults_of(environments(cache.top)[0])
    assert cause.startswith("it holds"), "only the record that was added is too much"


def test_unused_for_a_month(cache):
    old, new = put_environment(cache, "torch"), put_environment(cache, "jax")
    age(old, time.time() - ENV_GRACE - DAY)
    age(new, time.time() - ENV_GRACE + DAY)
    assert collect(cache) == [("env:torch", "not used for 30 days")]
    assert not old.exists()
    assert new.is_dir()


def test_use_is_noted_and_counts(cache):
    old = put_environment(cache, "torch")
    age(old, time.time() - ENV_GRACE - DAY)
    one = find_environment(cache, old.name)
    assert one.used == one.published, "looking is no use"
    note_use(cache, one)
    assert abs(environments(cache.top)[0].used - time.time()) < DAY
    assert collect(cache) == []
    assert collect(cache, 0) == [("env:torch", "least recently used, over the budget")]
    assert not cache.top.used("env", old.name).exists(), "a note outlived what it is about"


@pytest.mark.parametrize("how", ["python", "manifest"])
def test_unusable_ones_go_at_once(cache, how):
    folder = put_environment(cache, "torch")
    if how == "python":
        (folder / "bin/python").unlink()
    else:
        (folder / ENV_MANIFEST).unlink()
    ((label, why),) = collect(cache)
    assert label == ("env:torch" if how == "python" else "env:unknown")
    assert "no longer exists" in why or "missing" in why
    assert not folder.exists()


def test_removal_by_stack_or_digest(cache):
    torch, jax = put_environment(cache, "torch"), put_environment(cache, "jax")
    plan = plan_rm(cache.top, [], ["torch", jax.name])
    assert sorted(removal.item.location for removal in plan.removals) == sorted([str(torch), str(jax)])
    with pytest.raises(CacheMissError, match="converter environment 'nncf' is not in the cache"):
        plan_rm(cache.top, [], ["nncf"])


def test_publishing_replaces_what_cannot_be_used(cache):
    folder = put_environment(cache, "torch")
    (folder / "bin/python").unlink()
    assert put_environment(cache, "torch") == folder
    assert environments(cache.top)[0].fault is None
    assert list(cache.top.partials.iterdir()) == []


def test_links_in_the_way_are_not_followed(cache, tmp_path):
    folder = put_environment(cache, "torch")
    shutil.move(cache.top.envs, tmp_path / "away")
    cache.top.envs.symlink_to(tmp_path / "away")
    assert find_environment(cache, folder.name) is None
    assert environments(cache.top) == []
    with pytest.raises(CacheDamagedError, match="link"):
        put_environment(cache, "torch")


def test_leftovers_of_a_build_are_swept_by_the_next(cache):
    partials = cache.writable.partials
    for name, digest in (
        ("stage-env-1-aa", "a"),
        ("stage-env-1-bb", "b"),
        ("stage-ir-1-cc", "a"),
        ("stage-env-4194305-dd", None),
        (f"stage-env-{os.getpid()}-ee", None),
    ):
        (partials / name).mkdir(parents=True)
        if digest is not None:
            claim(partials / name, digest)
    sweep_unfinished(cache, "a")
    left = sorted(path.name for path in partials.iterdir())
    assert left == sorted(["stage-env-1-bb", "stage-ir-1-cc", f"stage-env-{os.getpid()}-ee"])


def test_collecting_waits_a_day_where_locks_do_not_work(cache):
    folder = cache.writable.partials / "stage-env-4194305-aa"
    folder.mkdir(parents=True)
    assert plan_gc(cache.top, None, min_age=DAY).removals == []
    assert [removal.item.kind for removal in plan_gc(cache.top, None).removals] == ["staging"]
