"""Registries that say odd things in valid JSON, and those that send us elsewhere."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.server import Answer, Server, redirect
from tests.trust.test_secrets import SECRET, log_in

DATA = b"not a tar " * 100
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": len(DATA)}
BASE = "/v2/models"


def serve(server: Server, manifest: dict, tag: str = "1") -> str:
    """Add a manifest under a tag and its digest, and the layer; return its digest."""
    data = json.dumps({"schemaVersion": 2, **manifest}).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for name in (tag, digest):
        server.add(f"{BASE}/manifests/{name}", data)
    server.add(f"{BASE}/blobs/{DIGEST}", DATA)
    return digest


ODD = {
    "huge annotations": {"layers": [{**LAYER, "annotations": {"x": "y" * 3_000_000}}]},
    "many annotations": {"layers": [{**LAYER, "annotations": {str(n): "" for n in range(50_000)}}]},
    "a control sequence in a key": {"layers": [{**LAYER, "annotations": {"io.model-zoo.key": "\x1b[31m"}}]},
    "a path as key": {"layers": [{**LAYER, "annotations": {"io.model-zoo.key": "../../x"}}]},
    "sha512": {"layers": [{**LAYER, "digest": f"sha512:{hashlib.sha512(DATA).hexdigest()}"}]},
    "md5": {"layers": [{**LAYER, "digest": f"md5:{hashlib.md5(DATA).hexdigest()}"}]},
    "upper case": {"layers": [{**LAYER, "digest": DIGEST.upper()}]},
    "too small": {"layers": [{**LAYER, "size": 1}]},
    "too large": {"layers": [{**LAYER, "size": len(DATA) + 1}]},
    "no size": {"layers": [{"mediaType": LAYER["mediaType"], "digest": DIGEST}]},
    "a foreign layer": {
        "layers": [{**LAYER, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"}]
    },
    "zstd": {"layers": [{**LAYER, "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}]},
    "no tar": {"layers": [LAYER]},
    "twice the same": {"layers": [LAYER, LAYER]},
    "two sizes": {"layers": [LAYER, {**LAYER, "size": 7}]},
    "an artifact": {"layers": [{**LAYER, "mediaType": "application/vnd.oci.empty.v1+json"}]},
    "an index beside layers": {"manifests": [], "layers": [LAYER]},
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_refused(server, shell, tmp_path, name):
    serve(server, ODD[name])
    done = shell("pull", f"127.0.0.1:{server.port}/models:1").refused(4, 5, 6)
    assert "\x1b" not in done.text
    assert len(done.err) < 5000
    assert not list((tmp_path / "cache").glob("ir-v1/*"))


@pytest.mark.parametrize("member", ["urls", "data"])
def test_a_layer_is_read_from_its_registry_only(server, shell, member):
    with Server() as other:
        value = [other.url("/layer")] if member == "urls" else "bm90IGEgdGFy"
        serve(server, {"layers": [{**LAYER, member: value}]})
        shell("pull", f"127.0.0.1:{server.port}/models:1").refused(4, 5, 6)
        assert not other.seen()


def test_an_index_of_indexes_ends(server, shell):
    inner = serve(server, {"layers": [LAYER]}, "inner")
    for depth in range(5):
        inner = serve(
            server, {"manifests": [{"digest": inner, "size": 1}]}, "1" if depth == 4 else f"d{depth}"
        )
    done = shell("pull", f"127.0.0.1:{server.port}/models:1").refused(4)
    assert "no IRs" in done.err or "index" in done.err


def test_an_index_of_many_images_is_refused(server, shell):
    serve(server, {"manifests": [{"digest": DIGEST, "size": 1}] * 20_000})
    assert len(shell("pull", f"127.0.0.1:{server.port}/models:1").refused(4).err) < 2000


def test_another_manifest_than_its_digest_is_refused(server, shell):
    serve(server, {"layers": [LAYER]})
    other = json.dumps({"schemaVersion": 2, "layers": [{**LAYER, "size": 5}]}).encode()
    asked = "sha256:" + "1" * 64
    server.add(f"{BASE}/manifests/{asked}", other)
    shell("pull", f"127.0.0.1:{server.port}/models@{asked}").refused(5)


TAGS = [
    "",
    "..",
    "-x",
    ".x",
    "x" * 129,
    "a b",
    "a\nb",
    "a/b",
    "a?b",
    "a#b",
    "\u00e9",
    "a%2e",
    "@",
    ":",
    "a:b",
    "\0",
]


@pytest.mark.parametrize("command", ["pull", "push"])
def test_tags_that_are_none_are_refused(catalog, server, shell, command):
    for tag in TAGS:
        more = ("one",) if command == "push" else ()
        done = shell(command, f"127.0.0.1:{server.port}/models:{tag}", *more)
        assert done.code in {2, 4}, f"{tag!r}: exit {done.code}: {done.err}"
    assert not any("/a b" in seen.path for seen in server.seen())


def challenge(server: Server) -> Answer:
    realm = server.url("/token")
    return Answer(status=401, body=b"", headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_elsewhere_is_fetched_without_the_token(server, shell, tmp_path, status):
    """The token of the registry stays with the registry, whatever sends us on."""
    log_in(tmp_path / "home", f"127.0.0.1:{server.port}", identitytoken=SECRET)
    manifest = json.dumps({"schemaVersion": 2, "layers": [LAYER]}).encode()
    with Server() as other:
        other.add("/layer", DATA)
        server.add("/token", json.dumps({"token": "t0ken"}).encode())
        server.add(f"{BASE}/manifests/1", manifest, challenge(server), Answer())
        server.add(f"{BASE}/blobs/{DIGEST}", DATA, redirect(other.url("/layer", host="localhost"), status))
        shell("-v", "-v", "pull", f"127.0.0.1:{server.port}/models:1").refused(4, 5, 6)
        assert other.seen("/layer")
        assert not any("authorization" in seen.headers for seen in other.seen())


def test_an_upload_elsewhere_gets_no_token(catalog, server, shell, tmp_path):
    log_in(tmp_path / "home", f"127.0.0.1:{server.port}", identitytoken=SECRET)
    assert shell("convert", "one").code == 0
    with Server() as other:
        place = Answer(status=202, body=b"", headers={"Location": other.url("/upload", host="localhost")})
        server.add("/token", json.dumps({"token": "t0ken"}).encode())
        server.add(f"{BASE}/blobs/uploads/", b"", challenge(server), place)
        done = shell("-v", "-v", "push", f"127.0.0.1:{server.port}/models:1", "one").refused(4, 5)
        assert "t0ken" not in done.text
        assert SECRET not in done.text
        assert other.seen()
        assert not any("authorization" in seen.headers for seen in other.seen())
