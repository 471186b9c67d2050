"""What OpenVINO and the frameworks raise, as our errors. Runs in the worker."""

from __future__ import annotations

import re

from model_zoo.errors import ConversionError, ModelZooError, UnsupportedModelError

_NOISE = re.compile(
    r"Exception from |Check '.*failed at |FrontEnd API failed|Model wasn't fully|Summary:|-- "
    r"|\[\w+ Frontend\]|While validating"
)
_FAILED = re.compile(
    r"^-- (?:Conversion is failed for|No conversion rule found for operations?): (.+)$", re.MULTILINE
)


def ways_to(packages: str) -> str:
    """Return the ways to packages, in pip's terms, that a conversion lacks."""
    there = "name an interpreter that has it with --python"
    return f"convert with --isolate, or pip install {packages}, or {there}"


def explain(error: Exception) -> ModelZooError:
    """Return our error for something a framework or OpenVINO raised."""
    text = str(error).strip()
    operations = sorted({name for found in _FAILED.findall(text) for name in found.split(", ")})
    if operations:
        return UnsupportedModelError(
            f"OpenVINO cannot convert this model: no conversion for {', '.join(operations)}",
            found=reasons(text),
            hint="give the inputs fixed shapes in the recipe, cut the model before these operations, "
            "or take another file of the same model",
        )
    first = next((line for line in text.splitlines() if _says_something(line)), text)
    return ConversionError(
        f"conversion failed: {type(error).__name__}: {first.strip()}",
        hint="the recipe or the file may not be what OpenVINO expects; the log above has the details",
    )


def _says_something(line: str) -> bool:
    """Skip the lines of OpenVINO's messages that only name a source file of its own, and its headings."""
    return bool(line.strip()) and not _NOISE.match(line)


def reasons(text: str) -> str:
    """Return the lines of a message that say something to a person, joined."""
    kept = [line.strip() for line in text.splitlines() if _says_something(line)]
    return "; ".join(dict.fromkeys(kept))[:400]
