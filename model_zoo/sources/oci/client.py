"""A client of OCI registries: manifests and blobs, as the distribution specification describes them.

Bulk downloads are not done here: ``Registry.locate`` gives the download engine an address and headers.
docs/adr/0007 says why this is not a library.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import requests

from model_zoo.errors import (
    DigestMismatchError,
    IntegrityError,
    OfflineError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from model_zoo.schema import Digest
from model_zoo.sources.base import HttpLocation
from model_zoo.sources.oci.credentials import Login, find_login
from model_zoo.sources.url import safe_url
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from model_zoo.settings import Settings
    from model_zoo.sources.oci.reference import OciReference

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LARGEST_MANIFEST = 4 << 20
"""Bytes; what the distribution specification asks registries to accept at least."""
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_AGAIN = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class OciManifest:
    """A manifest as the registry has it; the digest is over exactly these bytes."""

    data: bytes
    digest: str

    def decode(self) -> dict[str, Any]:
        """Return it as data.

        Raises:
            IntegrityError: it is not a JSON object.
        """
        with contextlib.suppress(ValueError):
            found = json.loads(self.data)
            if isinstance(found, dict):
                return found
        what = "the registry's manifest is not a JSON object"
        raise IntegrityError(what, found=self.digest, hint="push the image again, or name another")


class _Body:
    """A request body of known length that is made while it is sent."""

    def __init__(self, chunks: Iterator[bytes], length: int) -> None:
        self._chunks = chunks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


class Registry:
    """One repository of one registry.

    Args:
        target: which.
        settings: timeouts, attempts, and whether the network may be used.
    """

    def __init__(self, target: OciReference, settings: Settings) -> None:
        self.target = target
        self._settings = settings
        self._home = f"{target.scheme}://{target.host}"
        self._base = f"{self._home}/v2/{target.repository}/"
        self._authorization = ""
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"model-zoo/{__version__}"

    def __enter__(self) -> Registry:
        """Return the client itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close its connections."""
        self._session.close()

    # --- reading

    def manifest(self, reference: str | None = None) -> OciManifest | None:
        """Return a manifest, or None where the repository has none of that name.

        Args:
            reference: a tag or ``sha256:…``; by default the target's own.

        Raises:
            SourceUnavailableError: the registry refuses, or says something else than a manifest.
            DigestMismatchError: what it sends is not what the reference pins.
            TransferInterruptedError: it cannot be reached.
        """
        wanted = reference or self.target.reference
        headers = {"Accept": ", ".join(MANIFESTS)}
        with self._send("GET", f"manifests/{wanted}", headers=headers, stream=True) as reply:
            if reply.status_code == requests.codes.not_found:
                return None
            self._expect(reply, 200, f"manifest {wanted}")
            data = self._read(reply)
        digest = oci_digest(data)
        if wanted.startswith("sha256:") and wanted != digest:
            what = f"{self.target}: the registry sent another manifest than the one asked for"
            raise DigestMismatchError(what, expected=wanted, found=digest, hint="do not use this registry")
        return OciManifest(data, digest)

    def _read(self, reply: requests.Response) -> bytes:
        data = b""
        try:
            for piece in reply.iter_content(1 << 16):
                data += piece
                if len(data) > LARGEST_MANIFEST:
                    what = f"{self.target}: the manifest is larger than {LARGEST_MANIFEST} bytes"
                    raise SourceUnavailableError(what)
        except requests.RequestException as error:
            raise self._unreachable(error) from None
        return data

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob; raises as ``manifest``."""
        with self._send("HEAD", f"blobs/{digest}") as reply:
            if reply.status_code == requests.codes.not_found:
                return False
            self._expect(reply, 200, f"blob {digest}")
            return True

    def locate(self, digest: str, size: int | None) -> HttpLocation:
        """Return where the download engine gets a blob, with credentials; raises as ``manifest``."""
        with self._send("HEAD", f"blobs/{digest}") as reply:
            if reply.status_code == requests.codes.not_found:
                what = f"{self.target} has no blob {digest}"
                raise SourceUnavailableError(what, hint="check the reference, or push it again")
            self._expect(reply, 200, f"blob {digest}")
        headers = {"Authorization": self._authorization} if self._authorization else {}
        return HttpLocation(
            urljoin(self._base, f"blobs/{digest}"),
            headers=headers,
            digest=Digest.parse(digest),
            size=size,
        )

    # --- writing

    def put_blob(self, digest: str, size: int, chunks: Callable[[int], Iterator[bytes]]) -> bool:
        """Send a blob unless the repository has it; go on where an interrupted transfer stopped.

        Args:
            digest: ``sha256:…`` of the bytes.
            size: how many they are.
            chunks: yields them from an offset on.

        Returns:
            Whether anything was sent.

        Raises:
            SourceUnavailableError: the registry refuses.
            TransferInterruptedError: it cannot be reached, or breaks off time and again.
        """
        if self.has_blob(digest):
            return False
        failures, offset, place = 0, 0, ""
        while True:
            try:
                if not place:
                    offset, place = 0, self._begin(digest)
                if offset < size:
                    place = self._patch(place, offset, size, chunks)
                    offset = size
                self._commit(place, digest)
            except TransferInterruptedError:
                failures += 1
                if failures >= self._settings.attempts:
                    raise
                time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**failures))
                before = offset
                offset, place = self._progress(place)
                failures = 0 if offset > before else failures
            else:
                return True

    def _begin(self, digest: str) -> str:
        with self._send("POST", "blobs/uploads/", headers={"Content-Length": "0"}) as reply:
            self._expect(reply, 202, f"beginning to send {digest}")
            return self._place(reply)

    def _patch(self, place: str, offset: int, size: int, chunks: Callable[[int], Iterator[bytes]]) -> str:
        headers = {"Content-Type": "application/octet-stream"}
        if offset:
            headers["Content-Range"] = f"{offset}-{size - 1}"

        def body() -> _Body:
            return _Body(chunks(offset), size - offset)

        with self._send("PATCH", place, headers=headers, body=body, attempts=1) as reply:
            self._expect(reply, 202, "sending a blob")
            return self._place(reply)

    def _commit(self, place: str, digest: str) -> None:
        parts = urlsplit(place)
        query = "&".join(filter(None, (parts.query, urlencode({"digest": digest}))))
        where = urlunsplit(parts._replace(query=query))
        with self._send("PUT", where, headers={"Content-Length": "0"}, attempts=1) as reply:
            self._expect(reply, 201, f"finishing {digest}")

    def _progress(self, place: str) -> tuple[int, str]:
        """Ask how much of an interrupted upload arrived; start again where the registry cannot tell."""
        if not place:
            return 0, ""
        try:
            reply = self._send("GET", place, attempts=1)
        except TransferInterruptedError:
            return 0, ""
        reply.close()
        match = re.fullmatch(r"(?:bytes=)?0-(\d+)", reply.headers.get("Range", ""))
        if reply.status_code != requests.codes.no_content or not match:
            return 0, ""
        return int(match[1]) + 1, self._place(reply) if "Location" in reply.headers else place

    def _place(self, reply: requests.Response) -> str:
        there = urljoin(reply.url, reply.headers.get("Location", ""))
        if urlsplit(there).scheme not in {"http", "https"} or "Location" not in reply.headers:
            what = f"{self.target}: the registry does not say where to send the blob"
            raise SourceUnavailableError(what)
        return there

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> None:
        """Give a manifest a name; all its blobs must have been sent. Raises as ``put_blob``."""
        headers = {"Content-Type": media_type}
        with self._send("PUT", f"manifests/{reference}", headers=headers, body=lambda: data) as reply:
            self._expect(reply, 201, f"the manifest {reference}")

    # --- one request

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], bytes | _Body] | None = None,
        stream: bool = False,
        attempts: int | None = None,
    ) -> requests.Response:
        """Send a request, with credentials once they are asked for, and again where that can help."""
        if self._settings.offline:
            what = f"{self.target} would have to be asked, and the run is offline"
            raise OfflineError(what, hint="run it without --offline (MODEL_ZOO_OFFLINE)")
        url = urljoin(self._base, path)
        at_home = urlsplit(url)[:2] == urlsplit(self._home)[:2]
        most, tried, asked = attempts or self._settings.attempts, 0, False
        while True:
            tried += 1
            named = dict(headers or {})
            if at_home and self._authorization:
                named["Authorization"] = self._authorization
            try:
                reply = self._session.request(
                    method,
                    url,
                    headers=named,
                    data=body() if body else None,
                    auth=_as_it_is,
                    stream=stream,
                    timeout=(self._settings.connect_timeout, self._settings.stall_timeout),
                )
            except requests.RequestException as error:
                if tried >= most:
                    raise self._unreachable(error) from None
            else:
                if reply.status_code == requests.codes.unauthorized and at_home and not asked:
                    asked, tried = True, tried - 1
                    reply.close()
                    self._authorize(reply.headers.get("WWW-Authenticate", ""))
                    continue
                if reply.status_code not in _AGAIN:
                    return reply
                reply.close()
                if tried >= most:
                    what = f"{self.target}: the registry answers {reply.status_code} time and again"
                    raise TransferInterruptedError(what, hint="try again later")
            time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**tried))

    def _unreachable(self, error: Exception) -> TransferInterruptedError:
        what = f"{self.target}: the registry cannot be reached ({type(error).__name__})"
        hint = "check the address, the network and its proxies"
        if self.target.scheme == "https":
            hint += f"; for a registry without TLS write http://{self.target}"
        return TransferInterruptedError(what, hint=hint)

    def _expect(self, reply: requests.Response, status: int, what: str) -> None:
        code = reply.status_code
        if code == status:
            return
        hint = None
        if code in {requests.codes.unauthorized, requests.codes.forbidden}:
            hint = f"log in with 'docker login {self.target.host}' (or podman, skopeo), and check your rights"
        said = f"{self.target}: the registry refuses {what}"
        raise SourceUnavailableError(
            said, expected=status, found=f"{code} {_reason(reply)}".strip(), hint=hint
        )

    # --- credentials

    def _authorize(self, challenge: str) -> None:
        """Do what a 401 asks for: a password (RFC 7617) or a token from the realm it names."""
        login = find_login(self.target.host, self.target.repository)
        scheme, _, rest = challenge.partition(" ")
        stated = dict(_CHALLENGE.findall(rest))
        if scheme.lower() == "bearer" and stated.get("realm"):
            self._authorization = self._token(stated, login)
        elif scheme.lower() == "basic" and login is not None and login.user:
            pair = f"{login.user}:{login.password}".encode()
            self._authorization = f"Basic {base64.b64encode(pair).decode()}"
        else:
            self._authorization = ""

    def _token(self, stated: Mapping[str, str], login: Login | None) -> str:
        realm = urljoin(self._home, stated["realm"])
        if login is not None and urlsplit(realm).scheme != "https" and self.target.scheme == "https":
            what = f"{self.target}: the registry wants the password sent without TLS to {safe_url(realm)}"
            raise SourceUnavailableError(what, hint="do not use this registry")
        asked = {key: stated[key] for key in ("service", "scope") if stated.get(key)}
        timeout = (self._settings.connect_timeout, self._settings.stall_timeout)
        try:
            if login is not None and login.identity_token:
                form = {**asked, "grant_type": "refresh_token", "client_id": "model-zoo"}
                form["refresh_token"] = login.identity_token
                reply = self._session.post(realm, data=form, timeout=timeout)
            else:
                auth = (login.user, login.password) if login is not None else None
                reply = self._session.get(realm, params=asked, auth=auth, timeout=timeout)
            answer = reply.json() if reply.status_code == requests.codes.ok else {}
        except (requests.RequestException, ValueError) as error:
            raise self._unreachable(error) from None
        token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
        return f"Bearer {token}" if token else ""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from putting a login of netrc in the place of ours."""
    return request


def _reason(reply: requests.Response) -> str:
    """Return what the registry says about an error, on one line and not long."""
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, requests.RequestException):
        first = reply.json()["errors"][0]
        return re.sub(r"\s+", " ", f"{first['code']} {first.get('message', '')}").strip()[:200]
    return str(reply.reason or "")


def oci_digest(data: bytes) -> str:
    """Return ``sha256:…`` of bytes, as descriptors write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
