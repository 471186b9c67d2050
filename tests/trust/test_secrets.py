"""Secrets go to the host they belong to, once, and to no file and no message."""

from __future__ import annotations

import base64
import json
import os
import threading
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from model_zoo.errors import ModelZooError
from model_zoo.settings import load_settings
from tests.plain_handler import PlainHandler
from tests.server import redirect
from tests.tiny import tiny_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "s3cr3t-w0rd"
DATA = tiny_onnx()


def holding(*places: Path) -> list[Path]:
    """Return the files that have the secret in them, or in their names."""
    found = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    wanted = [SECRET.encode(), base64.b64encode(SECRET.encode()).rstrip(b"=")]
    return [
        p for p in found if SECRET in p.name or (p.is_file() and any(w in p.read_bytes() for w in wanted))
    ]


@pytest.fixture
def addresses(server) -> dict[str, str]:
    """Return addresses of one file with a secret in each part that may hold one."""
    server.add("/m.onnx", DATA)
    server.add(f"/m.onnx?sig={SECRET}", DATA)
    server.add(f"/m.onnx?X-Amz-Signature={SECRET}&x=1", DATA)
    return {
        "a password": server.url("/m.onnx", user=f"me:{SECRET}"),
        "a token as the user": server.url("/m.onnx", user=SECRET),
        "a signed query": server.url(f"/m.onnx?sig={SECRET}"),
        "a query of S3": server.url(f"/m.onnx?X-Amz-Signature={SECRET}&x=1"),
        "a fragment": server.url(f"/m.onnx#{SECRET}"),
    }


KINDS = ("a password", "a token as the user", "a signed query", "a query of S3", "a fragment")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["lock", "catalog add"])
def test_what_is_written_for_others_holds_no_secret(addresses, shell, tmp_path, kind, command):
    """Refused, or written without it: either is right, silence is not."""
    out = tmp_path / "out"
    out.mkdir()
    arguments = (
        ("lock", addresses[kind], "-o", out / "l.lock")
        if command == "lock"
        else ("catalog", "add", addresses[kind], "-o", out)
    )
    done = shell(*arguments)
    assert done.code in {0, 2}, done.text
    assert not holding(out), [path.read_text() for path in holding(out)]
    assert SECRET not in done.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [(), ("-v", "-v"), ("--progress", "json")], ids=["plain", "-v -v", "json"])
def test_a_fetch_prints_and_keeps_no_secret(addresses, shell, tmp_path, kind, flags):
    done = shell(*flags, "fetch", addresses[kind])
    assert done.code == 0, done.text
    assert SECRET not in done.text
    assert not holding(tmp_path / "cache")
    done = shell(*flags, "convert", addresses[kind])
    assert done.code == 0, done.text
    assert SECRET not in done.text
    assert not holding(tmp_path / "cache")


@pytest.mark.parametrize("kind", ["a password", "a signed query"])
def test_what_is_handed_on_holds_no_secret(addresses, shell, tmp_path, kind):
    out = tmp_path / "out"
    for arguments in (
        ("export", "--format", "tar", "-o", out / "x.tar"),
        ("export", "--format", "oci", "-o", out / "oci"),
    ):
        out.mkdir(exist_ok=True)
        done = shell(*arguments, addresses[kind])
        assert done.code == 0, done.text
        assert SECRET not in done.text
    assert not holding(out)


@pytest.mark.parametrize("status", [403, 404, 500])
@pytest.mark.parametrize("kind", KINDS[:4])
def test_a_failed_download_says_no_secret(server, shell, tmp_path, kind, status):
    from tests.server import status as answer

    query = {"a signed query": f"?sig={SECRET}", "a query of S3": f"?X-Amz-Signature={SECRET}"}.get(kind, "")
    server.add(f"/x.onnx{query}", b"", answer(status))
    user = {"a password": f"me:{SECRET}", "a token as the user": SECRET}.get(kind, "")
    done = shell("-v", "-v", "fetch", server.url(f"/x.onnx{query}", user=user)).refused(4)
    assert SECRET not in done.text
    assert not holding(tmp_path / "cache")


# --- what is typed wrong

