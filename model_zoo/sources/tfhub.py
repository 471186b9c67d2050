"""``tfhub``: a model of TensorFlow Hub, as the archive that its own client asks for.

The protocol (tensorflow.org/hub/hosting): the handle is an HTTPS address, and with
``tf-hub-format=compressed`` in its query the server sends a gzipped tarball of the SavedModel. No checksum
is published. An artifact of this kind is an archive: ``unpack: {format: tar.gz}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from model_zoo.sources.base import HttpLocation, LocatedSource
from model_zoo.sources.url import is_web_url
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

HUB = "https://tfhub.dev/"
_FORMAT = ("tf-hub-format", "compressed")


class TfhubSource(LocatedSource, frozen=True, kw_only=True):
    """A handle: a URL, or what follows ``https://tfhub.dev/`` in one."""

    kind: ClassVar[str] = "tfhub"
    tfhub: str

    def __post_init__(self) -> None:
        """Refuse what is neither a URL nor a path below tfhub.dev."""
        if not is_web_url(self.handle) or not urlsplit(self.handle).path[1:]:
            raise ValueError(f"tfhub must be a handle such as google/nnlm-en-dim50/2, not {self.tfhub!r}")

    @property
    def handle(self) -> str:
        """The whole URL."""
        return self.tfhub if "://" in self.tfhub else HUB + self.tfhub.strip("/")

    def locate(self, artifact: Artifact, settings: Settings) -> HttpLocation:
        """The handle with the query for the archive."""
        del artifact, settings
        parts = urlsplit(self.handle)
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != _FORMAT[0]]
        return HttpLocation(urlunsplit(parts._replace(query=urlencode([*query, _FORMAT]))))

    def describe(self) -> str:
        """Return the reference that a person would type."""
        return f"tfhub:{safe_url(self.handle).removeprefix(HUB)}"
