"""Compiled blobs in a seed: made at the path where they will be used.

They fit one version of OpenVINO and one kind of processor, and their bytes differ from run to run. Where they
do not fit, compiling takes the usual time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.cache import Layer
from model_zoo.export.seed import stamp_files, stamp_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_zoo.schema import ConvertedModel


def blob_folders(irs: Sequence[ConvertedModel], device: str) -> tuple[str, ...]:
    """Return the directories, relative to a layer, for the blobs of these IRs on a device."""
    from model_zoo.runtime import blobs  # it imports openvino, for its version

    layer = Layer(Path())
    single = (ir for ir in irs if not ir.is_folder)
    return tuple(blobs.directory_of(layer.compiled, ir.key, device, {}).as_posix() for ir in single)


def warm(irs: Sequence[ConvertedModel], dest: Path, device: str, *, mtime: int) -> None:
    """Compile each IR of a seed and keep OpenVINO's blobs in it; pipelines compile folder models themselves.

    The seed's files must have their times already: OpenVINO ignores a blob if its model's time differs.

    Raises:
        LoadError: the device does not exist, or refuses a model.
    """
    from model_zoo import runtime

    layer = Layer(dest.absolute())
    for ir in irs:
        if ir.is_folder:
            continue
        xml = layer.ir(ir.key) / ir.xml.name
        runtime.compile(xml, key=ir.key, device=device, compiled=layer.compiled)
    stamp_files(layer.compiled, mtime)
    stamp_folders(layer.root, mtime)
