"""Which framework a set of files is for, and which of them are needed, from their names alone.

Repositories in the layout of Hugging Face often hold the same weights in several formats, and small files of
other tools; only what will be read is worth fetching.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from model_zoo.errors import UsageError
from model_zoo.formats.frameworks import EXPORTED, FRAMEWORKS, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema import ArchiveFormat, Framework

_USUAL_STEMS = {"model", "openvino_model", "saved_model", "inference", "network"}
_PRECISION = re.compile(
    r"(?:^|[/_.-])(FP32-INT8|FP16-INT8|FP32|FP16|BF16|INT8|INT4)(?=[/_.-])", re.IGNORECASE
)
_ARCHIVES: dict[str, ArchiveFormat] = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.bz2": "tar.bz2",
    ".tar.xz": "tar.xz",
    ".tar": "tar",
    ".zip": "zip",
}
_WEIGHT_SUFFIXES = ".h5 .msgpack .safetensors .pt .pth .ot .gguf .mlmodel .onnx .tflite"
_WEIGHT_NAMES = "pytorch_model.bin tf_model.h5 flax_model.msgpack rust_model.ot"
_SHOWN = 8


@dataclass(frozen=True)
class Detection:
    """The framework, and the file (or directory) that is the network; "." where it is all files together."""

    framework: Framework
    network: str


def detect_network(paths: Sequence[str], name: str) -> Detection:
    """Return what a model of these files is.

    ``paths`` are relative, with slashes; ``name`` is what the user calls the model.

    Raises:
        UsageError: none of them is a network, or several are and none has a usual name.
    """
    whole = framework_of(paths, name)
    if whole is not None:
        return Detection(whole, ".")
    for framework, row in FRAMEWORKS.items():
        found = row.networks(paths)
        candidates = [path for path in found if not row.needs_weights or _weights_of(path) in paths]
        usual = [path for path in candidates if PurePosixPath(path).stem in _USUAL_STEMS or path == "."]
        chosen = candidates if len(candidates) == 1 else usual
        if len(chosen) == 1:
            return Detection(framework, chosen[0])
        if candidates:
            what = f"{name} has {len(candidates)} files that could be the {framework} network"
            raise UsageError(what, found=some_of(candidates), hint="name one of them")
    known = ", ".join(sorted(SUFFIXES))
    raise UsageError(
        f"{name}: cannot tell the framework from the file names",
        expected=f"one of {known}",
        found=some_of(paths) or "no files",
        hint="write a catalog entry with the framework and a recipe, and pass it with --catalog",
    )


def _weights_of(network: str) -> str | None:
    """Return where the weights of a network file are, for the formats that keep them in a second file."""
    path = PurePosixPath(network)
    rows = FRAMEWORKS.values()
    suffix = next((row.weights for row in rows if row.weights and path.suffix.lower() in row.suffixes), None)
    return suffix and path.with_suffix(suffix).as_posix()


def companion_files(network: str, paths: Iterable[str]) -> list[str]:
    """Return a network file and, out of ``paths``, those that belong to it by their names.

    These are the weights of IR and PaddlePaddle, the checkpoint of a meta graph, and what exporters call the
    external data of ONNX: ``NAME.onnx_data``, ``NAME.onnx.data``, ``NAME.data``, ``NAME.bin``,
    ``NAME.weight``.
    """
    if network == ".":
        return []  # nothing in particular
    path = PurePosixPath(network)
    stem = path.with_suffix("").as_posix()
    found = {other for other in paths if other in required_names(network)} | {network}
    if path.suffix.lower() == ".onnx":
        data = {f"{stem}{suffix}" for suffix in (".data", ".bin", ".weight", ".weights")}
        found |= {o for o in paths if o in data or o.startswith((f"{network}_", f"{network}."))}
    elif path.suffix.lower() == ".meta":
        found |= {o for o in paths if o.startswith(f"{stem}.") and not o.endswith(".txt")}
    return sorted(found)


def required_names(network: str) -> tuple[str, ...]:
    """Return the files without which a network file is useless, itself first, from its name alone."""
    weights = _weights_of(network)
    return (network, weights) if weights else (network,)


def drop_other_formats(chosen: Detection, paths: Sequence[str]) -> list[str]:
    """Leave out the weights of other frameworks, which many repositories hold side by side."""
    if chosen.framework in EXPORTED:
        return required_files(chosen.framework, paths)
    foreign = {*_WEIGHT_SUFFIXES.split()} - {PurePosixPath(chosen.network).suffix}
    own = companion_files(chosen.network, paths)
    names = {path: PurePosixPath(path) for path in paths}
    others = {p for p, n in names.items() if n.suffix.lower() in foreign or n.name in _WEIGHT_NAMES.split()}
    return [path for path in paths if path in own or path not in others]


def archive_format(name: str) -> ArchiveFormat | None:
    """Return the format of an archive, judging by its name; None if it is not one."""
    return next((kind for suffix, kind in _ARCHIVES.items() if name.lower().endswith(suffix)), None)


def precision_in(path: str) -> str | None:
    """Return the precision that a path states, as in ``FP16-INT8/model.xml``."""
    found = _PRECISION.search(path)
    return found[1].upper() if found else None


def some_of(paths: Sequence[str]) -> str:
    """Return the first few of many paths, for messages."""
    shown = ", ".join(sorted(paths)[:_SHOWN])
    return shown + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")


_OTHER_FORMATS = {"onnx", "openvino", "coreml", "original", "metal", "gguf", "runs", "flax", "tf"}
"""Directories in which repositories keep other formats, and logs."""
_WEIGHTS = ".bin .ckpt .gguf .h5 .keras .mlmodel .msgpack .onnx .ot .pb .pkl .pt .pth .safetensors .tflite"
_TORCH = re.compile(r"(diffusion_|open_clip_)?pytorch_model[^/]*\.bin")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])")
_MODULE = re.compile(r"\d+_\w+")
"""A module of sentence-transformers that has weights of its own, such as ``2_Dense``."""


def framework_of(paths: Sequence[str], name: str) -> Framework | None:
    """Return the framework of a whole directory; None if one of its files is the network."""
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
    if framework == "diffusers":
        has_weights = bool(directory)
    else:
        is_module = framework == "sentence-transformers" and _MODULE.fullmatch(directory)
        has_weights = not directory or bool(is_module)
    if not has_weights:
        return False
    tensors = [f.name for f in files if f.parent == file.parent and f.suffix == ".safetensors"]
    if file.suffix != ".safetensors":
        return not tensors and _TORCH.fullmatch(file.name) is not None
    plain = _VARIANT.sub("", file.name)
    if plain != file.name and plain in tensors:
        return False
    return not file.name.startswith("consolidated") or all(t.startswith("consolidated") for t in tensors)
