"""``catalog refresh``: what floats becomes fixed, through the hub's real client; the rest stays."""

from __future__ import annotations

import hashlib
import json

import pytest

from model_zoo.catalog import read_model
from model_zoo.cli.main import cli, run
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.tiny import tiny_onnx

DATA = tiny_onnx()
FILES = {"net.onnx": DATA, "labels.txt": b"cat\ndog\n", ".gitattributes": b"*.onnx filter=lfs"}
TEXT = """\
# Written by hand.
schema: 1
name: net
task: object-detection
framework: onnx
license: MIT  # of the model card
description: >-
  Finds things.
artifacts:  # from the hub
  - path: net.onnx
    sources:
      - {hf: org/net, file: net.onnx}
    integrity: first-use
  # the classes
  - path: labels.txt
    integrity: first-use
    sources:
      - {hf: org/net, revision: main, file: labels.txt}
recipe:
  # as it is
  model: net.onnx
labels: {artifact: labels.txt}
"""


@pytest.fixture
def commit(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    commit = hub.commit("org/net", FILES, lfs={"net.onnx"})
    hub.branch("org/net", "main", commit)
    return commit


def refresh(*arguments):
    return run(cli, ["catalog", "refresh", *map(str, arguments)])


def test_a_branch_becomes_its_commit_with_sizes_and_digests(commit, hub, tmp_path, capsys):
    file = tmp_path / "net.yaml"
    file.write_text(TEXT)
    assert refresh(file) == 0
    assert capsys.readouterr().out == f"{file}\n"
    model = read_model(file)
    for artifact in model.artifacts:
        data = FILES[artifact.path]
        assert (artifact.size, artifact.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert artifact.sources[0].revision == commit
        assert artifact.integrity is None
    text = file.read_text()
    for kept in (
        "# Written by hand.",
        "license: MIT  # of the model card",
        "  # as it is\n",
        "  Finds things.\n",
    ):
        assert kept in text
    assert not hub.asked("/cdn/")  # the hub states the digest of what is in LFS

    zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(file,)), require_pinned=True)
    assert zoo.fetch("net").files["net.onnx"].read_bytes() == DATA


def test_a_second_time_nothing_floats(commit, tmp_path, capsys):
    file = tmp_path / "net.yaml"
    file.write_text(TEXT)
    assert refresh(file) == 0
    text = file.read_text()
    assert refresh(file, "--json") == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2]) == {
        "entries": 1,
        "changed": [],
        "errors": [],
    }
    assert file.read_text() == text


def test_a_repository_becomes_its_files(commit, tmp_path):
    (tmp_path / "net.yaml").write_text(
        "schema: 1\nname: net\ntask: t\nframework: onnx\nlicense: MIT\ndescription: d\n"
        'artifacts:\n  - path: "."\n'
        "    sources:\n      - {hf: org/net}\n    integrity: first-use\nrecipe: {model: net.onnx}\n"
    )
    assert refresh(tmp_path) == 0
    model = read_model(tmp_path / "net.yaml")
    assert [artifact.path for artifact in model.artifacts] == ["labels.txt", "net.onnx"]
    assert all(artifact.sha256 and artifact.sources[0].revision == commit for artifact in model.artifacts)
    assert model.recipe.model == "net.onnx"


def test_a_dry_run_shows_and_writes_nothing(commit, tmp_path, capsys):
    file = tmp_path / "net.yaml"
    file.write_text(TEXT)
    assert refresh("--dry-run", file) == 0
    out = capsys.readouterr().out
    assert "-    integrity: first-use" in out
    assert f"revision: {commit}" in out
    assert file.read_text() == TEXT


def test_what_cannot_be_asked_stays_as_it_was_and_the_others_are_done(commit, hub, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text(TEXT.replace("name: net", "name: bad").replace("org/net", "org/none"))
    (tmp_path / "net.yaml").write_text(TEXT)
    before = (tmp_path / "bad.yaml").read_text()
    assert refresh(tmp_path) == 4
    done = capsys.readouterr()
    assert done.out == f"{tmp_path / 'net.yaml'}\n"
    assert "org/none" in done.err
    assert (tmp_path / "bad.yaml").read_text() == before


def test_bytes_that_are_not_the_commits_are_refused(commit, hub, tmp_path):
    (tmp_path / "net.yaml").write_text(TEXT)
    hub.lies["labels.txt"] = b"cow\npig\n"
    assert refresh(tmp_path / "net.yaml") == 5
    assert (tmp_path / "net.yaml").read_text() == TEXT


def test_offline_nothing_is_asked(commit, hub, tmp_path, capsys):
    (tmp_path / "net.yaml").write_text(TEXT)
    asked = len(hub.seen())
    assert run(cli, ["--offline", "catalog", "refresh", str(tmp_path / "net.yaml")]) == 4
    assert "offline" in capsys.readouterr().err
    assert len(hub.seen()) == asked
