"""What is said about a model: what it is fed, what it gives, its terms and figures."""

from __future__ import annotations

import pytest

from model_zoo.schema import (
    Complexity,
    Input,
    License,
    Metric,
    ModelInput,
    ModelOutput,
    Recipe,
    complexity_in_words,
    license_in_words,
    metrics_in_words,
)
from model_zoo.schema.sentences import inputs_in_words, outputs_in_words

NCHW = {"layout": "NCHW", "kind": "image"}


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (
            ModelInput(shape=(1, 3, 384, 672), color="BGR", range=(0, 255), resize="stretch", **NCHW),
            "a picture, BGR, values 0..255, stretched to 672 x 384",
        ),
        (
            ModelInput(shape=(1, 3, 224, 224), resize="crop", crop_fraction=0.875, color="RGB", **NCHW),
            "a picture, RGB, the middle 87.5 % of it cropped to 224 x 224",
        ),
        (ModelInput(shape=(1, 3, -1, "?"), **NCHW), "a picture of any size"),
        (
            ModelInput(shape=(1, 1, 32, 120), color="GRAY", mean=127.5, scale=(127.5,), **NCHW),
            "a picture of 120 x 32, GRAY, minus 127.5, divided by 127.5",
        ),
        (ModelInput(kind="audio", rate=16000, shape=(1, 576)), "sound at 16 kHz of 1 x 576"),
        (ModelInput(kind="tokens", shape=(1, -1), format="WordPiece"), "token ids of 1 x any (WordPiece)"),
        (ModelInput(kind="image"), "a picture"),
    ],
)
def test_an_input(port: ModelInput, text: str) -> None:
    assert inputs_in_words([port], Recipe()) == [text]


@pytest.mark.parametrize(
    ("prepared", "text"),
    [
        (Input(mean=127, scale=128), "a picture of 4 x 4 (mean and scale are in the IR)"),
        (Input(scale=255.0), "a picture of 4 x 4 (scale is in the IR)"),
        (
            Input(mean=1, scale=2, reverse_channels=True),
            "a picture of 4 x 4 (mean, scale and the exchange of red and blue are in the IR)",
        ),
        (Input(shape=(1, 3, 4, 4)), "a picture of 4 x 4"),
    ],
)
def test_what_the_ir_does_itself(prepared: Input, text: str) -> None:
    port = ModelInput(name="x", shape=(1, 3, 4, 4), **NCHW)
    assert inputs_in_words([port], Recipe(inputs=(prepared,))) == [text]
    declared = Recipe(inputs=(prepared,), preprocess="declare")
    assert inputs_in_words([port], declared) == ["a picture of 4 x 4"], "then the reader of the IR does it"


@pytest.mark.parametrize(
    ("port", "labels", "text"),
    [
        (ModelOutput(kind="detections", shape=(1, 1, 200, 7)), (), "up to 200 boxes with class and score"),
        (ModelOutput(kind="detections", shape=(1, 1, -1, 7)), ("a",), "boxes with class and score"),
        (ModelOutput(kind="class_scores"), ("cat", "dog"), "a score for each of 2 classes"),
        (ModelOutput(kind="class_scores", shape=(1, 1000)), (), "a score for each of 1000 classes"),
        (ModelOutput(kind="class_scores", shape=(1, 1)), (), "a score for each class"),
        (
            ModelOutput(kind="embedding", shape=(1, 256)),
            (),
            "a vector of 256 numbers that describes the input",
        ),
        (ModelOutput(kind="text_logits", format="text, token by token"), (), "text, token by token"),
        (ModelOutput(kind="mask", shape=(1, -1, 8), format="0 or 1"), (), "a mask of 1 x any x 8 (0 or 1)"),
    ],
)
def test_an_output(port: ModelOutput, labels: tuple[str, ...], text: str) -> None:
    assert outputs_in_words([port], labels) == [text]


def test_several_ports_are_named() -> None:
    ports = [
        ModelOutput(name="age", kind="tensor"),
        ModelOutput(name="prob", kind="class_scores", labels=("f", "m")),
    ]
    assert outputs_in_words(ports, ("x",) * 9) == ["age: a tensor", "prob: a score for each of 2 classes"]


def test_very_many_ports_are_not_all_told() -> None:
    said = inputs_in_words([ModelInput(name=f"state{n}", kind="tensor") for n in range(39)], Recipe())
    assert (len(said), said[0], said[-1]) == (8, "state0: a tensor", "and 32 more")


def test_terms_and_figures() -> None:
    url = "https://example.org/LICENSE"
    assert license_in_words(License(spdx="MIT")) == "MIT"
    assert license_in_words(License(url=url)) == f"see {url}"
    assert license_in_words(License()) == "not stated"
    assert license_in_words(License(spdx="MIT", url=url, gated=True)) == (
        f"MIT ({url}); must be accepted at its source before it can be fetched"
    )
    metrics = [
        Metric(name="mAP", value=0.941, unit="ratio", dataset="WIDER FACE"),
        Metric(name="top-1", value=76.1, unit="%", of="INT8"),
        Metric(name="error", value=1.5, unit="degrees"),
    ]
    said = ["mAP 0.941 on WIDER FACE", "top-1 76.1 % (INT8)", "error 1.5 degrees"]
    assert metrics_in_words(metrics) == said
    assert (
        complexity_in_words(Complexity(gflops=2.835, mparams=1.053))
        == "2.835 GFLOPs, 1.053 million parameters"
    )
    assert complexity_in_words(Complexity(mparams=4)) == "4 million parameters"
    assert complexity_in_words(None) is None
