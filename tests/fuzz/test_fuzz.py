# ruff: noqa: E501 - tables of hostile cases read best one a line
"""Whatever bytes a parser gets, it ends soon: with a result, or with an error of ours.

``MODEL_ZOO_FUZZ_SECONDS`` is the time in all (default 20); each parser gets its share. ``MODEL_ZOO_FUZZ_SEED``
changes what is tried, which is otherwise the same in each run. What was found stays in ``corpus/PARSER/``: small
files, of which each starts a line of mutations. Failures that are known are in ``known.txt``, one
``PARSER EXCEPTION FUNCTION`` a line, and are not failures of a run; the line goes when the fault does.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_zoo.errors import ModelZooError
from tests.fuzz.parsers import PARSERS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("MODEL_ZOO_FUZZ_SECONDS", "20")) / len(PARSERS)
SEED = os.environ.get("MODEL_ZOO_FUZZ_SEED", "1")
PATIENCE = 5
"""Seconds that one input may take on a busy machine."""
MEMORY = 1 << 30
"""Bytes that the process may grow by over all inputs of one parser."""
KNOWN = [
    tuple(line.split()) for line in (HERE / "known.txt").read_text().splitlines() if line and line[0] != "#"
]
WORDS = [
    b"\0",
    b"\xff",
    b"\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"9" * 400,
    b"-1",
    b"1e400",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"[" * 200,
    b"{" * 200,
    b"(" * 200,
    b"../",
    b"..\\",
    b"/",
    b"//",
    b"~x/",
    b"http://[::1",
    b"http://u:p@h/",
    b"%00",
    b"%2e%2e",
    b"@",
    b"@FP99",
    b"::",
    b"&a *a",
    b"<<: *a",
    b"!!bool x",
    b"!!int x",
    b"? {a: 1}\n: b\n",
    b"- &x [*x]\n",
    b"\x7fELF",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"ustar",
    b"\x93NUMPY",
    b"RIFF",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"(a+)+$",
    b"\\g<1>",
    b"\\2",
    b"bytes 0-1/2",
    b"bytes */" + b"9" * 400,
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"con",
    b"a" * 300,
]


class Late(BaseException):
    """One input took too long."""


@contextmanager
def limits() -> Iterator[None]:
    """Bound the time of one input, and the memory of the process."""

    def stop(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(name: str, data: bytes) -> tuple[str, str, str] | None:
    """Run a parser; return its name, the exception and the function, if it did not end as it should."""
    try:
        with limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PARSERS[name](data)
    except ModelZooError as error:
        return None if 2 <= error.exit_code <= 8 else (name, type(error).__name__, "exit_code")
    except Late as error:
        return (name, "Late", _where(error))
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return (name, type(error).__name__, _where(error))
    return None


def _where(error: BaseException) -> str:
    """Return the innermost function of the package in a traceback."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "model_zoo/" in frame.filename and "/tests/" not in frame.filename
    ]
    return f"{Path(frames[-1].filename).stem}.{frames[-1].name}" if frames else "outside"


def seeds(name: str) -> list[bytes]:
    folder = HERE / "corpus" / name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else [b""]


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Return data with a few changes: bits, bytes, words, cuts, repetitions, a piece of another seed."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(made) + 1)
        end = min(len(made), at + chance.choice((1, 2, 4, 8, 32, 200)))
        kind = chance.randrange(8)
        if kind == 0 and made:
            made[at % len(made)] ^= 1 << chance.randrange(8)
        elif kind == 1 and made:
            made[at % len(made)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind in {2, 3}:
            made[at:at] = chance.choice(WORDS)
        elif kind == 4:
            made[at:end] = chance.choice(WORDS)
        elif kind == 5:
            del made[at:end]
        elif kind == 6:
            made[at:at] = bytes(made[at:end]) * chance.choice((1, 2, 50))
        else:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            made[at:end] = other[start : start + chance.choice((4, 40, 400))]
    return bytes(made[: 1 << 18])


@pytest.mark.parametrize("name", PARSERS)
def test_the_corpus_ends_as_it_should(name):
    found = {fault(name, data) for data in seeds(name)} - {None}
    assert not [one for one in found if one not in KNOWN]


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.timeout(0)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # files that a refusal leaves to the collector
def test_mutations_end_as_they_should(name, tmp_path):
    chance = random.Random(f"{SEED} {name}")
    others, found, tried = seeds(name), {}, 0
    end = time.monotonic() + SECONDS
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < end:
        data = mutated(chance.choice(others), chance, others)
        problem = fault(name, data)
        tried += 1
        if (
            problem is not None
            and problem not in KNOWN
            and (problem not in found or len(found[problem]) > len(data))
        ):
            found[problem] = data
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    for number, (problem, data) in enumerate(found.items()):
        kept = tmp_path / f"{number}-{problem[1]}"
        kept.write_bytes(data)
    lines = [f"{' '.join(problem)}: {data[:80]!r}" for problem, data in found.items()]
    assert not found, f"{len(found)} faults in {tried} inputs, kept in {tmp_path}:\n" + "\n".join(lines)
    assert grown < MEMORY, f"{grown} bytes more after {tried} inputs"


def test_known_faults_are_faults_of_parsers_there_are():
    assert {known[0] for known in KNOWN} <= PARSERS.keys()
    assert all(len(known) == 3 for known in KNOWN)
