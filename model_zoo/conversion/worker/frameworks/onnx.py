"""ONNX, external data beside it included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.worker import frontend

if TYPE_CHECKING:
    import openvino as ov

    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Read the model through OpenVINO's ONNX frontend."""
    return frontend.read(job, job.network)
