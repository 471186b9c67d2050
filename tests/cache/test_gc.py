"""Making room: what goes first, what stays, and that the numbers are those of the disk."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_zoo.cache import Cache
from model_zoo.cache.care import scan as survey
from model_zoo.cache.care.gc import apply, plan_gc, plan_rm
from model_zoo.cache.care.open_files import open_files_below
from model_zoo.cache.care.pins import pin
from model_zoo.cache.care.verify import verify
from model_zoo.errors import CacheError, CacheMissError, LockTimeoutError
from model_zoo.systems import system
from tests.cache.made import OLD, age, ir_key, put_blob, put_environment, put_ir, put_model, request_of

DAY = 86400


def disk(root):
    """Return the bytes that the layer's files take, each counted once; locks and notes are not counted."""
    found = {}
    for top in ("blobs-v1", "files-v1", "ir-v1", "compiled-v1", "envs-v1", "partial-v1"):
        for path in () if (root / top).is_symlink() else (root / top).rglob("*"):
            if path.is_file() and not path.is_symlink():
                found[path.stat().st_ino] = path.stat().st_size
    return sum(found.values())


def gc(cache, budget=None):
    """Collect after a dry run, and hold both and the disk against each other."""
    planned = plan_gc(cache.top, budget)
    before = disk(cache.top.root)
    plan = apply(cache, lambda min_age: plan_gc(cache.top, budget, min_age=min_age))
    after = disk(cache.top.root)
    assert (planned.before, planned.freed, planned.after) == (plan.before, plan.freed, plan.after)
    assert [r.item.location for r in planned.removals] == [r.item.location for r in plan.removals]
    assert (plan.before, plan.after) == (before, after)
    return plan


def removed(plan):
    return sorted({r.item.label for r in plan.removals if r.item.kind != "blob"})


def verified(cache):
    return [p.cause for p in verify(cache.layers, lambda _: None).problems]


@pytest.fixture
def filled(cache):
    """Three models with an IR each, used one day after the other; big is on every one of them."""
    for number, name in enumerate(["oldest", "older", "old"]):
        _, folder = put_model(cache, name, {"own": name.encode() * 100, "big": b"shared" * 1000})
        ir = put_ir(cache, name, data=name.encode() * 50)
        age(folder, OLD + 2 * number * DAY)
        age(ir, OLD + (2 * number + 1) * DAY)
        for path in folder.iterdir():
            os.utime(path, (OLD, OLD))
        os.utime(folder / ".model-zoo.json", (OLD + 2 * number * DAY,) * 2)
    return cache


def test_without_a_budget_nothing_good_goes(filled):
    plan = gc(filled)
    assert plan.removals == []
    assert plan.over == 0


def test_the_least_recently_used_goes_first(filled):
    total = disk(filled.top.root)
    order = []
    while (plan := gc(filled, total - 1)).removals:
        order += [(r.item.kind, r.item.label) for r in plan.removals if r.item.kind != "blob"]
        total = disk(filled.top.root)
        assert verified(filled) == []
    assert order == [
        ("files", "oldest"),
        ("ir", "oldest@FP32"),
        ("files", "older"),
        ("ir", "older@FP32"),
        ("files", "old"),
        ("ir", "old@FP32"),
    ]
    assert total == 0


def test_a_use_moves_an_entry_to_the_end(filled):
    folder = next((filled.top.models / "oldest").iterdir())
    assert filled.find_files("oldest", folder.name)
    plan = gc(filled, disk(filled.top.root) - 1)
    assert removed(plan) == ["oldest@FP32"]


def test_a_shared_blob_goes_with_the_last_that_stands_on_it(filled):
    budget = disk(filled.top.root) - 1
    first = gc(filled, budget)
    assert first.freed < 6000, "big is still needed"
    plan = gc(filled, 0)
    assert plan.freed > 6000
    assert plan.after == plan.over == 0
    assert not any(p.is_file() for p in filled.top.blobs.rglob("*"))


