"""A small tree of ``model.yml`` files, in the old format, whose files a loopback server has."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import yaml

from tests.server import pattern
from tests.tiny import tiny_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server import Answer, Server

NETWORK = """import torch.nn as nn
x = F.upsample_bilinear(x)
def forward(self, x):\r
    return x.view(x.size(0), -1)
"""


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    """Return a tar.gz archive, with folders as entries of their own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Tree:
    """The tree below ``root``; every file added is served at ``/NAME/FILE``."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root = root
        self.server = server

    def add(
        self,
        name: str,
        files: dict[str, bytes],
        *,
        folder: str = "public",
        answers: dict[str, list[Answer]] | None = None,
        wrong: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        """Write a model.yml; ``answers`` scripts the server, ``wrong`` names files with another digest."""
        listed = []
        for path, data in files.items():
            address = f"/{name}/{path}"
            url = self.server.add(address, data, *(answers or {}).get(path, ()))
            digest = hashlib.sha384(data + (b"?" if path in wrong else b"")).hexdigest()
            listed.append({"name": path, "size": len(data), "checksum": digest, "source": url})
        entry = {
            "description": f"Says nothing about {name}.",
            "task_type": "classification",
            "files": listed,
            "framework": "onnx",
            "license": "https://example.org/LICENSE",
            **fields,
        }
        self._write(f"{folder}/{name}/model.yml", entry)

    def add_ir(self, name: str, precisions: tuple[str, ...] = ("FP32", "FP16"), **more: Any) -> None:
        """Write a ready-made model: an .xml and a .bin for each precision, and a file for all of them."""
        seed = zlib.crc32(name.encode())
        files = {"vocab.txt": pattern(90, seed)}
        for number, precision in enumerate(precisions, 1):
            files[f"{precision}/{name}.xml"] = pattern(70_000, seed + number)
            files[f"{precision}/{name}.bin"] = pattern(3000 + number, seed + number)
        self.add(name, files, **{"folder": "intel", "framework": "dldt", **more})

    def add_composite(self, name: str, stages: tuple[str, ...]) -> None:
        """Write a composite of ready-made stages."""
        entry = {
            "description": f"Is made of {len(stages)}.",
            "task_type": "text_to_speech",
            "framework": "dldt",
            "license": "https://example.org/LICENSE",
            "stages_order": list(stages),
        }
        self._write(f"intel/{name}/composite-model.yml", entry)
        for stage in stages:
            self.add_ir(stage, folder=f"intel/{name}")

    def _write(self, path: str, entry: dict[str, Any]) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump(entry, sort_keys=False), encoding="utf-8")


def representative(root: Path, server: Server) -> Tree:
    """Return a tree with one model of each kind there was."""
    tree = Tree(root, server)
    edit = {"$type": "regex_replace", "file": "faceboxes.py"}
    tree.add_ir("single-image-super-resolution-1032", ("FP16", "FP32", "FP16-INT8"))
    tree.add_ir("resnet50-binary-0001", ("FP32-INT1",))
    tree.add_ir("face-detection-retail-0004")
    tree.add_composite("text-spotting-0005", ("text-spotting-0005-detector", "text-spotting-0005-recognizer"))
    tree.add(
        "faceboxes-pytorch",
        {"faceboxes.py": NETWORK.encode(), "FaceBoxesProd.pth": pattern(5000), "empty.py": b""},
        framework="pytorch",
        conversion_to_onnx_args=[
            "--model-name=FaceBoxes",
            "--import-module=faceboxes",
            "--input-shape=1,3,8,8",
            "--input-names=x",
            "--output-names=y",
            "--output-file=$conv_dir/f.onnx",
            "--model-path=$dl_dir",
            "--weights=$dl_dir/FaceBoxesProd.pth",
        ],
        model_optimizer_args=["--input_model=$conv_dir/f.onnx"],
        input_info=[{"name": "x", "shape": [1, 3, 8, 8], "layout": "NCHW"}],
        postprocessing=[
            edit | {"pattern": r"upsample_(\w+)", "replacement": r"\1"},
            edit | {"pattern": r"\):\n    return", "replacement": "# ", "count": 0},
        ],
    )
    tree.add(
        "mobilenet-v1-0.25-128",
        {"mobilenet.tgz": tarred({"a/graph.pb": pattern(400), "a/b/notes.txt": b"x = 1\n", "top": b""})},
        framework="tf",
        model_optimizer_args=["--input_model=$dl_dir/a/graph.pb", "--output=out"],
        input_info=[{"name": "input", "shape": [1, 128, 128, 3], "layout": "NHWC"}],
        postprocessing=[
            {"$type": "unpack_archive", "format": "gztar", "file": "mobilenet.tgz"},
            {
                "$type": "regex_replace",
                "file": "a/b/notes.txt",
                "pattern": "x",
                "replacement": "y",
                "count": 1,
            },
        ],
    )
    tree.add(
        "fastseg-small",
        {
            "w.pt": pattern(800),
            "model/lib.whl": zipped({"lib/__init__.py": b"#\n"}),
            "model/fastseg/base.py": b"b\n",
        },
        framework="onnx",
        model_optimizer_args=["--input_model=$dl_dir/w.pt"],
        postprocessing=[{"$type": "unpack_archive", "format": "zip", "file": "model/lib.whl"}],
    )
    tree.add(
        "tiny-onnx",
        {"net/tiny.onnx": tiny_onnx(2.0, (1, 3, 4, 4))},
        framework="onnx",
        model_optimizer_args=[
            "--input_model=$dl_dir/net/tiny.onnx",
            "--reverse_input_channels",
            "--mean_values=x[1,2,3]",
            "--scale_values=x[2,4,8]",
            "--output=y",
        ],
        input_info=[{"name": "x", "shape": [1, 3, 4, 4], "layout": "NCHW"}],
        model_info={"model_type": "Classification", "confidence_threshold": 0.5, "labels": ["a_cat", "dog"]},
    )
    return tree
