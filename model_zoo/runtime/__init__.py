"""Running: read an IR or an original file, and compile it for a device.

``inference`` answers and ``measure`` benchmarks; both need numpy, which reading and compiling do not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from model_zoo.errors import CompileError, LoadError
from model_zoo.formats.frameworks import FRAMEWORKS, choose_network
from model_zoo.runtime import blobs
from model_zoo.runtime.core import available_devices, check_device, core, read_model, reason, version
from model_zoo.schema import PIPELINES, opening_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import openvino

    from model_zoo.schema import Model

__all__ = [
    "available_devices",
    "check_device",
    "compile",
    "compile_model",
    "core",
    "has_blobs",
    "model_info",
    "read_direct",
    "read_model",
    "version",
]
_log = logging.getLogger(__name__)


def read_direct(model: Model, files: Path, precision: str | None = None) -> openvino.Model:
    """Read a model's original file with OpenVINO: no recipe, no preprocessing, no cache.

    ``precision`` is which of several ready-made IRs, by default the model's first.

    Raises:
        LoadError: OpenVINO cannot read the format, or the file.
    """
    if model.is_folder:
        opens = PIPELINES.get(model.task)
        line = opening_line(opens, f'str(model_zoo.convert("{model.name}").directory)') if opens else None
        what = f"{model.name} is a folder of several files, which a single openvino.Model cannot represent"
        hint = line or f'see model_zoo.convert("{model.name}").opening for how to open it'
        raise LoadError(what, found=files, hint=hint)
    direct = [row.name for row in FRAMEWORKS.values() if row.direct]
    if model.framework not in direct:
        what = f"{model.name}: OpenVINO does not read {model.framework} files directly"
        raise LoadError(what, expected=", ".join(direct), hint="load it with convert=True")
    network = choose_network(
        files,
        [artifact.path for artifact in model.files_of(precision or model.precisions[0])],
        framework=model.framework,
        recipe_model=model.recipe.model,
        model=model.name,
        error=LoadError,
    )
    return read_model(network, "convert the model instead of reading it directly")


def compile(  # noqa: A001 - OpenVINO's word
    ir: Path | openvino.Model,
    *,
    key: str,
    device: str = "AUTO",
    config: Mapping[str, object] | None = None,
    compiled: Path | None = None,
) -> openvino.CompiledModel:
    """Compile an IR for a device, through the cache of compiled blobs.

    ``ir`` is its ``.xml``, or the network that was read from it, perhaps with other shapes.
    ``config`` has OpenVINO properties, passed on unchanged; a ``CACHE_DIR`` among them replaces ours.
    ``compiled`` is the cache's directory of compiled blobs; None uses none. If it cannot be written, the
    model is compiled and nothing is stored.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        CompileError: the device refuses the model or a property.
        LoadError: OpenVINO cannot read the IR.
    """
    check_device(device)
    properties = dict(config or {})
    if compiled is None or "CACHE_DIR" in properties:
        return _compile(ir, device, properties)
    directory = blobs.directory_of(compiled, key, device, properties)
    if not blobs.prepare(directory):
        _log.info("compiling %s without a cache: %s cannot be used", key, directory)
        return _compile(ir, device, properties)
    try:
        made = _compile(ir, device, {**properties, "CACHE_DIR": str(directory)})
    except CompileError as error:
        # OpenVINO fails on a blob that does not fit this machine, in a directory where it cannot replace it.
        # If the model itself is at fault, it fails again.
        _log.info("compiling %s again, without the blobs in %s: %s", key, directory, error.found)
        return _compile(ir, device, properties)
    blobs.record(directory)
    return made


def has_blobs(
    compiled: Path, *, key: str, device: str = "AUTO", config: Mapping[str, object] | None = None
) -> bool:
    """Whether a directory of compiled blobs, such as a read-only layer's, has some for exactly this."""
    if not compiled.is_dir():
        return False
    return any(blobs.directory_of(compiled, key, device, config or {}).glob("*.blob"))


def compile_model(
    model: openvino.Model, *, device: str = "AUTO", config: Mapping[str, object] | None = None
) -> openvino.CompiledModel:
    """Compile a model in memory for a device.

    Errors are those of ``compile``.
    """
    check_device(device)
    return _compile(model, device, dict(config or {}))


def _compile(
    model: openvino.Model | Path, device: str, properties: dict[str, object]
) -> openvino.CompiledModel:
    try:
        return core().compile_model(model, device, properties)
    except RuntimeError as error:
        hint = "try another --device, or other properties"
        raise CompileError(f"{device} cannot compile the model", found=reason(error), hint=hint) from error


def model_info(model: openvino.Model) -> dict[str, str]:
    """Return the ``model_info`` of a model's run-time information, as text."""
    if not model.has_rt_info(["model_info"]):
        return {}
    known = model.get_rt_info(["model_info"]).value
    # a model made in memory has openvino.OVAny here, one read from a file has text
    return {str(n): str(v.astype(str) if hasattr(v, "astype") else v) for n, v in known.items()}
