"""Locks that speak of other entries, and content of others under --locked and --require-pinned."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.tiny import entry, write_entry
from tests.trust.support import sha256
from tests.trust.test_pins import EVIL, GOOD, forged, lay, pack, served

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lock(catalog, shell, tmp_path) -> Path:
    """Return the lock of ``one`` and ``two``; the cache is empty."""
    path = tmp_path / "model-zoo.lock"
    assert shell("--cache", tmp_path / "first", "lock", "one", "two", "-o", path).code == 0
    return path


def rewritten(lock: Path, edit) -> None:
    data = json.loads(lock.read_text())
    edit(data)
    lock.write_text(json.dumps(data))


def other_entry(catalog: Path, **fields: object) -> Path:
    """Write a catalog of others that has another model of the name ``one``."""
    theirs = catalog.parent / "theirs"
    (theirs).mkdir(exist_ok=True)
    (theirs / "m.onnx").write_bytes(EVIL)
    write_entry(theirs, {**entry("one", EVIL, {"file": "m.onnx"}), **fields})
    return theirs


@pytest.mark.parametrize("command", ["fetch", "convert"])
def test_a_lock_of_one_catalog_is_not_that_of_another(catalog, lock, shell, tmp_path, command):
    theirs = other_entry(catalog)
    done = shell("--catalog", theirs, command, "--locked", lock, "one").refused(5)
    assert "sha256" in done.err
    assert not list((tmp_path / "cache").glob("files-v1/one/*"))


def test_an_override_in_the_cache_is_not_the_shipped_model(catalog, shell):
    theirs = other_entry(catalog)
    assert served(shell("--catalog", theirs, "fetch", "one")) == EVIL
    assert served(shell("fetch", "--require-pinned", "one")) == GOOD
    assert served(shell("--catalog", theirs, "fetch", "one")) == EVIL


def swap(data: dict) -> None:
    models = data["models"]
    models["one"], models["two"] = models["two"], models["one"]


def swap_irs(data: dict) -> None:
    models = data["models"]
    models["one"]["ir"], models["two"]["ir"] = models["two"]["ir"], models["one"]["ir"]


def swap_keys(data: dict) -> None:
    one, two = data["models"]["one"]["ir"], data["models"]["two"]["ir"]
    for precision in one:
        one[precision]["key"], two[precision]["key"] = two[precision]["key"], one[precision]["key"]


def swap_outputs(data: dict) -> None:
    one, two = data["models"]["one"]["ir"], data["models"]["two"]["ir"]
    for precision in one:
        one[precision]["outputs"] = copy.deepcopy(two[precision]["outputs"])


def rename(data: dict) -> None:
    data["models"]["One"] = data["models"].pop("one")


def rename_artifact(data: dict) -> None:
    data["models"]["one"]["artifacts"][0]["path"] = "M.onnx"


def no_artifacts(data: dict) -> None:
    data["models"]["one"]["artifacts"] = []


def twin_artifact(data: dict) -> None:
    first = data["models"]["one"]["artifacts"][0]
    data["models"]["one"]["artifacts"].append({**first, "path": "M.ONNX", "sha256": sha256(EVIL)})


def no_declaration(data: dict) -> None:
    data["models"]["one"]["declared"] = {}


def schema(value: object):
    def edit(data: dict) -> None:
        data["schema"] = value

    return edit


SWAPS = {
    "models swapped": swap,
    "IRs swapped": swap_irs,
    "keys swapped": swap_keys,
    "outputs of the other": swap_outputs,
    "the name in other case": rename,
    "a path in other case": rename_artifact,
    "no artifacts": no_artifacts,
    "a case twin": twin_artifact,
    "no declaration": no_declaration,
    "schema 0": schema(0),
    "schema 2": schema(2),
    "schema '1'": schema("1"),
    "schema null": schema(None),
}


@pytest.mark.parametrize("cached", [False, True], ids=["cold", "cached"])
@pytest.mark.parametrize("name", SWAPS)
def test_a_lock_that_was_mixed_up_is_refused(lock, shell, tmp_path, name, cached):
    if cached:
        assert shell("convert", "one", "two").code == 0
    rewritten(lock, SWAPS[name])
    done = shell("convert", "--locked", lock, "one").refused(2, 5)
    assert str(lock.name) in done.err or "lock" in done.err


@pytest.mark.parametrize("text", ['"one": {}, ', '"ONE": {}, '])
def test_the_same_name_twice_in_a_lock(lock, shell, text):
    """JSON keeps the last one of a name; what is used must still be what the entry pins."""
    lock.write_text(lock.read_text().replace('"models": {', '"models": {' + text, 1))
    done = shell("fetch", "--locked", lock, "one")
    assert done.code in {2, 5} or served(done) == GOOD


@pytest.mark.parametrize("flags", ["--locked", "--require-pinned"])
@pytest.mark.parametrize("way", ["tar", "layer", "adopt"])
def test_other_content_by_other_ways_is_not_used(catalog, lock, shell, tmp_path, monkeypatch, way, flags):
    (folder,) = (tmp_path / "first" / "files-v1" / "one").iterdir()
    files = forged(folder.name)
    if way == "tar":
        shell("import", pack(tmp_path / "x.tar", files)).refused(5)
    elif way == "layer":
        monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", files)))
    else:
        place = tmp_path / "omz" / "public" / "one"
        place.mkdir(parents=True)
        (place / "m.onnx").write_bytes(EVIL)
        monkeypatch.setenv("MODEL_ZOO_ADOPT", str(tmp_path / "omz"))
    more = (flags, lock) if flags == "--locked" else (flags,)
    done = shell("convert", *more, "one")
    assert done.code == 0, done.text
    assert all(path.read_bytes() != EVIL for path in (tmp_path / "cache").rglob("*.onnx"))
    shutil.rmtree(tmp_path / "cache")
    (catalog / "one.onnx").unlink()
    shell("convert", *more, "one").refused(4, 5, 6)


def test_a_uri_in_a_lock_is_not_a_model_that_is_trusted_by_name(catalog, shell, tmp_path, monkeypatch):
    """The lock says that its URI is the model ``one``, whose code the policy trusts, with a builder."""
    lock = tmp_path / "x.lock"
    uri = f"file:{catalog / 'one.onnx'}"
    assert shell("lock", uri, "-o", lock).code == 0
    marker = tmp_path / "ran"

    def edit(data: dict) -> None:
        (model,) = data["models"].values()
        model["ir"] = {}
        model["entry"].update(name="one", framework="pytorch")
        model["entry"]["recipe"] = {
            "builder": {"module": "os", "callable": "system", "kwargs": {"command": f"touch {marker}"}}
        }

    rewritten(lock, edit)
    config = tmp_path / "config.toml"
    config.write_text('[policy]\ntrust_code = ["one"]\n')
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(config))
    done = shell("convert", "--locked", lock, uri)
    assert not marker.exists()
    done.refused(2, 5, 7)


def test_trust_by_name_is_that_very_name(catalog, shell, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    builder = {"module": "os", "callable": "system", "kwargs": {"command": f"touch {marker}"}}
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    data.update(framework="pytorch", recipe={"builder": builder})
    path.write_text(yaml.safe_dump(data))
    config = tmp_path / "config.toml"
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(config))
    for name in ("One", "one@FP32", "on", "*", "one ", "two", "", "./one", "file:one"):
        config.write_text(f"[policy]\ntrust_code = [{json.dumps(name)}]\n")
        done = shell("convert", "one")
        assert not marker.exists(), name
        done.refused(2, 7)
