"""``url``: plain HTTP or HTTPS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from model_zoo.errors import UsageError
from model_zoo.sources.base import HttpLocation, LocatedSource
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")


def is_web_url(url: str) -> bool:
    """Whether a text is a URL of HTTP or HTTPS that a client can send a request to."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class UrlSource(LocatedSource, frozen=True, kw_only=True):
    """A file at an HTTP or HTTPS address."""

    kind: ClassVar[str] = "url"
    url: str

    def __post_init__(self) -> None:
        """Refuse other schemes, and what no client takes for an address."""
        if not is_web_url(self.url) or urlsplit(self.url).netloc.count("@") > 1:
            raise ValueError(f"url must start with http:// or https:// and name a host: {self.describe()}")
        if _SPACE.search(self.url):
            msg = f"url contains spaces or control characters; write a space as %20: {self.describe()}"
            raise ValueError(msg)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The address itself."""
        del artifact, settings
        return HttpLocation(self.url)

    def describe(self) -> str:
        """Return the URL without user, password, query and fragment."""
        return safe_url(self.url)


_HARMLESS = {"alt", "dl", "download", "export", "format", "inline", "raw", "ref", "rev", "tf-hub-format"}
_HARMLESS |= {"v", "version", "versionid"}
"""Parameters that say how to serve a file; any other may be a password, a token or a signature."""


def secret_part(url: str) -> str | None:
    """Return what of an address may be secret, in a word; None if all of it can be written for others."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "whole"
    if "@" in parts.netloc:
        return "user and password"
    if any(name.lower() not in _HARMLESS for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        return "query"
    return "fragment" if parts.fragment else None


def refuse_secrets(artifacts: Iterable[Artifact]) -> None:
    """Refuse to write addresses for others that may hold a secret; the UsageError does not tell it."""
    for source in (source for artifact in artifacts for source in artifact.sources):
        for text in msgspec.to_builtins(source).values():
            part = secret_part(text) if isinstance(text, str) and "://" in text else None
            if part is not None:
                raise UsageError(
                    f"{safe_url(text)}: the {part} of the address may be secret, and would be written down",
                    left="nothing was written",
                    hint="put a password into ~/.netrc, and give an address without it; for a signed address "
                    "give the permanent one, or download the file and give its path",
                )
