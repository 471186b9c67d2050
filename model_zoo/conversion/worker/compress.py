"""Smaller weights and quantised activations, by NNCF; and how far the outputs move. Runs in the worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from model_zoo.conversion.worker import calibrate
from model_zoo.conversion.worker.explain import ways_to
from model_zoo.conversion.worker.job import Job, name_of
from model_zoo.errors import ConversionError, MissingExtraError, UnknownPrecisionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MODES = {"INT8": "INT8_ASYM", "INT4": "INT4_SYM"}
_COMPARED = 8
"""On how many samples outputs are compared with those before; more say little and take long."""


def lower(
    job: Job, model: ov.Model, info: dict[str, str], say: Callable[[str], None]
) -> tuple[ov.Model, dict[str, Any] | None]:
    """Compress or quantise where the precision asks for it.

    Returns:
        The model, and the report: on which samples, and for each output the largest and the mean absolute
        difference from the network before, beside the largest absolute value it had.

    Raises:
        ConversionError: the precision is no mode of NNCF, calibration data is missing or does not fit.
        MissingExtraError: NNCF is not installed.
    """
    if job.ready or re.fullmatch(r"FP16|FP32", job.precision):
        return model, None
    _require_nncf()
    before = model.clone()
    if re.fullmatch(r"(FP16|FP32)-INT8", job.precision):
        say("quantize")
        made, samples, data = _quantize(job, model, info)
    else:
        say("compress")
        made, samples, data = _compress(job, model, info)
    say("compare")
    return made, {"data": data, "samples": len(samples), "outputs": compare(before, made, samples)}


def _require_nncf() -> None:
    try:
        import nncf
    except ImportError as error:
        what = f"this precision needs nncf, which cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to("nncf")) from error
    nncf.set_log_level(40)


def _quantize(
    job: Job, model: ov.Model, info: dict[str, str]
) -> tuple[ov.Model, list[calibrate.Sample], str]:
    import nncf

    wanted = job.recipe.get("quantize") or {}
    count = wanted.get("subset_size", 300)
    samples, data = calibrate.samples_of(job, model, info, named=wanted.get("dataset"), limit=count)
    options: dict[str, Any] = {"subset_size": min(count, len(samples))}
    if "preset" in wanted:
        options["preset"] = nncf.QuantizationPreset(wanted["preset"])
    if "target_device" in wanted:
        options["target_device"] = _member(
            nncf.TargetDevice, wanted["target_device"], "quantize.target_device"
        )
    if "model_type" in wanted:
        options["model_type"] = nncf.ModelType(wanted["model_type"])
    if "fast_bias_correction" in wanted:
        options["fast_bias_correction"] = wanted["fast_bias_correction"]
    options |= _ignored(wanted)
    made = nncf.quantize(model, nncf.Dataset(samples), **options)
    return made, samples[:_COMPARED], data


def _compress(
    job: Job, model: ov.Model, info: dict[str, str]
) -> tuple[ov.Model, list[calibrate.Sample], str]:
    import nncf

    wanted = dict(job.recipe.get("compress") or {})
    modes = nncf.CompressWeightsMode
    if "mode" in wanted:
        mode = _member(modes, wanted.pop("mode"), "compress.mode")
    else:
        mode = _mode_of(job.precision, modes)
    options: dict[str, Any] = {"mode": mode}
    if "backup_mode" in wanted:
        options["backup_mode"] = _member(nncf.BackupMode, wanted.pop("backup_mode"), "compress.backup_mode")
    if "sensitivity_metric" in wanted:
        metric = wanted.pop("sensitivity_metric")
        options["sensitivity_metric"] = _member(nncf.SensitivityMetric, metric, "compress.sensitivity_metric")
    if "group_size_fallback" in wanted:
        name = wanted.pop("group_size_fallback")
        fallback = _member(nncf.GroupSizeFallbackMode, name, "compress.group_size_fallback")
        options["advanced_parameters"] = nncf.AdvancedCompressionParameters(group_size_fallback_mode=fallback)
    dataset, count = wanted.pop("dataset", None), wanted.pop("subset_size", 128)
    options |= _ignored(wanted)
    options |= {name: value for name, value in wanted.items() if name != "ignored_scope"}
    if dataset or job.calibration:
        samples, data = calibrate.samples_of(job, model, info, named=dataset, limit=count)
        options |= {"dataset": nncf.Dataset(samples), "subset_size": min(count, len(samples))}
    else:
        samples, data = calibrate.noise(model, 1), "random"
    return nncf.compress_weights(model, **options), samples[:_COMPARED], data


def _ignored(wanted: dict[str, Any]) -> dict[str, Any]:
    """A scope is a node's name, or a regular expression between slashes."""
    import nncf

    scopes = wanted.get("ignored_scope")
    if not scopes:
        return {}
    patterns = [text[1:-1] for text in scopes if len(text) > 1 and text[0] == text[-1] == "/"]
    names = [text for text in scopes if text[1:-1] not in patterns]
    return {"ignored_scope": nncf.IgnoredScope(names=names, patterns=patterns)}


def _mode_of(precision: str, modes: Any) -> Any:  # noqa: ANN401
    name = _MODES.get(precision, precision.replace("-", "_"))
    if name in modes.__members__:
        return modes[name]
    known = ", ".join([*_MODES, *(member.name.replace("_", "-") for member in modes)])
    what = f"{precision} is no precision that this nncf knows"
    raise UnknownPrecisionError(
        what, expected=f"FP32, FP16, FP16-INT8, FP32-INT8, {known}", hint="choose one"
    )


def _member(kind: Any, text: str, where: str) -> Any:  # noqa: ANN401 - an enumeration of nncf
    name = text.upper().replace("-", "_")
    for member in kind:
        if member.name == name:
            return member
    known = ", ".join(member.name for member in kind)
    raise ConversionError(
        f"recipe.{where}: nncf knows no {text!r}", expected=f"one of {known}", hint="correct it"
    )


def compare(before: ov.Model, after: ov.Model, samples: Sequence[calibrate.Sample]) -> list[dict[str, Any]]:
    """Return for each output how far its values moved between two models, over all samples.

    The differences are absolute; ``largest`` is the largest absolute value of the first model's output.
    """
    core = ov.Core()
    first, second = (_inferred(core, model, samples) for model in (before, after))
    report: list[dict[str, Any]] = []
    for index, port in enumerate(before.outputs):
        old = [outputs[index].astype(np.float64) for outputs in first]
        new = [outputs[index].astype(np.float64) for outputs in second]
        if any(a.shape != b.shape for a, b in zip(old, new, strict=True)):
            report.append({"name": name_of(port), "max": None, "mean": None, "largest": None})
            continue
        moved = np.concatenate([np.abs(a - b).ravel() for a, b in zip(old, new, strict=True)])
        largest = max((float(np.abs(a).max(initial=0.0)) for a in old), default=0.0)
        report.append(
            {
                "name": name_of(port),
                "max": float(moved.max(initial=0.0)),
                "mean": float(moved.mean()) if moved.size else 0.0,
                "largest": largest,
            }
        )
    return report


def _inferred(core: ov.Core, model: ov.Model, samples: Sequence[calibrate.Sample]) -> list[list[Any]]:
    # Full precision whatever the CPU prefers: the report is about the weights, not about this machine.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    results = []
    for sample in samples:
        request.infer([sample[name_of(port)] for port in model.inputs])
        results.append([request.get_output_tensor(i).data.copy() for i in range(len(model.outputs))])
    return results
