"""What people and programs see of events."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

from model_zoo.events import Event
from model_zoo.progress import BarReport, JsonReport, LineReport, NoReport, make_report
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = [
    Event(event="fetch_begin", model="a", total=3000, message="2 files"),
    Event(event="download_begin", model="a", file="x", bytes=0, total=2000),
    Event(event="download_progress", model="a", file="x", bytes=500, total=2000),
    Event(event="wait", model="a", file="y", message="waiting for PID 3 on host"),
    Event(event="retry", model="a", file="x", message="answered 503", seconds=0.2),
    Event(event="retry", model="a", file="x", message="answered 503", seconds=30.0),
    Event(event="source_failed", model="a", file="x", message="http://h/x answered 404"),
    Event(event="download_progress", model="a", file="x", bytes=2000, total=2000),
    Event(event="download_end", model="a", file="x", bytes=2000, total=2000),
    Event(event="adopted", model="a", file="y", message="/some/where"),
    Event(event="fetch_end", model="a", bytes=3000),
    Event(event="convert_begin", model="a"),
    Event(event="convert_stage", model="a", message="reading"),
    Event(event="convert_end", model="a", message="FP16", seconds=2.5),
    Event(event="something_new", model="a", message="?"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    yield
    assert not [t for t in threading.enumerate() if t.name == "tqdm"]


def test_modes() -> None:
    assert isinstance(make_report("auto", io.StringIO()), LineReport)
    assert isinstance(make_report("json", Terminal()), JsonReport)
    assert isinstance(make_report("none", Terminal()), NoReport)
    for report in (make_report("auto", Terminal()), make_report("bar", io.StringIO())):
        assert isinstance(report, BarReport)
        report.close()


def test_none_says_nothing() -> None:
    stream = Terminal()
    report = make_report("none", stream)
    for event in RUN:
        report(event)
    report.close()
    assert not stream.getvalue()


def test_json_is_one_object_per_line() -> None:
    stream = io.StringIO()
    report = make_report("json", stream)
    threads = [threading.Thread(target=lambda: [report(event) for event in RUN]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.close()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(found) == 4 * len(RUN)
    assert {"event": "fetch_end", "model": "a", "bytes": 3000} in found


def test_lines_are_few() -> None:
    stream = io.StringIO()
    report = make_report("auto", stream)
    for event in RUN:
        report(event)
    report.close()
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert re.fullmatch(r"a: fetched 3\.0 kB in \d+\.\d s", lines[4])
    assert lines[:4] == [
        "a: y: waiting for PID 3 on host",
        "a: x: answered 503; retrying in 30 s",
        "a: x: source failed: http://h/x answered 404",
        "a: y: adopted /some/where",
    ]
    assert lines[5:] == ["a: converted FP16 in 2.5 s"]


def test_line_without_a_begin() -> None:
    stream = io.StringIO()
    make_report("auto", stream)(Event(event="fetch_end", model="a"))
    assert stream.getvalue() == "a: fetched\n"


def test_bars_on_a_terminal() -> None:
    stream = Terminal()
    report = make_report("auto", stream)
    for event in RUN:
        report(event)
    report.close()
    text = stream.getvalue()
    assert "a: x" in text
    assert "total" in text
    assert "waiting for PID 3 on host\n" in text
    assert "a: converted FP16 in 2.5 s\n" in text
    assert "B/s" in text, "the rate"


def test_bars_survive_any_order() -> None:
    stream = Terminal()
    report = make_report("bar", stream)
    for event in [*reversed(RUN), *RUN, *RUN]:
        report(event)
    report(Event(event="download_progress", model="b", file="z", bytes=7, total=None))
    report(Event(event="download_progress", model="b", file="z", bytes=9, total=10))
    report.close()
    report.close()
    assert "\n" in stream.getvalue()


def test_on_a_real_terminal() -> None:
    if not hasattr(os, "openpty"):
        pytest.skip("no terminals here")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        report = make_report("auto", stream)
        assert isinstance(report, BarReport)
        for event in RUN:
            report(event)
        report.close()
        stream.flush()
        assert b"waiting for PID 3" in os.read(ours, 1 << 16)
    os.close(ours)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_288_203, "1.3 MB"), (10**13, "10.0 TB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert human_size(count) == text