ODD = {
    "upper-case scheme": f"HTTP://me:{SECRET}@127.0.0.1:9/m.onnx",
    "ftp": f"ftp://me:{SECRET}@127.0.0.1/m.onnx",
    "s3": f"s3://me:{SECRET}@bucket/m.onnx",
    "one slash": f"http:/me:{SECRET}@127.0.0.1/m.onnx",
    "three slashes": f"http:///me:{SECRET}@127.0.0.1/m.onnx",
    "no slash": f"https:me:{SECRET}@127.0.0.1/m.onnx",
    "no scheme": f"me:{SECRET}@127.0.0.1/m.onnx",
    "no scheme but slashes": f"//me:{SECRET}@127.0.0.1/m.onnx",
    "a broken IPv6": f"http://me:{SECRET}@[::1/m.onnx",
    "a bad port": f"http://me:{SECRET}@127.0.0.1:port/m.onnx",
    "a huge port": f"http://me:{SECRET}@127.0.0.1:99999/m.onnx",
    "no file": f"http://me:{SECRET}@127.0.0.1:9/",
    "white space": f"http://me:{SECRET}@127.0.0.1:9/a b.onnx",
    "a line end": f"http://me:{SECRET}@127.0.0.1:9/a\nb.onnx",
    "an at sign in it": f"http://me:{SECRET}@{SECRET}@127.0.0.1:9/m.onnx",
    "a signed query, upper case": f"HTTPS://127.0.0.1:9/m.onnx?sig={SECRET}",
    "a precision that is none": f"http://me:{SECRET}@127.0.0.1:9/m.onnx@FP99",
    "a hub with a password": f"hf://me:{SECRET}@org/name/m.onnx",
    "a registry with a password": f"oci://me:{SECRET}@127.0.0.1:9/x:1",
}
COMMANDS = {
    "fetch": ("fetch", "{}"),
    "info": ("info", "{}"),
    "lock": ("lock", "{}", "-o", "/nonexistent/x"),
    "catalog add": ("catalog", "add", "{}"),
    "push": ("push", "{}", "one"),
    "pull": ("pull", "{}"),
    "cache": ("--cache", "{}", "--offline", "fetch", "one"),
    "an unknown command": ("{}",),
    "cache pin": ("cache", "pin", "{}"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_usage_error_prints_a_password(catalog, shell, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    shown, ends = [], []
    for name, address in ODD.items():
        done = shell(*(part.format(address) if part == "{}" else part for part in COMMANDS[command]))
        if SECRET in done.text:
            shown.append(name)
        if done.code not in range(2, 9):
            ends.append(f"{name}: exit {done.code}: {done.err.splitlines()[0][:160] if done.err else ''}")
    assert not shown, f"printed: {shown}"
    assert not ends or command == "cache", ends


VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "MODEL_ZOO_MIRRORS", "HF_ENDPOINT", "MODEL_ZOO_REMOTE")


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_doctor_says_of_the_network_has_no_password(monkeypatch, variable):
    """Also of an address that nobody would understand, and nothing but an error of ours is raised."""
    from model_zoo.cli.checks.network import check_network

    shown, ends = [], []
    for name, address in {
        **ODD,
        "a good one": f"http://me:{SECRET}@127.0.0.1:9",
        "only a pair": f"me:{SECRET}",
    }.items():
        value = f"https://h.example/={address}" if variable == "MODEL_ZOO_MIRRORS" else address
        monkeypatch.setenv(variable, value.replace("\n", ""))
        try:
            found = list(check_network(load_settings(), os.environ, connect=False))
        except ModelZooError as error:
            found = [error]
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            ends.append(f"{name}: {error!r}")
            continue
        if SECRET in str(found):
            shown.append(name)
    assert not shown, f"printed: {shown}"
    assert not ends, ends


def test_doctor_prints_no_password(shell, monkeypatch):
    for number, variable in enumerate(VARIABLES):
        address = list(ODD.values())[number]
        monkeypatch.setenv(
            variable, f"https://h.example/={address}" if variable == "MODEL_ZOO_MIRRORS" else address
        )
    done = shell("doctor", "--json")
    assert SECRET not in done.text
    assert done.code != 1


@pytest.mark.parametrize(
    "address", [f"me:{SECRET}@mirror", f"=http://me:{SECRET}@h", f"http://me:{SECRET}@h"]
)
def test_a_setting_that_is_refused_is_not_printed(shell, monkeypatch, address):
    monkeypatch.setenv("MODEL_ZOO_MIRRORS", address)
    assert SECRET not in shell("list", "--cached").refused(2).text


def test_a_catalog_entrys_password_is_not_printed(catalog, shell):
    import yaml

    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    for address in ODD.values():
        data["artifacts"][0]["sources"] = [{"url": address}]
        path.write_text(yaml.safe_dump(data))
        done = shell("catalog", "validate", path)
        assert done.code in {0, 3}, done.text
        assert SECRET not in done.text, address


# --- a registry, and where it sends us


class Registry(PlainHandler):
    """A registry that wants a token, from a realm that sends on whoever asks it."""

    def do_GET(self) -> None:  # noqa: N802 - the server calls it
        data = self.body()
        self.server.seen.append((self.command, self.path, dict(self.headers), data))  # type: ignore[attr-defined]
        script: dict[str, Any] = self.server.script  # type: ignore[attr-defined]
        if self.path.startswith("/v2/"):
            self.answer(401, WWW_Authenticate=f'Bearer realm="{script["realm"]}",service="r",scope="x"')
        elif self.path.startswith("/token") and script.get("to"):
            self.answer(script["status"], Location=script["to"])
        else:
            self.answer(200, json.dumps({"token": "t"}).encode(), Content_Type="application/json")

    do_POST = do_HEAD = do_PUT = do_PATCH = do_GET  # noqa: N815


@contextmanager
def listening() -> Iterator[ThreadingHTTPServer]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    running.seen, running.script = [], {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join(10)


@pytest.fixture
def pair() -> Iterator[tuple[ThreadingHTTPServer, ThreadingHTTPServer]]:
    """Return a registry, and another host."""
    with listening() as registry, listening() as other:
        yield registry, other


def log_in(home: Path, host: str, **stored: str) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: stored}}))


