"""The compiled catalog says exactly what the files say, whatever happens to them or to it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model_zoo import errors
from model_zoo.catalog import Catalog, index
from model_zoo.catalog.reader import read_model
from model_zoo.cli.main import cli, run
from tests.tiny import entry, tiny_onnx, write_entry

DATA = tiny_onnx()
SOURCE = {"url": "https://example.org/m.onnx"}


def write(folder, name, **more):
    return write_entry(folder, entry(name, DATA, SOURCE, **more))


@pytest.fixture
def settled(monkeypatch):
    """Let changes count as old at once, as if the clock of the files were fine enough."""
    monkeypatch.setattr(index, "SETTLED_NS", -(10**12))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "catalog"
    for number in range(12):
        write(root / ("a" if number % 2 else "b"), f"model-{number}")
    return root


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "state"


def read_yaml(monkeypatch):
    """Count the entries that are read from YAML."""
    read = []

    def counted(path, root, _real=index.read_entry):
        read.append(path.name)
        return _real(path, root)

    monkeypatch.setattr(index, "read_entry", counted)
    return read


def test_the_second_process_reads_no_yaml(folder, kept, settled, monkeypatch):
    first = Catalog([folder], kept)
    models = list(first)
    del first  # what it has learnt is written at the latest now
    assert len(list(kept.iterdir())) == 1
    read = read_yaml(monkeypatch)
    second = Catalog([folder], kept)
    assert list(second) == models
    assert second.names() == sorted((m.name for m in models), key=str.casefold)
    assert read == []


def test_only_what_changed_is_read_again(folder, kept, settled, monkeypatch):
    list(Catalog([folder], kept))
    catalog = Catalog([folder], kept)
    list(catalog)
    read = read_yaml(monkeypatch)
    write(folder / "b", "model-4", task="another")
    write(folder / "b", "model-new")
    (folder / "a" / "model-1.yaml").unlink()
    fresh = Catalog([folder], kept)
    for one in (catalog, fresh):
        read.clear()
        assert "model-new" in one.names()
        assert "model-1" not in one.names()
        assert one.get("model-4").task == "another"
        with pytest.raises(errors.UnknownModelError):
            one.get("model-1")
        list(one)
        assert set(read) <= {"model-4.yaml", "model-new.yaml"}


def test_the_same_size_in_the_same_instant_is_seen(folder, kept):
    """A file edited twice within one tick of the clock has one stamp; so what is new is never trusted."""
    path = folder / "b" / "model-2.yaml"
    list(Catalog([folder], kept))
    before = path.stat()
    text = path.read_text()
    path.write_text(text.replace("task: test", "task: tost"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    catalog = Catalog([folder], kept)
    assert catalog.get("model-2").task == "tost"
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert catalog.get("model-2").task == "test"


def test_a_clock_ahead_costs_time_but_is_never_wrong(folder, kept, monkeypatch):
    path = folder / "b" / "model-2.yaml"
    future = time.time_ns() + 10**13
    os.utime(path, ns=(future, future))
    read = read_yaml(monkeypatch)
    for _ in range(2):
        assert Catalog([folder], kept).get("model-2").name == "model-2"
    assert read == ["model-2.yaml", "model-2.yaml"]


def test_labels_are_read_anew_when_their_file_changes(tmp_path, kept, settled):
    root = tmp_path / "c"
    for number in range(10):
        write(root, f"m{number}", labels={"file": "labels.txt"})
    (root / "labels.txt").write_text("cat\ndog\n")
    catalog = Catalog([root], kept)
    assert catalog.get("m1").labels == ("cat", "dog")
    assert catalog.get("m1") is catalog.get("m1")
    list(catalog)
    (root / "labels.txt").write_text("cat\ncow\n")
    assert catalog.get("m1").labels == ("cat", "cow")
    assert Catalog([root], kept).get("m1").labels == ("cat", "cow")
    (root / "labels.txt").unlink()
    with pytest.raises(errors.CatalogError, match=r"m1\.yaml: labels\.file"):
        Catalog([root], kept).get("m1")


@pytest.mark.parametrize("damage", [b"", b"\x00", b"not an index", None])
def test_a_damaged_index_is_ignored_and_replaced(folder, kept, settled, damage):
    models = list(Catalog([folder], kept))
    (file,) = kept.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert list(Catalog([folder], kept)) == models
    assert file.read_bytes() == whole


@pytest.mark.parametrize("seed", range(20))
def test_no_flipped_bit_makes_a_wrong_model(folder, kept, settled, seed):
    models = list(Catalog([folder], kept))
    (file,) = kept.iterdir()
    data = bytearray(file.read_bytes())
    rng = random.Random(seed)
    position = rng.randrange(len(data))
    data[position] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    assert list(Catalog([folder], kept)) == models


def test_an_index_of_another_version_is_not_used(folder, kept, settled, monkeypatch):
    list(Catalog([folder], kept))
    index._writer.cache_clear()
    monkeypatch.setattr(index, "__version__", "999")
    read = read_yaml(monkeypatch)
    list(Catalog([folder], kept))
    assert len(read) == 12
    index._writer.cache_clear()


def test_a_wrong_entry_stops_no_other_and_is_reported_every_time(folder, kept, settled):
    (folder / "a" / "broken.yaml").write_text("schema: 1\nname: broken\nsize: 3\n")
    for _ in range(2):
        catalog = Catalog([folder], kept)
        assert catalog.get("model-1").name == "model-1"
        with pytest.raises(errors.CatalogError, match=r"broken\.yaml"):
            catalog.get("broken")
    write(folder / "a", "broken")
    assert catalog.get("broken").task == "test"


def test_where_nothing_can_be_written_everything_still_works(folder, tmp_path, settled):
    (tmp_path / "file").write_text("not a folder")
    catalog = Catalog([folder], tmp_path / "file" / "state")
    assert len(list(catalog)) == 12
    del catalog

    def refuse():
        raise errors.CacheReadOnlyError("read-only")

    catalog = Catalog([folder], tmp_path / "state", refuse)
    assert len(list(catalog)) == 12
    del catalog
    assert not (tmp_path / "state").exists()
    assert len(list(Catalog([folder]))) == 12


def test_a_small_catalog_leaves_no_index(tmp_path, kept, settled):
    write(tmp_path / "c", "one")
    assert Catalog([tmp_path / "c"], kept).get("one").name == "one"
    assert not kept.exists()


def test_later_roots_win_and_each_has_its_own_index(folder, tmp_path, kept, settled):
    other = tmp_path / "other"
    for number in range(10, 22):
        write(other, f"model-{number}", task="other")
    for _ in range(2):
        catalog = Catalog([folder, other], kept)
        assert [m.task for m in catalog if m.name in {"model-9", "model-10"}] == ["other", "test"]
        assert len(catalog.names()) == 22
        del catalog
    assert len(list(kept.iterdir())) == 2


def test_one_name_twice_in_a_root_is_refused_with_or_without_an_index(folder, kept, settled):
    list(Catalog([folder], kept))
    write(folder / "a", "model-2")
    with pytest.raises(errors.CatalogError, match="model-2"):
        Catalog([folder], kept).names()


def test_a_moved_catalog_is_another_catalog(folder, tmp_path, kept, settled):
    write(folder / "a", "local", artifacts=[
        {"path": "m.onnx", "integrity": "first-use", "sources": [{"file": "m.onnx"}]},
    ])  # fmt: skip
    list(Catalog([folder], kept))
    shutil.move(folder, tmp_path / "moved")
    (source,) = Catalog([tmp_path / "moved"], kept).get("local").artifacts[0].sources
    assert source.file == str(tmp_path / "moved" / "a" / "m.onnx")
    with pytest.raises(errors.CatalogError, match="no such catalog"):
        Catalog([folder], kept).names()


def test_threads_and_processes_share_one_index(folder, kept, settled):
    expected = [m.name for m in Catalog([folder])]
    code = (
        "import sys; from pathlib import Path; from model_zoo.catalog import Catalog, index;"
        "index.SETTLED_NS = -10**12;"
        "print(*[m.name for m in Catalog([Path(sys.argv[1])], Path(sys.argv[2]))])"
    )
    argv = [sys.executable, "-c", code, folder, kept]
    others = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    catalog, seen = Catalog([folder], kept), []
    threads = [threading.Thread(target=lambda: seen.append([m.name for m in catalog])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 4
    assert [one.communicate()[0].split() for one in others] == [expected] * 3


def test_open_model_zoo_trees_notice_their_neighbours(tmp_path, kept, settled):
    """Whether a model is a stage depends on a file in the folder above."""
    import yaml

    raw = {
        "description": "x", "task_type": "detection", "framework": "dldt", "license": "https://example.org",
        "files": [{"name": "FP32/a.xml", "size": 1, "checksum": "0" * 96, "source": "https://example.org/a"}],
    }  # fmt: skip
    for number in range(9):
        file = tmp_path / "models" / "intel" / "whole" / f"whole-{number}" / "model.yml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(raw))
    first = Catalog([tmp_path / "models"], kept)
    assert {m.omz.composite for m in first} == {None}
    composite = {k: v for k, v in raw.items() if k != "files"} | {"stages_order": ["whole-0", "whole-1"]}
    (tmp_path / "models" / "intel" / "whole" / "composite-model.yml").write_text(yaml.safe_dump(composite))
    for catalog in (first, Catalog([tmp_path / "models"], kept)):
        assert catalog.get("whole-3").omz.composite == "whole"
        assert catalog.get("whole").stages == ("whole-0", "whole-1")


def test_the_command_line_keeps_the_index_in_the_cache(folder, tmp_path, capsys, settled):
    cache = tmp_path / "cache"
    argv = ["--cache", str(cache), "--catalog", str(folder), "list", "--json"]
    assert run(cli, argv) == 0
    import gc

    gc.collect()
    assert list((cache / "state-v1" / "catalogs").glob("*.msgpack"))
    assert (cache / "CACHEDIR.TAG").exists()
    capsys.readouterr()


class Machine(RuleBasedStateMachine):
    """Any sequence of edits: the catalog with an index always says what a fresh reading of the files says."""

    names = st.sampled_from([f"m{number}" for number in range(12)])
    folders = st.sampled_from(["x", "y", "y/z"])

    @initialize()
    def start(self):
        import tempfile
        from pathlib import Path

        self.scratch = tempfile.TemporaryDirectory()
        self.root, self.kept = Path(self.scratch.name, "catalog"), Path(self.scratch.name, "state")
        self.root.mkdir()
        self.catalog = Catalog([self.root], self.kept)
        self.real = index.SETTLED_NS

    @rule(folder=folders, name=names, task=st.sampled_from(["aaa", "bbb"]))
    def put(self, folder, name, task):
        for path in self.root.rglob(f"{name}.yaml"):
            path.unlink()
        write(self.root / folder, name, task=task)

    @rule(name=names)
    def remove(self, name):
        for path in self.root.rglob(f"{name}.yaml"):
            path.unlink()

    @rule(folder=folders)
    def drop(self, folder):
        shutil.rmtree(self.root / folder, ignore_errors=True)

    @rule()
    def grow_old(self):
        """Let time pass: every change so far is settled, later ones are not."""
        settled = time.time_ns()
        index.SETTLED_NS = 0
        while time.time_ns() <= settled:
            pass
        time.sleep(0.02)
        list(self.catalog)
        index.SETTLED_NS = self.real

    @rule()
    def another_process(self):
        self.catalog = Catalog([self.root], self.kept)

    @invariant()
    def says_what_the_files_say(self):
        if not hasattr(self, "root"):
            return
        expected = {path.stem: read_model(path) for path in self.root.rglob("*.yaml")}
        assert {model.name: model for model in self.catalog} == expected

    def teardown(self):
        if hasattr(self, "scratch"):
            index.SETTLED_NS = self.real
            self.scratch.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_names_are_listed_without_the_later_stages(tmp_path):
    """Nothing that fetches or converts is imported for that; and the index is among the cache's notes."""
    code = (
        "import sys; from model_zoo.zoo import Zoo; zoo = Zoo(cache=sys.argv[1]); zoo.catalog.names();"
        "later = ('model_zoo.cache', 'model_zoo.conversion', 'yaml');"
        "print(*sorted(m for m in sys.modules if m.startswith(later)));"
        "print(zoo.cache.top.state)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    loaded, state = done.stdout.splitlines()
    assert loaded == ""
    assert state == str(tmp_path / "state-v1")


def test_a_few_entries_are_kept_where_the_cache_is_in_use(folder, kept, settled, monkeypatch):
    catalog = Catalog([folder], kept / "catalogs")
    catalog.get("model-3")
    catalog.save()
    assert not kept.exists()
    kept.mkdir()
    catalog.save()
    assert len(list((kept / "catalogs").iterdir())) == 1
    read = read_yaml(monkeypatch)
    again = Catalog([folder], kept / "catalogs")
    assert again.get("model-3") == catalog.get("model-3")
    assert read == []
    stamps = {p: p.stat().st_mtime_ns for p in kept.rglob("*")}
    again.save()
    del again
    assert {p: p.stat().st_mtime_ns for p in kept.rglob("*")} == stamps


def test_little_is_not_kept_of_itself(folder, kept, settled):
    kept.mkdir()
    catalog = Catalog([folder], kept / "catalogs")
    catalog.get("model-3")
    del catalog
    assert list(kept.iterdir()) == []
