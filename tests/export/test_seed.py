"""Seeds: the same bytes whoever writes them, nothing but what was asked for, and proof that they work."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile

import pytest

from model_zoo.cache import Layer
from model_zoo.cache.care.verify import verify
from model_zoo.errors import CacheDamagedError, CacheError, CacheMissError
from model_zoo.export.contents import gather, layer_members
from model_zoo.export.seed import write_seed
from model_zoo.export.selftest import prove
from model_zoo.settings import Settings
from model_zoo.zoo import Conversion, Zoo
from tests.export.conftest import environment, make_catalog, tree
from tests.tiny import entry, tiny_onnx, write_entry


def seed(zoo, dest, *references, what="ir", mtime=0):
    requests = zoo.planner.expand(references)
    contents = gather(zoo, requests, what, Conversion(), lambda event: None)
    assert contents.errors == []
    return write_seed(dest, layer_members(contents, zoo.cache, mtime), zoo.cache, mtime=mtime)


def tar_digest(folder):
    """As `tar --sort=name` would have it: names, modes, times, bytes and hard links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return out.getvalue()


def reader(layer, catalog):
    return Zoo(settings=Settings(layers=(layer,), catalogs=(catalog,), offline=True))


@pytest.mark.parametrize("what", ["ir", "files", "both"])
def test_seed_answers_offline_with_nothing_else(zoo, catalog, tmp_path, what):
    seed(zoo, tmp_path / "seed", "tiny@FP16", "third", what=what)
    moved = tmp_path / "else" / "where"
    moved.parent.mkdir()
    (tmp_path / "seed").rename(moved)
    alone = reader(moved, catalog)
    before = tree(moved)
    for name, precision in (("tiny", "FP16"), ("third", None)):
        if what != "files":
            assert alone.read(name, precision=precision).inputs[0].get_any_name() == "x"
            assert alone.planner.plan(alone.planner.request(name, precision)).cached.xml.is_relative_to(moved)
        if what != "ir":
            assert (alone.fetch(name).files["m.onnx"]).read_bytes() == (catalog / f"{name}.onnx").read_bytes()
    assert tree(moved) == before
    with pytest.raises(Exception, match="not in the cache|no writable") as caught:
        alone.read("other")
    assert caught.value.exit_code in {4, 6}


def test_seed_is_found_by_another_openvino(zoo, catalog, tmp_path, monkeypatch):
    seed(zoo, tmp_path / "seed", "third")
    from model_zoo.zoo import environments

    monkeypatch.setattr(environments, "toolchain", lambda *_, **__: {"openvino": "2031.0.0-1"})
    alone = reader(tmp_path / "seed", catalog)
    assert alone.read("third").inputs[0].get_any_name() == "x"


def test_seed_has_the_same_bytes_from_another_cache_day_umask_and_path(zoo, command, catalog, tmp_path):
    seed(zoo, tmp_path / "one", "tiny", "other", "third", what="both")
    elsewhere = make_catalog(tmp_path / "deep" / "in" / "elsewhere")
    script = (
        "import os, sys, time; os.umask(0o077); late = time.time() + 4e7; time.time = lambda: late;"
        "from model_zoo.cli.main import main; main(sys.argv[1:])"
    )
    env = environment(
        MODEL_ZOO_CACHE=str(tmp_path / "fresh"), MODEL_ZOO_CATALOG=str(elsewhere), TZ="Asia/Tokyo"
    )
    argv = [sys.executable, "-c", script, "seed", "two", "third", "other", "tiny", "--with", "both"]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert tar_digest(tmp_path / "one") == tar_digest(tmp_path / "two")


