"""Printing: widths, colours, sizes, and nothing that could drive a terminal."""

from __future__ import annotations

import contextlib
import io

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.cli import output
from model_zoo.text import human_size


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def show(monkeypatch):
    """Return a function that calls another on a terminal of 40 columns and returns what that got."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")

    def on_terminal(function, *arguments):
        stream = Terminal()
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            function(*arguments)
        return stream.getvalue()

    return on_terminal


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1288203, "1.3 MB"),
        (5 * 10**13, "50.0 TB"),
        (None, "unknown"),
    ],
)
def test_sizes(size, text):
    assert human_size(size) == text


def test_colour_goes_to_terminals_only(show, monkeypatch):
    terminal = Terminal()
    assert output.has_colour(terminal)
    assert not output.has_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not output.has_colour(terminal)


def test_no_color_wins_over_everything(show, monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert output.has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.has_colour(terminal)
    assert output.styled("x", "error", terminal) == "x"
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("FORCE_COLOR", "0")
    assert output.has_colour(terminal), "empty means unset, and 0 forces nothing"


def test_errors_are_coloured_without_changing_their_words(show, monkeypatch):
    text = "it broke\n  expected: a\n  next:     try b"
    shown = show(output.print_error, text)
    assert "\x1b[31m\x1b[1merror:\x1b[0m it broke" in shown
    assert click.unstyle(shown) == f"error: {text}\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert show(output.print_error, text, "warning") == f"warning: {text}\n"


def test_a_table_fits_the_terminal_and_keeps_names_whole(show, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [["a-rather-long-name", "some words that are long", "12.3 MB"], ["short", "x", "1 B"]]
    lines = show(output.print_table, rows, ("NAME", "WHAT", "SIZE")).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].startswith("NAME ")
    assert lines[1].startswith("a-rather-long-name  some w")
    assert "…" in lines[1]


def test_a_pipe_gets_whole_rows_and_no_header(capsys):
    output.print_table([["a" * 300, "b"]], ("NAME", "WHAT"))
    output.print_table([])
    assert capsys.readouterr().out == f"{'a' * 300}  b\n"


@given(st.lists(st.integers(0, 200), min_size=1, max_size=6), st.integers(1, 200))
def test_fitted_widths(widths, limit):
    fit = output.fitted(widths, limit)
    assert len(fit) == len(widths)
    assert all(after == before or 8 <= after < before for before, after in zip(widths, fit, strict=True))
    total = sum(fit) + 2 * (len(fit) - 1)
    assert total <= max(limit, sum(min(width, 8) for width in widths) + 2 * (len(fit) - 1))
    if sum(widths) + 2 * (len(widths) - 1) <= limit:
        assert fit == widths


def test_fields_wrap_on_a_terminal(show, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    pairs = [("name", "x"), ("description", "one two three four five six seven eight")]
    assert show(output.print_fields, pairs).splitlines() == [
        "name:        x",
        "description: one two three four five six",
        "             seven eight",
    ]
    monkeypatch.setenv("COLUMNS", "14")
    assert "too narrow to wrap" in show(output.print_fields, [("description", "too narrow to wrap")])


def test_fields_in_a_pipe_are_one_line(capsys):
    output.print_fields([("a", "x " * 200), ("empty", "")])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_others_wrote_cannot_drive_the_terminal(capsys):
    output.print_note("name\x1b]0;title\x07\r\u202eend\ttab")
    assert capsys.readouterr().err == "name\ufffd]0;title\ufffd\ufffd\ufffdend\ttab\n"
    output.print_table([["\x1b[2Jx"]])
    output.print_fields([("a", "\x1b[2Jx")])
    assert "\x1b" not in capsys.readouterr().out


def test_titles_are_bold_on_a_terminal(show, capsys):
    assert show(output.print_title, "files") == "\x1b[1mfiles\x1b[0m\n"
    output.print_title("files")
    assert capsys.readouterr().out == "files\n"
