"""Which framework a set of files is for, and which of them is the network, told from their names alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from model_zoo.catalog.hf_layout import framework_of, needed_of
from model_zoo.errors import UsageError
from model_zoo.formats.frameworks import EXPORTED, FRAMEWORKS, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema import Framework

_USUAL = {"model", "openvino_model", "saved_model", "inference", "network"}
_PRECISION = re.compile(
    r"(?:^|[/_.-])(FP32-INT8|FP16-INT8|FP32|FP16|BF16|INT8|INT4)(?=[/_.-])", re.IGNORECASE
)
_ARCHIVES = {
    ".tar": "tar",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.bz2": "tar.bz2",
    ".tar.xz": "tar.xz",
    ".zip": "zip",
}


@dataclass(frozen=True)
class Guess:
    """The framework, and the file (or folder) that is the network; "." where all files together are."""

    framework: Framework
    network: str


def guess(paths: Sequence[str], name: str) -> Guess:
    """Return what a model of these files is.

    Args:
        paths: its files, relative, POSIX.
        name: what the user calls it, for messages.

    Raises:
        UsageError: nothing among them is a network, or several are and none has a usual name.
    """
    whole = framework_of(paths, name)
    if whole is not None:
        return Guess(whole, ".")
    for framework in FRAMEWORKS:
        found = _networks(framework, paths)
        usual = [path for path in found if PurePosixPath(path).stem in _USUAL or path == "."]
        chosen = found if len(found) == 1 else usual
        if len(chosen) == 1:
            return Guess(framework, chosen[0])
        if found:
            what = f"{name} holds {len(found)} files that could be the {framework} network"
            raise UsageError(what, found=_some(found), hint="name one of them")
    known = ", ".join(sorted(SUFFIXES))
    raise UsageError(
        f"{name}: its framework cannot be told from the names of its files",
        expected=f"one of {known}",
        found=_some(paths) or "no files",
        hint="write a catalog entry that says framework and recipe, and pass it with --catalog",
    )


def _networks(framework: Framework, paths: Sequence[str]) -> list[str]:
    row = FRAMEWORKS[framework]
    found = row.networks(paths)
    if not row.needs_weights:
        return found
    return [path for path in found if _weights_of(path) in paths]


def _weights_of(network: str) -> str | None:
    """Return where the weights of a network file are, for the formats that keep them in a second file."""
    path = PurePosixPath(network)
    rows = FRAMEWORKS.values()
    suffix = next((row.weights for row in rows if row.weights and path.suffix.lower() in row.suffixes), None)
    return suffix and path.with_suffix(suffix).as_posix()


def beside(network: str, paths: Iterable[str]) -> list[str]:
    """Return a network file and, out of ``paths``, those that belong to it by their names.

    The weights of IR and PaddlePaddle, the checkpoint of a meta graph, and what exporters call the external
    data of ONNX: ``NAME.onnx_data``, ``NAME.onnx.data``, ``NAME.data``, ``NAME.bin``, ``NAME.weight``.
    """
    if network == ".":
        return []  # nothing in particular
    path = PurePosixPath(network)
    stem = path.with_suffix("").as_posix()
    wanted = {network}
    kind = path.suffix.lower()
    if weights := _weights_of(network):
        wanted.add(weights)
    elif kind == ".onnx":
        wanted |= {f"{stem}.data", f"{stem}.bin", f"{stem}.weight", f"{stem}.weights"}
        wanted |= {one for one in paths if one.startswith((f"{network}_", f"{network}."))}
    elif kind == ".meta":
        wanted |= {one for one in paths if one.startswith(f"{stem}.") and not one.endswith(".txt")}
    there = set(paths)
    return sorted(one for one in wanted if one in there or one == network)


def needed(network: str) -> tuple[str, ...]:
    """Return the files without which a network file is useless, itself first; where nobody can be asked."""
    weights = _weights_of(network)
    return (network, weights) if weights else (network,)


def without_other_formats(chosen: Guess, paths: Sequence[str]) -> list[str]:
    """Leave out the weights of other frameworks, which repositories often hold beside one another."""
    if chosen.framework in EXPORTED:
        return needed_of(chosen.framework, paths)
    foreign = {
        ".h5",
        ".msgpack",
        ".safetensors",
        ".pt",
        ".pth",
        ".ot",
        ".gguf",
        ".mlmodel",
        ".onnx",
        ".tflite",
    }
    foreign -= {PurePosixPath(chosen.network).suffix}
    heavy = {"pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot"}
    keep = set(beside(chosen.network, paths))

    def belongs(path: str) -> bool:
        pure = PurePosixPath(path)
        return path in keep or not (pure.suffix.lower() in foreign or pure.name in heavy)

    return [path for path in paths if belongs(path)]


def archive_format(name: str) -> str | None:
    """Return the format of an archive, told from its name; None for what is none."""
    lowered = name.lower()
    return next((_ARCHIVES[s] for s in sorted(_ARCHIVES, key=len, reverse=True) if lowered.endswith(s)), None)


def precision_in(path: str) -> str | None:
    """Return the precision that a path states, as in ``FP16-INT8/model.xml``."""
    found = _PRECISION.search(path)
    return found[1].upper() if found else None


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(sorted(paths)[:8])
    return shown + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")  # noqa: PLR2004
