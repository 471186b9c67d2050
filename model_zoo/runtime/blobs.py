"""OpenVINO's compiled blobs, each verified by a digest before it is used.

OpenVINO accepts a blob with a flipped bit and computes wrong results from it. So ``digests.json`` beside the
blobs records what it wrote, and a blob that differs is deleted before OpenVINO sees it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING

from model_zoo.files import DIGESTS, has_link, read_json, set_mode, tree_digest, write_file
from model_zoo.files.read import is_link
from model_zoo.runtime.core import version
from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)


def directory_of(compiled: Path, key: str, device: str, config: Mapping[str, object]) -> Path:
    """Return the directory for the blobs of one IR on one device with these properties."""
    properties = {name: str(value) for name, value in config.items()}
    digest = Digest.of_json({"key": key, "device": device, "openvino": version(), "config": properties})
    return compiled / digest.hex


def prepare(directory: Path) -> bool:
    """Create the directory and delete unverified blobs; return False if it cannot be used at all.

    A read-only directory can be used if all its blobs are verified. One behind a link is not: OpenVINO would
    write where the link leads.
    """
    if has_link(directory.parents[1], directory):
        _log.info("%s is behind a symlink", directory)
        return False
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
        known = _known(directory)
        found = _blobs(directory)
        _log.debug("%d compiled blobs in %s", len(found), directory)
        for path in found:
            linked = is_link(path.lstat())
            if linked or path.name not in known or tree_digest(path) != known[path.name]:
                _log.info("deleting %s: its digest is not the recorded one", path)
                path.unlink()
                known.pop(path.name, None)
                _write(directory, known)  # otherwise the blob that replaces it would not be recorded
    except OSError as error:
        _log.debug("blobs in %s cannot be used: %s", directory, error)
        return False
    return True


def record(directory: Path) -> None:
    """Record the digests of the blobs that OpenVINO just wrote, if the directory can be written."""
    with contextlib.suppress(OSError):
        known, found = _known(directory), _blobs(directory)
        if {path.name for path in found} == set(known):
            return
        for path in found:
            set_mode(path, 0o444)  # OpenVINO makes it readable for this user only
        digests = {path.name: tree_digest(path) for path in found}
        _write(directory, digests)


def _write(directory: Path, digests: dict[str, str]) -> None:
    write_file(directory / DIGESTS, json.dumps(digests, sort_keys=True).encode())


def _blobs(directory: Path) -> list[Path]:
    with os.scandir(directory) as entries:
        return sorted(
            directory / entry.name for entry in entries if entry.name.endswith((".blob", ".cl_cache"))
        )


def _known(directory: Path) -> dict[str, str]:
    return read_json(directory / DIGESTS, dict[str, str]) or {}
