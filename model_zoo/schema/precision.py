"""Precisions: all that a catalog may name, and which of them a conversion can produce."""

from __future__ import annotations

import re

from model_zoo.text import near_names

PRECISION = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
UNIVERSAL = ("FP32", "FP16", "INT8", "INT4")
"""Precisions any model can be converted to, whether its recipe lists them or not."""
BY_NNCF = ("INT8", "INT4")
"""Those of ``UNIVERSAL`` whose weights NNCF compresses."""
UNSTATED = "AS-IS"
"""The precision of a ready-made directory whose name does not state one."""
_COMPRESSED = (
    *("INT8", "INT8-SYM", "INT8-ASYM", "INT4", "INT4-SYM", "INT4-ASYM", "INT3-SYM", "INT2-SYM"),
    *("NF4", "CB4", "MXFP4", "MXFP8-E4M3", "FP8-E4M3", "FP4", "NVFP4", "CODEBOOK", "ADAPTIVE-CODEBOOK"),
)
"""The modes of ``nncf.compress_weights``, with dashes for underscores."""
_MADE = frozenset({"FP32", "FP16", "FP32-INT8", "FP16-INT8", *_COMPRESSED})
_READY = frozenset({"FP64", "BF16", "FP8", "INT1", "FP16-INT1", "FP32-INT1", UNSTATED})
"""Precisions that only ready-made files have."""
PRECISIONS = _MADE | _READY


def check_precision(text: str, field: str, *, ready: bool = True) -> None:
    """Refuse an unknown precision; with ``ready=False`` also one that only ready-made files have.

    Raises:
        ValueError: names the field, and what may have been meant.
    """
    if text in (PRECISIONS if ready else _MADE):
        return
    if text in PRECISIONS:
        msg = f"{field}: no conversion can produce {text!r}; only ready-made files have it"
        raise ValueError(msg)
    near = near_precisions(text)
    meant = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(PRECISIONS))}"
    msg = f"{field}: {text!r} is not a precision; {meant}"
    raise ValueError(msg)


def near_precisions(text: str) -> list[str]:
    """Return up to three precisions that somebody who typed ``text`` may have meant, nearest first."""
    name = text.upper().replace("_", "-")
    if name in PRECISIONS:
        return [name]
    return near_names(name, PRECISIONS)