def got(server: ThreadingHTTPServer) -> list[str]:
    """Return what a server was sent that has the secret in it, credentials decoded."""
    found = []
    for method, path, headers, body in server.seen:  # type: ignore[attr-defined]
        sent = headers.get("Authorization", "").partition(" ")[2]
        with suppress(ValueError):
            sent += base64.b64decode(sent).decode()
        text = f"{path} {sent} {parse_qs(body.decode())} {headers}"
        if SECRET in text:
            found.append(f"{method} {path}")
    return found


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (301, "token"),
        (302, "token"),
        (303, "token"),
        (307, "token"),
        (308, "token"),
        *((code, "password") for code in (301, 302, 303, 307, 308)),
    ],
)
def test_a_token_endpoint_that_sends_us_on_gets_nothing_posted_again(pair, shell, tmp_path, code, kind):
    registry, other = pair
    host = f"127.0.0.1:{registry.server_address[1]}"
    stored = (
        {"identitytoken": SECRET}
        if kind == "token"
        else {"auth": base64.b64encode(f"me:{SECRET}".encode()).decode()}
    )
    log_in(tmp_path / "home", host, **stored)
    registry.script.update(
        realm=f"http://{host}/token",
        status=code,
        to=f"http://localhost:{other.server_address[1]}/token",
    )
    done = shell("pull", f"{host}/models:1").refused(4)
    assert got(registry), "the login was never used"
    assert not got(other), f"the secret went to another host: {got(other)}"
    assert SECRET not in done.text


def test_a_token_endpoint_on_the_same_host_may_send_us_on(pair, shell, tmp_path):
    registry, _ = pair
    host = f"127.0.0.1:{registry.server_address[1]}"
    log_in(tmp_path / "home", host, identitytoken=SECRET)
    registry.script.update(realm=f"http://{host}/token", status=307, to=f"http://{host}/again")
    shell("pull", f"{host}/models:1").refused(4)
    assert got(registry)


def test_a_realm_without_tls_gets_no_identity_token_of_another_host(pair, shell, tmp_path):
    """The realm is another host: as docker does, the login goes there; a 307 from there goes nowhere."""
    registry, other = pair
    host = f"127.0.0.1:{registry.server_address[1]}"
    log_in(tmp_path / "home", host, identitytoken=SECRET)
    registry.script.update(realm="ftp://localhost/token")
    shell("pull", f"{host}/models:1").refused(4)
    assert not got(other)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_netrc_and_passwords_stay_with_their_host(server, shell, tmp_path, code):
    from tests.server import Server

    (tmp_path / "home" / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    with Server() as other:
        other.add("/m.onnx", DATA)
        server.add("/m.onnx", b"", redirect(other.url("/m.onnx", host="localhost"), code))
        done = shell("fetch", server.url("/m.onnx", user=f"me:{SECRET}"))
        assert done.code == 0, done.text
        assert any("authorization" in seen.headers for seen in server.seen())
        assert not any({"authorization", "cookie"} & seen.headers.keys() for seen in other.seen())
