"""Precisions: every one that a catalog may name, and which of them a conversion can make."""

from __future__ import annotations

import re

PRECISION = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
UNIVERSAL = ("FP32", "FP16", "INT8", "INT4")
"""Precisions any model can be converted to, whether its recipe lists them or not."""
BY_NNCF = ("INT8", "INT4")
"""Those of ``UNIVERSAL`` whose weights NNCF compresses."""
UNSTATED = "AS-IS"
"""The precision of a ready-made folder whose name does not state one."""
_COMPRESSED = (
    *("INT8", "INT8-SYM", "INT8-ASYM", "INT4", "INT4-SYM", "INT4-ASYM", "INT3-SYM", "INT2-SYM"),
    *("NF4", "CB4", "MXFP4", "MXFP8-E4M3", "FP8-E4M3", "FP4", "NVFP4", "CODEBOOK", "ADAPTIVE-CODEBOOK"),
)
"""What ``nncf.compress_weights`` calls its modes, underscores as dashes."""
_MADE = frozenset({"FP32", "FP16", "FP32-INT8", "FP16-INT8", *_COMPRESSED})
_READY = frozenset({"FP64", "BF16", "FP8", "INT1", "FP16-INT1", "FP32-INT1", UNSTATED})
"""What only ready-made files come in."""
PRECISIONS = _MADE | _READY


def check_precision(text: str, field: str, *, ready: bool = True) -> None:
    """Refuse what is no precision; with ``ready=False`` also what only ready-made files come in.

    Raises:
        ValueError: names the field, and what was perhaps meant.
    """
    if text in (PRECISIONS if ready else _MADE):
        return
    if text in PRECISIONS:
        msg = f"{field}: {text!r} is not a precision that a conversion can make, only one of ready-made files"
        raise ValueError(msg)
    near = near_precisions(text)
    meant = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(sorted(PRECISIONS))}"
    msg = f"{field}: {text!r} is not a precision; {meant}"
    raise ValueError(msg)


def near_precisions(text: str) -> list[str]:
    """Return up to three precisions that somebody who typed ``text`` may have meant, the nearest first."""
    wanted = text.upper().replace("_", "-")
    if wanted in PRECISIONS:
        return [wanted]
    import difflib  # only when something is wrong

    return difflib.get_close_matches(wanted, sorted(PRECISIONS), n=3)
