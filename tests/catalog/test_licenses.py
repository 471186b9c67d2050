"""Licences of model cards, in SPDX's spelling."""

from __future__ import annotations

import pytest

from model_zoo.schema.spdx import is_allowed, spdx_expression


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


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause", False),
        ("MIT OR BSD-3-Clause", True),
        ("BSD-3-Clause OR MIT", True),
        ("MIT AND BSD-3-Clause", False),
        ("MIT AND GPL-2.0-only", True),
        ("BSD-3-Clause AND MIT OR GPL-2.0-only", True),
        ("BSD-3-Clause AND (MIT OR GPL-2.0-only)", False),
        ("(MIT OR BSD-3-Clause) AND (GPL-2.0-only OR ISC)", True),
        ("GPL-2.0-or-later", True),
        ("GPL-3.0-or-later", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", True),
        ("GPL-3.0-only WITH GCC-exception-3.1", True),
        ("GPL-3.0-only WITH Classpath-exception-2.0", False),
        ("GPL-3.0-only", False),
        ("LicenseRef-Ours", True),
        ("LicenseRef-Theirs", False),
    ],
)
def test_what_a_list_of_licences_allows(expression, allowed):
    licenses = ("MIT", "GPL-2.0-only", "GPL-3.0-only WITH GCC-exception-3.1", "LicenseRef-Ours")
    assert spdx_expression(expression) == expression
    assert is_allowed(expression, licenses) is allowed
