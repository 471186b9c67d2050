"""A client of OCI registries: manifests and blobs, as the distribution specification describes them.

Bulk downloads are not done here: ``Registry.locate`` gives the download engine an address and headers.
docs/adr/0007 says why this is not a library.
"""

from __future__ import annotations

import base64
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import requests
import urllib3

from model_zoo.errors import (
    DigestMismatchError,
    DownloadError,
    OfflineError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from model_zoo.schema import Digest
from model_zoo.sources.base import HttpLocation
from model_zoo.sources.deadlines import deadline
from model_zoo.sources.oci import oci_digest
from model_zoo.sources.oci.answers import (
    DIGEST,
    MANIFEST_TYPES,
    PUSH_AGAIN,
    OciManifest,
    token_in,
    web_address,
    words_in,
)
from model_zoo.sources.oci.connection import DeadlineAdapter
from model_zoo.sources.oci.credentials import Login, find_login
from model_zoo.text import safe_url
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from model_zoo.settings import Settings
    from model_zoo.sources.oci.reference import OciReference

LARGEST_MANIFEST = 4 << 20
"""Bytes; the least that the distribution specification requires registries to accept."""
_LARGEST_ANSWER = 1 << 20
"""Bytes of a token, or of the reason for a refusal."""
_BODY_SECONDS = 120.0
_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_KEEP_METHOD = {307, 308}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_UNAUTHORIZED = 401
_RETRIED = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 5.0
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""What a request may raise: no answer, or an address or a header that is none."""
_log = logging.getLogger(__name__)
_NAME = re.compile(rf"\w[\w.-]{{0,127}}|{DIGEST.pattern}", re.ASCII)


@dataclass
class _StreamedBody:
    """A request body of known length that is produced while it is sent."""

    chunks: Iterator[bytes]
    length: int

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


class Registry:
    """One repository of one registry; the reference also says what in it is meant by default.

    Raises (from every method that sends something):
        SourceUnavailableError: the registry refuses, or answers with something else.
        TransferInterruptedError: it cannot be reached, or breaks off again and again.
        OfflineError: the run is offline.
    """

    def __init__(self, reference: OciReference, settings: Settings) -> None:
        self.reference = reference
        self._settings = settings
        self._home = f"{reference.scheme}://{reference.host}"
        self._base = f"{self._home}/v2/{reference.repository}/"
        self._authorization = ""
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, DeadlineAdapter(settings.connect_timeout + settings.stall_timeout))
        self._session.headers["User-Agent"] = f"model-zoo/{__version__}"
        self._session.headers["Accept-Encoding"] = "identity"

    def __enter__(self) -> Registry:
        """Return the client itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close its connections."""
        self._session.close()

    # --- reading

    def manifest(self, name: str | None = None) -> OciManifest | None:
        """Return a manifest by its tag or ``sha256:…``, or None if the repository has none of that name.

        Raises:
            DigestMismatchError: what it sends is not what the reference pins.
        """
        name = name or self.reference.manifest_name
        if not _NAME.fullmatch(name):
            what = f"{self.reference}: the index does not name a valid manifest"
            raise SourceUnavailableError(what, found=ascii(name[:80]), hint=PUSH_AGAIN)
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        with self._send("GET", f"manifests/{name}", headers=headers) as reply:
            if reply.status_code == requests.codes.not_found:
                return None
            self._expect(reply, 200, f"manifest {name}")
            data = self._read(reply, LARGEST_MANIFEST)
        digest = oci_digest(data)
        if name.startswith("sha256:") and name != digest:
            what = f"{self.reference}: the registry sent a different manifest than the one requested"
            raise DigestMismatchError(what, expected=name, found=digest, hint="do not use this registry")
        return OciManifest(data, digest)

    def _read(self, reply: requests.Response, limit: int) -> bytes:
        """Return the body of a reply, which may have so many bytes and take two minutes."""
        data = bytearray()
        try:
            with deadline(_BODY_SECONDS, reply.raw.shutdown):
                while len(data) <= limit and (piece := reply.raw.read1(1 << 16, decode_content=True)):
                    data += piece
        except _FAILURES as error:
            raise self._unreachable(error) from None
        if len(data) > limit:
            raise SourceUnavailableError(
                f"{self.reference}: the registry's response is larger than {limit} bytes"
            )
        return bytes(data)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        with self._send("HEAD", f"blobs/{digest}") as reply:
            if reply.status_code == requests.codes.not_found:
                return False
            self._expect(reply, 200, f"blob {digest}")
            return True

    def locate(self, digest: str, size: int | None) -> HttpLocation:
        """Return where the download engine finds a blob, with credentials."""
        if not self.has_blob(digest):
            what = f"{self.reference} has no blob {digest}"
            raise SourceUnavailableError(what, hint="check the reference, or push it again")
        headers = {"Authorization": self._authorization} if self._authorization else {}
        url = urljoin(self._base, f"blobs/{digest}")
        return HttpLocation(url, headers=headers, digest=Digest.parse(digest), size=size)

    # --- writing

    def put_blob(self, digest: str, size: int, chunks: Callable[[int], Iterator[bytes]]) -> bool:
        """Send a blob, and return True, unless the repository has it; an interrupted transfer is resumed.

        ``chunks`` yields its bytes from an offset on.
        """
        if self.has_blob(digest):
            return False
        failures, offset, upload = 0, 0, ""
        while True:
            try:
                if not upload:
                    offset, upload = 0, self._begin(digest)
                if offset < size:
                    upload = self._patch(upload, offset, size, chunks)
                    offset = size
                self._commit(upload, digest)
            except TransferInterruptedError:
                failures += 1
                if failures >= self._settings.attempts:
                    raise
                time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**failures))
                before = offset
                offset, upload = self._progress(upload)
                _log.info("%s: sending %s again from byte %d", self.reference, digest, offset)
                failures = 0 if offset > before else failures
            else:
                return True

    def _begin(self, digest: str) -> str:
        with self._send("POST", "blobs/uploads/", headers={"Content-Length": "0"}, attempts=1) as reply:
            self._expect(reply, 202, f"an upload of {digest}")
            return self._upload_url(reply)

    def _patch(self, upload: str, offset: int, size: int, chunks: Callable[[int], Iterator[bytes]]) -> str:
        headers = {"Content-Type": "application/octet-stream"}
        if offset:
            headers["Content-Range"] = f"{offset}-{size - 1}"

        def body() -> _StreamedBody:
            return _StreamedBody(chunks(offset), size - offset)

        with self._send("PATCH", upload, headers=headers, body=body, attempts=1) as reply:
            self._expect(reply, 202, "the bytes of a blob")
            return self._upload_url(reply)

    def _commit(self, upload: str, digest: str) -> None:
        parts = urlsplit(upload)
        query = "&".join(filter(None, (parts.query, urlencode({"digest": digest}))))
        url = urlunsplit(parts._replace(query=query))
        with self._send("PUT", url, headers={"Content-Length": "0"}, attempts=1) as reply:
            self._expect(reply, 201, f"the completed blob {digest}")

    def _progress(self, upload: str) -> tuple[int, str]:
        """Ask how much of an interrupted upload arrived; start again if the registry cannot tell."""
        if not upload:
            return 0, ""
        try:
            reply = self._send("GET", upload, attempts=1)
        except TransferInterruptedError:
            return 0, ""
        reply.close()
        match = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", reply.headers.get("Range", ""))
        if reply.status_code != requests.codes.no_content or not match:
            return 0, ""
        return int(match[1]) + 1, self._upload_url(reply) if "Location" in reply.headers else upload

    def _upload_url(self, reply: requests.Response) -> str:
        if "Location" not in reply.headers:
            what = f"{self.reference}: the registry did not return an upload URL"
            raise SourceUnavailableError(what)
        return web_address(self.reference, reply.url, reply.headers["Location"])

    def put_manifest(self, name: str, data: bytes, media_type: str) -> None:
        """Store a manifest under a name; all its blobs must have been sent."""
        headers = {"Content-Type": media_type}
        with self._send("PUT", f"manifests/{name}", headers=headers, body=lambda: data) as reply:
            self._expect(reply, 201, f"the manifest {name}")

    # --- one request

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], bytes | _StreamedBody] | None = None,
        attempts: int | None = None,
    ) -> requests.Response:
        """Send a request, with credentials once they are required, and again if that can help."""
        if self._settings.offline:
            what = f"cannot reach {self.reference}: this run is offline"
            raise OfflineError(what, hint="run it without --offline (MODEL_ZOO_OFFLINE)")
        url = urljoin(self._base, path)
        most, attempt, challenged = attempts or self._settings.attempts, 0, False
        while True:
            attempt += 1
            try:
                reply = self._follow(method, url, dict(headers or {}), body)
            except _FAILURES as error:
                _log.debug("%s %s: %s", method, safe_url(url), type(error).__name__)
                if attempt >= most:
                    raise self._unreachable(error) from None
            else:
                _log.debug("%s %s: %d", method, safe_url(url), reply.status_code)
                if reply.status_code == _UNAUTHORIZED and self._is_own(reply.url) and not challenged:
                    challenged, attempt = True, attempt - 1
                    reply.close()
                    self._authorize(reply.headers.get("WWW-Authenticate", ""))
                    continue
                if reply.status_code not in _RETRIED:
                    return reply
                reply.close()
                if attempt >= most:
                    what = f"{self.reference}: the registry repeatedly answered {reply.status_code}"
                    raise TransferInterruptedError(what, hint="try again later")
            time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**attempt))

    def _is_own(self, url: str) -> bool:
        """Whether credentials for the registry may go to an address."""
        return urlsplit(url)[:2] == urlsplit(self._home)[:2]

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Callable[[], bytes | _StreamedBody] | None
    ) -> requests.Response:
        """Send a request and follow redirects; the credentials go to the registry only."""
        for _ in range(_MOST_REDIRECTS + 1):
            own = {"Authorization": self._authorization} if self._authorization and self._is_own(url) else {}
            reply = self._request(method, url, headers={**headers, **own}, data=body() if body else None)
            follows = reply.status_code in (_REDIRECTS if method in {"GET", "HEAD"} else _KEEP_METHOD)
            if not follows or "Location" not in reply.headers:
                return reply
            reply.close()
            url = web_address(self.reference, url, reply.headers["Location"])
        raise SourceUnavailableError(f"{self.reference}: more than {_MOST_REDIRECTS} redirects")

    def _request(self, method: str, url: str, **more: Any) -> requests.Response:  # noqa: ANN401
        """Send one request; its body is still to be read, and a redirect to be followed."""
        timeout = (self._settings.connect_timeout, self._settings.stall_timeout)
        more.setdefault("auth", lambda request: request)  # no login from netrc in place of ours
        return self._session.request(method, url, stream=True, allow_redirects=False, timeout=timeout, **more)

    def _unreachable(self, error: Exception) -> TransferInterruptedError:
        what = f"{self.reference}: cannot reach the registry ({type(error).__name__})"
        hint = "check the address, the network and the proxy settings"
        if self.reference.scheme == "https":
            hint += f"; for a registry without TLS write http://{self.reference}"
        return TransferInterruptedError(what, hint=hint)

    def _expect(self, reply: requests.Response, status: int, what: str) -> None:
        code = reply.status_code
        if code == status:
            return
        hint = None
        if code in {_UNAUTHORIZED, requests.codes.forbidden}:
            login = f"docker login {self.reference.host}"
            hint = f"log in with '{login}' (or podman, skopeo), and check your permissions"
        message = f"{self.reference}: the registry refused {what}"
        found = f"{code} {self._reason(reply)}".strip()
        raise SourceUnavailableError(message, expected=status, found=found, hint=hint)

    # --- credentials

    def _authorize(self, challenge: str) -> None:
        """Meet a 401's challenge: send a password (RFC 7617), or get a token from the realm it names."""
        login = find_login(self.reference.host, self.reference.repository)
        scheme, _, rest = challenge.partition(" ")
        parameters = dict(_CHALLENGE.findall(rest))
        if scheme.lower() == "bearer" and parameters.get("realm"):
            self._authorization = self._token(parameters, login)
        elif scheme.lower() == "basic" and login is not None and login.user:
            pair = f"{login.user}:{login.password}".encode()
            self._authorization = f"Basic {base64.b64encode(pair).decode()}"
        else:
            self._authorization = ""

    def _token(self, challenge: Mapping[str, str], login: Login | None) -> str:
        """Return the header with a token of the realm; what is posted or sent there goes nowhere else."""
        realm = web_address(self.reference, self._home, challenge["realm"])
        query = {key: challenge[key] for key in ("service", "scope") if challenge.get(key)}
        method: str = "GET"
        more: dict[str, Any] = {"params": query, **({"auth": None} if self._is_own(realm) else {})}
        if login is not None and login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": "model-zoo"}
            method, more = "POST", {"data": {**query, **form, "refresh_token": login.identity_token}}
        elif login is not None:
            more["auth"] = (login.user, login.password)
        first = urlsplit(realm)[:2]
        for _ in range(_MOST_REDIRECTS):
            if login is not None and urlsplit(realm).scheme != "https" and self.reference.scheme == "https":
                what = f"{self.reference}: the registry asked for the password without TLS"
                raise SourceUnavailableError(what, found=safe_url(realm), hint="do not use this registry")
            try:
                with self._request(method, realm, **more) as reply:
                    if reply.status_code not in _REDIRECTS or "Location" not in reply.headers:
                        return self._token_in(reply)
                    realm = web_address(self.reference, realm, reply.headers["Location"])
            except _FAILURES as error:
                raise self._unreachable(error) from None
            if login is not None and urlsplit(realm)[:2] != first:
                what = f"{self.reference}: the token service redirected the login to another host"
                raise SourceUnavailableError(what, found=safe_url(realm), hint="do not use this registry")
        raise SourceUnavailableError(f"{self.reference}: the token service redirects too often")

    def _token_in(self, reply: requests.Response) -> str:
        if reply.status_code != requests.codes.ok:
            return ""
        token = token_in(self._read(reply, _LARGEST_ANSWER), safe_url(reply.url))
        return f"Bearer {token}" if token else ""

    def _reason(self, reply: requests.Response) -> str:
        """Return the registry's own words about an error, as one short line."""
        try:
            words = words_in(self._read(reply, _LARGEST_ANSWER))
        except DownloadError:
            words = ""
        return (words or str(reply.reason or ""))[:200]