def test_pinned_models_stay(filled):
    pin(filled.top, "oldest", None)
    pin(filled.top, "older", "FP32")
    put_ir(filled, "older", "FP16")
    plan = gc(filled, 0)
    assert removed(plan) == ["old", "old@FP32", "older@FP16"]
    assert {(item.label, why) for item, why in plan.kept} == {
        ("oldest", "pinned"),
        ("oldest@FP32", "pinned"),
        ("older", "pinned"),
        ("older@FP32", "pinned"),
    }
    assert plan.over == plan.after > 0
    assert verified(filled) == []


def test_what_is_mapped_stays(filled):
    ir = filled.top.ir(ir_key("oldest"))
    with (ir / "model.bin").open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ):
        plan = gc(filled, 0)
        assert ("oldest@FP32", f"in use by PID {os.getpid()}") in [(i.label, why) for i, why in plan.kept]
        assert filled.find_ir(ir.name)
    assert removed(gc(filled, 0)) == ["oldest@FP32"]


def test_what_another_process_has_open_stays(filled):
    file = filled.top.ir(ir_key("old")) / "model.bin"
    code = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert open_files_below(filled.top.root)[str(file)] == process.pid
        assert [why for i, why in gc(filled, 0).kept if i.label == "old@FP32"] == [
            f"in use by PID {process.pid}"
        ]
        process.stdin.close()
        process.wait(20)
    assert str(file) not in open_files_below(filled.top.root)


def test_a_platform_that_does_not_tell_holders(filled, monkeypatch, tmp_path):
    monkeypatch.setattr("model_zoo.cache.care.open_files.PROC", tmp_path / "none")
    assert open_files_below(filled.top.root) == {}


def test_litter_of_the_dead_goes_after_a_day(cache):
    put_blob(cache, b"1")
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True
    ).stdout.strip()
    names = {
        f"stage-ir-{dead}-00aa": True,
        f"stage-ir-{dead}-00bb": False,
        f"stage-gc-{dead}-00cc": True,
        f"stage-old-{dead}-00dd": True,
        f"stage-ir-{os.getpid()}-00ee": False,
        "stage-of-nobody": False,
    }
    for name in names:
        (cache.top.partials / name).mkdir()
        (cache.top.partials / name / "half").write_bytes(b"12345")
    for name in (f"stage-ir-{dead}-00aa", f"stage-ir-{os.getpid()}-00ee", "stage-of-nobody"):
        age(cache.top.partials / name)
    plan = gc(cache)
    assert removed(plan) == sorted(name for name, goes in names.items() if goes)
    assert plan.freed == 15
    assert {p.name for p in cache.top.partials.iterdir()} == {
        name for name, goes in names.items() if not goes
    }
    plan = gc(cache, 0)
    assert {i.label for i, why in plan.kept if why == "in progress"} == {n for n, g in names.items() if not g}


def test_partials_are_kept_for_a_week(cache):
    put_blob(cache, b"1")
    old, new = cache.top.partials / "a.part", cache.top.partials / "b.part"
    for path in (old, new):
        path.write_bytes(b"12345")
        path.with_suffix(".json").write_text("{}")
    for path in (old, old.with_suffix(".json")):
        os.utime(path, (time.time() - 8 * DAY,) * 2)
    assert removed(gc(cache)) == ["a.json", "a.part"]
    assert removed(gc(cache, 1)) == ["b.json", "b.part"], "over the budget they go like everything else"


def test_compiled_and_environments_are_the_first_of_equals(cache):
    (cache.writable.compiled / "x").mkdir(parents=True)
    (cache.top.compiled / "x/file").write_bytes(b"1" * 100)
    environment, ir = put_environment(cache, "torch"), put_ir(cache, "m")
    lately = time.time() - 2 * DAY
    for path in (cache.top.compiled, environment, ir):
        age(path, lately)
    assert [r.item.kind for r in gc(cache, disk(cache.top.root) - 1).removals] == ["compiled"]
    assert [r.item.kind for r in gc(cache, disk(cache.top.root) - 1).removals] == ["env"]
    assert [r.item.kind for r in gc(cache, disk(cache.top.root) - 1).removals] == ["ir"]


def test_an_unwanted_blob_has_an_hour(cache):
    blob = put_blob(cache, b"stray")
    put_model(cache, "m", {"a": b"1"})
    assert gc(cache).removals == []
    os.utime(blob, (time.time() - 3700,) * 2)
    plan = gc(cache)
    assert [r.item.location for r in plan.removals] == [str(blob)]
    assert plan.freed == 5
    put_blob(cache, b"stray")
    assert blob.name in [r.item.label for r in gc(cache, 0).removals], "a budget does not wait"


