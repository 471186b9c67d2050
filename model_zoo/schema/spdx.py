"""SPDX licence expressions: how SPDX itself spells them, and which of them a list of licences allows."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

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


def is_allowed(expression: str, licenses: Collection[str]) -> bool:
    """Whether a model under these terms can be used under licences of the list alone.

    ``OR`` needs one side, ``AND`` both. A licence ``WITH`` an exception only permits more than the licence
    alone, and one "or later" may be taken in that version.

    Args:
        expression: in SPDX's own spelling.
        licenses: single licences, perhaps with an exception, in SPDX's own spelling.
    """
    return _any(deque(re.findall(r"[()]|[^\s()]+", expression)), licenses)


def _any(words: deque[str], licenses: Collection[str]) -> bool:
    found = _all(words, licenses)
    while words and words[0] == "OR":
        words.popleft()
        found = _all(words, licenses) or found
    return found


def _all(words: deque[str], licenses: Collection[str]) -> bool:
    found = _one(words, licenses)
    while words and words[0] == "AND":
        words.popleft()
        found = _one(words, licenses) and found
    return found


def _one(words: deque[str], licenses: Collection[str]) -> bool:
    word = words.popleft()
    if word == "(":
        found = _any(words, licenses)
        words.popleft()  # ")"
        return found
    sufficient = {word, word.removesuffix("+"), f"{word.removesuffix('-or-later')}-only"}
    if words and words[0] == "WITH":
        words.popleft()
        sufficient |= {f"{name} WITH {words[0]}" for name in sufficient}
        words.popleft()
    return not sufficient.isdisjoint(licenses)
