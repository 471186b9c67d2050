"""What determines a converted IR: the packages a conversion uses, the IR key and its parts.

The versions of the packages come from installed metadata; none of them is imported. Not in the key: the
model's name, device, host, paths outside the model, dates, addresses.
"""

from __future__ import annotations

import errno
import functools
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo import installed
from model_zoo.errors import ConversionError, ModelZooError, UsageError
from model_zoo.files import cache_error, hash_file
from model_zoo.files.tree import walk
from model_zoo.formats.frameworks import FRAMEWORKS
from model_zoo.schema import Digest, Labels
from model_zoo.text import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.schema import FileEntry, KeyParts, Model

_log = logging.getLogger(__name__)
SCHEMA = 1
"""Raised when our own conversion code changes the bytes it makes from the same parts."""
_QUANTIZED = re.compile(r"(FP16|FP32)-INT8")
_PLAIN = re.compile(r"FP16|FP32|BF16|FP32-INT1|FP64")
_ANOTHER = "give --python the path of a working Python 3.10 or newer"

QUERY = """
import runpy, sys
sys.path[:] = [entry for entry in sys.path if entry]
runpy.run_path(sys.argv[1])["main"](sys.argv[2:])
"""
"""Runs ``installed.py``, the first argument, in an interpreter that need not have this package."""


def is_quantized(precision: str) -> bool:
    """Whether the precision is post-training quantization of weights and activations."""
    return _QUANTIZED.fullmatch(precision) is not None


def is_compressed(precision: str) -> bool:
    """Whether the precision is a compression of the weights only."""
    return not (is_quantized(precision) or _PLAIN.fullmatch(precision))


def packages(model: Model, precision: str) -> tuple[str, ...]:
    """Return the packages this conversion uses; ``module:x`` is the one that provides the module x."""
    builder = model.recipe.builder
    row = FRAMEWORKS[str(model.framework)]
    names = ["openvino", *row.packages]
    if model.is_folder:
        return tuple(names)
    # Modules of TensorFlow Hub may lack a serving signature; OpenVINO reads everything else by itself.
    if builder or any(source.kind == "tfhub" for a in model.artifacts for source in a.sources):
        names += row.fallback_packages
    if builder and builder.torchvision:
        names.append("torchvision")
    if builder and builder.module and not builder.paths:
        names.append(f"module:{builder.module.partition('.')[0]}")
    if builder:
        names += [requirement.partition("==")[0] for requirement in builder.requirements]
    if not any(a.precision for a in model.artifacts) and not _PLAIN.fullmatch(precision):
        names.append("nncf")
    return tuple(dict.fromkeys(names))


def optional(model: Model) -> frozenset[str]:
    """Return those of ``packages`` that the conversion may turn out not to need."""
    return frozenset(() if model.recipe.builder else FRAMEWORKS[str(model.framework)].fallback_packages)


def toolchain(model: Model, precision: str, *, python: str | None = None) -> dict[str, str | None]:
    """Return the versions of the packages this conversion would use; None where one is not installed.

    The versions come from the installed metadata. OpenVINO's carries the build number of its wheel, as in
    ``2026.4.1-22982``.

    Raises:
        UsageError: that interpreter cannot be run.
        ConversionError: it does not answer.
    """
    return dict(_versions(None if python == sys.executable else python, packages(model, precision)))


def toolchain_in(
    model: Model, precision: str, known: Mapping[str, str], modules: Mapping[str, str]
) -> dict[str, str | None]:
    """Return what ``toolchain`` would return for an interpreter whose packages are known.

    ``known`` has the version of each package by its normalised name, ``modules`` the package of each
    top-level module.
    """
    names = packages(model, precision)
    return installed.resolve(names, lambda name: known.get(installed.canonical(name)), lambda: modules)


@functools.cache
def _versions(python: str | None, names: tuple[str, ...]) -> dict[str, str | None]:
    if python is None:
        return installed.versions(names)
    argv = [python, "-c", QUERY, str(installed.__file__), *names]
    try:
        done = subprocess.run(argv, capture_output=True, check=True, timeout=60, encoding="utf-8")
        versions: dict[str, str | None] = json.loads(done.stdout)
    except OSError as error:
        raise cannot_start(python, error) from error
    except subprocess.CalledProcessError as error:
        what = f"the interpreter {python} failed: {error.stderr.strip()[-500:]}"
        raise UsageError(what, hint=_ANOTHER) from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        late = isinstance(error, subprocess.TimeoutExpired)
        fault = "did not respond in 60 s" if late else "does not behave like Python"
        raise ConversionError(f"the interpreter {python} {fault}", hint=_ANOTHER) from error
    _log.debug("packages of %s: %s", python, versions)
    return versions


