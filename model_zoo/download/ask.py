"""Asking an address about its file: HEAD, and a range of one byte where that does not tell."""

from __future__ import annotations

import base64
import re
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_zoo.download.failures import TransientError, backoff, parse_retry_after
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

    from model_zoo.download.http import Client
    from model_zoo.sources.base import HttpLocation

_PERMANENT = {301, 308}
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_HEX = {"sha256": 64, "sha384": 96, "sha512": 128}
_FIELD = re.compile(r"\b(sha-?(?:256|384|512))=:?([A-Za-z0-9+/]+={0,2}):?", re.IGNORECASE)


@dataclass(frozen=True)
class Stated:
    """What a server says of a file.

    Attributes:
        status: of the last response.
        size: in bytes, if it says so.
        digests: hex by algorithm, of those headers in which servers and stores state one.
        moved_to: the address that a permanent redirect names, if the first one is one.
        html: it calls the file a web page.
    """

    status: int
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    moved_to: str | None = None
    html: bool = False


def ask(client: Client, location: HttpLocation, attempts: int) -> Stated:
    """Ask about a file; a server that is busy is asked again, when it wants to be.

    Raises:
        RefusedError: the address is invalid, or redirects where it must not.
        TransientError: no response came, or the server stayed busy.
    """
    for attempt in range(1, max(1, attempts) + 1):
        try:
            found = _once(client, location)
        except TransientError as error:
            if attempt >= attempts:
                raise
            wait = backoff(attempt, error.retry_after)
        else:
            return found
        if client.watchdog.stop.wait(wait):
            break
    raise TransientError(f"{safe_url(location.url)}: not asked any more")


def _once(client: Client, location: HttpLocation) -> Stated:
    stated = _send(client, "HEAD", location, {})
    if 200 <= stated.status < 300 and stated.size is not None:  # noqa: PLR2004 - success
        return stated
    return _send(client, "GET", location, {"Range": "bytes=0-0"})


def _send(client: Client, method: str, location: HttpLocation, headers: Mapping[str, str]) -> Stated:
    url = location.url
    response = client.open(method, url, url, location.headers, headers)
    try:
        if response.status_code in _BUSY:
            what = f"{safe_url(url)} answered {response.status_code}"
            raise TransientError(what, retry_after=parse_retry_after(response.headers.get("Retry-After")))
        return _stated(response)
    finally:
        response.close()


def _stated(response: requests.Response) -> Stated:
    moved, target = None, None
    for hop in response.history:
        if hop.status_code not in _PERMANENT:
            break
        moved = hop
    if moved is not None:
        following = response.history[response.history.index(moved) + 1 :]
        target = str((following[0] if following else response).url)
    return Stated(
        response.status_code,
        _size(response),
        _digests(response),
        safe_url(target) if target else None,
        response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html",
    )


def _size(response: requests.Response) -> int | None:
    """Return the size of the whole file; that of a compressed form is another."""
    headers = response.headers
    linked = headers.get("X-Linked-Size", "")
    whole = re.fullmatch(r"\s*bytes\s+[0-9-]+/([0-9]{1,18})\s*", headers.get("Content-Range", ""))
    if whole:
        return int(whole[1])
    plain = headers.get("Content-Encoding", "identity").strip().lower() in {"", "identity"}
    length = headers.get("Content-Length", "").strip()
    if response.status_code == 200 and plain and re.fullmatch("[0-9]{1,18}", length):  # noqa: PLR2004
        return int(length)
    return int(linked) if re.fullmatch("[0-9]{1,18}", linked) else None


def _digests(response: requests.Response) -> dict[str, str]:
    """Return what a server states of the file: RFC 9530 and 3230, and the headers of common stores."""
    found: dict[str, str] = {}
    for answer in (*response.history, response):
        headers = answer.headers
        stated = [headers.get(name, "") for name in ("Repr-Digest", "Digest")]
        if answer.status_code == 200:  # noqa: PLR2004 - of a part it is the part's
            stated.append(headers.get("Content-Digest", ""))
        for name, value in _FIELD.findall(", ".join(stated)):
            _add(found, name.lower().replace("-", ""), value)
        _add(found, "sha256", headers.get("x-amz-checksum-sha256", ""))
        for name in ("X-Checksum-Sha256", "X-Linked-Etag"):
            text = headers.get(name, "").strip('" ').lower()
            if re.fullmatch("[0-9a-f]{64}", text):
                found.setdefault("sha256", text)
    return found


def _add(found: dict[str, str], algorithm: str, text: str) -> None:
    """Note a digest in base64, if it is one."""
    try:
        digits = base64.b64decode(text, validate=True).hex()
    except (Base64Error, ValueError):
        return
    if len(digits) == _HEX[algorithm]:
        found.setdefault(algorithm, digits)
