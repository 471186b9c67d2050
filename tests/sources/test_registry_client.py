"""The registry client against a registry that misbehaves: torn uploads, tokens, redirects, nonsense."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import ThreadingHTTPServer

import pytest

from model_zoo.errors import (
    DigestMismatchError,
    IntegrityError,
    OfflineError,
    SourceUnavailableError,
    TransferInterruptedError,
)
from model_zoo.settings import Settings
from model_zoo.sources.oci import OCI_MANIFEST, client
from model_zoo.sources.oci.client import Registry, oci_digest
from model_zoo.sources.oci.reference import oci_reference
from tests.plain_handler import PlainHandler

DATA = bytes(range(256)) * 4000
DIGEST = oci_digest(DATA)


class Script:
    """What the registry does: each attribute is one kind of misbehaviour."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.tear_after = 0  # bytes of a PATCH after which the connection ends
        self.tears = 0  # how often
        self.tells_progress = True
        self.busy = 0  # how many answers are 503
        self.auth = ""  # basic or bearer
        self.realm = ""
        self.token = "t0ken"
        self.location = "relative"
        self.refuse: dict[str, int] = {}  # method → status


class Handler(PlainHandler):
    script: Script

    def handle_any(self) -> None:
        script, path = self.script, self.path
        script.seen.append((self.command, path, dict(self.headers)))
        if path.startswith("/token"):
            self.give_token()
        elif script.busy > 0:
            script.busy -= 1
            self.body()
            self.answer(503)
        elif script.auth and not self.allowed():
            self.body()
            challenge = {
                "basic": 'Basic realm="here"',
                "bearer": f'Bearer realm="{script.realm}",service="reg",scope="repository:m:pull,push"',
                "odd": "Negotiate",
            }[script.auth]
            self.answer(
                401,
                json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}).encode(),
                WWW_Authenticate=challenge,
            )
        elif self.command in script.refuse:
            self.body()
            self.answer(
                script.refuse[self.command],
                b'{"errors": [{"code": "DENIED", "message": "quota\\nis  full"}]}',
            )
        else:
            self.serve()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - the base class calls them so

    def allowed(self) -> bool:
        got = self.headers.get("Authorization", "")
        good = (
            "Basic " + base64.b64encode(b"me:secret").decode()
            if self.script.auth == "basic"
            else f"Bearer {self.script.token}"
        )
        return got == good

    def give_token(self) -> None:
        body = self.body().decode()
        good = "Basic " + base64.b64encode(b"me:secret").decode()
        if self.headers.get("Authorization") == good or "refresh_token=idtoken" in body:
            self.answer(200, json.dumps({"token": self.script.token}).encode())
        elif (
            self.command == "GET" and "Authorization" not in self.headers and self.script.token == "anonymous"
        ):
            self.answer(200, json.dumps({"access_token": self.script.token}).encode())
        else:
            self.answer(403, b"no")

    def serve(self) -> None:
        script = self.script
        kind, _, name = self.path.removeprefix("/v2/m/").partition("/")
        if kind == "manifests":
            if self.command == "PUT":
                script.manifests[name] = self.body()
                self.answer(201)
            elif name in script.manifests:
                self.answer(200, script.manifests[name])
            else:
                self.answer(404, b"{}")
        elif name.startswith("uploads/"):
            self.upload(name.removeprefix("uploads/").partition("?")[0])
        elif name in script.blobs:
            self.answer(200, script.blobs[name])
        else:
            self.answer(404)

    def place(self, upload: str) -> str:
        here = f"/v2/m/blobs/uploads/{upload}?state=x"
        host = self.headers["Host"]
        return {"relative": here, "absolute": f"http://{host}{here}", "none": "", "ftp": "ftp://x/y"}[
            self.script.location
        ]

    def upload(self, upload: str) -> None:
        script = self.script
        if self.command == "POST":
            upload = f"u{len(script.uploads)}"
            script.uploads[upload] = bytearray()
            place = self.place(upload)
            self.answer(202, **({"Location": place} if place else {}))
        elif self.command == "PATCH":
            got, length = script.uploads[upload], int(self.headers["Content-Length"])
            stated = re.match(r"(\d+)-", self.headers.get("Content-Range", "0-"))
            assert stated is not None
            assert int(stated[1]) == len(got)
            if script.tears:
                script.tears -= 1
                got += self.rfile.read(min(script.tear_after, length))
                self.close_connection = True
                self.connection.close()
                return
            got += self.rfile.read(length)
            self.answer(202, Location=self.place(upload), Range=f"0-{len(got) - 1}")
        elif self.command == "GET":
            if not script.tells_progress:
                self.answer(404)
            else:
                self.answer(204, Location=self.place(upload), Range=f"0-{len(script.uploads[upload]) - 1}")
        elif self.command == "PUT":
            digest = re.search(r"digest=(sha256(?::|%3A)[0-9a-f]{64})", self.path)
            assert digest is not None
            data = bytes(script.uploads[upload])
            name = f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert digest[1].replace("%3A", ":") == name
            script.blobs[name] = data
            self.answer(201)


