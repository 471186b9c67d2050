"""Views: IRs in the layout that another program expects. Copies, never links into the cache."""

from __future__ import annotations

import filecmp
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError
from model_zoo.files import ELSEWHERE, as_cache_error, copy_file, has_link, replacing, set_mode, sweep_staged
from model_zoo.registry.image import export_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import ConvertedModel

WRITABLE = 0o666
PARALLEL_COPIES = 4


def export_dir(irs: Sequence[ConvertedModel], out: Path) -> Path:
    """Copy IRs side by side: ``OUT/NAME.xml`` and ``OUT/NAME.bin``; a folder model as ``OUT/NAME/``."""
    files: dict[str, Path] = {}
    for ir, name in zip(irs, export_names(irs), strict=True):
        files |= ir_files(ir, name, below=name if ir.is_folder else ".")
    return copy_out(files, out)


def export_omz(irs: Sequence[ConvertedModel], out: Path) -> Path:
    """Copy IRs as ``omz_converter`` laid them out: ``OUT/SUBDIRECTORY/PRECISION/NAME.xml``.

    The subdirectory is that of Open Model Zoo, or ``public/NAME`` for a model it did not have.
    """
    files: dict[str, Path] = {}
    for ir in irs:
        name = ir.model.name
        subdirectory = ir.model.omz.subdirectory if ir.model.omz else f"public/{name}"
        files |= ir_files(ir, name, below=f"{subdirectory}/{ir.precision}")
    return copy_out(files, out)


def ir_files(ir: ConvertedModel, name: str, *, below: str = ".") -> dict[str, Path]:
    """Return the file for each path: ``BELOW/NAME.xml`` and its weights, or the files of a folder model."""
    files = ir.files if ir.is_folder else {f"{name}.xml": ir.xml, f"{name}.bin": ir.bin}
    return {f"{below}/{path}": file for path, file in files.items()}


def copy_out(files: Mapping[str, Path], target: Path, below: str = ".") -> Path:
    """Copy files out of the cache, by path, into ``target / below``; return that directory, absolute.

    Each is copied completely or not at all, and equal ones are left alone. Nothing else in ``target``, the
    directory that the user named, is touched. CacheError where it cannot be written.
    """
    target = target.absolute()
    with ThreadPoolExecutor(PARALLEL_COPIES) as pool:  # copying is the kernel's work
        list(pool.map(lambda pair: _copy(pair[1], target, f"{below}/{pair[0]}"), files.items()))
    return target / below


def _copy(source: Path, target: Path, path: str) -> None:
    copy = target / path
    with as_cache_error(copy, left="files copied so far are complete", hint=ELSEWHERE):
        check_own(target, copy.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        sweep_staged(copy)
        if _same(source, copy):
            return
        with replacing(copy) as staged:
            copy_file(source.resolve(), staged)
            set_mode(staged, WRITABLE)


def check_own(target: Path, path: Path) -> None:
    """Refuse to write through a link below ``target``, the directory that the user named."""
    if has_link(target, path):
        what = f"{path} is behind a symlink, which may lead out of {target}"
        raise CacheError(what, hint="remove the symlink, or choose another folder")


def _same(source: Path, target: Path) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_size != source.stat().st_size:
        return False
    filecmp.clear_cache()  # it goes by times, which need not change with a file
    return filecmp.cmp(source, target, shallow=False)
