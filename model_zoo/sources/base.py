"""The whole plug-in contract of a source kind.

A kind is a frozen struct: its fields are what a catalog entry may contain, and ``locate`` says where the
bytes are, without transferring any. There are three kinds of locations: an HTTP address (the engine in
``model_zoo.download`` does the rest), a local file, and a bundle that another program must produce.

A kind whose address can move (a branch) or stands for several files (a pattern) also says so, and
``resolve`` turns such an artifact into files at fixed addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import msgspec

from model_zoo.schema import Digest, Integrity, Source

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

Say = Callable[[str], None]
UNUSABLE = "unusable"
"""The key in ``seen`` of the names that no path can have; whoever needs one of them has to refuse."""


@dataclass(frozen=True)
class HttpLocation:
    """Bytes at an address.

    ``headers`` may contain credentials: they go only to the host of ``url`` and appear in no message.
    ``digest`` and ``size`` are what the source itself vouches for, in addition to what the artifact declares.
    ``check`` is called with the complete file before it is accepted, for what our digests cannot express,
    such as a git blob id; it raises IntegrityError.
    ``onward`` is for servers that put an HTML page in front of the file: it gets the page's text and returns
    the address that the page leads to, or raises SourceUnavailableError with the reason that the page gives.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: Digest | None = None
    size: int | None = None
    check: Callable[[Path], None] | None = None
    onward: Callable[[str], str] | None = None


@dataclass(frozen=True)
class LocalLocation:
    """A file on this machine; it is copied or linked, never moved."""

    path: Path


@dataclass(frozen=True)
class BundleLocation:
    """A file inside something that another program fetches whole, such as a wheel.

    Artifacts with the same ``key`` share one call of ``produce``, which fills the given empty directory and
    returns the file of each requested member.

    Raises (from ``produce``):
        DownloadError: the bundle could not be obtained, or lacks a member.
        IntegrityError: the bundle contradicts its own record of digests.
    """

    key: str
    member: str
    produce: Callable[[Path, tuple[str, ...], Say], Mapping[str, Path]]


Location = HttpLocation | LocalLocation | BundleLocation


class LocatedSource(
    Source, msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Base class of every source kind; third parties subclass it and register the entry point.

    ``kind`` is the key that identifies it in YAML; ``online`` is False for kinds that need no network.
    ``bundled`` is True for kinds whose location is always a bundle, and known without asking a server.
    ``listed`` is True for kinds whose server is asked to locate a file, and then states its size and digest.
    """

    kind: ClassVar[str] = ""
    online: ClassVar[bool] = True
    bundled: ClassVar[bool] = False
    listed: ClassVar[bool] = False

    def locate(self, artifact: Artifact, settings: Settings) -> Location:
        """Return where the bytes of ``artifact`` are.

        Raises:
            SourceUnavailableError: the source already knows that it does not have them.
        """
        raise NotImplementedError

    def look(self, artifact: Artifact, settings: Settings, seen: dict[object, object]) -> Location:
        """Return where the bytes are, as ``locate`` does, for nothing but a question about them.

        ``seen`` has what a server answered about other files, so that a repository is asked about once.

        Raises:
            DownloadError: the server does not have them, or does not answer.
        """
        del seen
        return self.locate(artifact, settings)

    def resolve(
        self, artifact: Artifact, settings: Settings, seen: dict[object, object]
    ) -> tuple[Artifact, ...]:
        """Return the artifact, or the several it stands for, with this source at a fixed address.

        Called only if ``floating`` is True. ``seen`` is shared by all artifacts of a model: what the server
        answered for one of them holds for the others, so that all come from one state of it.

        Raises:
            SourceUnavailableError: the server does not have it, or cannot be reached.
        """
        del settings, seen
        return (artifact,)

    @property
    def immutable(self) -> bool:
        """Whether the address itself fixes the content, as a commit does."""
        return False

    @property
    def local(self) -> Path | None:
        """The file itself, where it is on this machine and its owner may edit it."""
        return None

    @property
    def integrity(self) -> Integrity:
        """The level this source gives an artifact that declares no digest."""
        return "revision" if self.immutable else "first-use"

    def describe(self) -> str:
        """Return one line for people, without secrets."""
        raise NotImplementedError

    def rooted(self, folder: Path) -> LocatedSource:
        """Return the source with paths made absolute, relative to the directory of its catalog file."""
        del folder
        return self
