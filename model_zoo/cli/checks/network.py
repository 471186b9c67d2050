"""What stands between this machine and a download: proxies, certificates, mirrors, Hugging Face.

Opens no socket unless told to.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.errors import DownloadError
from model_zoo.text import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.settings import Settings

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PROXY_SCHEMES = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}
_WEB_SCHEMES = {"http", "https"}
_BROKEN = "has an invalid host or port"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_HUB = "https://huggingface.co"
_CODE = DownloadError.exit_code


def check_network(settings: Settings, env: Mapping[str, str], *, connect: bool) -> Iterator[Finding]:
    """Check the environment's network settings, and with ``connect`` whether hosts can be reached."""
    yield ok("network", "offline", "yes: no socket is opened" if settings.offline else "no")
    for name in _PROXIES:
        yield from _proxy(name, env)
    for name in filter(env.get, _BUNDLES):
        yield _bundle(name, Path(env[name]))
    for mirror in settings.mirrors:
        yield _mirror(*mirror)
    yield from _hugging_face(env, offline=settings.offline)
    if connect and settings.offline:
        yield note("network", "reachable", "not tried, as this run is offline")
    elif connect:
        urls = [env.get("HF_ENDPOINT") or _HUB, *(after for _, after in settings.mirrors)]
        for url in dict.fromkeys(urls):
            yield _reach(url, settings.connect_timeout)


def url_problem(text: str, schemes: set[str]) -> str | None:
    """Return what is wrong with a URL whose scheme may be missing, or None."""
    rest = text.partition("://")[2] or text
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError as error:  # which may quote a password as the port
        return "is an invalid IPv6 URL" if "IPv6" in str(error) else _BROKEN
    problems = {
        "contains white space": re.search(r"\s", text) is not None,
        f"has the scheme {url.scheme!r}, not one of {', '.join(sorted(schemes))}": url.scheme not in schemes,
        "has no host": url.hostname in {None, "http", "https"},
        "contains a misplaced //": "//" in rest,
        "has port 0": port == 0,
    }
    return next((problem for problem, found in problems.items() if found), None)


def _shown(url: str) -> str:
    if "://" not in url and url_problem(url, PROXY_SCHEMES) == _BROKEN:
        return "a URL"  # a user and a password without a host look like this
    return safe_url(url if "://" in url else f"http://{url}")


def _url(check: str, url: str, schemes: set[str], hint: str) -> Finding:
    problem = url_problem(url, schemes)
    if problem is not None:
        return wrong("network", check, f"{_shown(url)} {problem}", hint, _CODE)
    return ok("network", check, _shown(url))


def _proxy(name: str, env: Mapping[str, str]) -> Iterator[Finding]:
    values = {spelling: env[spelling] for spelling in (name.lower(), name) if env.get(spelling)}
    for spelling, url in values.items():
        finding = _url(spelling, url, PROXY_SCHEMES, f"set {spelling} to http://HOST:PORT, or unset it")
        if finding.status == "ok" and url.lower().startswith("socks") and not _importable("socks"):
            found = f"{_shown(url)} needs the pysocks package"
            finding = wrong("network", spelling, found, "pip install pysocks", _CODE)
        yield finding
    if len(set(values.values())) > 1:
        found = f"{name.lower()} and {name} differ"
        yield note("network", f"{name} twice", found, "set both to the same URL")


def _importable(module: str) -> bool:
    return find_spec(module) is not None


def _bundle(name: str, path: Path) -> Finding:
    hint = f"set {name} to a readable file of PEM certificates, or unset it"
    try:
        if path.is_dir():
            return ok("network", name, f"{path}, a directory of {len(list(path.iterdir()))} files")
        if b"-----BEGIN CERTIFICATE-----" in path.read_bytes():
            return ok("network", name, str(path))
    except OSError as error:
        return wrong("network", name, f"cannot read {path}: {error.strerror}", hint, _CODE)
    return wrong("network", name, f"{path} contains no certificate", hint, _CODE)


def _mirror(before: str, after: str) -> Finding:
    shown = f"{_shown(before)} → {_shown(after)}"
    for url in (before, after):
        problem = url_problem(url, _WEB_SCHEMES) if "://" in url else "has no scheme"
        if problem is not None:
            hint = "write mirrors as https://FROM/=https://TO/, in MODEL_ZOO_MIRRORS or the settings file"
            return wrong("network", "mirror", f"{shown}: {_shown(url)} {problem}", hint, _CODE)
    if before.endswith("/") != after.endswith("/"):
        hint = "end both URLs with a slash, or neither: the prefix is replaced as text"
        return note("network", "mirror", shown, hint)
    return ok("network", "mirror", shown)


def _hugging_face(env: Mapping[str, str], *, offline: bool) -> Iterator[Finding]:
    if endpoint := env.get("HF_ENDPOINT"):
        yield _url("HF_ENDPOINT", endpoint, _WEB_SCHEMES, "set HF_ENDPOINT to https://HOST, or unset it")
    token = env.get("HF_TOKEN")
    if token and re.search(r"\s", token):
        hint = "remove spaces and line breaks: a request header cannot contain them"
        yield wrong("network", "HF_TOKEN", "set, but contains white space", hint, _CODE)
    else:
        yield ok("network", "HF_TOKEN", "set" if token else "not set: public models only")
    if env.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"} and not offline:
        hint = "unset HF_HUB_OFFLINE, or also set MODEL_ZOO_OFFLINE=1 if this is intended"
        yield note("network", "HF_HUB_OFFLINE", "set: nothing is downloaded from Hugging Face", hint)


def _reach(url: str, timeout: float) -> Finding:
    import requests

    from model_zoo.sources.deadlines import within

    shown = _shown(url)
    try:
        response = within(2 * timeout, lambda: requests.head(url, timeout=timeout, allow_redirects=False))
    except (requests.RequestException, OSError, ValueError) as error:
        hint = "check the proxy and certificates above, or set MODEL_ZOO_OFFLINE=1 to work from the cache"
        if isinstance(error, requests.exceptions.SSLError):
            hint = "if a proxy inspects TLS traffic here, set REQUESTS_CA_BUNDLE to its certificate"
        return wrong("network", "reachable", f"cannot reach {shown} ({type(error).__name__})", hint, _CODE)
    return ok("network", "reachable", f"{shown} answers {response.status_code}")