def test_modes_and_times_are_those_of_an_image(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny", what="both", mtime=1234567890)
    for path in [tmp_path / "seed", *(tmp_path / "seed").rglob("*")]:
        found = path.lstat()
        assert stat.S_IMODE(found.st_mode) == (0o755 if path.is_dir() else 0o444), path
        assert found.st_mtime == 1234567890, path
    names = {path.name for path in (tmp_path / "seed").iterdir()}
    assert names == {"CACHEDIR.TAG", "blobs-v1", "files-v1", "ir-v1", "state-v1"}
    text = b"".join(p.read_bytes() for p in (tmp_path / "seed").rglob("*.json"))
    assert str(tmp_path).encode() not in text
    assert b"seconds" not in text
    assert b"peak_memory" not in text


def test_files_take_no_second_copy(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny", what="files")
    (blob,) = (tmp_path / "seed" / "blobs-v1").rglob("*" * 1 + "[0-9a-f]" * 60)
    (file,) = (tmp_path / "seed" / "files-v1").rglob("m.onnx")
    assert blob.samefile(file)
    assert not blob.samefile(zoo.fetch("tiny").files["m.onnx"])


def test_second_run_changes_nothing_and_verify_finds_no_fault(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny", "third", what="both")
    before = tree(tmp_path / "seed")
    again = seed(zoo, tmp_path / "seed", "tiny", "third", what="both")
    assert (again.written, again.removed) == (0, 0)
    assert tree(tmp_path / "seed") == before
    assert verify([Layer(tmp_path / "seed")], lambda event: None).problems == []


def test_only_what_was_asked_for(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny", "other", what="both")
    (tmp_path / "seed" / "README").write_text("not ours")
    for used in ("locks-v1/x.lock", "partial-v1/stage-1/y", "state-v1/used/ir/z"):
        (tmp_path / "seed" / used).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "seed" / used).touch()
    seed(zoo, tmp_path / "seed", "other")
    seed(zoo, tmp_path / "fresh", "other")
    assert (tmp_path / "seed" / "README").read_text() == "not ours"
    (tmp_path / "seed" / "README").unlink()
    os.utime(tmp_path / "seed", (0, 0))
    assert tree(tmp_path / "seed") == tree(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["flip", "mode", "time", "gone", "link", "folder"])
def test_what_was_changed_in_a_seed_is_put_right(zoo, tmp_path, damage):
    seed(zoo, tmp_path / "seed", "tiny")
    before = tree(tmp_path / "seed")
    (weights,) = (tmp_path / "seed").rglob("model.bin")
    weights.chmod(0o644)
    if damage == "flip":
        data = weights.read_bytes()
        weights.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        weights.chmod(0o444)
        os.utime(weights, (0, 0))
    elif damage == "time":
        os.utime(weights, (7, 7))
    elif damage != "mode":
        weights.unlink()
        if damage == "link":
            weights.symlink_to("/etc/hostname")
        elif damage == "folder":
            weights.mkdir()
    assert seed(zoo, tmp_path / "seed", "tiny").written == 1
    assert tree(tmp_path / "seed") == before


def test_damage_in_the_cache_does_not_get_into_a_seed(catalog, warm_cache, tmp_path):
    shutil.copytree(warm_cache, tmp_path / "cache", symlinks=True)
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))
    weights = zoo.convert("tiny").bin
    weights.chmod(0o644)
    data = weights.read_bytes()
    weights.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(CacheDamagedError, match="differs from its manifest"):
        seed(zoo, tmp_path / "seed", "tiny")
    assert not list((tmp_path / "seed").rglob("model.bin"))


def test_blob_that_left_the_cache_is_missed(catalog, warm_cache, tmp_path):
    shutil.copytree(warm_cache, tmp_path / "cache", symlinks=True)
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(catalog,)))
    zoo.fetch("tiny")
    shutil.rmtree(tmp_path / "cache" / "blobs-v1")
    with pytest.raises(CacheMissError, match="no longer in the cache"):
        seed(zoo, tmp_path / "seed", "tiny", what="files")


