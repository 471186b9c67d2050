"""Licences as model cards state them → SPDX expressions."""

from __future__ import annotations

import re

_GNU = re.compile(r"[AL]?GPL-\d\.\d")


def spdx_expression(stated: str) -> str | None:
    """Return a licence in SPDX's own spelling, such as ``Apache-2.0``; None if SPDX does not know it.

    A bare GNU licence is that version only, as SPDX's current identifiers say: ``gpl-3.0`` is
    ``GPL-3.0-only``.
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression  # rarely needed

    try:
        expression = str(canonicalize_license_expression(stated))
    except InvalidLicenseExpression:
        return None
    return f"{expression}-only" if _GNU.fullmatch(expression) else expression
