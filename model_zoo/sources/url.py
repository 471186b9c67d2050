"""``url``: plain HTTP or HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from model_zoo.sources.base import HttpLocation, LocatedSource
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings


class UrlSource(LocatedSource, frozen=True, kw_only=True):
    """A file at an HTTP or HTTPS address."""

    kind: ClassVar[str] = "url"
    url: str

    def __post_init__(self) -> None:
        """Refuse other schemes, and URLs without a host."""
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            msg = f"url must start with http:// or https:// and name a host: {self.describe()}"
            raise ValueError(msg)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The address itself."""
        del artifact, settings
        return HttpLocation(self.url)

    def describe(self) -> str:
        """Return the URL without user, password, query and fragment."""
        return safe_url(self.url)
