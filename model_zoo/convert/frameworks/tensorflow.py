"""TensorFlow: SavedModel folder, frozen graph, meta graph with its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.convert import frontend

if TYPE_CHECKING:
    import openvino as ov

    from model_zoo.convert.recipe import Job


def read(job: Job) -> ov.Model:
    """Read the model through OpenVINO's TensorFlow frontend."""
    return frontend.read(job, job.network)
