"""What is said of how a model is used: what to install, and lines that work as they are."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import model_zoo
from model_zoo.zoo.info import facts

if TYPE_CHECKING:
    from tests.conftest import WheelIndex

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> model_zoo.Zoo:
    return model_zoo.Zoo(cache=tmp_path_factory.mktemp("cache"), layers=[], catalogs=[])


def known(zoo: model_zoo.Zoo, name: str) -> dict[str, object]:
    return facts(zoo, zoo.catalog.get(name))


@pytest.mark.parametrize(
    ("name", "install", "words"),
    [
        ("silero-vad-16k", "pip install model-zoo", "nothing beside Model Zoo"),
        (
            "torchvision-resnet50-imagenet1k-v1",
            'pip install "model-zoo[torch,vision]"',
            "torch, torchvision to convert it, about 1.4 GB",
        ),
        (
            "efficientnet-lite0",
            'pip install "model-zoo[torch,vision]"',
            "torch to convert it, about 1.4 GB; --trust-code (calls EfficientNet.from_name of the module",
        ),
    ],
)
def test_needs(zoo: model_zoo.Zoo, name: str, install: str, words: str) -> None:
    found = known(zoo, name)
    assert found["needs"]["install"] == install
    assert found["in_words"]["needs"].startswith(words)


def test_what_is_installed_is_what_a_conversion_asks_for(zoo: model_zoo.Zoo) -> None:
    """Each package that converts a model is in the line or in one of its extras, or comes by --isolate."""
    extras = PROJECT["optional-dependencies"]
    for model in zoo.catalog:
        needs = facts(zoo, model)["needs"]
        named, *more = needs["install"].removeprefix("pip install ").split()
        chosen = re.findall(r"[a-z]+", named.partition("[")[2])
        there = {re.match(r"[\w.-]+", line)[0] for extra in chosen for line in extras[extra]}
        there |= {line.partition("==")[0] for line in more}
        there |= {"keras"} if "tensorflow-cpu" in there else set()  # which depends on it
        if not needs["isolate"]:
            assert {*needs["packages"]} <= there, model.name
            assert not needs["packages"] or needs["size"], model.name


def test_trust_and_environments_are_in_the_lines(zoo: model_zoo.Zoo) -> None:
    code = known(zoo, "efficientnet-lite0")["code"]
    assert code["shell"][0] == "model-zoo convert efficientnet-lite0 --trust-code"
    line = 'found = model_zoo.infer("efficientnet-lite0", "picture.jpg", trust_code=True)'
    assert code["python"][2] == line
    code = known(zoo, "all-minilm-l6-v2")["code"]
    assert code["shell"][0] == "model-zoo convert all-minilm-l6-v2 --isolate"
    assert 'model_zoo.convert("all-minilm-l6-v2", isolate=True)' in "\n".join(code["python"])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("face-detection-adas-0001", 'found.save("found.png")'),
        ("aclnet", 'found = model_zoo.infer("aclnet", "sound.wav")'),
        ("yolof", 'files = model_zoo.fetch("yolof").files'),
        ("Qwen3-0.6B-fp16-ov", 'print(pipe.generate("What is OpenVINO?", max_new_tokens=100))'),
        ("action-recognition-0001", 'stage2 = model_zoo.load("action-recognition-0001-decoder")'),
    ],
)
def test_the_last_line(zoo: model_zoo.Zoo, name: str, line: str) -> None:
    assert line in known(zoo, name)["code"]["python"]


def test_every_model_has_lines_that_compile(zoo: model_zoo.Zoo) -> None:
    for model in zoo.catalog:
        code = facts(zoo, model)["code"]
        compile("\n".join(code["python"]), model.name, "exec")
        assert all(line.startswith("model-zoo ") for line in code["shell"])


@pytest.mark.wheels
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", ["magika-standard-v3", "mediapipe-face-detection-short-range", "silero-vad-16k", "swift-f0"]
)
def test_the_lines_work(
    zoo: model_zoo.Zoo, name: str, wheel_index: WheelIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel_index([name])
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").convert("RGB").save("picture.jpg")
    with wave.open("sound.wav", "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(b"\0\1" * 16000)
    code = known(zoo, name)["code"]
    for line in code["shell"]:
        assert run("-c", "from model_zoo.cli.main import main; main()", *line.split()[1:])
    assert run("-c", "\n".join(code["python"]))


def run(*argv: str) -> str:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
