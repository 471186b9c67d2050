"""Everything a person can read, as texts in this folder: a change of wording is a diff that a reviewer sees.

``MODEL_ZOO_UPDATE_MESSAGES=1 pytest tests/messages`` writes the texts anew; ``scenes/__init__.py`` says how
to add a scene.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from model_zoo import errors
from model_zoo.cli.main import cli, run
from tests.messages.scenes import SCENES
from tests.messages.stage import OMZ, Stage, commands, model
from tests.tiny import tiny_onnx

HERE = Path(__file__).parent
UPDATE = os.environ.get("MODEL_ZOO_UPDATE_MESSAGES") == "1"
PACKAGE = Path(errors.__file__).parent
CODES = {0, 2, 3, 4, 5, 6, 7, 8, 130}


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that ``probe`` was converted in, and the catalog that has it; copied, never written to."""
    folder = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        stage = Stage(folder, patch, None, folder)
        model()(stage)
        model("twin", tiny_onnx(2.0))(stage)
        assert run(cli, ["--quiet", "convert", "probe"]) == 0
    return folder


@pytest.fixture
def stage(tmp_path, monkeypatch, capfd, warm):
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)  # a scene may be another user's
    tmp_path.chmod(0o755)
    made = Stage(tmp_path, monkeypatch, capfd, warm)
    yield made
    made.close()


def text_of(name: str) -> str:
    path = HERE / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@pytest.mark.parametrize("scene", SCENES.values(), ids=str)
def test_text(stage, scene):
    text = stage.play(scene)
    if UPDATE:
        path = HERE / f"{scene}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == text_of(str(scene)), "MODEL_ZOO_UPDATE_MESSAGES=1 writes it anew, if it is right"


def ending(name: str) -> tuple[int, set[str]]:
    """Return the exit code and the classes of errors that a text tells of."""
    if UPDATE:
        pytest.skip("the texts are being written")
    found = re.search(r"^\[exit (\d+)((?:, \w+)*)\]$", text_of(name), re.MULTILINE)
    assert found, f"{name}.txt does not say how the command ended"
    return int(found[1]), set(filter(None, found[2].split(", ")))


def test_there_is_a_text_for_every_scene_and_no_other():
    there = {path.relative_to(HERE).with_suffix("").as_posix(): path for path in HERE.glob("*/*.txt")}
    if UPDATE:
        for name in there.keys() - SCENES.keys():
            there[name].unlink()
        return
    assert sorted(there) == sorted(SCENES)


def test_every_exit_code_is_shown_and_none_is_a_bug():
    codes = {ending(str(scene))[0] for scene in SCENES.values() if scene.group != "omz"}
    assert codes == CODES


def test_every_class_of_error_is_shown():
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    made = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ModelZooError)
        if re.search(rf"\b{name}\(\s*[^)]", source.replace(f"class {name}(", ""))
    }
    shown = set().union(*(ending(name)[1] for name in SCENES))
    assert made - {"ModelZooError"} <= shown  # which only a bug is shown as


def test_every_command_has_its_help():
    wanted = {"-".join(("model-zoo", *words)) for words in commands(cli)} | set(OMZ)
    assert {f"help/{name}" for name in wanted} <= SCENES.keys()
    assert all(ending(f"help/{name}")[0] == 0 for name in wanted)
