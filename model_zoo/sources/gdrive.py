"""``gdrive``: a file on Google Drive, by its id.

Files too large for Google's virus scanner are behind a confirmation page; the fields of its form make up the
real address. Exhausted quotas, sign-in pages and deleted files are HTML pages too, with status 200: they are
failures, recognised by their text.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode, urljoin, urlsplit

from model_zoo.errors import SourceUnavailableError
from model_zoo.sources.base import HttpLocation, LocatedSource

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

BASE = "https://drive.google.com/uc"
_REASONS = (
    (r"quota|too many users|download limit", "its download quota is exhausted; try again tomorrow"),
    (r"sign in|servicelogin|need access|request access|permission", "it requires signing in"),
    (r"not found|does not exist|deleted|trash", "no such file"),
)


class GdriveSource(LocatedSource, frozen=True, kw_only=True):
    """A Google Drive file id."""

    kind: ClassVar[str] = "gdrive"
    gdrive: str

    def __post_init__(self) -> None:
        """Refuse what is not an id, such as a whole URL."""
        if not re.fullmatch(r"[0-9A-Za-z_-]{10,}", self.gdrive):
            msg = f"gdrive must be the id of a file (the long word in its URL), not {self.gdrive!r}"
            raise ValueError(msg)

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The address for the id; ``onward`` gets past the confirmation page."""
        del artifact, settings
        query = urlencode({"export": "download", "id": self.gdrive})
        return HttpLocation(f"{BASE}?{query}", onward=self.onward)

    def onward(self, page: str) -> str:
        """Return the address behind the confirmation page; SourceUnavailableError for any other page."""
        reader = _Page()
        reader.feed(page)
        if reader.action and reader.fields:
            return urljoin(reader.action, f"{urlsplit(reader.action).path}?{urlencode(reader.fields)}")
        if reader.link:
            return reader.link
        text = " ".join(reader.text).lower()
        reason = next(
            (words for sign, words in _REASONS if re.search(sign, text)),
            "the server sent a page instead of the file",
        )
        raise SourceUnavailableError(f"{self.describe()}: {reason}")

    def describe(self) -> str:
        """Return the id with its kind."""
        return f"gdrive:{self.gdrive}"


class _Page(HTMLParser):
    """The form or the link of the confirmation page, and the text of any page."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.link = ""
        self.text: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the form's fields, or the link of older pages."""
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = named.get("id") == "download-form" or "download" in named.get("action", "")
            self.action = named.get("action", "") if self._inside else self.action
        elif tag == "input" and self._inside and named.get("type") == "hidden":
            self.fields[named.get("name", "")] = named.get("value", "")
        elif tag == "a" and "confirm=" in named.get("href", ""):
            self.link = named["href"]

    def handle_endtag(self, tag: str) -> None:
        """Leave the form."""
        if tag == "form":
            self._inside = False

    def handle_data(self, data: str) -> None:
        """Keep the text, which tells why there is no file."""
        self.text.append(data.strip())
