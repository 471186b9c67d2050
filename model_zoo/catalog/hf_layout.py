"""Folders as Hugging Face lays them out: what their framework is, and which of their files are needed.

Told from names alone. Repositories often hold the same weights in several formats, and small files of other
tools; only what is going to be read is worth fetching.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.schema import Framework

_OTHERS = {"onnx", "openvino", "coreml", "original", "metal", "gguf", "runs", "flax", "tf"}
"""Folders that repositories keep other formats, and logs, in."""
_WEIGHTS = ".bin .ckpt .gguf .h5 .keras .mlmodel .msgpack .onnx .ot .pb .pkl .pt .pth .safetensors .tflite"
_TORCH = re.compile(r"(diffusion_|open_clip_)?pytorch_model[^/]*\.bin")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])")
_PART = re.compile(r"\d+_\w+")
"""A layer of sentence-transformers that has weights of its own, such as ``2_Dense``."""


def framework_of(paths: Sequence[str], name: str) -> Framework | None:
    """Return the framework of a whole folder; None where a file of it is the network.

    Args:
        paths: its files, relative, POSIX.
        name: what the user calls it.
    """
    there = set(paths)
    irs = [p for p in paths if p.endswith(".xml") and f"{p[:-4]}.bin" in there]
    if "model_index.json" in there:
        return "openvino" if any(p.endswith("/openvino_model.xml") for p in irs) else "diffusers"
    top = [p for p in irs if "/" not in p]
    if len(top) > 1 and all(p.startswith("openvino_") for p in top):
        return "openvino"
    if top or any(p.endswith(".onnx") and "/" not in p for p in paths):
        return None  # what needs less to be converted
    if not any("/" not in p and (p.endswith(".safetensors") or _TORCH.fullmatch(p)) for p in paths):
        return None
    if "modules.json" in there:
        return "sentence-transformers"
    if "config.json" not in there:
        return None
    return "timm" if name.startswith("hf:timm/") else "transformers"


def required_files(framework: str, paths: Sequence[str]) -> list[str]:
    """Return the files of a folder that its framework's library reads, without weights it has no use for."""
    return [path for path in paths if _is_needed(framework, PurePosixPath(path), set(paths))]


def _is_needed(framework: str, path: PurePosixPath, there: set[str]) -> bool:
    folder = "" if str(path.parent) == "." else str(path.parent)
    if path.parts[0] in _OTHERS and folder:
        return False
    if path.suffix.lower() not in _WEIGHTS.split():
        return True
    if not _has_weights(framework, folder):
        return False
    beside = [one for one in there if str(PurePosixPath(one).parent) == str(path.parent)]
    tensors = [PurePosixPath(one).name for one in beside if one.endswith(".safetensors")]
    if path.suffix != ".safetensors":
        return not tensors and _TORCH.fullmatch(path.name) is not None
    plain = _VARIANT.sub("", path.name)
    if plain != path.name and plain in tensors:
        return False
    return not path.name.startswith("consolidated") or all(one.startswith("consolidated") for one in tensors)


def _has_weights(framework: str, folder: str) -> bool:
    """Whether the library looks for weights in a folder."""
    if framework == "diffusers":
        return bool(folder)
    return not folder or (framework == "sentence-transformers" and _PART.fullmatch(folder) is not None)
