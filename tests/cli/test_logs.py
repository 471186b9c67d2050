"""``-v``: the library's log on stderr, and never a secret in it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from model_zoo.cli.logs import hide_logs, show_logs
from model_zoo.cli.session import Session
from model_zoo.events import Event
from model_zoo.text import hide_secrets

LOGGER = logging.getLogger("model_zoo.test")


@pytest.fixture
def verbose(monkeypatch, shell):
    """Return ``shell`` with a ``list`` that logs one line of each level first."""
    from model_zoo.zoo import Zoo

    original = Zoo.list_models

    def list_models(self, *patterns, **filters):
        LOGGER.debug("looked at %s", "https://user:secret@example.org/a?token=secret")
        LOGGER.info("asked %s", "https://user:secret@example.org/a?x=1&X-Amz-Signature=secret")
        return original(self, *patterns, **filters)

    monkeypatch.setattr(Zoo, "list_models", list_models)
    return lambda *arguments: shell(*arguments, "list", "--long", "zooey-one")


def test_silent_without_v(verbose, catalog):
    assert verbose().err == ""
    assert verbose("-q").err == ""


def test_v_shows_info_without_secrets(verbose, catalog):
    done = verbose("-v")
    assert done.err == "model-zoo: asked https://***@example.org/a?x=1&X-Amz-Signature=***\n"
    assert done.out == verbose().out


def test_v_v_shows_debug_and_where_it_comes_from(verbose, catalog):
    lines = verbose("-v", "-v").err.splitlines()
    assert lines[0].startswith("model-zoo: looked at https://***@example.org/a?token=*** (test_logs:")
    assert lines[1].startswith("model-zoo: asked ")
    assert "secret" not in "".join(lines)


def test_v_after_the_command_counts_once(shell, verbose, catalog):
    assert shell("-v", "list", "--long", "zooey-one", "-v").err.count("looked at") == 1


def test_json_progress_gets_json_lines(verbose, catalog):
    (line,) = verbose("-v", "--progress", "json").err.splitlines()
    assert json.loads(line) == {
        "event": "log",
        "message": "model-zoo: asked https://***@example.org/a?x=1&X-Amz-Signature=***",
    }


def test_the_log_is_silent_again_afterwards(verbose, catalog):
    before = list(logging.getLogger("model_zoo").handlers)
    verbose("-v", "-v")
    logger = logging.getLogger("model_zoo")
    assert (logger.level, logger.handlers) == (logging.NOTSET, before)
    assert verbose().err == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@h/x and ftp://c@h", "http://***@h/x and ftp://***@h"),
        ("https://h/x?sig=1&access_token=abc&b=2", "https://h/x?sig=***&access_token=***&b=2"),
        ("https://h/x?AWS_SECRET=abc#f", "https://h/x?AWS_SECRET=***"),
        ("Authorization: Bearer abc.def-1=", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic YWJj'}", "{'authorization': 'Basic ***'}"),
        ("HF_TOKEN hf_abcDEF123 used", "HF_TOKEN hf_*** used"),
        (
            "IR key=abc of model@FP16 from hf:org/net@main/m.onnx",
            "IR key=abc of model@FP16 from hf:org/net@main/m.onnx",
        ),
    ],
)
def test_redaction(text, shown):
    assert hide_secrets(text) == shown


def test_secrets_of_tracebacks_are_redacted_too():
    lines = []
    show_logs(1, lines.append)
    try:
        LOGGER.info("failed", exc_info=OSError("no https://user:secret@example.org"))
    finally:
        hide_logs()
    (text,) = lines
    assert "OSError: no https://***@example.org" in text
    assert "secret" not in text


def test_progress_bars_load_no_click_and_leave_the_garbage_collector_alone():
    code = (
        "import gc, sys; before = gc.get_threshold(); import model_zoo\n"
        "with model_zoo.progress_bars() as bars: pass\n"
        "assert gc.get_threshold() == before\n"
        "assert 'click' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_lines_go_above_the_bars_and_cannot_drive_the_terminal(capfd):
    session = Session(progress="bar", verbose=1)
    session.report(Event(event="fetch_begin", model="m", total=10))
    show_logs(1, session.log)
    try:
        LOGGER.info("asked \x1b[2Jhost")
    finally:
        session.close()
    lines = capfd.readouterr().err.replace("\r", "\n").split("\n")
    assert "model-zoo: asked \ufffd[2Jhost" in lines
