"""Completion: what each shell is answered, and real shells that ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model_zoo.cache import Cache
from model_zoo.cli.commands.completion import SHELLS, VARIABLE
from model_zoo.cli.main import cli, main
from tests.cache.made import put_environment
from tests.tools import require_tool


@pytest.fixture
def answers(catalog, monkeypatch, capfd, tmp_path):
    """Return a function that answers as the shells' scripts ask: in bash by the line typed so far."""
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))

    def ask(line, shell="bash"):
        capfd.readouterr()
        monkeypatch.setenv(VARIABLE, f"{shell}_complete")
        monkeypatch.setenv("MODEL_ZOO_LINE", line)
        words = line.split()
        last = "" if line.endswith(" ") else words.pop()
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", last if shell == "fish" else str(len(words)))
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        captured = capfd.readouterr()
        assert captured.err == ""
        return captured.out.splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model-zoo con", ["plain,convert"]),
        ("model-zoo cache ver", ["plain,verify"]),
        ("model-zoo list --fra", ["plain,--framework"]),
        ("model-zoo list --task count", ["plain,counting"]),
        ("model-zoo list --source fil", ["plain,file"]),
        ("model-zoo --progress j", ["plain,json"]),
        ("model-zoo fetch zooey-", ["plain,zooey-both", "plain,zooey-one", "plain,zooey-two"]),
        ("model-zoo fetch zooey-one zooey-t", ["plain,zooey-two"]),
        ("model-zoo convert ZOOEY-O", ["plain,zooey-one"]),
        ("model-zoo convert zooey-one@", ["plain,FP32", "plain,FP16"]),
        ("model-zoo path zooey-one@FP1", ["plain,FP16"]),
        ("model-zoo path no-such-model@F", []),
        ("model-zoo fetch ./no-such", ["file,./no-such"]),
        ("model-zoo fetch zooey-one -o ", ["file,"]),
        ("model-zoo completion f", ["plain,fish"]),
        (
            "model-zoo convert --precision f",
            [f"plain,{p}" for p in ("FP32", "FP16", "FP16-INT8", "FP32-INT8")],
        ),
        ("model-zoo convert zooey-one --precision fp32,I", ["plain,fp32,INT8", "plain,fp32,INT4"]),
        ("model-zoo convert zooey-one --precision=FP16,FP32-", ["plain,FP16,FP32-INT8"]),
        ("model-zoo infer zooey-one --device c", ["plain,CPU"]),
        ("model-zoo seed layer zooey-one --compile ", ["plain,AUTO", "plain,CPU", "plain,GPU", "plain,NPU"]),
        ("model-zoo --catalog ca", ["file,ca"]),
        ("model-zoo fetch zooey-one --catalog ca", ["file,ca"]),
        ("model-zoo fetch 'zooey-o", ["plain,zooey-one"]),
        ("model-zoo nonsense x", []),
        ("model-zoo -v -v fetch zooey-t", ["plain,zooey-two"]),
    ],
)
def test_bash_is_answered_by_the_line(answers, line, expected):
    assert answers(line) == expected


def test_environments_can_be_removed(answers, tmp_path):
    put_environment(Cache(tmp_path / "cache"), "torch")
    assert answers("model-zoo cache rm env:t") == ["plain,torch"]
    assert answers("model-zoo convert env:t") == ["file,t"]


def test_what_is_cached_can_be_removed(answers, shell):
    assert answers("model-zoo cache rm zooey") == []
    assert shell("convert", "zooey-one@FP16").code == 0
    assert shell("cache", "pin", "zooey-two").code == 0
    assert answers("model-zoo cache rm zooey-o") == ["plain,zooey-one"]
    assert answers("model-zoo cache rm zooey-one@") == ["plain,FP16"]
    assert answers("model-zoo cache unpin z") == ["plain,zooey-one", "plain,zooey-two"]
    assert "plain,zooey-both" in answers("model-zoo cache pin z")


