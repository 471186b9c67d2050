"""The same bytes every time, and nothing of this machine in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conversion.support import entry, run
from tests.conversion.test_formats import REAL, real

Member = Callable[[str, str], Path]


@pytest.mark.wheels
@pytest.mark.parametrize("kind", sorted(REAL))
def test_fresh_workers_make_the_same_bytes(
    wheel_member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder, path = real(wheel_member, kind)
    model = entry(kind.partition("-")[0], path, model_info={"model_type": "x", "labels": ["a", "b"]})
    made = []
    for index, seed in enumerate(("1", "4242")):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("TZ", ("UTC", "Asia/Tokyo")[index])
        made.append([out["sha256"] for out in run(model, folder, tmp_path / seed, "FP16")["outputs"]])
    assert made[0] == made[1]


@pytest.mark.wheels
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_name_and_place_of_the_file_leave_no_trace(wheel_member: Member, tmp_path: Path, kind: str) -> None:
    folder, path = real(wheel_member, kind)
    other = tmp_path / "a place with spaces"
    other.mkdir()
    renamed = f"quite-another-name.{kind}"
    (other / renamed).write_bytes((folder / path).read_bytes())
    first = run(entry(kind, path), folder, tmp_path / "one")
    second = run(entry(kind, renamed, name="another-model"), other, tmp_path / "two")
    assert first["outputs"] == second["outputs"]
    xml = (tmp_path / "two" / "model.xml").read_text()
    for trace in (renamed, "quite-another", str(tmp_path), str(folder), os.uname().nodename, "another-model"):
        assert trace not in xml
    assert not re.search(r"conversion_parameters|20\d\d-\d\d-\d\d", xml)


def test_worker_writes_no_home_and_no_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import tiny

    home, files = tmp_path / "home", tmp_path / "files"
    home.mkdir()
    files.mkdir()
    (files / "m.onnx").write_bytes(tiny.tiny_onnx())
    monkeypatch.setenv("HOME", str(home))
    run(entry("onnx", "m.onnx"), files, tmp_path / "ir")
    assert list(home.rglob("*")) == []
    assert [p.name for p in files.iterdir()] == ["m.onnx"]
