"""Directories in the layout of Hugging Face: what their framework is, and which of their files are needed.

File names alone decide. Repositories often hold the same weights in several formats, and small files of other
tools; only what will be read is worth fetching.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.schema import Framework

_OTHER_FORMATS = {"onnx", "openvino", "coreml", "original", "metal", "gguf", "runs", "flax", "tf"}
"""Directories in which repositories keep other formats, and logs."""
_WEIGHTS = ".bin .ckpt .gguf .h5 .keras .mlmodel .msgpack .onnx .ot .pb .pkl .pt .pth .safetensors .tflite"
_TORCH = re.compile(r"(diffusion_|open_clip_)?pytorch_model[^/]*\.bin")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])")
_MODULE = re.compile(r"\d+_\w+")
"""A module of sentence-transformers that has weights of its own, such as ``2_Dense``."""


def framework_of(paths: Sequence[str], name: str) -> Framework | None:
    """Return the framework of a whole directory; None if one of its files is the network.

    Args:
        paths: its files, relative, POSIX.
        name: what the user calls it.
    """
    names = set(paths)
    irs = [p for p in paths if p.endswith(".xml") and f"{p[:-4]}.bin" in names]
    if "model_index.json" in names:
        return "openvino" if any(p.endswith("/openvino_model.xml") for p in irs) else "diffusers"
    top = [p for p in irs if "/" not in p]
    if len(top) > 1 and all(p.startswith("openvino_") for p in top):
        return "openvino"
    if top or any(p.endswith(".onnx") and "/" not in p for p in paths):
        return None  # that needs less conversion
    if not any("/" not in p and (p.endswith(".safetensors") or _TORCH.fullmatch(p)) for p in paths):
        return None
    if "modules.json" in names:
        return "sentence-transformers"
    if "config.json" not in names:
        return None
    return "timm" if name.startswith("hf:timm/") else "transformers"


def required_files(framework: str, paths: Sequence[str]) -> list[str]:
    """Return the files of a directory that its framework's library reads, without weights it does not use."""
    files = [PurePosixPath(path) for path in paths]
    return [str(file) for file in files if _is_required(framework, file, files)]


def _is_required(framework: str, file: PurePosixPath, files: Sequence[PurePosixPath]) -> bool:
    directory = "" if str(file.parent) == "." else str(file.parent)
    if directory and file.parts[0] in _OTHER_FORMATS:
        return False
    if file.suffix.lower() not in _WEIGHTS.split():
        return True
    if not _may_have_weights(framework, directory):
        return False
    tensors = [f.name for f in files if f.parent == file.parent and f.suffix == ".safetensors"]
    if file.suffix != ".safetensors":
        return not tensors and _TORCH.fullmatch(file.name) is not None
    plain = _VARIANT.sub("", file.name)
    if plain != file.name and plain in tensors:
        return False
    return not file.name.startswith("consolidated") or all(t.startswith("consolidated") for t in tensors)


def _may_have_weights(framework: str, directory: str) -> bool:
    """Whether the library looks for weights in a directory."""
    if framework == "diffusers":
        return bool(directory)
    return not directory or (framework == "sentence-transformers" and bool(_MODULE.fullmatch(directory)))
