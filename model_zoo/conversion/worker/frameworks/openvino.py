"""Ready-made IR: read as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov

from model_zoo.conversion.worker import frontend
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Read the IR, and keep the outputs and cuts the recipe asks for.

    Raises:
        ConversionError: it is no IR that this OpenVINO reads, or its weights are missing.
    """
    xml = job.network
    core = ov.Core()
    for path in job.extensions:
        core.add_extension(path)
    try:
        model = core.read_model(xml)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        what = f"{xml.relative_to(job.files).as_posix()} is not an IR that this OpenVINO reads"
        raise ConversionError(what, found=lines[-1], hint="check that its .bin lies beside it") from error
    return frontend.select(job, model) if frontend.selects(job) else model
