"""Manifests: the JSON beside each result in the cache, as typed structs.

The structs are exactly the JSON on disk. Fields of newer versions are ignored; a file of another shape is no
manifest. On disk each manifest also carries a seal, a digest of the rest; see ``cache/manifest.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from model_zoo.schema.artifact import Unpack
from model_zoo.schema.base import MANIFEST_NAME, Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyParts = dict[str, Any]
"""What an IR was made from, as plain JSON: ``inputs`` (pairs of path and sha256), ``versions`` by package,
``recipe``, ``precision`` and more. The IR key is the digest of exactly this: nothing in it may be dropped."""
FOLDER = "folder"
"""The ``layout`` in a manifest where the whole directory is the model."""
_Default = TypeVar("_Default")


class FileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False, omit_defaults=False):
    """One file of a manifest: its path in the directory, its size in bytes, and its sha256 (hex).

    The first IRs did not record the size of their inputs; it reads as 0 there.
    """

    path: str
    size: int = 0
    sha256: str


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a fetched artifact turned out to be.

    Attributes:
        path: as declared.
        size: of the blob, in bytes.
        sha256: of the blob (hex).
        digests: the declared ones, ``algorithm:hex``.
        unpack: how the blob becomes a tree, as declared.
        names: what else the blob is looked up by, ``algorithm:hex`` or ``source:hex``.
        sources: where it could be read from, in words; dropped when a manifest leaves the machine.
    """

    path: str
    size: int
    sha256: str
    digests: tuple[str, ...] | None = None
    unpack: Unpack | None = None
    names: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The artifacts (plain JSON) that floating ones were found to mean; ``of`` is the digest of those."""

    of: str
    artifacts: tuple[dict[str, Any], ...]


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output of an IR.

    Attributes:
        name: its tensor's, else its node's.
        shape: a number, -1 or a range such as ``"1..8"`` for each dimension; None where the rank is unknown.
        type: the element type, such as ``f32``.
    """

    name: str
    shape: tuple[int | str, ...] | None
    type: str


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs and outputs of an IR, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the manifests.

    Attributes are the way to read one. It can also be read like the JSON on disk, as scripts do:
    ``manifest["outputs"]``, ``manifest.get("opens")``, ``"ports" in manifest``, ``dict(manifest)`` give plain
    lists, dicts, strings and numbers.

    Attributes:
        schema: version of the format.
    """

    FILE_NAME: ClassVar[str]

    schema: int

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The files of the directory, apart from the manifest."""
        return ()

    def to_json(self) -> dict[str, object]:
        """Return the data as it is written, without the seal."""
        return dict(msgspec.json.decode(msgspec.json.encode(self)))  # which makes lists of tuples

    def __getitem__(self, key: str) -> object:
        """Return a value as plain data; KeyError where the JSON has no such key."""
        return self.to_json()[key]

    def __contains__(self, key: object) -> bool:
        """Whether the JSON has that key."""
        return key in self.to_json()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of the JSON."""
        return iter(self.to_json())

    def __len__(self) -> int:
        """Return how many keys the JSON has."""
        return len(self.to_json())

    def keys(self) -> list[str]:
        """Return the keys of the JSON."""
        return list(self)

    def get(self, key: str, default: _Default | None = None) -> object | _Default | None:
        """Return a value as plain data, or ``default`` where the JSON has no such key."""
        return self.to_json().get(key, default)


class FilesManifest(Manifest, frozen=True, kw_only=True):
    """Manifest of a model's fetched files.

    Attributes:
        model: the model's name.
        declaration: digest (hex) of the declaration, which names the directory.
        precision: the precision they were first fetched for, if one was given.
        artifacts: what was fetched.
        files: what is in the directory, after unpacking and replacing.
        replace: the declared edits, as plain JSON.
        integrity: how far each artifact's bytes are fixed, by its path.
        resolution: how floating artifacts were resolved, if any float.
    """

    FILE_NAME: ClassVar[str] = MANIFEST_NAME

    model: str
    declaration: str
    precision: str | None
    artifacts: tuple[ArtifactRecord, ...]
    files: tuple[FileEntry, ...]
    replace: tuple[dict[str, Any], ...] = ()
    integrity: dict[str, str] = {}
    resolution: Resolution | None = None

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The files of the directory, apart from the manifest."""
        return self.files

    def portable(self) -> FilesManifest:
        """Return it without what differs between two machines that fetched the same files."""
        artifacts = tuple(msgspec.structs.replace(artifact, sources=None) for artifact in self.artifacts)
        return msgspec.structs.replace(self, artifacts=artifacts)

    @property
    def blobs(self) -> frozenset[str]:
        """The sha256 of every blob that the directory is made from."""
        return frozenset(artifact.sha256 for artifact in self.artifacts)


