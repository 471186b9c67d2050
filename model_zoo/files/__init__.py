"""Files: hash, write whole or not at all, link, lock, tar. Nothing here knows of models or of the cache."""

from __future__ import annotations

from model_zoo.files.atomic import (
    is_begun,
    make_directory,
    replacing,
    sweep_staged,
    write_file,
    write_stream,
)
from model_zoo.files.failures import ELSEWHERE, as_cache_error, cache_error
from model_zoo.files.links import READ_ONLY, clone, copy_file, link_file, set_mode
from model_zoo.files.read import (
    CHUNK,
    DIGESTS,
    has_digest,
    has_link,
    hash_file,
    read_checked,
    read_json,
    read_sealed,
    sealed_json,
    tree_digest,
    with_checksum,
)
from model_zoo.files.tree import exists, is_directory, is_file, remove_tree

__all__ = [
    "CHUNK",
    "DIGESTS",
    "ELSEWHERE",
    "READ_ONLY",
    "as_cache_error",
    "cache_error",
    "clone",
    "copy_file",
    "exists",
    "has_digest",
    "has_link",
    "hash_file",
    "is_begun",
    "is_directory",
    "is_file",
    "link_file",
    "make_directory",
    "read_checked",
    "read_json",
    "read_sealed",
    "remove_tree",
    "replacing",
    "sealed_json",
    "set_mode",
    "sweep_staged",
    "tree_digest",
    "with_checksum",
    "write_file",
    "write_stream",
]
