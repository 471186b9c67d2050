"""Searching by words, licences and families."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_zoo.catalog import Catalog, builtin_catalog
from model_zoo.catalog.search import family_of, find, license_satisfies

if TYPE_CHECKING:
    from model_zoo.schema import Model


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return list(Catalog([builtin_catalog()]))


def names(models: list[Model], *patterns: str) -> set[str]:
    return {model.name for model in find(models, patterns)}


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("age", "age-gender-recognition-retail-0013", "resnet-50-pytorch"),
        ("asr", "whisper-base-fp16-ov", "resnet-50-pytorch"),
        ("automatic-speech-recognition", "quartznet-15x5-en", "aclnet"),
        ("tts", "forward-tacotron", "whisper-base-fp16-ov"),
        ("ocr", "pp-ocrv6-det-small", "aclnet"),
        ("embeddings", "bge-base-en-v1.5-int8-ov", "aclnet"),
        ("background removal", "modnet-webcam-portrait-matting", "road-segmentation-adas-0001"),
        ("sentiment", "roberta-sequence-classification-9", "roberta-base-11"),
        ("keypoints", "human-pose-estimation-0001", "resnet-50-pytorch"),
        ("yolo", "yolo-v4-tf", "ssd300"),
        ("wheel", "silero-vad-16k", "yolo-v4-tf"),
        ("CC-BY-NC-4.0", "torchvision-vit-b-16-imagenet1k-swag-e2e-v1", "resnet-50-pytorch"),
        ("face detection", "face-detection-adas-0001", "facenet-20180408-102900"),
        ("resnet50", "torchvision-resnet50-imagenet1k-v2", "resnet-18-pytorch"),
        ("face-det*", "face-detection-adas-0001", "mediapipe-face-detection-back"),
    ],
)
def test_words(models, pattern: str, found: str, not_found: str) -> None:
    matched = names(models, pattern)
    assert found in matched
    assert not_found not in matched


def test_patterns_add_up_and_none_is_all(models) -> None:
    assert names(models, "tts", "vad") == names(models, "tts") | names(models, "vad")
    assert len(find(models, ())) == len(models)


@pytest.mark.parametrize(
    ("expression", "allowed", "met"),
    [
        ("MIT", ["MIT"], True),
        ("MIT", ["mit"], True),
        ("MIT", ["Apache-2.0"], False),
        (None, ["MIT", "*"], False),
        ("MIT OR GPL-3.0-only", ["MIT"], True),
        ("MIT AND GPL-3.0-only", ["MIT"], False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", ["MIT", "Apache-2.0"], True),
        ("GPL-3.0-only OR MIT AND Apache-2.0", ["MIT"], False),
        ("BSD-3-Clause", ["BSD-*"], True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only"], False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only WITH Classpath-exception-2.0"], True),
    ],
)
def test_licences(expression: str | None, allowed: list[str], met: bool) -> None:
    assert license_satisfies(expression, allowed) is met


def test_families(models) -> None:
    families: dict[str, set[str]] = {}
    for model in models:
        families.setdefault(family_of(model), set()).add(model.name)
    assert families["resnet50-v1"] == {
        "resnet50-v1-7",
        "resnet50-v1-12",
        "resnet50-v1-12-int8",
        "resnet50-v1-12-qdq",
    }
    assert families["Qwen3-4B"] == {"Qwen3-4B-int4-ov", "Qwen3-4B-int8-ov"}
    assert families["torchvision-resnet50"] == {
        "torchvision-resnet50-imagenet1k-v1",
        "torchvision-resnet50-imagenet1k-v2",
    }
    assert "face-detection-0200" in families
