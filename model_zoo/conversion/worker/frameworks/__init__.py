"""Readers: one module per framework, imported when it is needed.

A reader has ``read(job) -> openvino.Model``, or ``export(job, on_stage) -> dict`` for models that become a
folder of IRs, or both. The table in ``model_zoo.formats.frameworks`` says which reader a framework has.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from model_zoo.formats.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Callable

    import openvino as ov

    from model_zoo.conversion.worker.job import Job
    from model_zoo.conversion.worker.ports import ModelPorts


class Reader(Protocol):
    """What a module of this package offers."""

    def read(self, job: Job) -> ov.Model:
        """Read the job's model."""

    def export(self, job: Job, on_stage: Callable[[str], None]) -> dict[str, ModelPorts]:
        """Write the IRs of a folder model into the staging directory; return the ports of each by path."""


def reader(framework: str) -> Reader:
    """Import and return a framework's reader."""
    return cast("Reader", importlib.import_module(FRAMEWORKS[framework].module))
