"""``catalog validate --online``: every address is asked, politely; nothing is transferred."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from model_zoo.cli.main import cli, run
from model_zoo.version import __version__
from tests.server import Answer, Server, redirect, status
from tests.tiny import entry, write_entry

DATA = b"x" * 5000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def validate(tmp_path, monkeypatch, capsys):
    """Return a function that validates the catalog online and returns code, result and stderr."""
    (tmp_path / "catalog").mkdir()
    config = tmp_path / "config.toml"
    config.write_text("attempts = 2\nconnect_timeout = 5.0\nstall_timeout = 5.0\n")
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(config))
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))

    def call(*options):
        code = run(cli, ["catalog", "validate", str(tmp_path / "catalog"), "--online", "--json", *options])
        done = capsys.readouterr()
        return code, json.loads(done.out) if done.out else None, done.err

    return call


def add(tmp_path, name, *sources, data=DATA, **changes):
    one = entry(name, data, *sources)
    one["artifacts"][0] |= changes
    write_entry(tmp_path / "catalog", one)


def test_all_is_as_it_should_be(validate, server, tmp_path):
    for number in range(3):
        add(tmp_path, f"m{number}", {"url": server.add(f"/{number}", DATA)})
    code, found, _ = validate()
    assert code == 0
    assert found == {"entries": 3, "errors": [], "asked": 3, "unasked": {}}
    assert {seen.method for seen in server.seen()} == {"HEAD"}
    assert {seen.headers["user-agent"] for seen in server.seen()} == {f"model-zoo/{__version__}"}
    assert server.sent() == 0


def stated(**headers):
    return Answer(headers={name.replace("_", "-"): value for name, value in headers.items()})


OTHER = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
RIGHT = base64.b64encode(hashlib.sha256(DATA).digest()).decode()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (status(404), "nothing found at"),
        (status(410), "nothing found at"),
        (status(403), "cannot check"),
        (Answer(content=b"y" * 4000), "has changed"),
        (stated(Repr_Digest=f"sha-256=:{OTHER}:"), "has changed"),
        (stated(Digest=f"sha-256={OTHER}"), "has changed"),
        (stated(x_amz_checksum_sha256=OTHER), "has changed"),
        (stated(X_Linked_Etag=f'"{"0" * 64}"'), "has changed"),
        (Answer(body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"}), "has changed"),
        (status(503), "cannot check"),
    ],
)
def test_what_is_wrong(validate, server, tmp_path, answer, text):
    url = server.add("/m", DATA, answer)
    add(tmp_path, "net", {"url": url})
    code, found, err = validate()
    assert code == 3
    (error,) = found["errors"]
    assert error["path"].endswith("net.yaml")
    assert text in error["message"]
    assert url in error["message"]
    assert text in err


@pytest.mark.parametrize(
    "answer",
    [
        stated(Repr_Digest=f"sha-256=:{RIGHT}:, sha-512=:bm8=:"),
        stated(Digest=f"md5=abc, SHA-256={RIGHT}"),
        stated(X_Checksum_Sha256=SHA),
        stated(Repr_Digest="sha-256=:!:"),
        stated(Content_Length=None),
    ],
)
def test_what_is_right(validate, server, tmp_path, answer):
    add(tmp_path, "net", {"url": server.add("/m", DATA, answer)})
    code, found, err = validate()
    assert (code, found["errors"]) == (0, []), err


@pytest.mark.parametrize("code", [403, 404, 405, 501])
def test_servers_without_head_are_asked_for_one_byte(validate, server, tmp_path, code):
    add(tmp_path, "net", {"url": server.add("/m", DATA, status(code), Answer())})
    assert validate()[0] == 0
    head, get = server.seen("/m")
    assert (head.method, get.method, get.range) == ("HEAD", "GET", (0, 0))
    assert get.sent <= 1


def test_one_byte_of_a_file_that_changed(validate, server, tmp_path):
    add(tmp_path, "net", {"url": server.add("/m", DATA + b"!", status(405), Answer())})
    code, found, _ = validate()
    assert code == 3
    assert "5001 bytes" in found["errors"][0]["message"]


@pytest.mark.parametrize(
    ("codes", "moved"), [((301,), 1), ((308, 301), 2), ((301, 302), 1), ((302,), 0), ((302, 301), 0)]
)
def test_a_permanent_redirect_is_a_move(validate, server, tmp_path, codes, moved):
    for number, code in enumerate(codes):
        server.add(f"/{number}", b"", redirect(server.url(f"/{number + 1}"), code))
    server.add(f"/{len(codes)}", DATA)
    add(tmp_path, "net", {"url": server.url("/0")})
    code, found, _ = validate()
    assert code == (3 if moved else 0)
    if moved:
        assert "has moved permanently" in found["errors"][0]["message"]
        assert server.url(f"/{moved}") in found["errors"][0]["message"]


def test_a_busy_server_is_asked_again_when_it_wants_to_be(validate, server, tmp_path):
    add(tmp_path, "net", {"url": server.add("/m", DATA, status(429, retry_after="1"), Answer())})
    assert validate()[0] == 0
    first, second = server.seen("/m")
    assert second.at - first.at >= 1


def test_a_host_gets_few_requests_at_once_and_each_address_one(validate, server, tmp_path):
    slow = Answer(delay=0.05)
    for number in range(24):
        add(tmp_path, f"m{number}", {"url": server.add(f"/{number}", DATA, slow)})
    assert validate()[0] == 0
    assert 1 < server.most_at_once <= 4
    assert len(server.seen()) == 24


def test_hosts_do_not_wait_for_each_other(validate, tmp_path):
    with Server() as one, Server() as two:
        for name, server in (("a", one), ("b", two)):
            for number in range(4):
                add(tmp_path, f"{name}{number}", {"url": server.add(f"/{number}", DATA, Answer(delay=0.3))})
        assert validate()[0] == 0
        first, second = (min(seen.at for seen in server.seen()) for server in (one, two))
        assert abs(first - second) < 0.3


def test_each_source_is_asked_and_a_dead_host_does_not_stop_the_rest(validate, server, tmp_path):
    add(tmp_path, "net", {"url": "http://127.0.0.1:9/m"}, {"url": server.add("/m", DATA)})
    code, found, _ = validate()
    assert code == 3
    assert found["asked"] == 2
    (error,) = found["errors"]
    assert "http://127.0.0.1:9/m" in error["message"]
    assert "connection refused" in error["message"]


def test_secrets_of_an_address_are_not_shown(validate, server, tmp_path):
    add(tmp_path, "net", {"url": server.url("/gone?sig=s3cret", user="me:hunter2")})
    code, found, err = validate()
    assert code == 3
    assert "hunter2" not in str(found) + err


def test_what_has_no_address_is_counted(validate, tmp_path):
    (tmp_path / "catalog" / "m.onnx").write_bytes(DATA)
    add(tmp_path, "here", {"file": "m.onnx"}, {"wheel": "demo==1", "member": "m"}, {"gdrive": "0123456789ab"})
    code, found, err = validate()
    assert code == 0
    assert found["unasked"] == {"file": 1, "gdrive": 1, "wheel": 1}
    assert "have no address to ask" in err


def test_the_hub_is_asked_once_for_each_revision(validate, hub, tmp_path):
    files = {"a.onnx": DATA, "b.json": b"{}", "c.onnx": b"other"}
    commit = hub.commit("org/net", files, lfs={"a.onnx", "c.onnx"})
    hub.branch("org/net", "main", commit)
    for name in ("a.onnx", "b.json"):
        add(
            tmp_path,
            name.replace(".", "-"),
            {"hf": "org/net", "revision": commit, "file": name},
            data=files[name],
        )
    add(tmp_path, "changed", {"hf": "org/net", "revision": commit, "file": "c.onnx"}, data=b"0ther")
    add(tmp_path, "gone", {"hf": "org/net", "revision": commit, "file": "d.onnx"})
    add(tmp_path, "nowhere", {"hf": "org/none", "revision": commit, "file": "d.onnx"})
    code, found, _ = validate()
    assert code == 3
    messages = {error["path"].rpartition("/")[2]: error["message"] for error in found["errors"]}
    assert set(messages) == {"changed.yaml", "gone.yaml", "nowhere.yaml"}
    assert "has changed" in messages["changed.yaml"]
    assert "nothing found at" in messages["gone.yaml"]
    assert "nothing found at" in messages["nowhere.yaml"]
    assert len(hub.asked("/api/models/org/net")) == 1
    assert not hub.asked("/resolve/")


def test_offline_it_is_refused(validate, server, tmp_path):
    add(tmp_path, "net", {"url": server.add("/m", DATA)})
    code, _, err = validate("--offline")
    assert code == 2
    assert "--online needs the network" in err
    assert server.seen() == []
