# ruff: noqa: E501 - tables of hostile cases read best one a line
"""One bad thing never stops the others, and whatever ``verify`` can find, ``repair`` can mend.

The cache is small, so every byte of every file in it can be wrong once. What is exhaustive calls the library;
commands are run for a sample that is the same in each run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_zoo.cache import Cache
from model_zoo.cache.care.pins import pin, pins, unpin
from model_zoo.cache.care.repair import repair
from model_zoo.cache.care.verify import verify
from model_zoo.cache.notes import Notes
from model_zoo.events import ignore
from model_zoo.files import read_sealed
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.trust.conftest import make_catalog
from tests.trust.support import overwrite, reseal

if TYPE_CHECKING:
    from collections.abc import Iterator

BITS = (0x80, 0x01, 0x20, 0x10, 0x40, 0x02, 0x08, 0x04)

CONTENT = (
    "files-v1/*/*/.model-zoo.json",
    "files-v1/*/*/m.onnx",
    "blobs-v1/sha256/*/*",
    "ir-v1/*/manifest.json",
    "ir-v1/*/model.xml",
    "ir-v1/*/model.bin",
)
NOTES = ("state-v1/inputs/*/*.json", "state-v1/requests/*/*/*", "CACHEDIR.TAG")
PIN, TWIN, MARK = "pins-v1/one", "state-v1/pins/one", "state-v1/{}/complete"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a cache with ``one`` and ``two`` converted, and their catalog; never written to."""
    folder = tmp_path_factory.mktemp("made")
    catalog = make_catalog(folder / "catalog")
    zoo = Zoo(settings=Settings(cache=folder / "cache", catalogs=(catalog,)))
    for name in ("one", "two"):
        zoo.convert(name)
        pin(zoo.cache.top, name, None)
    return folder / "cache", catalog


@pytest.fixture
def cache(made, tmp_path, monkeypatch) -> Path:
    """Return a copy of that cache to damage; the command line uses it."""
    folder, catalog = made
    shutil.copytree(folder, tmp_path / "cache", copy_function=_copy())
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(catalog))
    return tmp_path / "cache"


def _copy():
    """Return a copy function under which files that share their bytes go on sharing them."""
    seen: dict[int, str] = {}

    def copy(source: str, target: str) -> str:
        inode = Path(source).stat().st_ino
        if inode in seen:
            os.link(seen[inode], target)
        else:
            seen[inode] = str(shutil.copy2(source, target))
        return target

    return copy


def own(cache: Path, pattern: str, model: str = "one") -> Path:
    """Return the file of that pattern that belongs to a model."""
    (folder,) = (cache / "files-v1" / model).iterdir()
    (key,) = [
        path.parent.name
        for path in cache.glob("ir-v1/*/manifest.json")
        if json.loads(path.read_bytes())["model"] == model
    ]
    for path in sorted(cache.glob(pattern)):
        blob = path.is_file() and path.samefile(folder / "m.onnx")
        if (
            path.name in {"CACHEDIR.TAG", "one", "complete"}
            or blob
            or {folder.name, key} & {path.stem, path.name, path.parent.name}
        ):
            return path
    raise AssertionError(pattern)


def problems(cache: Path) -> list:
    """Return what ``cache verify`` finds."""
    return verify(Cache(cache, ()).layers, ignore).problems