def test_seed_is_written_over_nothing_else(zoo, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    cache = zoo.cache.top.root
    for dest, why in (
        (tmp_path / "full", "not a seeded layer"),
        (tmp_path / "file", "not a folder"),
        (cache, "overlaps the cache"),
        (cache / "inside", "overlaps the cache"),
        (cache.parent, "overlaps the cache"),
    ):
        with pytest.raises(CacheError, match=why):
            seed(zoo, dest, "tiny")
    assert (tmp_path / "full" / "thesis.tex").read_text() == "years of work"


def test_self_test_fails_on_a_model_that_is_not_there(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny")
    prove(zoo, tmp_path / "seed", zoo.planner.expand(["tiny"]), "ir")
    with pytest.raises(CacheError, match="the seed does not work"):
        prove(zoo, tmp_path / "seed", zoo.planner.expand(["other"]), "files")


def test_self_test_fails_on_a_model_that_cannot_be_read(zoo, tmp_path):
    seed(zoo, tmp_path / "seed", "tiny")
    (xml,) = (tmp_path / "seed").rglob("model.xml")
    xml.chmod(0o644)
    xml.write_bytes(b"<" * xml.stat().st_size)
    with pytest.raises(Exception, match="the seed does not work") as caught:
        prove(zoo, tmp_path / "seed", zoo.planner.expand(["tiny"]), "ir")
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    "act",
    ["open(layer + '/x', 'w')", "__import__('socket').socket()", "__import__('os').mkdir(layer + '/y')"],
)
def test_self_test_forbids_what_a_container_may_not_have(tmp_path, act):
    code = (
        "import sys; from model_zoo.export import selftest; layer = sys.argv[1]; refused = [];"
        "selftest._forbid(layer + '/', refused);\n"
        f"try: {act}\nexcept PermissionError: print('refused', len(refused))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused 1\n", done.stderr


@pytest.mark.parametrize(
    ("event", "arguments", "bad"),
    [
        ("open", ("/layer/x", "w", os.O_WRONLY | os.O_CREAT), True),
        ("open", (b"/layer/x", None, os.O_RDWR), True),
        ("open", ("/layer/sub/../x", "r", os.O_RDONLY), False),
        ("open", ("/layers/x", "w", os.O_WRONLY), False),
        ("open", (3, "w", os.O_WRONLY), False),
        ("os.rename", ("/tmp/x", "/layer/x", -1, -1), True),
        ("os.remove", ("/tmp/x", -1), False),
        ("socket.getaddrinfo", ("host", 1, 0, 0, 0), True),
        ("subprocess.Popen", ("x", [], None, None), True),
        ("import", ("x", None, None, None, None), False),
    ],
)
def test_what_the_self_test_takes_for_forbidden(event, arguments, bad):
    from model_zoo.export.selftest import _hook

    refused = []
    hook = _hook("/layer/", refused)
    if bad:
        with pytest.raises(PermissionError, match=event):
            hook(event, arguments)
    else:
        hook(event, arguments)
    assert refused == [event] * bad


def test_files_that_cannot_be_fetched_are_told(catalog, tmp_path):
    write_entry(tmp_path / "gone", entry("gone", b"never", {"file": "nonesuch.onnx"}))
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(tmp_path / "gone",)))
    contents = gather(zoo, zoo.planner.expand(["gone"]), "both", Conversion(), lambda event: None)
    ((name, error),) = contents.errors
    assert (name, error.exit_code, contents.irs, contents.fetched) == ("gone", 4, [], [])


def test_unpacked_files_are_in_a_seed_as_files_of_their_own(catalog, tmp_path):
    data = (catalog / "tiny.onnx").read_bytes()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("inner/m.onnx")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    described = entry("packed", packed.getvalue(), {"file": "packed.tar"}, path="packed.tar")
    described["artifacts"][0]["unpack"] = {"format": "tar", "strip": 1, "into": "."}
    write_entry(tmp_path / "packed", described | {"recipe": {"model": "m.onnx"}})
    (tmp_path / "packed" / "packed.tar").write_bytes(packed.getvalue())
    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(tmp_path / "packed",)))
    seed(zoo, tmp_path / "seed", "packed", what="both")
    alone = reader(tmp_path / "seed", tmp_path / "packed")
    assert alone.fetch("packed").files["m.onnx"].read_bytes() == data
    assert alone.read("packed").inputs
    seed(zoo, tmp_path / "ir-only", "packed")
    assert reader(tmp_path / "ir-only", tmp_path / "packed").read("packed").inputs


def test_self_test_that_dies_is_told(zoo, tmp_path, monkeypatch):
    from model_zoo.export import selftest

    seed(zoo, tmp_path / "seed", "tiny")
    monkeypatch.setattr(selftest, "_CHILD", "raise SystemExit('boom')")
    with pytest.raises(CacheError, match="self-test of the seed ended with exit code 1") as caught:
        prove(zoo, tmp_path / "seed", zoo.planner.expand(["tiny"]), "ir")
    assert "boom" in str(caught.value)


def child(monkeypatch, capfd, **job):
    """Do the child's part in this process, without the hook, which nothing could take off again."""
    from model_zoo.export import selftest

    stated = {"catalogs": [], "what": "both", "device": None, **job}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(stated)))
    monkeypatch.setattr(selftest, "_forbid", lambda layer, refused: None)
    capfd.readouterr()
    code = 0
    try:
        selftest.main()
    except SystemExit as left:
        code = left.code
    return code, capfd.readouterr().out


def test_child_reads_everything_and_says_what_failed(zoo, catalog, tmp_path, monkeypatch, capfd):
    seed(zoo, tmp_path / "seed", "tiny", what="both")
    job = {"layer": str(tmp_path / "seed"), "catalogs": [str(catalog)]}
    assert child(monkeypatch, capfd, **job, models=[["tiny", None]], device="CPU") == (0, "")
    code, out = child(monkeypatch, capfd, **job, models=[["other", None]])
    assert code == 6
    assert json.loads(out)["class"] == "CacheReadOnlyError"


