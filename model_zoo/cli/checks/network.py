"""What stands between here and a download: proxies, certificates, mirrors, Hugging Face.

Opens no socket unless asked to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from model_zoo.cli.checks import Finding, note, ok, wrong
from model_zoo.errors import DownloadError
from model_zoo.sources.url import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model_zoo.settings import Settings

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PROXY_SCHEMES = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
HUB = "https://huggingface.co"
CODE = DownloadError.exit_code


def examine_network(settings: Settings, env: Mapping[str, str], *, connect: bool) -> Iterator[Finding]:
    """Examine what the environment says about the network, and with ``connect`` whether it is so."""
    yield ok("network", "offline", "yes: no socket is opened" if settings.offline else "no")
    for name in PROXIES:
        yield from _proxy(name, env)
    yield from _bundles(env)
    for before, after in settings.mirrors:
        yield _mirror(before, after)
    yield from _hub(env, offline=settings.offline)
    if connect and settings.offline:
        yield note("network", "reachable", "not tried, as this run is offline")
    elif connect:
        for address in _addresses(settings, env):
            yield _reach(address, settings.connect_timeout)


def address_problem(text: str, schemes: set[str]) -> str | None:
    """Return what is wrong with an address, or None."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        return str(error)
    if text != text.strip() or any(character.isspace() for character in text):
        return "contains white space"
    if parts.scheme not in schemes:
        return f"has the scheme {parts.scheme!r}, not one of {', '.join(sorted(schemes))}"
    if not parts.hostname or parts.hostname in {"http", "https"}:
        return "names no host"
    if "//" in text.partition("://")[2] or ("//" in text and "://" not in text):
        return "has // where none belongs"
    return "has the port 0" if port == 0 else None


def _shown(text: str) -> str:
    try:
        return safe_url(text if "://" in text else f"http://{text}")
    except ValueError:
        return "an address that cannot be read"


def _proxy(name: str, env: Mapping[str, str]) -> Iterator[Finding]:
    values = {spelling: env[spelling] for spelling in (name.lower(), name) if env.get(spelling)}
    for spelling, text in values.items():
        problem = address_problem(text, PROXY_SCHEMES)
        shown = _shown(text)
        if problem is not None:
            hint = f"set {spelling} to http://HOST:PORT, or unset it"
            yield wrong("network", spelling, f"{shown} {problem}", hint, CODE)
        elif text.lower().startswith("socks") and not _importable("socks"):
            hint = "pip install pysocks"
            yield wrong("network", spelling, f"{shown} needs the package pysocks", hint, CODE)
        else:
            yield ok("network", spelling, shown)
    if len(set(values.values())) > 1:
        yield note("network", f"{name} twice", f"{name.lower()} and {name} differ", "set both to the same")


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _bundles(env: Mapping[str, str]) -> Iterator[Finding]:
    for name in BUNDLES:
        if not env.get(name):
            continue
        path = Path(env[name])
        hint = f"set {name} to a readable file of certificates (PEM), or unset it"
        try:
            if path.is_dir():
                found = f"{path}, a folder of {len(list(path.iterdir()))} files"
            elif b"-----BEGIN CERTIFICATE-----" in path.read_bytes():
                found = str(path)
            else:
                yield wrong("network", name, f"{path} holds no certificate", hint, CODE)
                continue
        except OSError as error:
            yield wrong("network", name, f"{path} cannot be read: {error.strerror}", hint, CODE)
            continue
        yield ok("network", name, found)


def _mirror(before: str, after: str) -> Finding:
    shown = f"{_shown(before)} → {_shown(after)}"
    for address in (before, after):
        problem = address_problem(address, {"http", "https"}) if "://" in address else "has no scheme"
        if problem is not None:
            hint = "write mirrors as https://FROM/=https://TO/, in MODEL_ZOO_MIRRORS or the settings file"
            return wrong("network", "mirror", f"{shown}: {_shown(address)} {problem}", hint, CODE)
    if before.endswith("/") != after.endswith("/"):
        return note(
            "network", "mirror", shown, "end both addresses with a slash, or neither: text is replaced"
        )
    return ok("network", "mirror", shown)


def _hub(env: Mapping[str, str], *, offline: bool) -> Iterator[Finding]:
    endpoint = env.get("HF_ENDPOINT")
    if endpoint:
        problem = address_problem(endpoint, {"http", "https"})
        if problem is not None:
            hint = "set HF_ENDPOINT to https://HOST, or unset it"
            yield wrong("network", "HF_ENDPOINT", f"{_shown(endpoint)} {problem}", hint, CODE)
        else:
            yield ok("network", "HF_ENDPOINT", _shown(endpoint))
    token = env.get("HF_TOKEN")
    if token and any(character.isspace() for character in token):
        hint = "set it again without the space or line end, which no request header may hold"
        yield wrong("network", "HF_TOKEN", "set, and contains white space", hint, CODE)
    else:
        yield ok("network", "HF_TOKEN", "set" if token else "not set: public models only")
    if env.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"} and not offline:
        hint = "unset HF_HUB_OFFLINE, or set MODEL_ZOO_OFFLINE=1 as well if that is what you want"
        yield note("network", "HF_HUB_OFFLINE", "set, so nothing new comes from Hugging Face", hint)


def _addresses(settings: Settings, env: Mapping[str, str]) -> list[str]:
    mirrors = [after for _, after in settings.mirrors]
    return list(dict.fromkeys([env.get("HF_ENDPOINT") or HUB, *mirrors]))


def _reach(address: str, timeout: float) -> Finding:
    import requests

    shown = _shown(address)
    try:
        reply = requests.head(address, timeout=timeout, allow_redirects=False)
    except (requests.RequestException, OSError, ValueError) as error:
        kind = type(error).__name__
        hint = "see the proxy and the certificates above, or set MODEL_ZOO_OFFLINE=1 to work from the cache"
        if isinstance(error, requests.exceptions.SSLError):
            hint = "if a proxy opens encrypted traffic here, set REQUESTS_CA_BUNDLE to its certificate"
        return wrong("network", "reachable", f"{shown} cannot be reached ({kind})", hint, CODE)
    return ok("network", "reachable", f"{shown} answers {reply.status_code}")
