"""Compiled blobs in a seed: made at the place where they are going to be used, proven by digest like all.

They fit one version of OpenVINO and one kind of processor, and are not the same bytes every time. Where they
do not fit, compiling costs the time it always does.
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
    """Return the folders, below a layer, that hold the blobs of these IRs for a device."""
    from model_zoo.runtime import blobs  # and with it openvino, for its version

    layer = Layer(Path())
    single = (ir for ir in irs if not ir.is_folder)
    return tuple(blobs.directory_of(layer.compiled, ir.key, device, {}).as_posix() for ir in single)


def warm(irs: Sequence[ConvertedModel], dest: Path, device: str, *, mtime: int) -> None:
    """Compile each IR of a seed and keep OpenVINO's blobs in it; a pipeline compiles its folder by itself.

    The seed's files were stamped before: OpenVINO takes a blob for outdated when its model's time differs.

    Raises:
        LoadError: the device is not there, or refuses a model.
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
