"""Logins, from where container tools keep them."""

from __future__ import annotations

import base64
import json

import pytest

from model_zoo.errors import SourceUnavailableError, UsageError
from model_zoo.sources.oci.credentials import Login, find_login
from model_zoo.sources.oci.reference import oci_reference, parse_oci_reference

BASIC = base64.b64encode(b"me:se:cret").decode()


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(path, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else json.dumps(config))


@pytest.mark.parametrize(
    "key",
    ["reg.example", "https://reg.example", "https://reg.example/v1/", "reg.example/v2/", "reg.example/team"],
)
def test_keys_as_tools_write_them(home, key):
    write(home / ".docker/config.json", {"auths": {key: {"auth": BASIC}}})
    assert find_login("reg.example", "team/models") == Login("me", "se:cret")
    assert find_login("other.example", "team/models") is None
    assert (find_login("reg.example", "foes/models") is None) == (key == "reg.example/team")


def test_longest_path_wins(home):
    other = base64.b64encode(b"other:x").decode()
    write(
        home / ".docker/config.json",
        {"auths": {"reg.example": {"auth": other}, "reg.example/team": {"auth": BASIC}}},
    )
    assert find_login("reg.example", "team/models").user == "me"
    assert find_login("reg.example", "teams/models").user == "other"


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("DOCKER_CONFIG", "d/config.json"),
        ("REGISTRY_AUTH_FILE", "a/auth.json"),
        ("XDG_RUNTIME_DIR", "r/containers/auth.json"),
        ("XDG_CONFIG_HOME", "c/containers/auth.json"),
    ],
)
def test_places(home, monkeypatch, variable, place):
    write(home / place, {"auths": {"reg.example": {"username": "me", "password": "p"}}})
    value = home / place if variable == "REGISTRY_AUTH_FILE" else home / place.split("/")[0]
    monkeypatch.setenv(variable, str(value))
    assert find_login("reg.example", "m") == Login("me", "p")


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{", {"auths": []}, {"auths": {"reg.example": 3}}, {"auths": {"reg.example": {}}},
     {"auths": {"reg.example": {"auth": "%%%"}}}, {"auths": {"reg.example": {"auth": "/w=="}}},
     {"auths": {"reg.example": {"auth": base64.b64encode(b"nocolon").decode()}}}, {"credHelpers": 7},
     {"credsStore": "../evil"}],
)  # fmt: skip
def test_what_says_nothing_is_no_login(home, config):
    write(home / ".docker/config.json", config)
    assert find_login("reg.example", "m") is None


def helper(home, monkeypatch, script):
    program = home / "bin" / "docker-credential-shop"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.mark.parametrize("how", [{"credsStore": "shop"}, {"credHelpers": {"reg.example": "shop"}}])
def test_helper_is_asked(home, monkeypatch, how):
    helper(
        home,
        monkeypatch,
        'read host; test "$host" = reg.example || exit 1; echo \'{"Username": "me", "Secret": "s"}\'',
    )
    write(home / ".docker/config.json", {**how, "auths": {"reg.example": {}}})
    assert find_login("reg.example", "m") == Login("me", "s")
    assert find_login("other.example", "m") is None


def test_helper_may_give_a_token(home, monkeypatch):
    helper(home, monkeypatch, 'echo \'{"Username": "<token>", "Secret": "s"}\'')
    write(home / ".docker/config.json", {"credsStore": "shop"})
    assert find_login("reg.example", "library/x") == Login(identity_token="s")


def test_helper_that_is_missing_is_named(home, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    write(home / ".docker/config.json", {"credsStore": "shop"})
    with pytest.raises(SourceUnavailableError, match="docker-credential-shop"):
        find_login("reg.example", "m")


def test_helper_that_knows_nothing(home, monkeypatch):
    helper(home, monkeypatch, "echo '{}'")
    write(home / ".docker/config.json", {"credsStore": "shop"})
    assert find_login("reg.example", "m") is None


def test_login_keeps_its_secrets_to_itself():
    assert "se:cret" not in repr(Login("me", "se:cret", "tok3n"))
    assert "tok3n" not in repr(Login("me", "se:cret", "tok3n"))


@pytest.mark.parametrize(
    ("text", "scheme", "host", "repository", "tag", "digest"),
    [
        ("reg.example/m", "https", "reg.example", "m", None, None),
        ("reg.example:5000/a/b-c/d_e:1.0", "https", "reg.example:5000", "a/b-c/d_e", "1.0", None),
        (f"reg.example/m:t@sha256:{'a' * 64}", "https", "reg.example", "m", "t", f"sha256:{'a' * 64}"),
        ("oci://reg.example/m", "https", "reg.example", "m", None, None),
        ("http://reg.example/m", "http", "reg.example", "m", None, None),
        ("localhost:5000/m", "http", "localhost:5000", "m", None, None),
        ("localhost/m", "http", "localhost", "m", None, None),
        ("127.1.2.3:5000/m", "http", "127.1.2.3:5000", "m", None, None),
        ("[::1]:5000/m", "http", "[::1]:5000", "m", None, None),
        ("https://127.0.0.1/m", "https", "127.0.0.1", "m", None, None),
    ],
)
def test_targets(text, scheme, host, repository, tag, digest):
    found = parse_oci_reference(text)
    assert (found.scheme, found.host, found.repository, found.tag, found.digest) == (
        scheme,
        host,
        repository,
        tag,
        digest,
    )
    assert found.manifest_name == (digest or tag or "latest")
    assert parse_oci_reference(f"{scheme}://{found}") == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "models", "models:1", "reg.example", "reg.example/", "reg.example/UPPER", "reg.example/m:"),
        *("reg.example/m@sha256:12", "ftp://reg.example/m", "reg.example/../m", "user:pw@reg.example/m"),
        *("reg.example/m?x=1", "reg.example/m:a b"),
    ],
)
def test_what_is_no_target(text):
    with pytest.raises(ValueError, match="is not REGISTRY"):
        parse_oci_reference(text)
    with pytest.raises(UsageError, match="is not REGISTRY"):
        oci_reference(text)
