"""Files: hash, write whole or not at all, link, lock, tar. Nothing here knows of models or of the cache."""

from __future__ import annotations

from model_zoo.files.atomic import (
    fsync_directory,
    fsync_file,
    make_directory,
    replacing,
    write_file,
    write_stream,
)
from model_zoo.files.failures import ELSEWHERE, as_cache_error, cache_error
from model_zoo.files.hash import CHUNK, has_digest, hash_file
from model_zoo.files.links import clone, copy_file, current_umask, link_file, set_mode
from model_zoo.files.tree import exists, is_directory, is_file

__all__ = [
    "CHUNK",
    "ELSEWHERE",
    "as_cache_error",
    "cache_error",
    "clone",
    "copy_file",
    "current_umask",
    "exists",
    "fsync_directory",
    "fsync_file",
    "has_digest",
    "hash_file",
    "is_directory",
    "is_file",
    "link_file",
    "make_directory",
    "replacing",
    "set_mode",
    "write_file",
    "write_stream",
]
