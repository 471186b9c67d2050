"""One file per framework, each with ``read(job) -> openvino.Model``; imported when it is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> Any:  # noqa: ANN401 - an openvino.Model, and openvino has no types here
    """Read the job's model with its framework's reader."""
    module = importlib.import_module(f"model_zoo.conversion.worker.frameworks.{job.framework}")
    return module.read(job)
