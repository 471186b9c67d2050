"""One layer on disk: which folder holds what. A version in a folder's name changes with its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_zoo.files import as_cache_error, make_folder

if TYPE_CHECKING:
    from pathlib import Path

TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of model-zoo; backup programs may leave it out (bford.info/cachedir).\n"
)


@dataclass(frozen=True)
class Layer:
    """A cache directory, writable or not."""

    root: Path

    def blob(self, sha256: str) -> Path:
        """Where the bytes with that sha256 are."""
        return self.root / "blobs-v1" / "sha256" / sha256[:2] / sha256

    def files(self, model: str, digest: str) -> Path:
        """Where a model's files are materialised, by the digest of their declaration."""
        return self.root / "files-v1" / model / digest

    def ir(self, key: str) -> Path:
        """Where the IR with that key is."""
        return self.root / "ir-v1" / key

    def alias(self, kind: str, digest: str) -> Path:
        """Where it is noted which sha256 another digest, or a declared address, stands for."""
        return self.root / "state-v1" / "aliases" / kind / digest[:2] / digest

    def request(self, digest: str) -> Path:
        """Where the keys of all IRs are noted that answer the same request with any tool versions."""
        return self.root / "state-v1" / "requests" / digest[:2] / digest

    def inputs(self, digest: str) -> Path:
        """Where the content of a declaration is noted, so that an IR is found without its files."""
        return self.root / "state-v1" / "inputs" / digest[:2] / f"{digest}.json"

    @property
    def compiled(self) -> Path:
        """Compiled blobs of devices."""
        return self.root / "compiled-v1"

    @property
    def partials(self) -> Path:
        """Transfers and staging folders in progress."""
        return self.root / "partial-v1"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.root / "locks-v1"

    @property
    def state(self) -> Path:
        """Notes that can be rebuilt from the rest."""
        return self.root / "state-v1"

    def prepare(self) -> None:
        """Create the layer's folder and its CACHEDIR.TAG.

        Raises:
            CacheError: it cannot be created or written.
        """
        make_folder(self.root)
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            with as_cache_error(tag):
                tag.write_text(TAG, encoding="ascii")
