"""``url``: plain HTTP or HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit, urlunsplit

from model_zoo.sources.base import HttpLocation, LocatedSource

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


class UrlSource(LocatedSource, frozen=True, kw_only=True):
    """A file at an HTTP or HTTPS address."""

    kind: ClassVar[str] = "url"
    url: str

    def __post_init__(self) -> None:
        """Refuse other schemes, and URLs without a host."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"url must start with http:// or https:// and name a host: {self.describe()}"
            raise ValueError(msg)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The address itself."""
        del artifact, settings
        return HttpLocation(self.url)

    def describe(self) -> str:
        """Return the URL without user, password, query and fragment."""
        return safe_url(self.url)


def safe_url(url: str) -> str:
    """Return a URL fit for messages: without user, password, query and fragment, which may be secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
