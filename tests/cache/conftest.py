"""A cache of its own for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from model_zoo.cache import Cache

_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(tmp_path):
    """In memory where there is such a place: flushing to a disk is most of what these tests wait for."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="model-zoo-test-", dir=_MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")