@pytest.fixture
def script(monkeypatch, tmp_path):
    """A registry that does what its script says, and nobody's logins."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "_LONGEST_PAUSE", 0.01)
    found = Script()
    handler = type("Bound", (Handler,), {"script": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        found.host = f"127.0.0.1:{server.server_address[1]}"
        found.realm = f"http://{found.host}/token"
        yield found
        server.shutdown()
        thread.join()


def talk(script, *, attempts=3, **more):
    settings = Settings(attempts=attempts, connect_timeout=2.0, stall_timeout=5.0, **more)
    return Registry(oci_reference(f"{script.host}/m"), settings)


def put(registry, data=DATA):
    return registry.put_blob(
        oci_digest(data), len(data), lambda start: iter((data[start : start + 7], data[start + 7 :]))
    )


@pytest.mark.parametrize("location", ["relative", "absolute"])
def test_blob_and_manifest_are_sent_once(script, location):
    script.location = location
    with talk(script) as registry:
        assert put(registry)
        assert not put(registry)
        registry.put_manifest("1", b'{"a": 1}', OCI_MANIFEST)
        found = registry.manifest("1")
    assert script.blobs == {DIGEST: DATA}
    assert (found.data, found.digest) == (b'{"a": 1}', oci_digest(b'{"a": 1}'))
    assert found.decode() == {"a": 1}


def test_torn_upload_goes_on_where_it_stopped(script):
    script.tear_after, script.tears = 300_000, 2
    with talk(script) as registry:
        assert put(registry)
    assert script.blobs == {DIGEST: DATA}
    assert len(script.uploads) == 1
    offsets = [
        h["Content-Range"] for method, _, h in script.seen if method == "PATCH" and "Content-Range" in h
    ]
    assert offsets == [f"300000-{len(DATA) - 1}", f"600000-{len(DATA) - 1}"]


def test_torn_upload_starts_again_where_nobody_knows_how_far_it_got(script):
    script.tear_after, script.tears, script.tells_progress = 300_000, 1, False
    with talk(script) as registry:
        assert put(registry)
    assert script.blobs == {DIGEST: DATA}
    assert len(script.uploads) == 2


def test_upload_without_progress_ends(script):
    script.tear_after, script.tears = 0, 99
    script.tells_progress = False
    with talk(script) as registry, pytest.raises(TransferInterruptedError, match="cannot reach the registry"):
        put(registry)
    assert len(script.uploads) == 3
    assert script.blobs == {}


def test_progress_does_not_use_up_attempts(script):
    script.tear_after, script.tears = 200_000, 5
    with talk(script, attempts=2) as registry:
        assert put(registry)


@pytest.mark.parametrize(
    ("location", "text"), [("none", "did not return an upload URL"), ("ftp", "named no valid URL")]
)
def test_upload_to_nowhere_is_refused(script, location, text):
    script.location = location
    with talk(script) as registry, pytest.raises(SourceUnavailableError, match=text):
        put(registry)


def test_busy_registry_is_asked_again_and_then_given_up(script):
    script.busy = 2
    with talk(script) as registry:
        assert put(registry)
        script.busy = 99
        with pytest.raises(TransferInterruptedError, match="repeatedly answered 503"):
            registry.has_blob(DIGEST)


def test_refusal_says_why_on_one_line(script):
    script.refuse = {"POST": 403}
    with talk(script) as registry, pytest.raises(SourceUnavailableError) as caught:
        put(registry)
    assert "DENIED quota is full" in str(caught.value)
    assert "docker login" in str(caught.value)


@pytest.mark.parametrize(("method", "code", "act"), [
    ("HEAD", 418, lambda registry: registry.has_blob(DIGEST)),
    ("HEAD", 418, lambda registry: registry.locate(DIGEST, None)),
    ("GET", 418, lambda registry: registry.manifest("1")),
    ("PUT", 400, lambda registry: registry.put_manifest("1", b"{}", OCI_MANIFEST)),
    ("PATCH", 413, put),
])  # fmt: skip
def test_unexpected_answer_is_an_error(script, method, code, act):
    script.refuse = {method: code}
    with talk(script) as registry, pytest.raises(SourceUnavailableError, match="refused"):
        act(registry)


def test_what_is_not_there(script):
    with talk(script) as registry:
        assert registry.manifest("1") is None
        assert not registry.has_blob(DIGEST)
        with pytest.raises(SourceUnavailableError, match="has no blob"):
            registry.locate(DIGEST, 7)


def test_manifest_is_held_to_its_digest_and_size(script, monkeypatch):
    script.manifests = {DIGEST: b"{}", "list": b"[]", "text": b"\xff", "big": b"x" * 100}
    with talk(script) as registry:
        with pytest.raises(DigestMismatchError):
            registry.manifest(DIGEST)
        for name in ("list", "text"):
            with pytest.raises(IntegrityError, match="not a JSON object"):
                registry.manifest(name).decode()
        monkeypatch.setattr(client, "LARGEST_MANIFEST", 99)
        with pytest.raises(SourceUnavailableError, match="larger than 99"):
            registry.manifest("big")


def test_nobody_there(script):
    settings = Settings(attempts=2, connect_timeout=1.0)
    with (
        Registry(oci_reference("127.0.0.1:9/m"), settings) as registry,
        pytest.raises(TransferInterruptedError) as caught,
    ):
        registry.has_blob(DIGEST)
    assert "http://" not in str(caught.value)
    with (
        Registry(oci_reference("https://127.0.0.1:9/m"), settings) as registry,
        pytest.raises(TransferInterruptedError, match="write http://127.0.0.1:9/m"),
    ):
        registry.has_blob(DIGEST)


def test_offline_opens_no_socket(script):
    with talk(script, offline=True) as registry, pytest.raises(OfflineError):
        registry.manifest()
    assert script.seen == []


# --- logins


def log_in(tmp_path, host, **entry):
    (tmp_path / "docker").mkdir(exist_ok=True)
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: entry}}))


BASIC = base64.b64encode(b"me:secret").decode()


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_login_is_used_once_it_is_asked_for(script, tmp_path, auth):
    script.auth = auth
    log_in(tmp_path, script.host, auth=BASIC)
    with talk(script) as registry:
        assert put(registry)
        place = registry.locate(DIGEST, len(DATA))
    assert "Authorization" not in script.seen[0][2]
    assert place.url == f"http://{script.host}/v2/m/blobs/{DIGEST}"
    assert place.headers["Authorization"].startswith("Basic" if auth == "basic" else "Bearer t0ken")
    tokens = [path for _, path, _ in script.seen if path.startswith("/token")]
    assert len(tokens) == (auth == "bearer")
    assert all("service=reg" in path and "scope=" in path for path in tokens)


def test_identity_token_is_exchanged(script, tmp_path):
    script.auth = "bearer"
    log_in(tmp_path, script.host, identitytoken="idtoken")
    with talk(script) as registry:
        assert put(registry)


def test_anonymous_token(script):
    script.auth, script.token = "bearer", "anonymous"
    with talk(script) as registry:
        assert put(registry)


def test_expired_token_is_renewed(script, tmp_path):
    script.auth = "bearer"
    log_in(tmp_path, script.host, auth=BASIC)
    with talk(script) as registry:
        assert put(registry)
        script.token = "later"
        assert not put(registry)


@pytest.mark.parametrize("auth", ["basic", "bearer", "odd"])
def test_without_a_login_the_way_to_one_is_shown(script, auth):
    script.auth = auth
    with talk(script) as registry, pytest.raises(SourceUnavailableError, match="docker login") as caught:
        put(registry)
    assert "401 Unauthorized" in str(caught.value)


def test_password_is_not_sent_in_the_clear_for_a_registry_with_tls(script, tmp_path):
    registry = Registry(oci_reference("https://registry.example/m"), Settings())
    with registry, pytest.raises(SourceUnavailableError, match="without TLS") as caught:
        registry._token({"realm": "http://thief.example/token?a=b"}, client.Login("me", "secret"))
    assert "secret" not in str(caught.value)


def test_realm_that_answers_nonsense(script, tmp_path):
    script.auth = "bearer"
    script.realm = f"http://{script.host}/v2/m/manifests/text"
    script.manifests = {"text": b"<html>"}
    script.auth = "bearer"
    with talk(script) as registry, pytest.raises((TransferInterruptedError, SourceUnavailableError)):
        registry.has_blob(DIGEST)


def test_netrc_does_not_stand_in_for_the_token(script, tmp_path, monkeypatch):
    script.auth = "bearer"
    log_in(tmp_path, script.host, auth=BASIC)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with talk(script) as registry:
        assert put(registry)
