"""Ready-made IR: one network, or a folder of several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import openvino as ov

from model_zoo.conversion.worker import ports
from model_zoo.conversion.worker.explain import last_line
from model_zoo.conversion.worker.ports import describe_ports
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.conversion.worker.job import Job
    from model_zoo.conversion.worker.ports import ModelPorts

_TOKENIZER = re.compile(r"openvino_(de)?tokenizer[^/]*\.xml$")
"""IRs that only openvino-tokenizers can read."""


def read(job: Job) -> ov.Model:
    """Read the IR, and keep the outputs and cuts that the recipe asks for."""
    core = ov.Core()
    for path in job.extensions:
        core.add_extension(path)
    return ports.select(job, _read_ir(core, job.network, job.files))


def export(job: Job, on_stage: Callable[[str], None]) -> dict[str, ModelPorts]:
    """Describe a folder of IRs; its files stay as they are."""
    on_stage("read")
    return describe_irs(job.files)


def describe_irs(directory: Path) -> dict[str, ModelPorts]:
    """Return the ports of every IR below a directory, by path; tokenizers are left out."""
    core, found = ov.Core(), {}
    for path in sorted(directory.rglob("*.xml")):
        name = path.relative_to(directory).as_posix()
        if not _TOKENIZER.search(name) and path.with_suffix(".bin").exists():
            found[name] = describe_ports(_read_ir(core, path, directory))
    return found


def _read_ir(core: ov.Core, path: Path, directory: Path) -> ov.Model:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        what = f"{path.relative_to(directory).as_posix()} is not an IR that this OpenVINO can read"
        hint = "check that it is an IR, and that its .bin file is next to it"
        raise ConversionError(what, found=last_line(error), hint=hint) from error
