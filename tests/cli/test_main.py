"""The program: help, near names, options in either place, and an exit code for every end."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from model_zoo.cli.examples import EXAMPLES
from model_zoo.cli.main import COMMANDS, GROUPS, cli, run
from model_zoo.cli.session import Session
from model_zoo.errors import CacheMissError
from model_zoo.version import __version__

CONTEXT = click.Context(cli, info_name="model-zoo")


def leaves():
    """Yield every command with its words after ``model-zoo``."""
    pending = [(name, cli.get_command(CONTEXT, name)) for name in COMMANDS]
    while pending:
        path, command = pending.pop()
        if isinstance(command, click.Group):
            pending += [(f"{path} {name}", inner) for name, inner in command.commands.items()]
        else:
            yield path, command


def test_every_command_is_in_one_group_and_can_be_imported():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    for name, (_, summary) in COMMANDS.items():
        assert isinstance(cli.get_command(CONTEXT, name), click.Command)
        assert summary.endswith(".")


def test_every_command_says_what_it_does_and_shows_true_examples():
    paths = dict(leaves())
    assert set(EXAMPLES) - {""} <= set(paths), "an example of a command that does not exist"
    for path, command in paths.items():
        assert command.help, path
        for param in command.params:
            assert isinstance(param, click.Argument) or param.help, f"{path} {param.name} says nothing"


def test_every_example_parses():
    for path, command in leaves():
        for line in EXAMPLES.get(path, ()):
            if "$(" in line or "|" in line:
                continue
            words = line.partition(" > ")[0].replace("'", "").split()
            assert words[0] == "model-zoo"
            assert line.startswith(f"model-zoo {path}")
            arguments = words[1 + len(path.split()) :]
            parent = click.Context(cli, obj=Session(), **cli.context_settings)
            command.make_context(path, arguments, parent=parent)


def test_help_is_grouped_and_keeps_the_lines_of_examples(shell):
    done = shell("--help")
    assert done.code == 0
    assert done.err == ""
    for title in GROUPS:
        assert f"\n{title}:\n" in done.out
    for line in EXAMPLES[""]:
        assert f"    {line}\n" in done.out
    done = shell("convert", "-h")
    assert done.code == 0, done.err
    inner = done.out
    for line in EXAMPLES["convert"]:
        assert f"    {line}\n" in inner
    assert shell("cache", "gc", "--help").code == 0
    assert "model-zoo cache gc --dry-run\n" in shell("cache", "gc", "--help").out
    assert "--offline" not in inner, "global options are listed once, with the program"


def test_help_fits_eighty_columns(shell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pages = [[], *([name] for name in COMMANDS), ["cache", "ls"], ["cache", "gc"], ["catalog", "validate"]]
    for page in pages:
        long = [line for line in shell(*page, "--help").out.splitlines() if len(line) > 80]
        assert long == [], page


def test_no_command_is_help_on_stderr(shell):
    done = shell()
    assert done.code == 2
    assert done.out == ""
    assert "Usage: model-zoo" in done.err


def test_version(shell):
    assert shell("--version").out.split()[-1] == __version__


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("fetsh",), ["no such command: fetsh", "did you mean fetch", "model-zoo --help"]),
        (("cache", "verfy"), ["no such command: verfy", "did you mean verify", "model-zoo cache --help"]),
        (("download", "x"), ["no such command: download", "did you mean fetch?"]),
        (
            ("cache", "clear"),
            ["no such command: clear", "did you mean gc or rm? see 'model-zoo cache --help'"],
        ),
        (("cache", "prune"), ["did you mean gc or rm?"]),
        (("rm", "x"), ["no such command: rm", "did you mean cache rm?"]),
        (("catalog", "check"), ["did you mean validate?"]),
        (("fetch", "--name", "x"), ["no such option: --name", "without --name: 'model-zoo fetch NAME'"]),
        (("cache", "ls", "--name", "x"), ["no such option: --name", "see 'model-zoo cache ls --help'"]),
        (
            ("seed", "magika-standard-v3@FP16"),
            ["DEST is missing", "model-zoo seed layer magika-standard-v3@"],
        ),
        (("seed", "layer"), ["name at least one model"]),
        (("seed", "a@b@c"), ["name at least one model"]),
        (("info", "FP16"), ["no catalog has a model named 'FP16'", "after the model's name: NAME@FP16"]),
        (("zzz",), ["no such command: zzz", "see 'model-zoo --help'"]),
        (("list", "--jsno"), ["no such option: --jsno", "did you mean --json", "model-zoo list [OPTIONS]"]),
        (("path",), ["missing argument", "model-zoo path [OPTIONS] REF"]),
        (("--progress", "x", "list"), ["invalid value for '--progress'", "'x' is not one of"]),
        (("fetch",), ["name at least one model", "model-zoo list"]),
        (("info", "magika-standrd-v3"), ["no catalog has a model", "magika-standard-v3"]),
        (("info", "magika-standard-v3@FP99"), ["is not available in FP99", "FP32, FP16"]),
    ],
)
def test_usage_errors_name_what_was_meant(shell, arguments, expected):
    done = shell(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert "  next:  " in done.err
    for text in expected:
        assert text in done.err


def test_global_options_are_understood_before_and_after_the_command(shell, catalog, tmp_path, monkeypatch):
    monkeypatch.delenv("MODEL_ZOO_CATALOG")
    before = shell("--catalog", catalog, "--cache", tmp_path / "elsewhere", "fetch", "zooey-one")
    after = shell("fetch", "zooey-one", "--cache", tmp_path / "elsewhere", "--catalog", catalog)
    assert (before.code, after.code) == (0, 0)
    assert before.out == after.out
    assert str(tmp_path / "elsewhere") in after.out
    inner = shell("cache", "info", "--json", "--cache", tmp_path / "elsewhere", "-q")
    assert str(tmp_path / "elsewhere") in inner.out


def test_both_catalogs_count_when_one_stands_on_each_side(catalog, tmp_path, monkeypatch):
    monkeypatch.delenv("MODEL_ZOO_CATALOG")
    seen = []

    @click.command("probe")
    @click.pass_obj
    def probe(session):
        seen.append(session)

    monkeypatch.setitem(COMMANDS, "probe", (f"{__name__}:probe", "Probe."))
    monkeypatch.setattr(sys.modules[__name__], "probe", probe, raising=False)
    try:
        assert run(cli, ["--catalog", "a", "-v", "probe", "--catalog", "b", "-v", "--offline"]) == 0
    finally:
        cli.commands.pop("probe", None)
    assert seen[0].catalogs == ("a", "b")
    assert seen[0].verbose == 2
    assert seen[0].offline


@pytest.fixture
def end(monkeypatch):
    """Return a function that runs a command which ends as told."""

    def run_to(error, *arguments):
        @click.command("ends")
        def ends():
            raise error

        monkeypatch.setitem(COMMANDS, "ends", (f"{__name__}:ends", "Ends."))
        monkeypatch.setattr(sys.modules[__name__], "ends", ends, raising=False)
        try:
            return run(cli, [*arguments, "ends"])
        finally:
            cli.commands.pop("ends", None)

    return run_to


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted; completed files are kept"),
        (click.Abort(), 130, "interrupted"),
        (SystemExit(7), 7, ""),
        (SystemExit("bad"), 1, ""),
        (SystemExit(), 0, ""),
        (CacheMissError("gone", hint="make it"), 6, "error: gone\n  next:     make it\n"),
        (ZeroDivisionError("by zero"), 1, "error: this is a bug in model-zoo"),
        (click.ClickException("odd."), 2, "error: odd\n"),
    ],
)
def test_every_end_has_its_exit_code(end, capfd, error, code, text):
    assert end(error) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(text) if text else captured.err == ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("error", [CacheMissError("gone"), ZeroDivisionError("by zero")])
def test_tracebacks_come_with_v_v_only(end, capfd, error):
    end(error, "-v", "-v")
    assert "Traceback" in capfd.readouterr().err


def test_a_bug_says_where_it_is(end, capfd):
    end(ZeroDivisionError("by zero"))
    error = capfd.readouterr().err
    assert f"model-zoo {__version__}: ZeroDivisionError: by zero (" in error
    assert "test_main.py:" in error
    assert "-v -v" in error


def test_a_reader_that_goes_away_is_no_error():
    code = "from model_zoo.cli.main import main; main(['catalog', 'schema'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1) as process:
        process.stdout.close()
        error = process.stderr.read()
        assert process.wait(60) == 141
    assert b"Traceback" not in error


def test_several_failures_are_summed_up(shell, catalog):
    for name in ("zooey-one", "zooey-two"):
        (catalog / f"{name}.onnx").write_bytes(b"wrong")
    done = shell("fetch", "zooey-one", "zooey-two")
    assert done.code in {4, 5}
    assert done.err.count("error: ") == 2
    assert f"2 of 2 models failed: zooey-one (exit {done.code}), zooey-two (exit" in done.err


def test_help_texts_hold_no_stray_backslash():
    for path, command in leaves():
        assert "\\" not in inspect.cleandoc(command.help or ""), path


@pytest.mark.parametrize(
    ("arguments", "code"), [("list >/dev/full", 6), ("list >&-", 0), ("list x-none-x 2>&-", 0)]
)
def test_standard_output_that_takes_nothing(tmp_path, arguments, code):
    """A full disk behind it is an error of its own and not a bug; a closed one is what somebody wanted."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    env = {**os.environ, "MODEL_ZOO_CACHE": str(tmp_path)}
    line = f"{Path(sys.executable).with_name('model-zoo')} {arguments}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert ("cannot write to standard output" in done.stderr) == (code == 6)


@pytest.mark.parametrize(
    ("code", "stream", "status"),
    [
        ("from model_zoo.cli.main import main; main(['info', '\u0142\u00f3d'])", "stderr", 2),
        ("from model_zoo.text import print_anything as p; import sys; p(sys.stdout); print('\u0142\u00f3d')",
         "stdout", 0),
    ],
)  # fmt: skip
def test_what_the_console_cannot_show_is_escaped(code, stream, status):
    """A name beyond the encoding of a Windows console is no reason for a traceback."""
    env = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, env=env)
    assert done.returncode == status
    assert b"\\u0142\xf3d" in getattr(done, stream)
