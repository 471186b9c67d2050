"""Local files end: what the system claims to be a regular file may block, or never end."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import model_zoo
from model_zoo.catalog import builtin_catalog
from model_zoo.files import hash_file
from model_zoo.omz.selection import OmzCatalog
from tests.tiny import entry, write_entry
from tests.trust.support import bounded

ENDLESS = [path for path in ("/proc/kmsg", "/proc/self/pagemap", "/proc/cpuinfo") if os.access(path, os.R_OK)]
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@linux
@pytest.mark.parametrize("path", ENDLESS)
@pytest.mark.parametrize("command", ["info", "fetch", "lock", "convert"])
def test_a_file_of_the_system_is_refused(tmp_path, command, path):
    done = bounded(command, f"file:{path}", cwd=tmp_path).refused(2)
    assert "does not have the size that the system states" in done.err


@linux
@pytest.mark.parametrize("path", ENDLESS)
def test_an_entry_that_names_a_file_of_the_system_is_refused(tmp_path, path):
    artifact = {"path": "m.onnx", "integrity": "first-use", "sources": [{"file": path}]}
    described = {"schema": 1, "name": "odd", "task": "test", "framework": "onnx", "license": "MIT"}
    write_entry(tmp_path / "catalog", {**described, "description": "x", "artifacts": [artifact]})
    done = bounded("--catalog", tmp_path / "catalog", "fetch", "odd").refused(4)
    assert path in done.err
    assert not list((tmp_path / "cache").glob("blobs-v1/**/*.*"))


@linux
def test_a_file_that_grows_is_not_taken_for_whole():
    with pytest.raises(OSError, match="does not have the size"):
        hash_file(Path("/proc/self/status"))


def test_a_name_that_is_no_text_is_refused(catalog, shell):
    """The first member's name is bytes of no encoding; the rest of its header, checksum too, is zeros."""
    (catalog / "odd.tar").write_bytes(b"\x92\xa4\xcd\xfd" + bytes(1024))
    described = entry("odd", (catalog / "odd.tar").read_bytes(), {"file": "odd.tar"})
    described["artifacts"][0].update(path=".", unpack={"format": "tar"})
    write_entry(catalog, described)
    done = shell("fetch", "odd").refused(5)
    assert "not valid UTF-8" in done.err


def test_pins_get_their_twins_back(catalog, shell, tmp_path):
    """Whoever deletes what can be derived again, and pins something else, has lost no pin."""
    cache = tmp_path / "cache"
    assert shell("fetch", "one").code == 0
    assert shell("cache", "pin", "one").code == 0
    shutil.rmtree(cache / "state-v1")
    assert shell("cache", "verify").code == 0
    assert shell("cache", "pin", "two").code == 0
    assert {path.name for path in (cache / "state-v1" / "pins").iterdir()} == {"one", "two"}
    assert shell("cache", "verify").code == 0
    (cache / "pins-v1" / "one").unlink()
    shell("cache", "verify").refused(6)
    assert shell("cache", "repair").code == 0
    assert (cache / "pins-v1" / "one").is_file()


def test_a_path_that_only_begins_as_the_shipped_one_is_not_shipped(catalog):
    zoo = model_zoo.Zoo(catalogs=[builtin_catalog() / os.path.relpath(catalog, builtin_catalog())])
    found = OmzCatalog(zoo)
    assert not found.vouches_for(found.catalog.get("one"))