def cannot_start(python: str, error: OSError) -> ModelZooError:
    """Return the error for an interpreter that cannot be started, be it the interpreter's fault or not."""
    if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENOEXEC}:
        return cache_error(error, Path(python))
    what = f"the interpreter {python} cannot be started: {error.strerror}"
    return UsageError(what, hint="give --python the path of a Python interpreter")


def key_parts(
    model: Model,
    precision: str,
    inputs: Sequence[FileEntry],
    versions: Mapping[str, str | None],
    *,
    calibration: Path | str | None = None,
) -> KeyParts:
    """Return everything that determines the IR, as plain JSON data.

    ``inputs`` are the model's files after unpacking and replacing; ``calibration`` is data that the caller
    names instead of the recipe.

    Raises:
        UsageError: the calibration data does not exist.
    """
    recipe = msgspec.to_builtins(model.recipe)
    recipe.pop("precisions", None)
    if recipe.get("builder"):
        recipe["builder"].pop("requirements", None)  # what matters is what is installed: the versions have it
    if not is_compressed(precision):
        recipe.pop("compress", None)
    if not is_quantized(precision):
        recipe.pop("quantize", None)
    parts: KeyParts = {
        "schema": SCHEMA,
        "converter": model.framework,
        "precision": precision,
        "ready": is_ready(model, precision),
        "inputs": sorted([entry.path, entry.sha256] for entry in inputs),
        "versions": dict(sorted(versions.items())),
        "recipe": recipe,
        "model_info": msgspec.to_builtins(model.ir_info),
        "labels": _labels(model),
    }
    if calibration is not None:
        digest = _calibration_digest(calibration)  # also proves that the data exists
        if is_quantized(precision) or is_compressed(precision):
            parts["calibration"] = digest
    # Through JSON and back, so that new parts compare equal to those read from a manifest.
    return json.loads(json.dumps(parts))  # type: ignore[no-any-return]


def is_ready(model: Model, precision: str) -> bool:
    """Whether the model's files already are an IR of that precision."""
    if model.framework != "openvino":
        return False
    tagged = any(artifact.precision for artifact in model.artifacts)
    return tagged or precision == model.precisions[0]


def _labels(model: Model) -> dict[str, Any] | None:
    labels = model.labels
    if labels is None:
        return None
    if isinstance(labels, Labels):
        return dict(msgspec.to_builtins(labels))
    return {"count": len(labels), "digest": str(Digest.of_json(list(labels)))}


def _calibration_digest(calibration: Path | str) -> str:
    """Return the digest of a file, or of a directory's files with names; ``random`` and ``auto`` as is."""
    if calibration in {"random", "auto"}:
        return str(calibration)
    path = Path(calibration)
    if path.is_file():
        return str(hash_file(path)["sha256"])
    if not path.is_dir():
        what = f"the calibration data {path} does not exist"
        raise UsageError(what, hint="give a folder of images, a .npy or .npz file, or the word 'random'")
    root = path.resolve()
    files = sorted(Path(entry.path) for entry in walk(root) if entry.is_file())
    return str(Digest.of_json([[f.relative_to(root).as_posix(), hash_file(f)["sha256"].hex] for f in files]))


def ir_key(parts: KeyParts) -> str:
    """Return the IR key: 64 hex digits, the sha256 of the parts as canonical JSON."""
    return Digest.of_json(parts).hex


def differences(wanted: KeyParts, cached: KeyParts, label: str = "cached") -> list[str]:
    """Return one readable line for each part that differs; ``label`` is what they call the second set."""
    lines: list[str] = []
    for name in sorted({*wanted, *cached}):
        old, new = cached.get(name), wanted.get(name)
        if name == "inputs":
            old, new = dict(old or []), dict(new or [])
        _compare(name, new, old, lines, label)
    return lines


def _compare(path: str, wanted: object, cached: object, lines: list[str], label: str) -> None:
    if wanted == cached:
        return
    if isinstance(wanted, dict) and isinstance(cached, dict):
        for key in sorted({*wanted, *cached}):
            _compare(f"{path}.{key}", wanted.get(key), cached.get(key), lines, label)
        return
    if isinstance(wanted, list) and isinstance(cached, list) and len(wanted) == len(cached):
        for index, (new, old) in enumerate(zip(wanted, cached, strict=True)):
            _compare(f"{path}[{index}]", new, old, lines, label)
        return
    lines.append(f"{path}: now {brief(wanted)}, {label} {brief(cached)}")
