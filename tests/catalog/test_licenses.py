"""Licences of model cards, in SPDX's spelling."""

from __future__ import annotations

import pytest

from model_zoo.zoo.add import spdx_expression


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("ms-pl", "MS-PL"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("lgpl-2.1", "LGPL-2.1-only"),
        ("agpl-3.0-or-later", "AGPL-3.0-or-later"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("llama3", None),
        ("other", None),
        ("", None),
    ],
)
def test_spdx(stated, expected):
    assert spdx_expression(stated) == expected