def test_child_that_was_refused_something_fails(zoo, catalog, tmp_path, monkeypatch, capfd):
    from model_zoo.export import selftest

    seed(zoo, tmp_path / "seed", "tiny")
    monkeypatch.setattr(selftest, "_read_all", lambda job: None)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"layer": str(tmp_path)})))
    monkeypatch.setattr(selftest, "_forbid", lambda layer, refused: refused.append("socket.connect"))
    with pytest.raises(SystemExit) as left:
        selftest.main()
    assert left.value.code == 6
    assert "socket.connect" in capfd.readouterr().out


def test_command_prints_the_seed_and_a_summary(command, tmp_path):
    done = command("seed", "out", "tiny@FP16", "other")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out'}\n"), done.stderr
    assert "every model was read back offline" in done.stderr
    again = command("seed", "out", "other")
    assert "0 written" not in again.stderr  # the note of what it holds is another
    assert "removed" in again.stderr
    env = {
        "MODEL_ZOO_LAYERS": str(tmp_path / "out"),
        "MODEL_ZOO_OFFLINE": "1",
        "MODEL_ZOO_CACHE": "/dev/null/x",
    }
    path = command("path", "other", env=env)
    assert path.stdout.startswith(str(tmp_path / "out" / "ir-v1")), path.stderr
    assert command("path", "tiny", env=env).returncode == 6


def test_command_writes_nothing_when_a_model_fails(command, catalog, tmp_path):
    bad = tmp_path / "bad"
    data = tiny_onnx(op="NoSuchOperation")
    (bad / "m").parent.mkdir()
    (bad / "broken.onnx").write_bytes(data)
    write_entry(bad, entry("broken", data, {"file": "broken.onnx"}))
    env = {"MODEL_ZOO_CACHE": str(tmp_path / "cache"), "MODEL_ZOO_CATALOG": f"{catalog}{os.pathsep}{bad}"}
    done = command("seed", "out", "tiny", "broken", env=env)
    assert done.returncode == 7
    assert "broken" in done.stderr
    assert not (tmp_path / "out").exists()
    assert command("seed", "out", "nonesuch").returncode == 2
    assert command("seed", "out", "tiny", "--with", "files", "--compile", "CPU").returncode == 2


def test_source_date_epoch_is_stamped(command, tmp_path):
    done = command("-q", "seed", "out", "tiny", env={"SOURCE_DATE_EPOCH": "86400"})
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.lstat().st_mtime for path in (tmp_path / "out").rglob("*")} == {86400.0}


def test_compiled_blobs_are_used_where_they_are(command, zoo, catalog, tmp_path):
    done = command("seed", "out", "tiny", "--compile", "CPU")
    assert done.returncode == 0, done.stderr
    before = tree(tmp_path / "out")
    (blob,) = (tmp_path / "out" / "compiled-v1").rglob("*.blob")
    alone = reader(tmp_path / "out", catalog)
    compiled = alone.load("tiny", device="CPU")
    assert compiled.get_property("LOADED_FROM_CACHE")
    assert tree(tmp_path / "out") == before
    assert "; 0 written;" in command("seed", "out", "tiny", "--compile", "CPU").stderr
    assert blob.is_file()
    assert tree(tmp_path / "out") == before
    assert command("seed", "out", "tiny").returncode == 0
    assert not (tmp_path / "out" / "compiled-v1").exists()


def test_locked_seed_is_found_without_the_lock(command, catalog, tmp_path):
    lock = command("lock", "tiny", "third", "-o", "m.lock")
    assert lock.returncode == 0, lock.stderr
    for number, what in enumerate(("ir", "both")):
        out = tmp_path / f"out{number}"
        done = command("seed", out, "tiny", "third", "--locked", "m.lock", "--with", what)
        assert done.returncode == 0, done.stderr
        plain = command("seed", tmp_path / f"plain{number}", "tiny", "third", "--with", what)
        assert plain.returncode == 0, plain.stderr
        alone = reader(out, catalog)
        assert alone.read("third").inputs[0].get_any_name() == "x"
        if what == "both":
            assert alone.fetch("third").files
    data = json.loads((tmp_path / "m.lock").read_text())
    assert set(data["models"]) == {"tiny", "third"}
    assert command("seed", "never", "other", "--locked", "m.lock").returncode == 2


def test_locked_file_without_a_catalog(command, catalog, tmp_path):
    uri = f"file:{catalog / 'tiny.onnx'}"
    lock = command("lock", uri, "-o", "m.lock")
    assert lock.returncode == 0, lock.stderr
    done = command("seed", "locked", uri, "--locked", "m.lock", "--with", "both")
    assert done.returncode == 0, done.stderr
    plain = command("seed", "plain", uri, "--with", "both")
    assert plain.returncode == 0, plain.stderr
    alone = reader(tmp_path / "locked", catalog)
    assert alone.read(uri).inputs
    assert alone.fetch(uri).files
