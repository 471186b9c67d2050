"""How the weights of an exported model are compressed, in optimum-intel's terms. Runs in the worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo.errors import ConversionError, UnknownPrecisionError

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job

_FORMATS = {
    "INT8": (8, "int8"),
    "INT4": (4, "int4"),
    "NF4": (4, "nf4"),
    "MXFP4": (4, "mxfp4"),
    "CB4": (4, "cb4"),
}
_MODES = {
    "INT8_SYM": {"bits": 8, "sym": True, "dtype": "int8"},
    "INT8_ASYM": {"bits": 8, "sym": False, "dtype": "int8"},
    "INT4_SYM": {"bits": 4, "sym": True, "dtype": "int4"},
    "INT4_ASYM": {"bits": 4, "sym": False, "dtype": "int4"},
}
_BYTE = 8
_SAME = (
    "ratio",
    "group_size",
    "all_layers",
    "scale_estimation",
    "gptq",
    "lora_correction",
    "group_size_fallback",
)


def config_of(job: Job, tokenizer: str) -> dict[str, Any] | None:
    """Return how weights are compressed, in optimum-intel's terms; None for floating point.

    What neither precision nor recipe says is optimum-intel's default: all weights in 8 bits, or in 4 with a
    zero point for each 128. With 8 bits only the mode and the ignored scope of a recipe mean anything.

    Args:
        job: the conversion.
        tokenizer: the folder that has the model's, for calibration texts.

    Raises:
        UnknownPrecisionError: optimum-intel cannot export to it.
    """
    if job.precision in {"FP32", "FP16"}:
        return None
    if job.precision not in _FORMATS:
        what = f"{job.precision} is no weight format of optimum-intel"
        known = ", ".join(["FP32", "FP16", *_FORMATS])
        raise UnknownPrecisionError(what, expected=known, hint="choose one of these")
    bits, dtype = _FORMATS[job.precision]
    config: dict[str, Any] = {"bits": bits, "dtype": dtype, "sym": False}
    wanted = dict(job.recipe.get("compress") or {})
    if "mode" in wanted:
        config |= _mode(wanted["mode"], dtype)
    if wanted.get("ignored_scope"):
        config["ignored_scope"] = _scope(wanted["ignored_scope"])
    return config if bits == _BYTE else config | _finer(job, wanted, dtype, tokenizer)


def _finer(job: Job, wanted: dict[str, Any], dtype: str, tokenizer: str) -> dict[str, Any]:
    """Return what only formats below 8 bits know."""
    config: dict[str, Any] = {"group_size": 128} if dtype == "int4" else {}
    config |= {name: wanted[name] for name in _SAME if name in wanted}
    if "sensitivity_metric" in wanted:
        config["sensitivity_metric"] = wanted["sensitivity_metric"].lower()
    if "backup_mode" in wanted:
        config["backup_precision"] = wanted["backup_mode"].lower()
    if wanted.get("awq"):
        config["quant_method"] = "awq"
    if job.calibration or "dataset" in wanted:
        config["dataset"] = _texts(job, wanted.get("dataset"))
        config["num_samples"] = wanted.get("subset_size", 128)
        config["tokenizer"] = tokenizer
    return config


def _mode(name: str, dtype: str) -> dict[str, Any]:
    """Return what a mode of NNCF means here; one for another number of bits means nothing.

    Raises:
        ConversionError: there is no such mode.
    """
    mode = _MODES.get(name.upper().replace("-", "_"))
    if mode is None:
        what = f"recipe.compress.mode: {name!r} is no mode that precisions leave open"
        raise ConversionError(what, expected=f"one of {', '.join(_MODES)}", hint="correct it")
    return mode if mode["dtype"] == dtype else {}


def _scope(names: list[str]) -> dict[str, list[str]]:
    patterns = [text[1:-1] for text in names if len(text) > 1 and text[0] == text[-1] == "/"]
    return {"names": [text for text in names if text[1:-1] not in patterns], "patterns": patterns}


def _texts(job: Job, named: str | None) -> list[str] | str:
    """Return calibration texts: the lines of a file, or ``auto`` for texts that the model makes up itself.

    Raises:
        ConversionError: there is no such file, or no text in it.
    """
    chosen = job.calibration or str(named)
    if chosen == "auto":
        return chosen
    path = Path(chosen) if job.calibration else job.file(chosen, "recipe.compress.dataset")
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        what = f"the calibration data {path.name} is no text"
        raise ConversionError(
            what, found=error, hint="give a file with a text on each line, or 'auto'"
        ) from error
    if not lines:
        raise ConversionError(
            f"{path.name} holds no text", hint="give a file with a text on each line, or 'auto'"
        )
    return lines
