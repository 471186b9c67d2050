"""What registries answer, as far as it is used: manifests, indexes, tokens, errors.

Everything is somebody else's text: what does not have the right fields is refused here, in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urljoin

import msgspec

from model_zoo.errors import IntegrityError, SourceUnavailableError
from model_zoo.sources.oci import OCI_INDEX, OCI_MANIFEST
from model_zoo.sources.url import is_web_url
from model_zoo.text import safe_url

MANIFEST_TYPES = (
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_ADDRESS = 8192
PUSH_AGAIN = "push the image again, or choose another"


class Descriptor(msgspec.Struct, frozen=True):
    """What a manifest says about a blob, or an index about a manifest."""

    digest: str = ""
    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    media_type: str = msgspec.field(name="mediaType", default="")
    annotations: dict[str, str] | None = None

    @property
    def sha256(self) -> str | None:
        """The hex digits of its digest, if that is a sha256."""
        return self.digest[7:] if DIGEST.fullmatch(self.digest) else None


class ManifestContent(msgspec.Struct, frozen=True):
    """The parts of a manifest or an index that are used here."""

    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] | None = None
    annotations: dict[str, str] | None = None


class _Token(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None


class _ErrorDetail(msgspec.Struct, frozen=True):
    code: str = ""
    message: str | None = None


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[_ErrorDetail, ...] = ()


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What the JSON of a server may raise, by its syntax, its encoding, its depth or its fields."""


@dataclass(frozen=True)
class OciManifest:
    """A manifest as the registry has it; the digest is over exactly these bytes."""

    data: bytes
    digest: str

    def decode(self) -> dict[str, Any]:
        """Return it as data; IntegrityError where it is not a JSON object."""
        try:
            found: dict[str, Any] = msgspec.json.decode(self.data, type=dict[str, Any])
        except _UNREADABLE:
            what = "the registry's manifest is not a JSON object"
            raise IntegrityError(what, found=self.digest, hint=PUSH_AGAIN) from None
        return found

    def content(self) -> ManifestContent:
        """Return what is used of it; SourceUnavailableError where its fields are not those of a manifest."""
        try:
            return msgspec.convert(self.decode(), ManifestContent)
        except _UNREADABLE as error:
            what = f"the registry's manifest {self.digest} is invalid: {error}"
            raise SourceUnavailableError(what, hint=PUSH_AGAIN) from None


def token_in(data: bytes, name: str) -> str | None:
    """Return the token in what the service ``name`` answered; SourceUnavailableError for anything else."""
    try:
        answer = msgspec.json.decode(data, type=_Token)
    except _UNREADABLE:
        what = f"{name} is not a token service: its response contains no token"
        raise SourceUnavailableError(what, hint="do not use this registry") from None
    return answer.token or answer.access_token


def words_in(data: bytes) -> str:
    """Return a registry's own words about an error, as one line; nothing if there are none."""
    try:
        first = msgspec.json.decode(data, type=_Errors).errors[0]
    except (*_UNREADABLE, IndexError):
        return ""
    return re.sub(r"\s+", " ", f"{first.code} {first.message or ''}").strip()


def web_address(reference: object, base: str, location: str) -> str:
    """Return the address that a registry names, maybe relative to ``base``; refuse what is none."""
    try:
        url = urljoin(base, location)
    except ValueError:
        url = ""
    if not is_web_url(url) or len(location) > _LONGEST_ADDRESS:
        what = f"{reference}: the registry named no valid URL for the next request"
        found = safe_url(location[:200])
        raise SourceUnavailableError(what, found=found, hint="do not use this registry")
    return url