def test_zsh_and_fish_are_answered_by_words(answers):
    assert answers("model-zoo path zooey-one@", "zsh")[::3] == ["plain", "plain"]
    assert answers("model-zoo path zooey-one@", "zsh")[1::3] == ["zooey-one@FP32", "zooey-one@FP16"]
    (answer,) = answers("model-zoo fetch zooey-o", "fish")
    assert "zooey-one" in answer


def test_powershell_is_answered_by_the_line(answers):
    assert answers("model-zoo path zooey-one@", "powershell") == [
        "plain,zooey-one@FP32",
        "plain,zooey-one@FP16",
    ]
    assert answers("model-zoo con", "powershell") == ["plain,convert"]
    assert answers("model-zoo --cache 'C:\\two words' path zooey-t", "powershell") == ["plain,zooey-two"]


def test_a_broken_catalog_is_no_reason_to_fill_the_prompt(answers, catalog):
    (catalog / "zooey-one.yaml").write_text("schema: [")
    assert answers("model-zoo path zooey-one@") == []
    assert answers("model-zoo fetch zooey-o") == ["plain,zooey-one"]


@pytest.mark.parametrize("asked", ["tcsh_complete", "bash_source", "x"])
def test_other_questions_are_refused(asked, monkeypatch, capfd):
    monkeypatch.setenv(VARIABLE, asked)
    with pytest.raises(SystemExit) as end:
        main(["list"])
    assert end.value.code == 1
    assert capfd.readouterr().out == ""


def test_scripts_name_the_program_and_the_variable(shell):
    for name in SHELLS:
        done = shell("completion", name)
        assert done.code == 0
        assert VARIABLE in done.out
        assert f"{name}_complete" in done.out
    assert shell("completion", "tcsh").code == 2
    assert cli.name == "cli"


@pytest.fixture
def program(catalog, tmp_path):
    """Return an environment in which ``model-zoo`` is on PATH, for real shells."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "model-zoo"
    script.write_text(f"#!{sys.executable}\nfrom model_zoo.cli.main import main\nmain()\n")
    script.chmod(0o755)
    old = folder / "omz_downloader"
    old.write_text(f"#!{sys.executable}\nfrom model_zoo.omz.downloader import main\nmain()\n")
    old.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "MODEL_ZOO_CATALOG": str(catalog),
        "MODEL_ZOO_CACHE": str(tmp_path / "cache"),
        "TERM": "dumb",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def type_into(argv, text, environment):
    done = subprocess.run(
        argv, input=text, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_real_bash(program):
    text = """
eval "$(model-zoo completion bash)"
try() { COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=(); _model_zoo_completion; echo "${COMPREPLY[@]}"; }
try "model-zoo fetch zooey-t"
try "model-zoo convert zooey-one@F"
old() { COMP_WORDS=(omz_downloader "$@") COMP_CWORD=$# COMPREPLY=(); _model_zoo_completion_omz omz_downloader
        echo "${COMPREPLY[@]}"; }
old --na
old --name aclnet,yolo-v4-ti
old --name aclnet --precisions FP32,FP16-INT
old --name aclnet -o some
complete -p model-zoo
"""
    assert type_into(["bash", "--norc", "-s"], text, program) == [
        *("zooey-two", "FP32", "FP16", "--name", "aclnet,yolo-v4-tiny-tf"),
        *("FP32,FP16-INT1", "FP32,FP16-INT8"),
        *("complete", "-o", "nosort", "-F", "_model_zoo_completion", "model-zoo"),
    ]


@pytest.mark.system
def test_real_fish(program):
    require_tool("fish")
    text = 'model-zoo completion fish | source; complete -C "model-zoo fetch zooey-t"\n'
    assert "zooey-two" in type_into(["fish", "--no-config"], text, program)


@pytest.mark.system
def test_real_zsh(program):
    require_tool("zsh")
    text = """
autoload -Uz compinit; compinit -u -D
compadd() { print -r -- ${(P)${@[-1]}}; }
eval "$(model-zoo completion zsh)"
words=(model-zoo fetch zooey-t); CURRENT=3
_model_zoo_completion
print -r -- $_comps[model-zoo]
"""
    assert type_into(["zsh", "-f", "-s"], text, program) == ["zooey-two", "_model_zoo_completion"]
