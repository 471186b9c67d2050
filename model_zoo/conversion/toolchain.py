"""Which packages a conversion would use, and their versions, read from their metadata and never imported."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from model_zoo.conversion import installed
from model_zoo.conversion.installed import canonical
from model_zoo.errors import ConversionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model

_QUANTIZED = re.compile(r"(FP16|FP32)-INT8")
_PLAIN = re.compile(r"FP16|FP32|BF16|FP32-INT1|FP64")

_EXPORTERS = ("torch", "transformers", "optimum", "optimum-intel", "nncf", "openvino-tokenizers")
"""What optimum-intel needs to export any folder model, and what else by the model's framework."""
_LIBRARIES = {
    "transformers": (),
    "diffusers": ("diffusers",),
    "sentence-transformers": ("sentence-transformers",),
    "timm": ("timm",),
}

# Runs in the interpreter asked, where this package need not be.
ASK = """
import runpy, sys
sys.path[:] = [entry for entry in sys.path if entry]
runpy.run_path(sys.argv[1])["main"](sys.argv[2:])
"""


def is_quantized(precision: str) -> bool:
    """Whether the precision is post-training quantisation of weights and activations."""
    return _QUANTIZED.fullmatch(precision) is not None


def is_compressed(precision: str) -> bool:
    """Whether the precision is a compression of the weights only."""
    return not (is_quantized(precision) or _PLAIN.fullmatch(precision))


def packages(model: Model, precision: str) -> tuple[str, ...]:
    """Return the distributions this conversion would use; ``module:x`` is the one that has the module x."""
    builder = model.recipe.builder
    names = ["openvino"]
    if model.is_folder:
        exporting = model.framework in _LIBRARIES
        return (*names, *_EXPORTERS, *_LIBRARIES[str(model.framework)]) if exporting else tuple(names)
    if model.framework == "pytorch":
        names.append("torch")
    elif model.framework == "keras":
        names += ["tensorflow-cpu", "keras"]
    elif model.framework == "jax":
        names += ["jax", "jaxlib"]
    elif model.framework == "tensorflow" and _may_use_tensorflow(model):
        names.append("tensorflow-cpu")
    if builder and builder.torchvision:
        names.append("torchvision")
    if builder and builder.module and not builder.paths:
        names.append(f"module:{builder.module.partition('.')[0]}")
    if builder:
        names += [requirement.partition("==")[0] for requirement in builder.requirements]
    if not any(a.precision for a in model.artifacts) and not _PLAIN.fullmatch(precision):
        names.append("nncf")
    return tuple(dict.fromkeys(names))


def _may_use_tensorflow(model: Model) -> bool:
    """Modules of TensorFlow Hub may lack a serving signature; everything else OpenVINO reads alone."""
    hub = any(source.kind == "tfhub" for artifact in model.artifacts for source in artifact.sources)
    return hub or model.recipe.builder is not None


def optional(model: Model) -> frozenset[str]:
    """Return those of ``packages`` that the conversion may turn out not to need."""
    return frozenset(
        {"tensorflow-cpu"} if model.framework == "tensorflow" and not model.recipe.builder else ()
    )


def toolchain(model: Model, precision: str, *, python: str | None = None) -> dict[str, str | None]:
    """Return the versions of the packages this conversion would use; None where one is not installed.

    Nothing is imported: the versions come from the installed metadata. OpenVINO's carries the build
    number of its wheel, as in ``2026.4.1-22982``.

    Args:
        model: the catalog entry.
        precision: the precision to convert to.
        python: another interpreter to ask.

    Raises:
        UsageError: that interpreter cannot be run.
    """
    names = packages(model, precision)
    if python is None or python == sys.executable:
        return dict(_here(names))
    return dict(_elsewhere(python, names))


def toolchain_in(
    model: Model, precision: str, known: Mapping[str, str], modules: Mapping[str, str]
) -> dict[str, str | None]:
    """Return what ``toolchain`` would say of an interpreter whose packages are known.

    Args:
        model: the catalog entry.
        precision: the precision to convert to.
        known: the version of each package, by its canonical name.
        modules: the package that each top-level module belongs to.
    """
    versions: dict[str, str | None] = {}
    for name in packages(model, precision):
        module = name.removeprefix("module:")
        package = name if module == name else modules.get(module, module.replace("_", "-"))
        versions[package] = known.get(canonical(package))
    if versions.get("tensorflow-cpu", "") is None:
        versions["tensorflow-cpu"] = known.get("tensorflow")
    return versions


@functools.cache
def _here(names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    return tuple(installed.versions(list(names)).items())


@functools.cache
def _elsewhere(python: str, names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    argv = [python, "-c", ASK, str(installed.__file__), *names]
    try:
        done = subprocess.run(argv, capture_output=True, check=True, timeout=60, encoding="utf-8")
        versions: dict[str, str | None] = json.loads(done.stdout)
    except OSError as error:
        what = f"the interpreter {python} cannot be started: {error.strerror}"
        raise UsageError(what, hint="give --python the path of a Python interpreter") from error
    except subprocess.CalledProcessError as error:
        what = f"the interpreter {python} failed: {error.stderr.strip()[-500:]}"
        raise UsageError(what, hint="give --python the path of a working Python 3.10 or newer") from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        what = f"the interpreter {python} did not answer: {error}"
        raise ConversionError(
            what, hint="give --python the path of a working Python 3.10 or newer"
        ) from error
    return tuple(versions.items())
