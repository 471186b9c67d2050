"""Bytes that were not made here: read before their first use, and remembered.

What is in the writable layer was proven when it came in. A layer below may come from anywhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from model_zoo.cache.notes import alias_names
from model_zoo.cache.proof import fault_of, fault_of_derived, is_derived
from model_zoo.errors import CacheError
from model_zoo.files import exists, has_digest, hash_file, is_file
from model_zoo.schema import Digest, FilesManifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from model_zoo.cache.layout import Layer
    from model_zoo.schema import Artifact, IrManifest

_log = logging.getLogger(__name__)


class Proofs:
    """What was found out about the bytes of a cache's lower layers, and of local files.

    ``top`` is the writable one of its ``layers``; ``staging`` gives an empty directory there.
    """

    def __init__(
        self,
        top: Layer | None,
        layers: Sequence[Layer],
        staging: Callable[[str], AbstractContextManager[Path]],
    ) -> None:
        self._top = top
        self._layers = layers
        self._staging = staging
        self._hashed: dict[tuple[Path, str], str] = {}
        self._proven: dict[str, bool] = {}

    def has(self, path: Path, sha256: str, digests: Iterable[Digest] = ()) -> bool:
        """Whether a blob has a sha256 and other digests; each is computed once."""
        wanted = {"sha256": sha256, **{digest.algorithm: digest.hex for digest in digests}}
        unknown = [algorithm for algorithm in wanted if (path, algorithm) not in self._hashed]
        with contextlib.suppress(OSError):
            for algorithm, digest in (hash_file(path, unknown) if unknown else {}).items():
                self._hashed[path, algorithm] = digest.hex
        good = all(self._hashed.get((path, algorithm)) == digits for algorithm, digits in wanted.items())
        if not good:
            _log.info("%s is not what it is stored or noted as; it is not used", path)
        return good

    def is_proven(self, directory: Path, manifest: FilesManifest | IrManifest) -> bool:
        """Whether the bytes of a directory are those that its manifest, and what it declares, fix.

        What is in the writable layer was proven when it came in. A directory of a layer below is read before
        its first use, and again after a change of any of its files' sizes, times or inodes. Where nothing
        can be written, this could not be remembered: sizes and digests as recorded count there.
        """
        root = directory.parents[2 if isinstance(manifest, FilesManifest) else 1]
        if self._top is None or root == self._top.root:
            return True
        try:
            stamps = [_stamp(directory / entry.path) for entry in manifest.entries]
            proof = Digest.of_json([str(directory), manifest.to_json(), stamps]).hex
            self._top.prepare()
            note = self._top.check_own(self._top.proven(proof))
            note.parent.mkdir(parents=True, exist_ok=True)
        except (OSError, CacheError):
            return True
        if not exists(note) and not os.access(note.parent, os.W_OK):
            return True
        if proof not in self._proven:
            self._proven[proof] = exists(note) or self._prove(directory, manifest)
            if self._proven[proof]:
                with contextlib.suppress(OSError):
                    note.touch()
        return self._proven[proof]

    def _prove(self, directory: Path, manifest: FilesManifest | IrManifest) -> bool:
        """Read a directory that was made elsewhere, and the blobs that its files follow from."""
        _log.info("reading %s, which was not made here", directory)
        files = {entry.sha256: directory / entry.path for entry in manifest.entries}

        def blob(sha256: str) -> Path | None:
            stored = (layer.blob(sha256) for layer in self._layers)
            return next((path for path in stored if is_file(path) and self.has(path, sha256)), None)

        wrong = next((e.path for e in manifest.entries if not has_digest(directory / e.path, e.sha256)), None)
        if wrong is None and isinstance(manifest, FilesManifest):
            wrong = fault_of(directory, manifest, lambda sha256: files.get(sha256) or blob(sha256))
            if wrong is None and is_derived(manifest):
                with self._staging("proof") as staging:
                    wrong = fault_of_derived(manifest, blob, staging / "tree", staging)
        if wrong is not None:
            _log.info("%s is not what its manifest says and is not used: %s", directory, wrong)
        return wrong is None

    def digest_of_local(self, artifact: Artifact, path: Path, first: str) -> str | None:
        """Return the sha256 of the local file that an artifact without digests is read from; None without it.

        It is hashed only if it was written to since ``first``, its sha256 at first use, was noted.
        """
        (alias,) = alias_names(artifact)
        note = self._top.alias(*alias) if self._top is not None else None
        try:
            found = path.stat()
            if note is not None:
                with contextlib.suppress(OSError):
                    if max(found.st_mtime_ns, found.st_ctime_ns) < note.stat().st_mtime_ns:
                        return first
            now = hash_file(path)["sha256"].hex
        except OSError:
            return None
        if now == first and note is not None and self._top is not None:
            with contextlib.suppress(OSError, CacheError):
                self._top.check_own(note).touch()
        return now


def _stamp(path: Path) -> list[int]:
    """Return what changes when a file is written to or replaced."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
