# ruff: noqa: E501 - tables of hostile cases read best one a line
"""Every input ends: bounded bytes, depth and time, then an error of its class. Exit 1 is a bug by definition.

What could eat memory or time runs in a process that may not have much of either.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import struct
import tarfile
import time
import zipfile

import pytest

from model_zoo.download import response
from model_zoo.sources.hf import hub as hub_client
from model_zoo.sources.oci import client as registry_client
from tests.server import Answer
from tests.tiny import _bytes, entry, tiny_onnx, write_entry
from tests.trust.support import MEGA, bounded
from tests.wheels import make_wheel

# --- catalogs


def aliases(width: int = 10, depth: int = 9) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(lines)


ENTRY = "schema: 1\nname: odd\ntask: t\nframework: onnx\nlicense: MIT\ndescription: d\n"
FILE = f"artifacts:\n- {{path: m.onnx, sha256: {'0' * 64}, sources: [{{url: 'http://127.0.0.1:9/x'}}]}}\n"
DOCUMENTS = {
    "an alias bomb as model_info": ENTRY + FILE + "model_info:\n  " + aliases().replace("\n", "\n  "),
    "an alias bomb beside the entry": aliases() + "\n" + ENTRY + FILE,
    "a mapping as a key": ENTRY + FILE + "? {a: 1}\n: b\n",
    "a sequence as a key": ENTRY + FILE + "? [a, b]\n: b\n",
    "a nested mapping as a key": ENTRY + FILE + "model_info:\n  ? {a: 1}\n  : b\n",
    "!!bool abc": ENTRY + FILE + "model_info: {a: !!bool abc}\n",
    "!!int abc": ENTRY + FILE + "model_info: {a: !!int abc}\n",
    "!!int of nothing": ENTRY + FILE + "model_info: {a: !!int ''}\n",
    "!!float abc": ENTRY + FILE + "model_info: {a: !!float abc}\n",
    "!!timestamp abc": ENTRY + FILE + "model_info: {a: !!timestamp abc}\n",
    "a date that is none": ENTRY + FILE + "model_info: {a: 2020-99-99}\n",
    "!!binary abc": ENTRY + FILE + "model_info: {a: !!binary '@'}\n",
    "a set": ENTRY + FILE + "model_info: !!set {a}\n",
    "an alias of itself": ENTRY + FILE + "model_info: &a {x: *a}\n",
    "a sequence that holds itself": ENTRY + FILE + "outputs: &a [*a]\n",
    "a merge of itself": ENTRY + FILE + "model_info: &a {<<: *a}\n",
    "a merge bomb": "\n".join(
        [
            "a0: &a0 {k: v}",
            *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)),
            ENTRY + FILE,
        ]
    ),
    "a NUL": ENTRY + FILE + "model_info: {a: \0}\n",
    "an escape": ENTRY + FILE + 'model_info: {a: "\\0\\e"}\n',
    "a number of 5000 digits": ENTRY + FILE + "model_info: {a: " + "9" * 5000 + "}\n",
    "a size of 310 digits": ENTRY
    + f"artifacts: [{{path: m, size: {'9' * 310}, sha256: {'0' * 64}, sources: [{{url: 'http://h/x'}}]}}]\n",
    "a size of infinity": ENTRY
    + f"artifacts: [{{path: m, size: .inf, sha256: {'0' * 64}, sources: [{{url: 'http://h/x'}}]}}]\n",
    "a sexagesimal number": ENTRY + FILE + "model_info: {a: " + "1:" * 400_000 + "1}\n",
    "deep sequences": ENTRY + FILE + "model_info: {a: " + "[" * 50_000 + "]" * 50_000 + "}\n",
    "deep mappings": ENTRY + FILE + "model_info: " + "{a: " * 5_000 + "1" + "}" * 5_000 + "\n",
    "a tag of Python": ENTRY + FILE + "model_info: {a: !!python/object/apply:os.system [true]}\n",
    "two documents": ENTRY + FILE + "---\nb: 1\n",
    "a surrogate": ENTRY + FILE + 'model_info: {a: "\\ud800"}\n',
    "an infinite mean": ENTRY + FILE + "recipe: {inputs: [{name: x, mean: .nan, scale: .inf}]}\n",
    "a shape of 310 digits": ENTRY + FILE + f"recipe: {{inputs: [{{name: x, shape: [{'9' * 310}]}}]}}\n",
    "a strip of 310 digits": ENTRY
    + f"artifacts: [{{path: m, sha256: {'0' * 64}, unpack: {{format: zip, strip: {'9' * 310}}}, sources: [{{url: 'http://h/x'}}]}}]\n",
    "an address with a broken IPv6": ENTRY
    + f"artifacts: [{{path: m, sha256: {'0' * 64}, sources: [{{url: 'http://[::1'}}]}}]\n",
    "an address with a NUL": ENTRY
    + f'artifacts: [{{path: m, sha256: {"0" * 64}, sources: [{{file: "a\\0b"}}]}}]\n',
    "labels of NUL": ENTRY + FILE + 'labels: {file: "a\\0b"}\n',
    "labels of a device": ENTRY + FILE + "labels: {file: /dev/zero}\n",
    "labels of a pipe": ENTRY + FILE + "labels: {file: pipe}\n",
    "labels of a folder": ENTRY + FILE + "labels: {file: .}\n",
    "labels of deep JSON": ENTRY + FILE + "labels: {file: deep.json, key: a}\n",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_odd_catalog_ends_and_names_the_file(tmp_path, name):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "odd.yaml").write_text(DOCUMENTS[name])
    (folder / "deep.json").write_text("[" * 100_000)
    if name == "labels of a pipe":
        os.mkfifo(folder / "pipe")
    done = bounded("catalog", "validate", folder / "odd.yaml", seconds=15, memory=600 * MEGA)
    assert done.code in {0, 3}, done.text[-600:]
    assert done.code == 0 or "odd.yaml" in done.text


EDITS = {
    "nested repetition": ("(a+)+$", "b", 0),
    "overlapping choice": ("(a|aa)+$", "b", 0),
    "repetition of anything": ("(.*)*x$", "b", 0),
    "a group that is not there": ("a", r"\2", 0),
    "half a group": ("a", r"\g<x", 0),
    "a bad escape": ("a", r"\q", 0),
    "a count of 31 digits": ("a", "b", 10**30),
    "a count of 64 bits": ("a", "b", 2**63),
    "much for little": ("a", "b" * 100_000, 0),
    "much for nothing": ("", "b" * 10_000, 0),
    "200 groups": ("(" * 200 + ")" * 200, "b", 1),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_replacement_ends(tmp_path, name):
    pattern, replacement, count = EDITS[name]
    text = b"a" * 40_000 + b"!"
    (tmp_path / "m.txt").write_bytes(text)
    described = entry("odd", text, {"file": "m.txt"}, path="m.txt")
    described["replace"] = [{"file": "m.txt", "pattern": pattern, "replacement": replacement, "count": count}]
    write_entry(tmp_path / "odd", described)
    (tmp_path / "odd" / "m.txt").write_bytes(text)
    done = bounded("--catalog", tmp_path / "odd", "fetch", "odd", seconds=15, memory=700 * MEGA)
    assert done.code == 3 or (name == "200 groups" and done.code == 0), (
        f"exit {done.code}\n{done.text[-800:]}"
    )


# --- registries


def listening(server, path: str, *answers: Answer, **more: bytes) -> str:
    server.add(path, more.get("content", b""), *answers)
    return f"127.0.0.1:{server.port}"


def endless(head: bytes, piece: bytes = b"x" * 65536):
    def act(exchange) -> None:
        exchange.send(head, count=False)
        while True:
            exchange.send(piece)

    return Answer(act=act)


HEAD = b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
def test_an_endless_answer_of_a_registry_ends(server, tmp_path, status):
    head = HEAD % status + b"Connection: close\r\n\r\n" + b'{"errors": ["'
    host = listening(server, "/v2/models/manifests/1", endless(head))
    done = bounded("pull", f"{host}/models:1", seconds=30, memory=700 * MEGA)
    done.refused(4, 5)
    assert server.sent() < 64 * MEGA, f"{server.sent()} bytes were read"


@pytest.mark.parametrize("what", ["token", "upload", "hub", "url"])
def test_an_endless_answer_elsewhere_ends(server, catalog, shell, what):
    env = {}
    if what == "token":
        realm = server.url("/token")
        server.add(
            "/v2/models/manifests/1",
            b"",
            Answer(status=401, body=b"", headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}),
        )
        server.add("/token", b"", endless(HEAD % 200 + b'Connection: close\r\n\r\n{"token": "'))
        arguments = ("pull", f"127.0.0.1:{server.port}/models:1")
    elif what == "upload":
        assert shell("convert", "one").code == 0
        server.add("/v2/models/blobs/uploads/", b"", endless(HEAD % 500 + b"Connection: close\r\n\r\n"))
        arguments = ("push", f"127.0.0.1:{server.port}/models:1", "one")
    elif what == "hub":
        env = {"HF_ENDPOINT": server.url("")}
        server.add(
            "/api/models/org/net/revision/main?blobs=True",
            b"",
            endless(HEAD % 200 + b'Connection: close\r\n\r\n{"id": "'),
        )
        arguments = ("fetch", "hf:org/net")
    else:
        server.add("/m.onnx", b"", endless(HEAD % 403 + b"Connection: close\r\n\r\n"))
        arguments = ("fetch", server.url("/m.onnx"))
    done = bounded(*arguments, seconds=30, memory=900 * MEGA, **env)
    done.refused(4)
    assert server.sent() < 128 * MEGA


# --- answers that drip: each byte arrives in time, and the last one never does


def dripping(sent: bytes, dripped: bytes = b"X-A: "):
    """Send some bytes at once, and others for ever, ten a second."""

    def act(exchange) -> None:
        with contextlib.suppress(OSError):
            exchange.send(sent)
            for byte in itertools.cycle(dripped):
                exchange.send(bytes([byte]))
                exchange.pause(0.1)

    return Answer(act=act)


CHUNKED = HEAD % 200 + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
WHERE = ("the head", "the status line", "the size of a chunk", "the body")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("what", ["manifest", "token", "blob", "hub", "file", "url"])
def test_an_answer_that_drips_ends(server, shell, tmp_path, monkeypatch, what, where):
    monkeypatch.setattr(registry_client, "_BODY_SECONDS", 1.0)
    monkeypatch.setattr(response, "_LINE_SECONDS", 1.0)
    monkeypatch.setattr(hub_client, "_MAX_SECONDS", 1.0)
    (tmp_path / "settings.toml").write_text("attempts = 1\nconnect_timeout = 0.5\nstall_timeout = 0.5\n")
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    if what in {"blob", "url"} and where == "the body":
        pytest.skip("a file may take its time: tests/download/test_retries.py holds it to that")
    drip = {
        "the head": dripping(HEAD % 200),
        "the status line": dripping(b"HTTP/1.1 200 ", b"a"),
        "the size of a chunk": dripping(CHUNKED, b"1"),
        "the body": dripping(HEAD % 200 + b"Content-Length: 99999\r\n\r\n", b" "),
    }[where]
    manifest = json.dumps({"layers": [LAYER]}).encode()
    repository, reference = "/v2/models", f"127.0.0.1:{server.port}/models:1"
    if what == "manifest":
        server.add(f"{repository}/manifests/1", b"", drip)
    elif what == "token":
        challenge = {"WWW-Authenticate": f'Bearer realm="{server.url("/token")}"'}
        server.add(f"{repository}/manifests/1", b"", Answer(status=401, body=b"", headers=challenge))
        server.add("/token", b"", drip)
    elif what == "blob":
        server.add(f"{repository}/manifests/1", manifest)
        server.add(f"{repository}/blobs/{DIGEST}", b"", drip)
    elif what == "hub":
        server.add("/api/models/org/net/revision/main?blobs=True", b"", drip)
        reference = "hf:org/net"
    elif what == "file":
        server.add("/org/net/resolve/main/m.onnx", b"", drip)
        reference = "hf:org/net/m.onnx"
    else:
        server.add("/m.onnx", b"", drip)
        reference = server.url("/m.onnx")
    began = time.monotonic()
    done = shell("pull" if reference.endswith("models:1") else "fetch", reference).refused(4)
    assert time.monotonic() - began < 20, done.text


DIGEST = f"sha256:{'0' * 64}"
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": 1}
MANIFESTS = {
    "no layers": {},
    "empty layers": {"layers": []},
    "layers of null": {"layers": None},
    "layers of text": {"layers": "x"},
    "layers of numbers": {"layers": [1, 2]},
    "layers a mapping": {"layers": {"a": 1}},
    "a layer without digest": {"layers": [{**LAYER, "digest": None}]},
    "a digest that is none": {"layers": [{**LAYER, "digest": "sha256:x"}]},
    "a digest with a path": {"layers": [{**LAYER, "digest": "sha256:../../../x"}]},
    "a digest as a list": {"layers": [{**LAYER, "digest": ["a"]}]},
    "a size of text": {"layers": [{**LAYER, "size": "1"}]},
    "a negative size": {"layers": [{**LAYER, "size": -1}]},
    "a huge size": {"layers": [{**LAYER, "size": 10**300}]},
    "a size of 1e400": {"layers": [{**LAYER, "size": float("inf")}]},
    "a type of list": {"layers": [{**LAYER, "mediaType": ["x"]}]},
    "a type of mapping": {"layers": [{**LAYER, "mediaType": {}}]},
    "annotations of list": {"layers": [{**LAYER, "annotations": []}]},
    "annotations of text": {"layers": [{**LAYER, "annotations": "x"}]},
    "a key of list": {"layers": [{**LAYER, "annotations": {"io.model-zoo.key": []}}]},
    "100,000 layers": {"layers": [LAYER] * 30_000},
    "a file of nowhere": {
        "layers": [
            {
                **LAYER,
                "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                "annotations": {"org.cncf.model.filepath": "../x"},
            }
        ]
    },
    "a file without path": {"layers": [{**LAYER, "mediaType": "application/vnd.cncf.model.weight.v1.raw"}]},
    "an index of nothing": {"manifests": []},
    "an index of numbers": {"manifests": [1]},
    "an index of itself": {"manifests": [{"digest": "1"}]},
    "an index with a path": {"manifests": [{"digest": "../../x"}]},
    "an index with a NUL": {"manifests": [{"digest": "\0"}]},
    "an index with a line end": {"manifests": [{"digest": "a\r\nHost: x"}]},
    "an index without digest": {"manifests": [{}]},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_odd_manifest_is_refused(server, shell, name):
    data = json.dumps({"schemaVersion": 2, **MANIFESTS[name]}).encode()
    server.add("/v2/models/manifests/1", data, Answer(body=data))
    shell("pull", f"127.0.0.1:{server.port}/models:1").refused(4, 5, 6)


RAW = {
    "not JSON": b"<html>",
    "nothing": b"",
    "a number": b"7",
    "deep": b"[" * 100_000,
    "deep mappings": b'{"a":' * 100_000,
    "not UTF-8": b'{"layers": "\xff"}',
    "a number of 5000 digits": b'{"layers": ' + b"9" * 5000 + b"}",
    "NaN": b'{"layers": NaN}',
    "a BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"layers": []}'.encode("utf-16"),
    "the same key often": b"{" + b'"layers": [],' * 1000 + b'"layers": []}',
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("what", ["manifest", "token", "error"])
def test_an_odd_body_of_a_registry_is_refused(server, shell, name, what):
    host = f"127.0.0.1:{server.port}"
    if what == "manifest":
        server.add("/v2/models/manifests/1", b"", Answer(body=RAW[name]))
    elif what == "error":
        server.add("/v2/models/manifests/1", b"", Answer(status=403, body=RAW[name]))
    else:
        realm = server.url("/token")
        server.add(
            "/v2/models/manifests/1",
            b"",
            Answer(status=401, body=b"", headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}),
        )
        server.add("/token?", b"", Answer(body=RAW[name]))
        server.add("/token", b"", Answer(body=RAW[name]))
    shell("pull", f"{host}/models:1").refused(4, 5)


CHALLENGES = [
    'Bearer realm="http://[::1"',
    'Bearer realm="http://[::1/token"',
    'Bearer realm="ftp://127.0.0.1/x"',
    'Bearer realm="/etc/passwd"',
    'Bearer realm=""',
    'Bearer realm="http://127.0.0.1:99999/"',
    'Bearer realm="http://127.0.0.1:x/"',
    'Bearer realm="http:///x"',
    'Bearer realm="http://\xe9/"',
    "Bearer",
    "",
    "Basic",
    "Digest x",
    'Bearer realm="file:///etc/passwd"',
    'Bearer realm="http://a b/"',
    'Bearer realm="//[/"',
    'Bearer realm="' + "x" * 60_000 + '"',
    'Bearer realm="http://%00/"',
    'Bearer realm="http://.../"',
    'Bearer realm="http://' + "a" * 300 + '/"',
    'Bearer realm="http://xn--/"',
]


def test_odd_challenges_are_refused(server, shell):
    ends = []
    for challenge in CHALLENGES:
        server.add(
            "/v2/models/manifests/1",
            b"",
            Answer(status=401, body=b"", headers={"WWW-Authenticate": challenge}),
        )
        done = shell("pull", f"127.0.0.1:{server.port}/models:1")
        if done.code not in {4, 5}:
            ends.append(f"{challenge[:40]}: exit {done.code}: {done.err[:200]}")
    assert not ends, "\n".join(ends)


LOCATIONS = [
    "http://[::1",
    "//[",
    "ftp://x/",
    "",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/",
    "javascript:1",
    "\xff",
    "http:///",
    "x" * 60_000,
    "http://a b/",
    "data:,x",
]


def test_odd_locations_are_refused(server, shell, catalog):
    assert shell("convert", "one").code == 0
    ends = []
    for code, method in ((302, "pull"), (307, "pull"), (202, "push")):
        for place in LOCATIONS:
            answer = Answer(status=code, body=b"", headers={"Location": place})
            server.add("/v2/models/manifests/1", b"", answer)
            server.add("/v2/models/blobs/uploads/", b"", answer)
            arguments = (
                ("pull", f"127.0.0.1:{server.port}/models:1")
                if method == "pull"
                else ("push", f"127.0.0.1:{server.port}/models:1", "one")
            )
            done = shell(*arguments)
            if done.code not in {4, 5}:
                ends.append(f"{method} {code} {place[:30]!r}: exit {done.code}: {done.err[:160]}")
    assert not ends, "\n".join(ends)


@pytest.mark.parametrize("name", ["deep", "not UTF-8", "a number of 5000 digits"])
def test_a_remote_cache_of_irs_is_never_in_the_way(server, shell, catalog, monkeypatch, name):
    """What goes wrong with it is said, and the model is converted here."""
    from tests.server import _File

    class Any(dict):
        def get(self, path: str, default: object = None) -> object:
            return _File(b"", None, [Answer(body=RAW[name])], "")

    server._files = Any()
    monkeypatch.setenv("MODEL_ZOO_REMOTE", f"http://127.0.0.1:{server.port}/irs")
    done = shell("convert", "one")
    assert done.code == 0, done.text


# --- the hub

BAD_NAMES = [
    "con.onnx",
    "a\\b.onnx",
    "a:b.onnx",
    "a\nb.onnx",
    "a\x1b[31m.onnx",
    "x" * 400 + ".onnx",
    "../m.onnx",
    "/etc/passwd",
    "a//b.onnx",
    "m .onnx ",
    "a/./b.onnx",
    "nul",
    ".model-zoo.json",
    "a\0.onnx",
]


@pytest.fixture
def hub(monkeypatch):
    from tests.hub import Hub

    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url(""))
        yield running


@pytest.mark.parametrize("name", [repr(name)[:24] for name in BAD_NAMES])
def test_a_hub_name_that_no_path_has_is_refused_by_name(hub, shell, name):
    (bad,) = [one for one in BAD_NAMES if repr(one)[:24] == name]
    hub.branch("org/net", "main", hub.commit("org/net", {bad: tiny_onnx(), "config.json": b"{}"}))
    done = shell("fetch", "hf:org/net").refused(3, 4)
    assert "\x1b[31m" not in done.text


@pytest.mark.parametrize("bad", ["con.txt", "a\\b.md", "NOTES.md ", "aux/x.md"])
def test_a_hub_name_that_is_not_needed_is_left_out(hub, shell, bad):
    hub.branch("org/net", "main", hub.commit("org/net", {"model.onnx": tiny_onnx(), bad: b"x"}))
    done = shell("fetch", "hf:org/net/model.onnx")
    assert done.code == 0, done.text


@pytest.mark.parametrize(
    "names",
    [("M.onnx", "m.onnx"), ("a/B.bin", "A/b.bin"), ("e\u0301.onnx", "\u00e9.onnx"), ("a", "a/b.onnx")],
)
def test_case_twins_of_a_hub_are_refused(hub, shell, names):
    hub.branch("org/net", "main", hub.commit("org/net", dict.fromkeys(names, tiny_onnx())))
    shell("fetch", "hf:org/net").refused(2, 3, 4)


LISTINGS = {
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"id": "\xff"}',
    "not JSON": b"<html>",
    "null": b"null",
    "a list": b"[]",
    "no sha": b'{"id": "org/net", "siblings": []}',
    "a number as name": json.dumps(
        {"id": "org/net", "sha": "0" * 40, "siblings": [{"rfilename": 7, "size": 1}]}
    ).encode(),
    "a size of text": json.dumps(
        {"id": "org/net", "sha": "0" * 40, "siblings": [{"rfilename": "m.onnx", "size": "x", "blobId": "1"}]}
    ).encode(),
    "a negative size": json.dumps(
        {"id": "org/net", "sha": "0" * 40, "siblings": [{"rfilename": "m.onnx", "size": -5, "blobId": "1"}]}
    ).encode(),
    "a size of 1e400": b'{"id": "org/net", "sha": "'
    + b"0" * 40
    + b'", "siblings": [{"rfilename": "m.onnx", "size": 1e400, "blobId": "1"}]}',
    "a digest of text": json.dumps(
        {
            "id": "org/net",
            "sha": "0" * 40,
            "siblings": [
                {"rfilename": "m.onnx", "size": 1, "lfs": {"sha256": "xyz", "size": 1, "pointerSize": 1}}
            ],
        }
    ).encode(),
    "siblings of text": json.dumps({"id": "org/net", "sha": "0" * 40, "siblings": "abc"}).encode(),
    "siblings of numbers": json.dumps({"id": "org/net", "sha": "0" * 40, "siblings": [1]}).encode(),
    "tags of numbers": json.dumps(
        {"id": "org/net", "sha": "0" * 40, "tags": 5, "siblings": [{"rfilename": "m.onnx", "size": 1}]}
    ).encode(),
    "a sha of a path": json.dumps({"id": "org/net", "sha": "../" * 13 + "x", "siblings": []}).encode(),
    "100,000 files": json.dumps(
        {
            "id": "org/net",
            "sha": "0" * 40,
            "siblings": [{"rfilename": f"f{n}.onnx", "size": 1} for n in range(20_000)],
        }
    ).encode(),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_an_odd_listing_is_refused(server, shell, monkeypatch, name):
    from tests.server import _File

    class Same(dict):
        def get(self, path: str, default: object = None) -> object:
            headers = {"Content-Type": "application/json"}
            return (
                _File(b"", None, [Answer(body=LISTINGS[name], headers=headers)], "")
                if "/api/" in path
                else default
            )

    server._files = Same()
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    shell("fetch", "hf:org/net").refused(2, 3, 4, 5)


# --- answers of a web server

HEADERS = {
    "a Content-Range of 5000 digits": {"Content-Range": f"bytes 0-{'9' * 5000}/{'9' * 5000}"},
    "a Content-Length of 5000 digits": {"Content-Length": "9" * 5000},
    "a Retry-After of 5000 digits": {"Retry-After": "9" * 5000},
    "a Retry-After of a huge date": {"Retry-After": "Fri, 31 Dec 999999999 23:59:59 GMT"},
    "an unknown coding": {"Content-Encoding": "br, gzip, x"},
    "a Content-Disposition": {"Content-Disposition": "attachment; filename*=UTF-8''..%2f..%2fetc%2fpasswd"},
    "an ETag of 60 KB": {"ETag": '"' + "x" * 60_000 + '"'},
    "a Last-Modified that is none": {"Last-Modified": "x" * 1000},
    "a status of 999": {},
}


@pytest.mark.parametrize(
    ("name", "status"),
    [(n, s) for n in HEADERS for s in ((206, 416) if "Range" in n else (429,) if "Retry" in n else (200,))],
)
def test_odd_headers_end(server, catalog, shell, monkeypatch, tmp_path, name, status):
    (tmp_path / "config.toml").write_text("attempts = 2\n")
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(tmp_path / "config.toml"))
    data = tiny_onnx()
    answer = Answer(status=999 if "999" in name else status, body=data, headers=HEADERS[name])
    write_entry(catalog, entry("odd", data, {"url": server.add("/m", data, answer)}))
    done = shell("fetch", "odd")
    assert done.code in {0, 4, 5}, done.text


# --- archives and models


def test_a_gzip_tar_that_lacks_its_end_is_refused(catalog, shell):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("m.onnx")
        data = tiny_onnx() + os.urandom(3000)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    whole, taken = out.getvalue(), []
    for missing in (1, 4, 8, 12, 20):
        data = whole[:-missing]
        (catalog / "a.tar.gz").write_bytes(data)
        described = entry(f"cut-{missing}", data, {"file": "a.tar.gz"}, path="a")
        described["artifacts"][0]["unpack"] = {"format": "tar.gz", "into": "."}
        write_entry(catalog, described)
        done = shell("fetch", f"cut-{missing}")
        if done.code == 0:
            taken.append(missing)
        else:
            done.refused(5)
    assert not taken, f"accepted without the last {taken} bytes"


@pytest.mark.parametrize("kind", ["encrypted", "unknown method", "a bomb", "a huge record"])
def test_an_odd_wheel_ends(catalog, tmp_path, monkeypatch, shell, kind):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    data = bytes(300 * MEGA) if kind == "a bomb" else tiny_onnx()
    members = {"odd/m.onnx": data}
    path = make_wheel(wheels, "odd", "1.0", members)
    raw = bytearray(path.read_bytes())
    if kind in {"encrypted", "unknown method"}:
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = -1
            while (at := raw.find(signature, at + 1)) >= 0:
                if kind == "encrypted":
                    raw[at + offset] |= 1
                else:
                    raw[at + offset + 2 : at + offset + 4] = struct.pack("<H", 77)
        path.write_bytes(bytes(raw))
    elif kind == "a bomb":
        path.unlink()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("odd/m.onnx", data)
            archive.writestr("odd-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
            archive.writestr("odd-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("odd-1.0.dist-info/RECORD", "")
    else:
        path.unlink()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("odd/m.onnx", data)
            archive.writestr("odd-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
            archive.writestr("odd-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("odd-1.0.dist-info/RECORD", b"x" * (400 * MEGA))
    described = entry("odd", tiny_onnx(), {"wheel": "odd==1.0", "member": "odd/m.onnx"})
    write_entry(catalog, described)
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    done = bounded("fetch", "odd", seconds=40, memory=700 * MEGA, **env)
    done.refused(4, 5)
    sizes = [path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert max(sizes, default=0) < 16 * MEGA, "far more was written than the entry declares"


def nested(depth: int) -> bytes:
    """Return an ONNX model whose graphs lie in one another."""
    graph = b""
    for _ in range(depth):
        graph = _bytes(1, _bytes(5, _bytes(6, graph)))
        if len(graph) > 2 * MEGA:
            break
    return _bytes(7, graph)


@pytest.mark.parametrize("depth", [300, 1000, 3000])
def test_nested_onnx_ends(tmp_path, depth):
    path = tmp_path / "deep.onnx"
    path.write_bytes(nested(depth))
    done = bounded("fetch", path, seconds=30, memory=700 * MEGA)
    assert done.code == 0 or 2 <= done.code <= 8, done.text[-500:]
    done = bounded("convert", path, seconds=40, memory=8 << 30)
    done.refused()


# --- what a person, or a script, may type

REFERENCES = [
    "http://[::1",
    "http://[::1/m.onnx",
    "x" * 300,
    "x/" * 300,
    "x" * 5000,
    "~nobody-of-that-name/x.onnx",
    "file:~nobody-of-that-name/x",
    "file:" + "x" * 300,
    "hf:",
    "hf:/",
    "hf:a",
    "hf:a/b@",
    "hf:a/b@../..",
    "hf:" + "a" * 300 + "/b",
    "torchvision:",
    "torchvision:__class__",
    "tfhub:",
    "tfhub:http://[",
    "wheel:",
    "wheel:a",
    "wheel:a==1/../../x",
    "wheel:-r==1/x",
    "http://",
    "https:///x",
    "http://h:99999/x.onnx",
    "http://h:x/y.onnx",
    "@",
    "@FP32",
    "one@",
    "one@@",
    "one@FP32@FP16",
    "",
    " ",
    "\n",
    "*",
    "[",
    "[!",
    "one\udcff",
    "\ufeffone",
    "..",
    ".",
    "/",
    "/dev/zero",
    "/dev/null",
    "/dev/stdin",
    "/proc/self/mem",
    "oci://",
    "gdrive:x",
    "data:,x",
    "C:\\x\\y.onnx",
    "\\\\host\\share",
    "-",
    "--",
    "file:///",
    "file://host/x",
    "http://h/" + "a" * 70_000,
    "hf:a/b/" + "c" * 5000,
    "http://xn--/x.onnx",
    "http://" + "a" * 300 + "/x.onnx",
]


@pytest.mark.parametrize("command", ["fetch", "info", "path", "why", "lock"])
def test_no_reference_is_a_bug(catalog, shell, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    ends = []
    for reference in REFERENCES:
        more = ("-o", tmp_path / "x.lock") if command == "lock" else ()
        done = shell(command, *more, "--", reference)
        if not (done.code == 0 or 2 <= done.code <= 8):
            ends.append(
                f"{reference[:40]!r}: exit {done.code}: {done.err.splitlines()[0][:140] if done.err else ''}"
            )
    assert not ends, "\n".join(ends)


VALUES = [
    "~nobody-of-that-name/x",
    "~nobody-of-that-name",
    "a\udcff",
    "x" * 5000,
    "/dev/null",
    "/dev/null/x",
    ":",
    "::",
    "http://[::1",
    "9" * 400,
    "1e400",
    "-1",
    "\x01",
    "=",
    "a=",
    "=a",
    "[::1=x",
    "http://[=http://[",
]
NAMES_OF_SETTINGS = [
    "MODEL_ZOO_CACHE",
    "MODEL_ZOO_LAYERS",
    "MODEL_ZOO_CATALOG",
    "MODEL_ZOO_CONFIG",
    "MODEL_ZOO_OFFLINE",
    "MODEL_ZOO_MAX_SIZE",
    "MODEL_ZOO_MIRRORS",
    "MODEL_ZOO_ADOPT",
    "MODEL_ZOO_REMOTE",
    "MODEL_ZOO_ISOLATE",
    "SOURCE_DATE_EPOCH",
    "HF_ENDPOINT",
]


@pytest.mark.parametrize("variable", NAMES_OF_SETTINGS)
def test_no_setting_is_a_bug(catalog, shell, monkeypatch, tmp_path, variable):
    monkeypatch.chdir(tmp_path)
    ends = []
    for value in VALUES:
        monkeypatch.setenv(variable, value)
        for command in (("cache", "info"), ("--catalog", catalog, "fetch", "one")):
            done = shell(*command)
            if not (done.code == 0 or 2 <= done.code <= 8):
                ends.append(f"{value[:30]!r} {command[0]}: exit {done.code}: {done.err[:140]}")
                break
    assert not ends, "\n".join(ends)


TOMLS = [
    "max_size = " + "9" * 400,
    "max_size = 1e400",
    "max_size = '" + "9" * 400 + "GB'",
    "jobs = -1",
    "jobs = 1e99",
    "mirrors = 1",
    "[mirrors]\n'' = ''",
    "cache = ''",
    "cache = '~nobody-of-that-name'",
    "cache = '\\u0000'",
    "layers = [1]",
    "a = " + "[" * 50_000,
    "x = {" * 5000,
    "connect_timeout = nan",
    "connect_timeout = -inf",
    "stall_timeout = 0",
    "attempts = -5",
    "remote = 'http://['",
    "\xff",
    "cache = 2020-01-01",
]


def test_no_settings_file_is_a_bug(catalog, shell, monkeypatch, tmp_path):
    path, ends = tmp_path / "config.toml", []
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(path))
    monkeypatch.delenv("MODEL_ZOO_CACHE")
    for text in TOMLS:
        path.write_bytes(text.encode("latin-1"))
        for command in (("list", "--cached"), ("fetch", "one")):
            done = shell(*command)
            if not (done.code == 0 or 2 <= done.code <= 8):
                ends.append(
                    f"{text[:30]!r} {command[0]}: exit {done.code}: {done.err.splitlines()[0][:140] if done.err else ''}"
                )
                break
    assert not ends, "\n".join(ends)


LOCKS = [
    "",
    "[]",
    "null",
    "{",
    "[" * 100_000,
    '{"models": {"one": {}}}',
    '{"schema": 1, "models": []}',
    '{"schema": 1, "models": {"one": {"artifacts": [], "declared": {}}}}',
    '{"schema": 1, "models": {"one": {"artifacts": [{"path": "../x"}], "declared": {}}}}',
    '{"schema": 1, "models": {"one": {"artifacts": [], "declared": {"m.onnx": {"sha256": 5}}}}}',
    '{"schema": 1, "models": {"one": {"artifacts": [], "declared": {"m.onnx": {}}, "replace": [{"x": 1}]}}}',
    '{"schema": 1, "models": {"file:x": {"artifacts": [], "declared": {}, "entry": null}}}',
    '{"schema": 1, "models": {"file:x": {"artifacts": [], "declared": {}, "entry": {"schema": 1}}}}',
    '{"schema": 1, "models": {"file:x": {"artifacts": [], "declared": {}, "entry": {"name": "../x"}}}}',
    "\ud800",
]


def test_no_lock_is_a_bug(catalog, shell, tmp_path):
    lock, ends = tmp_path / "x.lock", []
    for text in LOCKS:
        lock.write_bytes(text.encode("utf-8", "surrogatepass"))
        for reference in ("one", "file:x"):
            done = shell("fetch", "--locked", lock, reference)
            if done.code == 1 or done.code > 8:
                ends.append(f"{text[:60]!r} {reference}: exit {done.code}: {done.err.splitlines()[0][:160]}")
    assert not ends, "\n".join(ends)


# --- where we are


@pytest.mark.parametrize(
    "command",
    [
        ("list", "--cached"),
        ("fetch", "one"),
        ("info", "one"),
        ("path", "one"),
        ("doctor",),
        ("convert", "one", "-o", "out"),
    ],
    ids=" ".join,
)
def test_a_deleted_current_folder_is_no_bug(catalog, tmp_path, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); sys.path.pop(0)\nfrom model_zoo.cli.main import main; main(sys.argv[1:])"
    done = bounded(*command, program=("-c", code), memory=8 << 30, seconds=60)
    assert done.code == 0 or 2 <= done.code <= 8, done.text[-500:]


@pytest.mark.parametrize(
    "where",
    [
        "foreign",
        "ir-v1/{key}",
        "partial-v1/stage-gc-999999-ab",
        "compiled-v1/x",
        "files-v1/one/x",
        "state-v1/requests",
    ],
)
def test_folders_1500_deep_are_no_bug(catalog, shell, tmp_path, where):
    assert shell("convert", "one").code == 0
    cache = tmp_path / "cache"
    (key,) = [path.name for path in (cache / "ir-v1").iterdir()]
    place = cache / where.format(key=key)
    place.mkdir(parents=True, exist_ok=True)
    handle = os.open(place, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=handle)
            inner = os.open("d", os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = inner
    finally:
        os.close(handle)
    ends = []
    for command in (
        ("cache", "verify"),
        ("cache", "info"),
        ("cache", "gc"),
        ("cache", "repair"),
        ("cache", "rm", "one"),
    ):
        done = shell(*command)
        if not (done.code == 0 or 2 <= done.code <= 8):
            ends.append(f"{command}: exit {done.code}: {done.err.splitlines()[0][:160]}")
    os.system(f"rm -rf '{cache}'")
    assert not ends, "\n".join(ends)


@pytest.mark.parametrize("body", ["deep", "not UTF-8", "a number of 5000 digits"])
@pytest.mark.parametrize("file", ["ovms", "oci", "compiled"])
def test_odd_files_of_an_earlier_export_are_no_bug(catalog, shell, tmp_path, file, body):
    out = tmp_path / "out"
    if file == "compiled":
        assert shell("infer", "one", "--device", "CPU").code == 0
        (path,) = (tmp_path / "cache").glob("compiled-v1/*/*.json")
        path.write_bytes(RAW[body])
        assert shell("infer", "one", "--device", "CPU").code == 0
        return
    assert shell("export", "--format", file, "-o", out, "one").code == 0
    path = out / {"ovms": "config.json", "oci": "index.json"}[file]
    path.write_bytes(RAW[body])
    done = shell("export", "--format", file, "-o", out, "one")
    assert done.code == 0 or 2 <= done.code <= 8, done.text
