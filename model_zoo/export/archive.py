"""A layer as one deterministic tar file for transfers, and back into a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.cache.intake import Imported, import_layer
from model_zoo.errors import UsageError
from model_zoo.export.contents import layer_members
from model_zoo.files import write_stream
from model_zoo.files.tar import Tar

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.cache import Cache
    from model_zoo.export.contents import Contents
    from model_zoo.zoo import Zoo


def export_tar(contents: Contents, cache: Cache, out: Path, *, mtime: int) -> Path:
    """Write a layer as one tar file, completely or not at all; unpacked anywhere it is a layer again.

    Raises:
        CacheError: it cannot be written, or a file of the cache changed.
    """
    return write_stream(Tar(layer_members(contents, cache, mtime), mtime).chunks(), out)


def import_tar(zoo: Zoo, file: Path) -> Imported:
    """Import a tar written by ``export_tar`` into the zoo's cache; every digest is verified first.

    Raises:
        IntegrityError: something in it is wrong; nothing was published.
        UsageError: there is no such file.
        CacheError: the cache cannot be written.
    """
    if not file.is_file():
        raise UsageError(f"no such file: {file}", hint="name a tar made by 'model-zoo export --format tar'")
    return import_layer(zoo.cache, {"": file}, file.name, timeout=zoo.settings.lock_timeout)