def flips(data: bytes, pattern: str) -> Iterator[tuple[int, int]]:
    """Yield each position of a file with a bit to flip, the highest as often as all others together.

    What is only ever hashed is sampled.
    """
    for position in range(0, len(data), 41 if pattern.endswith("xml") else 1):
        yield position, 0x80 if position % 2 else BITS[1 + position // 2 % 7]


def lengths(data: bytes, pattern: str) -> set[int]:
    """Return the lengths a file is cut to: each that leaves only a little away, and some of the others."""
    sampled = range(0, len(data), 97 if pattern.endswith("xml") else 7)
    return {*sampled, *range(max(0, len(data) - 8), len(data))}


# --- exhaustively: verify names it


@pytest.mark.parametrize(
    "pattern",
    [
        CONTENT[0],
        CONTENT[1],
        CONTENT[3],
        CONTENT[4],
        CONTENT[5],
        NOTES[0],
        NOTES[2],
        PIN,
    ],
)
def test_every_flipped_byte_is_found(cache, pattern):
    path = own(cache, pattern)
    data, missed = path.read_bytes(), []
    for position, bit in flips(data, pattern):
        damaged = bytearray(data)
        damaged[position] ^= bit
        overwrite(path, bytes(damaged))
        try:
            found = [problem for problem in problems(cache) if problem.path.name == path.name or problem.file]
        except ValueError as error:
            found = []
            missed.append(f"{position}^{bit:#x}: {type(error).__name__}")
        if not found:
            missed.append(f"{position}^{bit:#x}")
    overwrite(path, data)
    assert not problems(cache)
    assert not missed, f"{len(missed)} of {len(data)}: {missed[:5]}"


@pytest.mark.parametrize(
    "pattern",
    [
        CONTENT[0],
        *CONTENT[1:3],
        CONTENT[3],
        *CONTENT[4:],
        NOTES[0],
        NOTES[2],
        PIN,
    ],
)
def test_every_truncation_is_found(cache, pattern):
    path = own(cache, pattern)
    data, missed = path.read_bytes(), []
    for length in sorted(lengths(data, pattern)):
        overwrite(path, data[:length])
        if not problems(cache):
            missed.append(length)
    assert not missed, missed[:10]


@pytest.mark.parametrize(
    "pattern",
    [*CONTENT, *NOTES, PIN, TWIN, *map(MARK.format, ("aliases", "requests", "inputs"))],
)
def test_every_removed_file_is_found(cache, pattern):
    own(cache, pattern).unlink()
    assert problems(cache)


def test_any_damage_of_any_file_is_found_and_mended(made, cache):
    """Whatever a file of the cache is for; locks say nothing.

    An index that is gone is as good as one that was never made, and a missing last mark is what a kill leaves.
    """
    missed = []
    for path in sorted(cache.rglob("*")):
        if not path.is_file() or "locks-v1" in path.parts:
            continue
        data = path.read_bytes()
        damages = [data[:length] for length in {0, len(data) // 2, len(data) - 1} if 0 <= length < len(data)]
        for position in range(0, len(data), max(1, len(data) // 3)):
            damages.append(bytes([*data[:position], data[position] ^ 0x01, *data[position + 1 :]]))
            damages.append(bytes([*data[:position], data[position] ^ 0x80, *data[position + 1 :]]))
        for damaged in damages:
            overwrite(path, damaged)
            if not problems(cache):
                missed.append(path)
        path.unlink()
        harmless = path.suffix == ".msgpack" or path.match("resolutions/complete")
        if not problems(cache) and not harmless:
            missed.append(path)
        repaired = repair(Cache(cache, ()), problems(cache))
        assert not repaired.left, repaired.left
        zoo = Zoo(settings=Settings(cache=cache, catalogs=(made[1],)))
        for name in ("one", "two"):
            zoo.convert(name)
        assert not problems(cache), problems(cache)
    assert not missed, missed


# --- notes and pins


def put(path: Path, data: bytes, *, days: float = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


UNFOUNDED = {
    "inputs": lambda cache: put(cache / f"state-v1/inputs/00/{'0' * 64}.json", b"[]"),
    "request": lambda cache: put(cache / f"state-v1/requests/00/{'0' * 64}/{'1' * 64}", b""),
    "alias": lambda cache: put(cache / f"state-v1/aliases/sha512/00/{'0' * 128}", b"1" * 64 + b"\n"),
    "alias of a blob that has another digest": lambda cache: put(
        cache / f"state-v1/aliases/sha384/00/{'0' * 96}",
        next((cache / "blobs-v1").glob("sha256/*/*")).name.encode() + b"\n",
    ),
}


@pytest.mark.parametrize("kind", UNFOUNDED)
def test_a_note_that_no_manifest_gives_is_found_and_mended(cache, shell, kind):
    path = UNFOUNDED[kind](cache)
    assert path in [problem.path for problem in problems(cache)]
    shell("cache", "verify").refused(6)
    assert shell("cache", "repair").code == 0
    assert not path.exists()
    assert not problems(cache)


@pytest.mark.parametrize("kind", ["inputs", "request", "alias"])
def test_a_note_that_is_about_to_be_needed_is_no_damage(cache, kind):
    """It is written before what it is about, which a kill may prevent."""
    os.utime(UNFOUNDED[kind](cache))
    assert not problems(cache)


def test_notes_of_a_removed_model_go_with_it(cache, shell):
    for path in (cache / "state-v1").rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert shell("cache", "unpin", "one").code == 0
    assert shell("cache", "rm", "one").code == 0
    assert not problems(cache)


def test_every_flipped_byte_of_a_resolution_is_found(cache):
    """It stands for itself: no manifest need say the same."""
    layer = Cache(cache, ()).top
    Notes(layer).note_resolution("0" * 64, [{"path": "m.onnx", "revision": "a" * 40}])
    path, missed = layer.resolution("0" * 64), []
    assert not problems(cache)
    data = path.read_bytes()
    for position in range(len(data)):
        for bit in BITS:
            overwrite(path, bytes([*data[:position], data[position] ^ bit, *data[position + 1 :]]))
            if read_sealed(path, list) is not None:
                missed.append((position, bit))
    for length in range(len(data)):
        overwrite(path, data[:length])
        if read_sealed(path, list) is not None:
            missed.append(length)
    assert not missed
    assert [problem.path for problem in problems(cache)] == [path]
    assert not repair(Cache(cache, ()), problems(cache)).left
    assert not problems(cache)


@pytest.mark.parametrize("damage", ["lost", "its twin is lost", "changed"])
def test_a_pin_is_never_lost(cache, shell, damage):
    layer = Cache(cache, ()).top
    path = cache / (TWIN if damage == "its twin is lost" else PIN)
    if damage == "changed":
        overwrite(path, path.read_bytes().replace(b"1", b"2", 1))
    else:
        path.unlink()
    assert pins(layer) == {"one": None, "two": None}
    assert [problem.file for problem in problems(cache)] == ["one"]
    assert shell("cache", "repair").code == 0
    assert not problems(cache)
    assert pins(layer) == {"one": None, "two": None}
    assert unpin(layer, "one", None)
    assert pins(layer) == {"two": None}
    assert not problems(cache)


def test_pins_and_notes_of_earlier_versions_stay(cache):
    """They have neither seal nor twin."""
    overwrite(cache / PIN, b'{"pinned":1700000000}')
    (cache / TWIN).unlink()
    note = own(cache, NOTES[0])
    overwrite(note, note.read_bytes().partition(b"\n")[2])
    assert not problems(cache)
    assert pins(Cache(cache, ()).top) == {"one": None, "two": None}


# --- by command: it ends 6, is mended, and nothing else is stopped


def _flipped(position: float, bit: int):
    def flip(data: bytes) -> bytes:
        damaged = bytearray(data)
        damaged[int(position * (len(data) - 1))] ^= bit
        return bytes(damaged)

    return flip


TEXT = (CONTENT[0], CONTENT[3], NOTES[0])
DAMAGES = {
    "high bit first": _flipped(0, 0x80),
    "high bit in the middle": _flipped(0.5, 0x80),
    "low bit in the middle": _flipped(0.5, 0x01),
    "last byte gone": lambda data: data[:-1],
    "empty": lambda data: b"",
    "null": lambda data: b"null",
    "deep": lambda data: b"[" * 100_000,
    "huge number": lambda data: b'{"schema": ' + b"9" * 5000 + b"}",
    "surrogate": lambda data: b'{"model": "\\ud800"}',
}
BYTES = ("high bit in the middle", "empty")
"""What is done to files that are only hashed."""
OTHERS = (
    ("list", "--cached"),
    ("info", "two"),
    ("cache", "info"),
    ("cache", "ls", "--json"),
    ("convert", "two"),
    ("why", "two"),
    ("cache", "gc"),
)


def _damaged_rows() -> Iterator[object]:
    for pattern in (*CONTENT, NOTES[0]):
        for name in DAMAGES if pattern in TEXT else BYTES:
            yield pytest.param(
                pattern,
                name,
                id=f"{pattern.rpartition('/')[2]} of {pattern.partition('/')[0]}: {name}",
            )


@pytest.mark.parametrize(("pattern", "damage"), list(_damaged_rows()))
def test_damage_is_found_mended_and_stops_nothing_else(cache, shell, pattern, damage):
    path = own(cache, pattern)
    whole = path.read_bytes()
    overwrite(path, DAMAGES[damage](whole))
    for command in OTHERS:
        done = shell(*command)
        assert done.code == 0, f"{command}: exit {done.code}\n{done.text}"
    if not path.exists():
        return  # the collector has taken what nobody could use
    done = shell("cache", "verify").refused(6)
    assert path.name in done.out or "one" in done.out
    done = shell("cache", "repair")
    assert done.code == 0, done.text
    assert shell("cache", "verify").code == 0
    assert shell("convert", "one").code == 0
    assert shell("cache", "verify").code == 0


# --- sealed, and not of the shape that a manifest has

IR, FILES = "ir-v1/*/manifest.json", "files-v1/*/*/.model-zoo.json"
WRONG = [
    (IR, {"parts": ...}),
    (IR, {"parts": None}),
    (IR, {"parts": []}),
    (IR, {"parts": "x"}),
    (IR, {"outputs": ...}),
    (IR, {"outputs": None}),
    (IR, {"outputs": [1]}),
    (IR, {"outputs": []}),
    (IR, {"outputs": [{"path": "model.xml"}]}),
    (IR, {"outputs": [{"path": 7, "size": 1, "sha256": "x"}]}),
    (IR, {"model": ...}),
    (IR, {"model": 5}),
    (IR, {"model": "../x"}),
    (IR, {"precision": ...}),
    (IR, {"precision": ["FP32"]}),
    (IR, {"key": ...}),
    (IR, {"key": 3}),
    (IR, {"ports": ...}),
    (IR, {"ports": 3}),
    (IR, {"inputs": 3}),
    (IR, {"inputs": [3]}),
    (IR, {"inputs": ...}),
    (IR, {"request": ...}),
    (IR, {"request": 1}),
    (IR, {"declaration": []}),
    (IR, {"declaration": ...}),
    (IR, {"schema": 99}),
    (IR, {"framework": ...}),
    (IR, {"seconds": "soon"}),
    (IR, {"peak_memory": "much"}),
    (IR, {"peak_memory": -1}),
    (IR, {"resolution": 3}),
    (IR, {"resolution": {"of": "0" * 64, "artifacts": [{"path": "../x"}]}}),
    (FILES, {"files": ...}),
    (FILES, {"files": None}),
    (FILES, {"files": [1]}),
    (FILES, {"files": [{}]}),
    (FILES, {"files": []}),
    (FILES, {"files": [{"path": "m.onnx"}]}),
    (FILES, {"files": [{"path": "../m", "size": 1, "sha256": "0" * 64}]}),
    (FILES, {"artifacts": ...}),
    (FILES, {"artifacts": 3}),
    (FILES, {"artifacts": [3]}),
    (FILES, {"artifacts": [{}]}),
    (FILES, {"artifacts": [{"path": 1, "sha256": 2, "size": "3", "names": 4}]}),
    (FILES, {"artifacts": [{"sha256": [], "names": [[]]}]}),
    (FILES, {"artifacts": [{"sha256": "0" * 64, "names": {"a": 1}, "digests": 5, "sources": 7}]}),
    (FILES, {"model": ...}),
    (FILES, {"model": 5}),
    (FILES, {"declaration": 5}),
    (FILES, {"declaration": ...}),
    (FILES, {"precision": 4}),
    (FILES, {"integrity": 3}),
    (FILES, {"integrity": ...}),
    (FILES, {"schema": "x"}),
    (FILES, {"resolution": []}),
]


def _id(pattern: str, change: dict) -> str:
    ((key, value),) = change.items()
    return f"{'ir' if pattern == IR else 'files'}: {key} = {'absent' if value is ... else json.dumps(value)[:40]}"


@pytest.mark.parametrize(("pattern", "change"), [pytest.param(*row, id=_id(*row)) for row in WRONG])
def test_a_sealed_manifest_of_another_shape(cache, shell, pattern, change):
    path = own(cache, pattern)
    reseal(path, **change)
    for command in (*OTHERS, ("info", "one"), ("path", "one"), ("why", "one"), ("convert", "one")):
        done = shell(*command)
        harmless = done.code == 0 or ("one" in command and 2 <= done.code <= 8)
        assert harmless, f"{command}: exit {done.code}\n{done.text[-1500:]}"
    done = shell("cache", "verify")
    assert done.code in {0, 6}, done.text
    done = shell("cache", "repair")
    assert done.code == 0, done.text
    assert shell("cache", "verify").code == 0
    done = shell("convert", "one")
    assert done.code == 0, done.text
    assert shell("path", "one").code == 0
