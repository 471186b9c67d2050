"""The toolchain of a conversion: which packages it uses, and their versions. None of them is imported."""

from __future__ import annotations

import errno
import functools
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo import installed
from model_zoo.errors import ConversionError, ModelZooError, UsageError
from model_zoo.files.failures import cache_error
from model_zoo.formats.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model

_log = logging.getLogger(__name__)
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
