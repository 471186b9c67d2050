"""``hf``: files of a repository on the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, ClassVar

import msgspec

from model_zoo.errors import DigestMismatchError, SourceMissingError
from model_zoo.files import CHUNK
from model_zoo.schema import Digest, check_relative_path
from model_zoo.sources.base import UNUSABLE, HttpLocation, LocatedSource
from model_zoo.sources.hf import hub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


class HfSource(LocatedSource, frozen=True, kw_only=True):
    """A file of the repository ``hf`` (``organisation/name``) at a revision: a commit, a tag or a branch.

    ``file`` may be a pattern as for ``allow_patterns`` of huggingface_hub (``*`` matches slashes too,
    ``onnx/`` is the whole directory); without it all files are meant. Below the artifact's path they keep the
    paths they have in the repository.
    """

    kind: ClassVar[str] = "hf"
    listed: ClassVar[bool] = True
    hf: str
    revision: str = "main"
    file: str | None = None

    def __post_init__(self) -> None:
        """Check the spelling of the three."""
        if not _REPO.fullmatch(self.hf) or "--" in self.hf or ".." in self.hf:
            raise ValueError(f"hf must be a repository such as organisation/name, not {self.hf!r}")
        if not self.revision or re.search(r"[\s\x00-\x1f?#\\]|\.\.", self.revision):
            raise ValueError(f"revision must be a commit, a tag or a branch, not {self.revision!r}")
        if self.file is not None and not self.several:
            check_relative_path(self.file)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The file's URL, with the digest and the size that the hub vouches for."""
        assert self.file is not None  # noqa: S101 - what floats was resolved before
        url = hub.file_url(self.hf, self.file, self.revision)
        if artifact.digests and any(url.startswith(before) for before, _ in settings.mirrors):
            return HttpLocation(url, headers=hub.authorization())  # the hub itself may be out of reach
        _, found = hub.file_info(self.hf, self.file, self.revision, settings)
        return HttpLocation(
            url,
            headers=hub.authorization(),
            digest=Digest(algorithm="sha256", hex=found.sha256) if found.sha256 else None,
            size=found.size,
            check=_check_blob_id(self.describe(), found.blob_id) if found.blob_id else None,
        )

    def look(self, artifact: Artifact, settings: Settings, seen: dict[object, object]) -> HttpLocation:
        """Return the file's URL, with what the listing of its revision states of it."""
        del artifact
        assert self.file is not None  # noqa: S101 - what floats is resolved
        listing = self._listing(("hf", hub.endpoint(), self.hf, self.revision), settings, seen)
        for file in listing.files:
            if file.path == self.file:
                digest = Digest(algorithm="sha256", hex=file.sha256) if file.sha256 else None
                url = hub.file_url(self.hf, self.file, self.revision)
                return HttpLocation(url, digest=digest, size=file.size)
        raise SourceMissingError(
            f"{self.describe()}: no such file at this revision",
            hint=f"see {hub.endpoint()}/{self.hf}/tree/{listing.commit}",
        )

    def resolve(
        self, artifact: Artifact, settings: Settings, seen: dict[object, object]
    ) -> tuple[Artifact, ...]:
        """Return the files at the commit that the revision is now, the same for all that share ``seen``."""
        key = ("hf", hub.endpoint(), self.hf, self.revision)
        if not self.several:
            assert self.file is not None  # noqa: S101 - otherwise it stands for several
            if key not in seen:
                seen[key], _ = hub.file_info(self.hf, self.file, self.revision, settings)
            return (self._at(artifact, str(seen[key]), self.file, artifact.path),)
        listing = self._listing(key, settings, seen)
        found = hub.filter_files(self.file, listing.files)
        if not found:
            what = f"{self.describe()}: no file of the repository matches"
            raise SourceMissingError(what, hint=f"see {hub.endpoint()}/{self.hf}/tree/{listing.commit}")
        artifacts = []
        for file in found:
            path = file.path if artifact.path == "." else f"{artifact.path}/{file.path}"
            try:
                fixed = self._at(artifact, listing.commit, file.path, path)
                artifacts.append(msgspec.structs.replace(fixed, size=file.size))
            except ValueError:
                unusable = seen.setdefault(UNUSABLE, [])
                assert isinstance(unusable, list)  # noqa: S101 - made here only
                unusable.append(file.path)
        return tuple(artifacts)

    def _listing(self, key: object, settings: Settings, seen: dict[object, object]) -> hub.Listing:
        listing = seen.get(("listing", key))
        if not isinstance(listing, hub.Listing):
            listing = hub.list_files(self.hf, str(seen.get(key, self.revision)), settings)
            seen["listing", key] = listing
            seen.setdefault(key, listing.commit)
        return listing

    def _at(self, artifact: Artifact, commit: str, file: str, path: str) -> Artifact:
        pinned = msgspec.structs.replace(self, revision=commit, file=file)
        others = [source for source in artifact.sources if not source.several]
        sources = tuple(pinned if source == self else source for source in others)
        return msgspec.structs.replace(artifact, path=path, sources=sources or (pinned,))

    @property
    def several(self) -> bool:
        """Whether it is a pattern, a directory or the whole repository."""
        return self.file is None or self.file.endswith("/") or any(sign in self.file for sign in "*?[")

    @property
    def floating(self) -> bool:
        """Whether the hub must be asked which commit, or which files, are meant."""
        return self.several or not self.immutable

    @property
    def immutable(self) -> bool:
        """Whether the revision is a full commit id (40 digits)."""
        return hub.COMMIT.fullmatch(self.revision) is not None

    def describe(self) -> str:
        """Return the reference a person would type."""
        return f"hf:{self.hf}@{self.revision}" + (f"/{self.file}" if self.file else "")


def _check_blob_id(name: str, expected: str) -> Callable[[Path], None]:
    """Return a check of git's id for the bytes: the sha1 of ``blob SIZE``, a zero byte, and the bytes."""

    def check(path: Path) -> None:
        seen = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        with path.open("rb") as stream:
            while data := stream.read(CHUNK):
                seen.update(data)
        if seen.hexdigest() != expected:
            what, found = f"{name}: the content differs from the Hub's commit", f"git blob {seen.hexdigest()}"
            raise DigestMismatchError(what, expected=f"git blob {expected}", found=found)

    return check