class _Parts(msgspec.Struct):
    """The key parts that are read again, so that a manifest in which they are something else is none."""

    inputs: tuple[tuple[str, str], ...] = ()
    versions: dict[str, str | None] | None = None


class IrManifest(Manifest, frozen=True, kw_only=True):
    """Manifest of an IR, or of a folder model: several IRs with what belongs to them.

    Attributes:
        key: the IR key, which names the directory.
        model: the model's name.
        precision: what it was converted to.
        framework: what it was converted from.
        parts: what the key is the digest of.
        inputs: the files that were converted.
        outputs: what is in the directory.
        ports: inputs and outputs of the network; not of a folder model.
        irs: ports of each IR of a folder model, by its path.
        layout: ``"folder"`` for a folder model.
        opens: the class that opens a folder model, with its module; None where OpenVINO itself does.
        options: more arguments of that class.
        report: what compression did, for a compressed precision.
        seconds: how long the conversion took; dropped when a manifest leaves the machine.
        peak_memory: bytes the conversion needed at its peak; dropped likewise.
        declaration: digest (hex) of the declaration of the model's files.
        request: digest (hex) of what was asked for, whatever versions of the tools answer it.
        resolution: how floating artifacts were resolved, if any float.
    """

    FILE_NAME: ClassVar[str] = "manifest.json"

    key: str
    model: str
    precision: str
    framework: str
    parts: KeyParts
    inputs: tuple[FileEntry, ...]
    outputs: tuple[FileEntry, ...]
    ports: Ports | None = None
    irs: dict[str, Ports] | None = None
    layout: str | None = None
    opens: str | None = None
    options: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    declaration: str | None = None
    request: str | None = None
    resolution: Resolution | None = None

    def __post_init__(self) -> None:
        """Refuse parts of another shape."""
        msgspec.convert(self.parts, _Parts)

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The files of the directory, apart from the manifest."""
        return self.outputs

    def portable(self) -> IrManifest:
        """Return it without what differs between two runs that made the same IR."""
        return msgspec.structs.replace(self, seconds=None, peak_memory=None)

    @property
    def is_folder(self) -> bool:
        """Whether the whole directory is the model."""
        return self.layout == FOLDER

    @property
    def versions(self) -> dict[str, str | None]:
        """The version of each package it was made with."""
        return dict(self.parts.get("versions") or {})

    def to_json(self) -> dict[str, object]:
        """Return the data as it is written; a folder model always states what opens it, be it null."""
        return ({"opens": None} if self.is_folder else {}) | Manifest.to_json(self)


class EnvironmentManifest(Manifest, frozen=True, kw_only=True):
    """Manifest of a converter environment.

    Attributes:
        digest: what the environment was made from, which names the directory.
        stack: the name of its stack.
        requirements: what pip was given.
        packages: the version of every package in it, by canonical name.
        modules: the package that each top-level module in it belongs to.
        python: the version of Python it was made with.
        size: its bytes.
        files: how many files and links it has.
        seconds: how long it took to build.
    """

    FILE_NAME: ClassVar[str] = "environment.json"

    digest: str
    stack: str
    requirements: tuple[str, ...]
    packages: dict[str, str]
    modules: dict[str, str]
    python: str
    size: int
    files: int
    seconds: float | None = None
