"""How the weights of an exported model are compressed, in optimum-intel's terms."""

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
_TEXTS_HINT = "give a file with one text per line, or 'auto'"
_SAME_NAMES = (
    "ratio",
    "group_size",
    "all_layers",
    "scale_estimation",
    "gptq",
    "lora_correction",
    "group_size_fallback",
)
"""Options that recipes and optimum-intel call by the same name."""


def config_of(job: Job, tokenizer: str) -> dict[str, Any] | None:
    """Return how weights are compressed, in optimum-intel's terms; None for floating point.

    What neither precision nor recipe say is optimum-intel's default: all weights in 8 bits, or in 4 bits with
    a zero point per group of 128. With 8 bits, only the mode and the ignored scope of a recipe apply.

    ``tokenizer`` is the directory of the model's tokenizer, for calibration texts.
    """
    if job.precision in {"FP32", "FP16"}:
        return None
    if job.precision not in _FORMATS:
        what = f"optimum-intel cannot export to {job.precision}"
        known = ", ".join(["FP32", "FP16", *_FORMATS])
        raise UnknownPrecisionError(what, expected=known, hint="choose one of these")
    bits, dtype = _FORMATS[job.precision]
    config: dict[str, Any] = {"bits": bits, "dtype": dtype, "sym": False}
    recipe = dict(job.recipe.get("compress") or {})
    if "mode" in recipe:
        config |= _mode(recipe["mode"], dtype)
    if recipe.get("ignored_scope"):
        config["ignored_scope"] = ignored_scope(recipe["ignored_scope"])
    return config if bits == _BYTE else config | _group_options(job, recipe, dtype, tokenizer)


def _group_options(job: Job, recipe: dict[str, Any], dtype: str, tokenizer: str) -> dict[str, Any]:
    """Return the options that only formats below 8 bits have."""
    config: dict[str, Any] = {"group_size": 128} if dtype == "int4" else {}
    config |= {name: recipe[name] for name in _SAME_NAMES if name in recipe}
    if "sensitivity_metric" in recipe:
        config["sensitivity_metric"] = recipe["sensitivity_metric"].lower()
    if "backup_mode" in recipe:
        config["backup_precision"] = recipe["backup_mode"].lower()
    if recipe.get("awq"):
        config["quant_method"] = "awq"
    if job.calibration or "dataset" in recipe:
        config["dataset"] = _texts(job, recipe.get("dataset"))
        config["num_samples"] = recipe.get("subset_size", 128)
        config["tokenizer"] = tokenizer
    return config


def _mode(name: str, dtype: str) -> dict[str, Any]:
    """Return the options for a mode of NNCF; none if it is for another number of bits."""
    mode = _MODES.get(name.upper().replace("-", "_"))
    if mode is None:
        what = f"recipe.compress.mode: {name!r} is not a mode for exported models"
        raise ConversionError(what, expected=f"one of {', '.join(_MODES)}", hint="correct the mode")
    return mode if mode["dtype"] == dtype else {}


def ignored_scope(scopes: list[str]) -> dict[str, list[str]]:
    """Return the names and the patterns of a scope: a pattern is a regular expression between slashes."""
    patterns = [text[1:-1] for text in scopes if len(text) > 1 and text[0] == text[-1] == "/"]
    return {"names": [text for text in scopes if text[1:-1] not in patterns], "patterns": patterns}


def _texts(job: Job, dataset: str | None) -> list[str] | str:
    """Return calibration texts: the lines of a file, or ``auto`` for texts that the model generates."""
    chosen = job.calibration or str(dataset)
    if chosen == "auto":
        return chosen
    path = Path(chosen) if job.calibration else job.file(chosen, "recipe.compress.dataset")
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        what = f"the calibration data {path.name} is not a text file"
        raise ConversionError(what, found=error, hint=_TEXTS_HINT) from error
    if not lines:
        raise ConversionError(f"the calibration data {path.name} is empty", hint=_TEXTS_HINT)
    return lines
