"""Running: read an IR or an original file, compile it for a device, infer, measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.errors import CompileError, LoadError
from model_zoo.formats.network import choose_network
from model_zoo.runtime import blobs
from model_zoo.runtime.core import available_devices, check_device, core, version
from model_zoo.schema import PIPELINES, opening_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import Model

__all__ = [
    "available_devices",
    "compile",
    "compile_model",
    "core",
    "has_blobs",
    "model_info",
    "read",
    "read_direct",
    "version",
]


def infer(
    compiled: Any,  # noqa: ANN401
    inputs: Sequence[str | Path] = (),
    info: Mapping[str, str] | None = None,
    **how: Any,  # noqa: ANN401
) -> Iterator[dict[str, Any]]:
    """Yield one result for each inference, in order. See ``model_zoo.runtime.inference.run.infer``."""
    from model_zoo.runtime.inference import run  # numpy; reading and compiling do without

    return run.infer(compiled, inputs, info, **how)


DIRECT = ("onnx", "tensorflow", "tflite", "paddle", "openvino")
"""Frameworks whose files OpenVINO reads without conversion."""


def bench(xml: Path, **how: Any) -> dict[str, Any]:  # noqa: ANN401
    """Measure latency and throughput. See ``model_zoo.runtime.measure.bench``."""
    from model_zoo.runtime import measure

    return measure.bench(xml, **how)


def read(xml: Path) -> Any:  # noqa: ANN401 - openvino.Model, and openvino has no types here
    """Return the IR as an ``openvino.Model``; its weights are mapped, not copied.

    Raises:
        LoadError: OpenVINO cannot read it.
    """
    return _read(xml)


def read_direct(model: Model, files: Path, precision: str | None = None) -> Any:  # noqa: ANN401
    """Hand a model's original file straight to OpenVINO: no recipe, no preprocessing, no cache.

    Args:
        model: the catalog entry; ONNX, TensorFlow, TensorFlow Lite, PaddlePaddle or IR.
        files: the folder of its files.
        precision: which of several ready-made IRs; by default the model's first.

    Raises:
        LoadError: OpenVINO cannot read the format, or the file.
    """
    if model.is_folder:
        opens = PIPELINES.get(model.task)
        line = opening_line(opens, f'str(model_zoo.convert("{model.name}").directory)') if opens else None
        what = f"{model.name} becomes a folder of several files, which no openvino.Model stands for"
        hint = line or f'model_zoo.convert("{model.name}").opening is the line that opens it'
        raise LoadError(what, found=files, hint=hint)
    if model.framework not in DIRECT:
        what = f"{model.name}: OpenVINO does not read {model.framework} files directly"
        raise LoadError(what, expected=", ".join(DIRECT), hint="load it with convert=True")
    return _read(choose_network(model, precision or model.precisions[0], files, LoadError))


def _read(path: Path) -> Any:  # noqa: ANN401
    try:
        return core().read_model(path)
    except RuntimeError as error:
        hint = "run 'model-zoo cache verify', or convert the model instead of reading it directly"
        raise LoadError(f"OpenVINO cannot read {path}", found=_reason(error), hint=hint) from error


def compile(  # noqa: A001 - the pipeline's word
    xml: Path,
    *,
    key: str,
    device: str = "AUTO",
    config: Mapping[str, Any] | None = None,
    compiled: Path | None = None,
) -> Any:  # noqa: ANN401
    """Compile an IR for a device, through the cache of compiled blobs.

    Args:
        xml: the IR.
        key: its IR key.
        device: OpenVINO's name of a device.
        config: OpenVINO properties, passed on as they are; a ``CACHE_DIR`` among them replaces ours.
        compiled: the cache's folder of compiled blobs; None uses no blobs. Where it cannot be written, the
            model is compiled and nothing is stored.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        CompileError: the device refuses the model or a property.
        LoadError: OpenVINO cannot read the IR.
    """
    check_device(device)
    properties = dict(config or {})
    folder = None
    if compiled is not None and "CACHE_DIR" not in properties:
        folder = blobs.folder_of(compiled, key, device, properties)
        if not blobs.prepare(folder):
            folder = None
    if folder is None:
        return _compile(xml, device, properties)
    try:
        made = _compile(xml, device, {**properties, "CACHE_DIR": str(folder)})
    except CompileError:
        # A blob that does not fit this machine, in a folder that does not let OpenVINO replace it, is an
        # error to OpenVINO. If the model is at fault, it fails once more.
        return _compile(xml, device, properties)
    blobs.record(folder)
    return made


def has_blobs(
    compiled: Path, *, key: str, device: str = "AUTO", config: Mapping[str, Any] | None = None
) -> bool:
    """Whether a folder of compiled blobs, such as a read-only layer's, holds some for exactly this."""
    folder = blobs.folder_of(compiled, key, device, dict(config or {})) if compiled.is_dir() else compiled
    return any(folder.glob("*.blob"))


def compile_model(model: Any, *, device: str = "AUTO", config: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Compile an ``openvino.Model`` in memory for a device.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        CompileError: the device refuses the model or a property.
    """
    check_device(device)
    return _compile(model, device, dict(config or {}))


def _compile(model: Any, device: str, properties: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        return core().compile_model(model, device, properties)
    except RuntimeError as error:
        hint = "try another --device, or other properties"
        raise CompileError(f"{device} cannot compile the model", found=_reason(error), hint=hint) from error


def model_info(model: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the ``model_info`` of an ``openvino.Model``'s run-time information, as text."""
    if not model.has_rt_info(["model_info"]):
        return {}
    known = model.get_rt_info(["model_info"]).value
    # a model just made holds openvino.OVAny, one read from a file holds text
    return {str(n): str(v.astype(str) if hasattr(v, "astype") else v) for n, v in known.items()}


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    return "; ".join((kept or lines)[:3])