def test_a_blob_somebody_else_links_to_is_not_unwanted(cache, tmp_path):
    blob = put_blob(cache, b"stray")
    os.utime(blob, (OLD, OLD))
    os.link(blob, tmp_path / "elsewhere")
    assert gc(cache).removals == []


def test_blobs_of_a_folder_whose_manifest_is_lost_stay_for_repair(filled):
    folder = next((filled.top.models / "old").iterdir())
    for path in filled.top.blobs.rglob("*"):
        os.utime(path, (OLD, OLD))
    (folder / ".model-zoo.json").unlink()
    assert gc(filled).removals == []


def test_notes_about_what_is_gone_go_too(cache):
    made, folder = put_model(cache, "m", {"a": b"1"}, "sha384")
    ir = put_ir(cache, "m")
    for path in (folder, ir):
        age(path)
    cache.find_files("m", folder.name)
    cache.find_ir(ir.name)
    gc(cache, 0)
    left = [p.name for p in cache.top.state.rglob("*") if p.is_file() and p.name != "complete"]
    assert all(name.endswith(".json") for name in left), "what a declaration contains stays true"
    assert cache.find_blob(made.artifacts[0]) is None
    assert cache.find_requested(request_of("m")) == []
    assert verified(cache) == []


def test_half_written_notes_of_the_killed_go(cache):
    put_model(cache, "m", {"a": b"1"})
    litter = cache.top.state / "inputs" / ".x.json.1.00aa"
    litter.write_text("half")
    os.utime(litter, (OLD, OLD))
    gc(cache, 0)
    assert not litter.exists()


def test_old_lock_files_go(cache):
    put_blob(cache, b"1")
    locks = cache.top.locks
    locks.mkdir()
    for name in ("a.lock", "b.lock", "gate.lock", "c.txt"):
        (locks / name).write_text("")
        os.utime(locks / name, (OLD, OLD))
    os.utime(locks / "b.lock")
    assert plan_gc(cache.top, None).locks == 1
    assert gc(cache).locks == 1
    assert sorted(p.name for p in locks.glob("*.*")) == ["b.lock", "c.txt", "gate.lock"]


def test_rm(filled):
    plan = apply(filled, lambda _: plan_rm(filled.top, [("older", None), ("old", "FP32")]))
    assert removed(plan) == ["old@FP32", "older", "older@FP32"]
    assert verified(filled) == []
    assert filled.find_ir(ir_key("old")) is None
    assert (filled.top.models / "old").is_dir()
    assert not (filled.top.models / "older").exists()
    with pytest.raises(CacheMissError, match="older is not in the cache"):
        plan_rm(filled.top, [("older", None)])
    with pytest.raises(CacheMissError, match="old@INT8"):
        plan_rm(filled.top, [("old", "INT8")])
    pin(filled.top, "old", None)
    with pytest.raises(CacheError, match="old is pinned"):
        plan_rm(filled.top, [("oldest", None), ("old", None)])


def test_a_planted_link_is_never_followed(filled, tmp_path):
    outside = tmp_path / "outside"
    (outside / ("0" * 64)).mkdir(parents=True)
    (outside / ("0" * 64) / "precious").write_text("mine")
    os.utime(outside / ("0" * 64) / "precious", (OLD, OLD))
    top = filled.top
    (top.models / "planted").symlink_to(outside)
    (top.irs / ("0" * 64)).symlink_to(outside / ("0" * 64))
    top.compiled.symlink_to(outside)
    top.envs.mkdir()
    (top.envs / "e").symlink_to(outside)
    (top.partials / "stage-gc-1-00").symlink_to(outside)
    (top.partials / "p.part").symlink_to(outside / ("0" * 64) / "precious")
    shelf = top.blobs / "ff"
    shelf.mkdir(exist_ok=True)
    (shelf / ("f" * 64)).symlink_to(outside / ("0" * 64) / "precious")
    folder = top.ir(ir_key("old"))
    (folder / "deep").symlink_to(outside)
    gc(filled, 0)
    assert (outside / ("0" * 64) / "precious").read_text() == "mine"
    assert (top.models / "planted").is_symlink()


