"""The folders of the OpenVINO organisation: what the script writes, and honest about their level."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from model_zoo.catalog import builtin_catalog
from model_zoo.catalog.reader import read_model
from model_zoo.schema import PIPELINES
from model_zoo.sources import integrity_of

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((builtin_catalog() / "openvino").glob("*.yaml"))


def test_the_script_would_write_the_same():
    done = subprocess.run(
        [sys.executable, "scripts/update_openvino", "--check"],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_entries_are_folders_of_a_branch(file):
    model = read_model(file)
    (artifact,) = model.artifacts
    (source,) = artifact.sources
    assert (source.hf, source.revision, source.file) == (f"OpenVINO/{model.name}", "main", None)
    assert integrity_of(artifact) == "first-use"
    assert (model.is_folder, model.framework) == (True, "openvino")
    assert model.task in PIPELINES
    assert PIPELINES[model.task].rpartition(".")[2] in model.description
    assert model.precisions == (re.search(r"-(int4|int8|fp16|nf4)(-cw)?-ov$", model.name)[1].upper(),)


def test_there_are_models_of_every_kind():
    kinds = {read_model(file).task for file in FILES}
    assert kinds >= {"text-generation", "image-text-to-text", "automatic-speech-recognition", "text-to-image"}
    assert kinds >= {"feature-extraction", "text-ranking"}
