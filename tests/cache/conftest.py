"""A cache of its own for each test."""

from __future__ import annotations

import pytest

from model_zoo.cache import Cache


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")
