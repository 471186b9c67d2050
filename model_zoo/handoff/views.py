"""Views: a model's files as another program wants to find them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from model_zoo.errors import CacheError
from model_zoo.files import as_cache_error, copy_file, hash_file, set_mode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WRITABLE = 0o666


def copy_out(files: Mapping[str, Path], target: Path) -> Path:
    """Copy files out of the cache into ``target``, each whole or not at all; equal ones are left alone.

    Args:
        files: the file for each path below ``target``.
        target: a folder; it is created, and nothing else in it is touched.

    Returns:
        ``target``, absolute.

    Raises:
        CacheError: the folder cannot be written.
    """
    target = target.absolute()
    for path, source in files.items():
        wanted = target / path
        with as_cache_error(wanted, left="files copied so far are whole"):
            wanted.parent.mkdir(parents=True, exist_ok=True)
            if not wanted.resolve().is_relative_to(target.resolve()):
                what = f"{wanted} leads out of {target}"
                raise CacheError(what, hint="remove the link, or choose another folder")
            if _same(source, wanted):
                continue
            staged = wanted.with_name(f".{wanted.name}.{os.getpid()}.{os.urandom(4).hex()}")
            try:
                copy_file(source.resolve(), staged)
                set_mode(staged, WRITABLE)
                staged.replace(wanted)
            finally:
                staged.unlink(missing_ok=True)
    return target


def _same(source: Path, target: Path) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_size != source.stat().st_size:
        return False
    return hash_file(source) == hash_file(target)
