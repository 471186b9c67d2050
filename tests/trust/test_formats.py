"""Arrays of objects, damaged arrays, and weights outside the model, through the whole program."""

from __future__ import annotations

import os

import numpy as np
import pytest
import yaml

from tests.tiny import entry, external_onnx, write_entry


class Running:
    """Leaves a file behind where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {os.environ['MARK']}",)


@pytest.mark.parametrize("kind", ["npy", "npz", "folder"])
@pytest.mark.parametrize("way", ["infer", "calibrate"])
def test_an_array_of_objects_is_not_unpickled(catalog, shell, tmp_path, monkeypatch, kind, way):
    mark = tmp_path / "ran"
    monkeypatch.setenv("MARK", str(mark))
    described = yaml.safe_load((catalog / "one.yaml").read_text())
    described["recipe"] = {"precisions": ["FP32", "INT8"]}
    write_entry(catalog, described)
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / ("x.npz" if kind == "npz" else "x.npy")
    array = np.array([Running()], dtype=object)
    if kind == "npz":
        np.savez(path, x=array)
    else:
        np.save(path, array, allow_pickle=True)
    given = folder if kind == "folder" else path
    command = ("infer", "one", given) if way == "infer" else ("convert", "one@INT8", "--calibrate", given)
    shell(*command).refused(2, 7, 8)
    assert not mark.exists()


PLACES = [
    "../secret",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/mem",
    "a/../../x",
    "\\\\h\\x",
    "C:/x",
    "",
    ".",
    "x\0y",
    "%2e%2e/x",
    "~/x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("place", PLACES, ids=ascii)
def test_weights_elsewhere_are_refused(catalog, shell, tmp_path, place):
    """The entry's digest is right; the file itself asks for weights outside the model."""
    (catalog / "secret").write_bytes(b"1234" * 10)
    data = external_onnx(place)
    (catalog / "ext.onnx").write_bytes(data)
    write_entry(catalog, entry("ext", data, {"file": "ext.onnx"}))
    shell("convert", "ext").refused(2, 4, 5, 7)
    for command in (("info",), ("lock", "-o", tmp_path / "x.lock")):
        done = shell(*command, catalog / "ext.onnx")
        assert done.code in {0, 2, 4, 5, 7}, done.text


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


ARRAYS = {
    "huge": header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }\n"),
    "negative": header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"),
    "objects": header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
    "a deep header": header(b"(" * 60_000),
    "a call": header(b"{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }\n"),
    "a version of tomorrow": b"\x93NUMPY\x09\x09",
    "nothing": b"",
    "the start of a ZIP archive": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_damaged_arrays_are_refused(catalog, shell, tmp_path, name, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(ARRAYS[name])
    shell("infer", "one", path).refused(2, 8)
