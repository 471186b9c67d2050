"""Credentials for a registry, from where container tools keep them, so that nobody has to log in twice.

The files and their fields are those of ``docker login`` and ``podman login`` (containers-auth.json(5)).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_zoo.errors import SourceUnavailableError

_HELPER = re.compile(r"[0-9A-Za-z._-]+")
_SECONDS = 30
"""How long a credential helper may take."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Login:
    """Either a name and a password, or a token that can be exchanged for others."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def find_login(host: str, repository: str) -> Login | None:
    """Return the login stored for a registry; the entry with the longest matching path wins.

    SourceUnavailableError where a credential helper that is configured for it cannot be run.
    """
    for path in _files():
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(config, dict) and (login := _from_config(config, host, repository)) is not None:
            _log.debug("using the login for %s from %s", host, path)
            return login
    return None


def _files() -> list[Path]:
    """Return the files to look in, most specific first."""
    env = os.environ
    home = Path("~").expanduser()
    docker = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else home / ".docker"
    found = [Path(env["REGISTRY_AUTH_FILE"])] if env.get("REGISTRY_AUTH_FILE") else []
    found.append(docker / "config.json")
    if env.get("XDG_RUNTIME_DIR"):
        found.append(Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    found.append(Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json")
    return found


def _from_config(config: dict[str, Any], host: str, repository: str) -> Login | None:
    auths = config.get("auths")
    stored = {_scope(key): value for key, value in (auths if isinstance(auths, dict) else {}).items()}
    scope = f"{host}/{repository}"
    matching = [key for key in stored if scope == key or scope.startswith(f"{key}/")]
    for key in sorted(matching, key=len, reverse=True):
        if (login := _read(stored[key])) is not None:
            return login
    helpers = config.get("credHelpers")
    names = {_scope(key): value for key, value in (helpers if isinstance(helpers, dict) else {}).items()}
    helper = names.get(host) or config.get("credsStore")
    return _from_helper(str(helper), host) if helper else None


def _scope(key: str) -> str:
    """Return ``host`` or ``host/path`` for a key, which may be a URL of an older version."""
    bare = re.sub(r"^[^/]*://", "", key).partition("?")[0].partition("#")[0]
    return re.sub(r"/v[12]/?$", "", bare.rstrip("/"))


def _read(entry: object) -> Login | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return Login(identity_token=str(entry["identitytoken"]))
    try:
        user, colon, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except ValueError:  # of base64, of UTF-8, or other than ASCII
        return None
    if colon:
        return Login(user, password.rstrip("\0"))
    name = entry.get("username")
    return Login(str(name), str(entry.get("password") or "")) if name else None


def _from_helper(helper: str, host: str) -> Login | None:
    """Return what ``docker-credential-HELPER`` knows about the host."""
    if not _HELPER.fullmatch(helper):
        return None
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=host, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, RecursionError, subprocess.TimeoutExpired) as error:
        what = f"cannot use the credential helper {program}: {type(error).__name__}"
        raise SourceUnavailableError(what, hint="install it, or remove it from the Docker config") from None
    if not isinstance(answer, dict) or not answer.get("Secret"):
        return None
    if answer.get("Username") == "<token>":
        return Login(identity_token=str(answer["Secret"]))
    return Login(str(answer.get("Username") or ""), str(answer["Secret"]))
