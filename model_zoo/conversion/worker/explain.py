"""What OpenVINO and the frameworks raise, as errors of this package."""

from __future__ import annotations

import contextlib
import errno
import re
from typing import TYPE_CHECKING

from model_zoo.errors import (
    CacheError,
    CacheFullError,
    ConversionError,
    MissingExtraError,
    ModelZooError,
    UnsupportedModelError,
)
from model_zoo.installed import ways_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOISE = re.compile(
    r"Exception from |Check '.*failed at |FrontEnd API failed|Model wasn't fully|Summary:|-- "
    r"|\[\w+ Frontend\]|While validating"
)
"""Lines of OpenVINO's messages that only name one of its own source files, and its headings."""
_FAILED = re.compile(
    r"^-- (?:Conversion is failed for|No conversion rule found for operations?): (.+)$", re.MULTILINE
)

_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
"""What frameworks say where a file cannot be written to its end."""


@contextlib.contextmanager
def needs(purpose: str, *packages: str, pip: bool = True) -> Iterator[None]:
    """Import packages inside of this context; one that is missing becomes an error with the ways to get it.

    ``purpose`` is such as ``converting a PyTorch model``; ``pip`` says whether pip can install the packages
    beside this one.

    Raises:
        MissingExtraError: one of them cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        what = f"{purpose} needs {' and '.join(packages)}, which cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to_install(packages, pip=pip)) from error


def no_space(found: str) -> CacheFullError:
    """Return the error for an IR that cannot be written to its end."""
    hint = "free space, run 'model-zoo cache gc', or point MODEL_ZOO_CACHE and TMPDIR at a larger disk"
    return CacheFullError("no space left for the converted model", found=found, hint=hint)


def explain(error: Exception) -> ModelZooError:
    """Return this package's error for one that a framework or OpenVINO raised."""
    text = str(error).strip()
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or _FULL.search(text):
        return no_space(text)
    if number in {errno.EMFILE, errno.ENFILE}:
        hint = "raise the limit on open files (ulimit -n), or do less at once (-j)"
        return CacheError("the conversion has too many files open", found=text, hint=hint)
    operations = sorted({name for found in _FAILED.findall(text) for name in found.split(", ")})
    if operations:
        return UnsupportedModelError(
            f"OpenVINO cannot convert this model: it does not support {', '.join(operations)}",
            found=reasons(text) or None,
            hint="give the inputs fixed shapes in the recipe, cut the model before these operations, "
            "or use another file of the same model",
        )
    first = next((line for line in text.splitlines() if _is_message(line)), text)
    return ConversionError(
        f"conversion failed: {type(error).__name__}: {first.strip()}",
        hint="check the recipe and the file; run again with -v -v for the log of the conversion",
    )


def _is_message(line: str) -> bool:
    return bool(line.strip()) and not _NOISE.match(line)


def reasons(text: str) -> str:
    """Return the lines of a message that mean something to a user, joined."""
    kept = [line.strip() for line in text.splitlines() if _is_message(line)]
    return "; ".join(dict.fromkeys(kept))[:400]


def last_line(error: Exception) -> str:
    """Return the last line of a message: OpenVINO's reason, after the source files it passed through."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