def test_what_cannot_be_moved_stays_whole(filled, monkeypatch):
    """Windows does not move what somebody has open."""
    real = system.rename

    def windows(path, target):
        if "files-v1/older/" in path.as_posix():
            raise PermissionError(errno.EACCES, "in use", str(path))
        return real(path, target)

    monkeypatch.setattr(system, "rename", windows)
    plan = apply(filled, lambda _: plan_gc(filled.top, 0))
    monkeypatch.undo()
    assert ("older", "cannot be moved: in use") in [(i.label, why) for i, why in plan.kept]
    assert disk(filled.top.root) == plan.after > 0
    assert [p.name for p in filled.top.models.iterdir()] == ["older"]
    assert verified(filled) == []


def test_a_disk_without_room_for_trash(filled, monkeypatch):
    from model_zoo.errors import CacheFullError

    def full(*_):
        raise CacheFullError("no space left")

    before = disk(filled.top.root)
    (filled.top.partials / "old.part").write_bytes(b"1" * 10)
    age(filled.top.partials / "old.part")
    monkeypatch.setattr(filled, "staging", full)
    plan = apply(filled, lambda _: plan_gc(filled.top, before - 1))
    assert removed(plan) == ["old.part", "oldest"]
    assert disk(filled.top.root) == plan.after
    assert verified(filled) == []


def test_gc_waits_for_users_and_gives_up(filled):
    with filled.use(), pytest.raises(LockTimeoutError):
        apply(
            Cache(filled.top.root),
            lambda _: plan_gc(filled.top, 0),
            timeout=0.3,
            on_wait=lambda _: None,
        )
    assert verified(filled) == []


def test_without_locks_only_what_is_a_day_old_goes(filled, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(system, "lock", refuse)
    put_ir(filled, "fresh")
    plan = apply(filled, lambda min_age: plan_gc(filled.top, 0, min_age=min_age))
    assert ("fresh@FP32", "recently used, and locks do not work on this file system") in [
        (i.label, why) for i, why in plan.kept
    ]
    assert "oldest" in removed(plan)


def test_a_platform_without_inodes_in_listings(filled, monkeypatch):
    real = survey._name

    class NoInode:
        def __init__(self, found):
            self.st_dev, self.st_ino, self.st_size, self.st_nlink = 0, 0, found.st_size, 0

    monkeypatch.setattr(survey, "_name", lambda found, path, size=None: real(NoInode(found), path, size))
    plan = plan_gc(filled.top, 0)
    assert plan.after == 0
    assert plan.freed == plan.before


def test_a_half_collected_layer_is_finished_by_the_next_run(filled):
    """Killed after the renames: the trash counts as litter of a dead process."""
    dead = filled.top.partials / "stage-gc-999999999-00aa"
    dead.mkdir()
    filled.top.ir(ir_key("old")).rename(dead / "0")
    plan = gc(filled)
    assert removed(plan) == [dead.name]
    assert verified(filled) == []


models = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.dictionaries(
        st.sampled_from(["1", "2", "3"]), st.sampled_from([b"x", b"yy", b"zzz" * 40]), min_size=1
    ),
    min_size=1,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(models, st.sets(st.sampled_from(["a", "b", "c", "d"])), st.floats(0, 1), st.randoms())
def test_whatever_there_is_the_numbers_are_right(tmp_path, contents, pinned, share, random):
    cache = Cache(tmp_path / os.urandom(8).hex())
    for name, files in contents.items():
        _, folder = put_model(cache, name, files)
        age(folder / ".model-zoo.json", OLD + random.randint(0, 9))
    for name in pinned:
        pin(cache.top, name, None)
    budget = int(disk(cache.top.root) * share)
    plan = gc(cache, budget)
    assert verified(cache) == []
    assert plan.after <= budget or all(why == "pinned" for _, why in plan.kept)
    left = {p.name for p in cache.top.models.iterdir()}
    assert pinned & contents.keys() <= left
    assert gc(cache, budget).removals == [], "a second run finds nothing more to do"
