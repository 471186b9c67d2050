"""Weight compression and quantization by NNCF, and how much they change the outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from model_zoo.conversion.worker import calibrate
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.weights import ignored_scope
from model_zoo.errors import ConversionError, UnknownPrecisionError
from model_zoo.formats.ports import port_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from enum import Enum

    from model_zoo.conversion.worker.job import Job

_MODES = {"INT8": "INT8_ASYM", "INT4": "INT4_SYM"}
_ENUMS = {
    "mode": "CompressWeightsMode",
    "backup_mode": "BackupMode",
    "sensitivity_metric": "SensitivityMetric",
    "group_size_fallback": "GroupSizeFallbackMode",
    "preset": "QuantizationPreset",
    "target_device": "TargetDevice",
    "model_type": "ModelType",
}
"""Options of recipes that are members of an enumeration of NNCF."""
_COMPARED = 8
"""How many samples the outputs are compared on; more take long and show little."""


def apply(
    job: Job, model: ov.Model, info: dict[str, str], on_stage: Callable[[str], None]
) -> tuple[ov.Model, dict[str, object] | None]:
    """Compress or quantize if the precision asks for it.

    Returns:
        The model, and the report: the name of the samples' data, their number, and what ``compare`` returns.

    Raises:
        ConversionError: the calibration data is missing or does not fit.
        UnknownPrecisionError: the precision is no mode of NNCF.
        MissingExtraError: NNCF is not installed.
    """
    if job.ready or re.fullmatch(r"FP16|FP32", job.precision):
        return model, None
    with needs("this precision", "nncf"):
        import nncf
    nncf.set_log_level(40)
    before = model.clone()
    if re.fullmatch(r"(FP16|FP32)-INT8", job.precision):
        on_stage("quantize")
        made, samples, data = _quantize(job, model, info)
    else:
        on_stage("compress")
        made, samples, data = _compress(job, model, info)
    on_stage("compare")
    return made, {"data": data, "samples": len(samples), "outputs": compare(before, made, samples)}


def _quantize(
    job: Job, model: ov.Model, info: dict[str, str]
) -> tuple[ov.Model, list[calibrate.Sample], str]:
    import nncf

    recipe = dict(job.recipe.get("quantize") or {})
    dataset, count = recipe.pop("dataset", None), recipe.pop("subset_size", 300)
    options = _options("quantize", recipe)
    samples, data = calibrate.samples_of(job, model, info, dataset=dataset, limit=count)
    options["subset_size"] = min(count, len(samples))
    return nncf.quantize(model, nncf.Dataset(samples), **options), samples[:_COMPARED], data


def _compress(
    job: Job, model: ov.Model, info: dict[str, str]
) -> tuple[ov.Model, list[calibrate.Sample], str]:
    import nncf

    recipe = dict(job.recipe.get("compress") or {})
    dataset, count = recipe.pop("dataset", None), recipe.pop("subset_size", 128)
    options = _options("compress", recipe)
    if "mode" not in options:
        options["mode"] = _mode_of(job.precision)
    if dataset or job.calibration:
        samples, data = calibrate.samples_of(job, model, info, dataset=dataset, limit=count)
        options |= {"dataset": nncf.Dataset(samples), "subset_size": min(count, len(samples))}
    else:
        samples, data = calibrate.noise(model, 1), "random"
    return nncf.compress_weights(model, **options), samples[:_COMPARED], data


def _options(field: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the options in a field of the recipe as NNCF takes them."""
    import nncf

    options: dict[str, Any] = {
        name: _member(getattr(nncf, _ENUMS[name]), value, f"recipe.{field}.{name}")
        if name in _ENUMS
        else value
        for name, value in recipe.items()
    }
    if scopes := options.pop("ignored_scope", None):
        options["ignored_scope"] = nncf.IgnoredScope(**ignored_scope(scopes))
    if fallback := options.pop("group_size_fallback", None):
        advanced = nncf.AdvancedCompressionParameters(group_size_fallback_mode=fallback)
        options["advanced_parameters"] = advanced
    return options


def _mode_of(precision: str) -> object:
    from nncf import CompressWeightsMode as Modes

    name = _MODES.get(precision, precision.replace("-", "_"))
    if name in Modes.__members__:
        return Modes[name]
    known = ", ".join([*_MODES, *(member.name.replace("_", "-") for member in Modes)])
    what = f"the installed nncf does not support {precision}"
    expected = f"FP32, FP16, FP16-INT8, FP32-INT8, {known}"
    raise UnknownPrecisionError(what, expected=expected, hint="choose one of these")


def _member(kind: type[Enum], text: str, field: str) -> Enum:
    name = text.upper().replace("-", "_")
    if name in kind.__members__:
        return kind[name]
    what = f"{field}: nncf has no {text!r}"
    raise ConversionError(what, expected=f"one of {', '.join(kind.__members__)}", hint=f"correct {field}")


def compare(before: ov.Model, after: ov.Model, samples: Sequence[calibrate.Sample]) -> list[dict[str, Any]]:
    """Return how much each output differs between two models, over all samples.

    Returns:
        For each output ``name``, ``max`` and ``mean`` of the absolute differences (None if the shapes
        differ), and ``largest``, the largest absolute value of the first model's output.
    """
    core = ov.Core()
    first, second = (_infer(core, model, samples) for model in (before, after))
    report: list[dict[str, Any]] = []
    for index, port in enumerate(before.outputs):
        old = [outputs[index].astype(np.float64) for outputs in first]
        new = [outputs[index].astype(np.float64) for outputs in second]
        if any(a.shape != b.shape for a, b in zip(old, new, strict=True)):
            report.append({"name": port_name(port), "max": None, "mean": None, "largest": None})
            continue
        differences = np.concatenate([np.abs(a - b).ravel() for a, b in zip(old, new, strict=True)])
        report.append(
            {
                "name": port_name(port),
                "max": float(differences.max(initial=0.0)),
                "mean": float(differences.mean()) if differences.size else 0.0,
                "largest": max((float(np.abs(a).max(initial=0.0)) for a in old), default=0.0),
            }
        )
    return report


def _infer(core: ov.Core, model: ov.Model, samples: Sequence[calibrate.Sample]) -> list[list[Any]]:
    # Full precision, whatever the CPU prefers: the report is about the weights, not about this machine.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    results = []
    for sample in samples:
        request.infer([sample[port_name(port)] for port in model.inputs])
        results.append([request.get_output_tensor(i).data.copy() for i in range(len(model.outputs))])
    return results
