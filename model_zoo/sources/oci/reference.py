"""``REGISTRY/REPOSITORY[:TAG][@DIGEST]``: how people name something in a registry."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_zoo.errors import UsageError

_REFERENCE = re.compile(
    r"(?:(?P<scheme>oci|https?)://)?(?P<host>[0-9A-Za-z.-]+(?::\d+)?|\[[0-9A-Fa-f:]+\](?::\d+)?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class OciReference:
    """An image, an artifact or a repository in a registry."""

    scheme: str
    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """Return it as people type it, without the scheme."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def manifest_name(self) -> str:
        """What the registry knows the manifest by: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"


def parse_oci_reference(text: str) -> OciReference:
    """Read a reference; it may begin with ``oci://``, or with ``http://`` for a registry without TLS.

    A registry on this machine (localhost, 127.0.0.0/8, ::1) is used without TLS, as all container tools do.
    What is no reference is a ValueError.
    """
    match = _REFERENCE.fullmatch(text)
    host = match["host"] if match else ""
    if match is None or not (host == "localhost" or any(c in host for c in ".:")):
        raise ValueError(f"{text!r} is not REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]")
    scheme = match["scheme"]
    if scheme in {None, "oci"}:
        scheme = "http" if _is_local(host) else "https"
    return OciReference(str(scheme), host, match["repository"], match["tag"], match["digest"])


def oci_reference(text: str) -> OciReference:
    """Read a reference that a person typed; UsageError where it is none."""
    try:
        return parse_oci_reference(text)
    except ValueError as error:
        raise UsageError(str(error), hint="for example registry.example.org/models:1.0") from error


def _is_local(host: str) -> bool:
    name = (urlsplit(f"//{host}").hostname or "").lower()
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"
