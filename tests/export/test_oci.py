"""OCI: images and artifacts other tools accept, registries, and what may go wrong with them. Real peers."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import tarfile
import time

import msgspec
import pytest

from model_zoo.errors import (
    CacheDamagedError,
    CacheError,
    DigestMismatchError,
    IntegrityError,
    OfflineError,
    SourceUnavailableError,
)
from model_zoo.registry.image import build_image, write_layout
from model_zoo.registry.remote import pull, push
from model_zoo.settings import Settings
from model_zoo.sources.oci.reference import oci_reference
from model_zoo.zoo import Conversion, Zoo
from tests.export.conftest import environment, serve_registry, tree
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_root, require_tool

FAST = {"attempts": 2, "connect_timeout": 2.0, "stall_timeout": 5.0}
LOUD = Settings(**FAST)


def image_of(zoo, *references, flavor="image", **more):
    return build_image([zoo.convert(reference) for reference in references], flavor, **more)


def other(tmp_path, catalog, **more):
    return Zoo(settings=Settings(cache=tmp_path / "other", catalogs=(catalog,), **FAST, **more))


def sh(*argv, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- layouts


@pytest.mark.parametrize("flavor", ["image", "modelpack"])
def test_layout_follows_the_specification(zoo, tmp_path, flavor):
    image = image_of(zoo, "tiny", "tiny@FP16", "other", flavor=flavor)
    out = write_layout(image, tmp_path / "out", "1.0")
    assert json.loads((out / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((out / "index.json").read_text())
    (described,) = index["manifests"]
    blobs = out / "blobs" / "sha256"
    for path in blobs.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    manifest = json.loads((blobs / described["digest"][7:]).read_text())
    assert described["size"] == len(image.manifest)
    assert described["annotations"]["org.opencontainers.image.ref.name"] == "1.0"
    for one in [manifest["config"], *manifest["layers"]]:
        assert (blobs / one["digest"][7:]).stat().st_size == one["size"]
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    assert {p.name for p in blobs.iterdir()} == {
        one["digest"][7:] for one in [described, manifest["config"], *manifest["layers"]]
    }
    layers = [(one, blobs / one["digest"][7:]) for one in manifest["layers"]]
    if flavor == "image":
        assert {one["mediaType"] for one, _ in layers} == {"application/vnd.oci.image.layer.v1.tar"}
        assert config["rootfs"]["diff_ids"] == [one["digest"] for one, _ in layers]
        names = [contents_of(path) for _, path in layers]
        assert names[0][:3] == ["models", "models/tiny-FP32", "models/tiny-FP32/1"]
        assert "models/other/1/model.xml" in names[2]
    else:
        assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
        assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
        assert set(config) == {"descriptor", "config", "modelfs"}
        assert config["modelfs"] == {"type": "layers", "diffIds": [one["digest"] for one, _ in layers]}
        assert config["config"] == {"format": "openvino-ir", "precision": "mixed"}
        kinds = [one["mediaType"] for one, _ in layers]
        assert kinds[:2] == [
            "application/vnd.cncf.model.weight.config.v1.raw",
            "application/vnd.cncf.model.weight.v1.tar",
        ]
        assert json.loads(layers[0][1].read_text())["key"] == zoo.convert("tiny").key
        assert [one["annotations"]["org.cncf.model.filepath"] for one, _ in layers[:2]] == [
            "tiny-FP32/manifest.json",
            "tiny-FP32",
        ]


def contents_of(tar):
    with tarfile.open(tar) as archive:
        return archive.getnames()


def test_layout_is_the_same_every_time_and_as_one_file(zoo, command, tmp_path):
    first = write_layout(image_of(zoo, "tiny", "other"), tmp_path / "a", "latest")
    done = command("export", "--format", "oci", "-o", "b", "tiny", "other", env={"TZ": "Asia/Tokyo"})
    assert done.returncode == 0, done.stderr
    contents = {name: found[2:] for name, found in tree(first).items()}
    assert contents == {name: found[2:] for name, found in tree(tmp_path / "b").items()}
    one = write_layout(image_of(zoo, "tiny", "other"), tmp_path / "c.tar", "latest")
    two = write_layout(image_of(zoo, "tiny", "other"), tmp_path / "d.tar", "latest")
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        assert {m.name for m in archive if m.isfile()} == {n for n, found in contents.items() if found[1]}


def test_layout_keeps_other_tags_and_replaces_its_own(zoo, tmp_path):
    for name, tag in (("tiny", "1"), ("other", "2"), ("third", "1")):
        write_layout(image_of(zoo, name), tmp_path / "out", tag)
    found = json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]
    tags = {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in found}
    assert tags == {"1": image_of(zoo, "third").digest, "2": image_of(zoo, "other").digest}


def test_layout_goes_over_nothing_else(zoo, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(CacheError, match="not an OCI layout"):
        write_layout(image_of(zoo, "tiny"), tmp_path / "out", "latest")


def test_file_that_changes_while_it_is_exported_is_noticed(zoo, tmp_path):
    image = image_of(zoo, "tiny")
    torn = image.blobs[1]
    blob = type(torn)(torn.media_type, torn.digest, torn.size, lambda start: iter((b"other bytes",)))
    with pytest.raises(CacheDamagedError, match="changed while it was exported"):
        write_layout(type(image)(image.manifest, (blob,)), tmp_path / "out", "latest")


@pytest.mark.system
def test_skopeo_umoci_and_buildah_accept_it_and_digests_survive(zoo, registry, tmp_path):
    require_root()  # buildah mounts what it unpacks
    skopeo, umoci, buildah = require_tool("skopeo"), require_tool("umoci"), require_tool("buildah")
    image = image_of(zoo, "tiny", "other")
    layout = write_layout(image, tmp_path / "layout", "latest")
    copy = (
        skopeo,
        "--insecure-policy",
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    )
    there = f"docker://{registry.host}/models/pair:1"
    sh(*copy, f"oci:{layout}:latest", there)
    sh(*copy, there, f"oci:{tmp_path / 'back'}:latest")
    assert json.loads(sh(skopeo, "inspect", "--tls-verify=false", there))["Digest"] == image.digest
    assert (
        json.loads((tmp_path / "back" / "index.json").read_text())["manifests"][0]["digest"] == image.digest
    )
    packed = write_layout(image, tmp_path / "one.tar", "latest")
    sh(*copy, f"oci-archive:{packed}:latest", f"oci:{tmp_path / 'third'}:latest")
    sh(umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'back'}:latest", tmp_path / "bundle")
    models = tmp_path / "bundle" / "rootfs" / "models"
    assert (models / "tiny" / "1" / "model.bin").read_bytes() == zoo.convert("tiny").bin.read_bytes()
    env = environment(HOME=str(tmp_path))
    roots = (buildah, "--root", tmp_path / "storage", "--runroot", tmp_path / "run")
    name = sh(*roots, "from", f"oci:{layout}:latest", env=env).split()[-1]
    mounted = sh(*roots, "mount", name, env=env).strip()
    try:
        assert sorted(p.name for p in (tmp_path / mounted / "models").iterdir()) == ["other", "tiny"]
    finally:
        sh(*roots, "rm", name, env=env)


@pytest.mark.system
def test_skopeo_carries_the_artifact(zoo, catalog, registry, tmp_path):
    skopeo = require_tool("skopeo")
    image = image_of(zoo, "tiny", flavor="modelpack")
    layout = write_layout(image, tmp_path / "layout", "latest")
    there = f"{registry.host}/artifacts/tiny:1"
    sh(
        skopeo,
        "--insecure-policy",
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        f"oci:{layout}:latest",
        f"docker://{there}",
    )
    zoo2 = other(tmp_path, catalog)
    taken = pull(oci_reference(f"{there}@{image.digest}"), zoo2.cache, zoo2.settings)
    assert taken.irs == [zoo.convert("tiny").key]


# --- push and pull


@pytest.mark.system
@pytest.mark.parametrize("flavor", ["image", "modelpack"])
def test_pushed_models_are_pulled_into_another_cache(zoo, catalog, registry, tmp_path, flavor):
    target = oci_reference(f"{registry.host}/team/models:1.0")
    image = image_of(zoo, "tiny", "third", flavor=flavor)
    assert push(target, image, LOUD) == len(image.blobs)
    assert push(target, image, LOUD) == 0
    assert len(registry.requests("PATCH")) == len(image.blobs)
    there = other(tmp_path, catalog)
    taken = pull(target, there.cache, there.settings)
    assert sorted(taken.irs) == sorted(zoo.convert(name).key for name in ("tiny", "third"))
    offline = other(tmp_path, catalog, offline=True)
    assert offline.read("third").inputs[0].get_any_name() == "x"
    seen = len(registry.requests("GET"))
    assert sorted(pull(target, there.cache, there.settings).irs) == sorted(taken.irs)
    assert len(registry.requests("GET")) == seen + 1  # the manifest; nothing else is missing


@pytest.mark.system
def test_commands_push_and_pull(command, catalog, registry, tmp_path):
    pushed = command("push", f"{registry.host}/m:1", "tiny@FP16")
    assert pushed.returncode == 0, pushed.stderr
    assert "sent 3 of 3 blobs" in pushed.stderr
    again = command("push", f"{registry.host}/m:1", "tiny@FP16")
    assert again.stdout == pushed.stdout
    assert "sent 0 of 3 blobs" in again.stderr
    env = {"MODEL_ZOO_CACHE": str(tmp_path / "there")}
    pulled = command("pull", pushed.stdout.strip(), env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert command("path", "tiny@FP16", env=env).stdout == pulled.stdout
    strict = {"MODEL_ZOO_CACHE": str(tmp_path / "strict"), "MODEL_ZOO_LICENSES": "Apache-2.0"}
    refused = command("pull", pushed.stdout.strip(), env=strict)
    assert refused.returncode == 2, refused.stderr
    assert "the policy does not allow its licence, MIT" in refused.stderr
    assert not list((tmp_path / "strict").rglob("*.bin"))
    allowed = command("pull", pushed.stdout.strip(), env={**strict, "MODEL_ZOO_LICENSES": "MIT"})
    assert allowed.returncode == 0, allowed.stderr
    assert command("pull", f"{registry.host}/nonesuch:1", env=env).returncode == 4
    assert command("--offline", "pull", f"{registry.host}/m:1", env=env).returncode == 4
    assert command("push", f"{registry.host}/m@sha256:{'0' * 64}", "tiny").returncode == 2
    assert command("push", "models:1", "tiny").returncode == 2


@pytest.mark.system
@pytest.mark.parametrize("which", ["weights", "manifest", "config"])
def test_tampered_registry_is_refused(zoo, catalog, registry, tmp_path, which):
    target = oci_reference(f"{registry.host}/m:1")
    image = image_of(zoo, "tiny")
    push(target, image, LOUD)
    config, layer = image.blobs
    digest = {"weights": layer.digest, "manifest": image.digest, "config": config.digest}[which]
    stored = registry.blob(digest)
    data = bytearray(stored.read_bytes())
    at = len(data) // 2 if which == "weights" else data.index(b"sha256:") + 8
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    stored.write_bytes(data)
    there = other(tmp_path, catalog)
    if which == "config":  # nothing in it is used
        assert pull(target, there.cache, there.settings).irs
        return
    pinned = oci_reference(f"{registry.host}/m@{image.digest}")
    with pytest.raises((IntegrityError, SourceUnavailableError)) as caught:
        pull(pinned, there.cache, there.settings)
    assert caught.value.exit_code in ((5,) if which == "weights" else (4, 5))
    assert not there.cache.top.irs.exists()


@pytest.mark.system
def test_pull_is_killed_and_goes_on(zoo, catalog, tmp_path):
    """Pull through a proxy of ours that counts bytes and, the first time, stops in the middle."""
    from tests.server import Answer, Server

    data = tiny_onnx(9.0, (1, 2_000_000), weights=2_000_000)
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "big.onnx").write_bytes(data)
    write_entry(tmp_path / "big", entry("big", data, {"file": "big.onnx"}))
    made = Zoo(settings=Settings(cache=tmp_path / "here", catalogs=(tmp_path / "big",)))
    image = build_image([zoo.convert("tiny"), made.convert("big")], "image")
    manifest = msgspec.json.decode(image.manifest)
    with Server() as server:
        server.add("/v2/m/manifests/1", image.manifest)
        for blob in image.blobs[1:]:
            data = b"".join(blob.chunks(0))
            slow = Answer(cut=5_000_000, stall=60) if blob is image.blobs[2] else Answer()
            server.add(f"/v2/m/blobs/{blob.digest}", data, Answer(), slow, Answer())
        target = server.url("/m:1")
        argv = ["pull", target]
        env = environment(MODEL_ZOO_CACHE=str(tmp_path / "there"), MODEL_ZOO_CATALOG=str(catalog))
        import sys

        code = "from model_zoo.cli.main import main; main()"
        process = subprocess.Popen([sys.executable, "-c", code, *argv], env=env, stderr=subprocess.DEVNULL)
        last = f"/v2/m/blobs/{image.blobs[2].digest}"
        first = f"/v2/m/blobs/{image.blobs[1].digest}"
        partial = tmp_path / "there" / "partial-v1"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (
            sum(s.sent for s in server.seen(last)) >= 5_000_000
            and any(p.name == image.blobs[1].digest[7:] for p in partial.rglob("*"))
        ):
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        before = sum(s.sent for s in server.seen(first) if s.method == "GET")
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 2
        assert sum(s.sent for s in server.seen(first) if s.method == "GET") == before  # it was complete
        ranged = [s.range for s in server.seen(last) if s.method == "GET" and s.range]
        assert ranged, "the second run should have asked for the rest only"
        assert ranged[-1][0] > 0
    assert len(manifest["layers"]) == 2


def test_refuses_to_ask_when_offline(zoo, tmp_path):
    with pytest.raises(OfflineError, match="offline"):
        pull(oci_reference("127.0.0.1:9/m:1"), zoo.cache, Settings(offline=True))


# --- as a source


@pytest.mark.system
def test_registry_is_a_source_of_files(registry, tmp_path, catalog):
    data = (catalog / "tiny.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(data)
    reference = f"{registry.host}/files/tiny:1"
    digest = publish_file(registry, "files/tiny", "1", "m.onnx", data)
    for number, source in enumerate(
        (
            {"oci": reference, "file": "m.onnx"},
            {"oci": reference},
            {"oci": f"{registry.host}/files/tiny@{digest}"},
            {"oci": f"{registry.host}/files/tiny", "blob": f"sha256:{hashlib.sha256(data).hexdigest()}"},
        )
    ):
        write_entry(tmp_path / "catalog", entry(f"m{number}", data, source))
    settings = Settings(cache=tmp_path / "cache", catalogs=(tmp_path / "catalog",), **FAST)
    for number in range(4):
        fetched = Zoo(settings=msgspec.structs.replace(settings, cache=tmp_path / f"c{number}")).fetch(
            f"m{number}"
        )
        assert fetched.files["m.onnx"].read_bytes() == data


@pytest.mark.system
def test_source_says_what_is_missing(registry, tmp_path, catalog):
    data = (catalog / "tiny.onnx").read_bytes()
    publish_file(registry, "files/tiny", "1", "m.onnx", data)
    for number, (source, why) in enumerate(
        (
            ({"oci": f"{registry.host}/files/tiny:2"}, "no such artifact"),
            ({"oci": f"{registry.host}/files/tiny:1", "file": "other.onnx"}, "0 layers match"),
            ({"oci": f"{registry.host}/files/tiny:1", "blob": f"sha256:{'0' * 64}"}, "has no blob"),
        )
    ):
        write_entry(tmp_path / "catalog", entry(f"m{number}", data, source))
        zoo = Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=(tmp_path / "catalog",), **FAST))
        with pytest.raises(SourceUnavailableError, match=why):
            zoo.fetch(f"m{number}")


def publish_file(registry, repository, tag, title, data):
    """Push a file as ORAS would, and return the manifest's digest."""
    from model_zoo.sources.oci.client import Registry, oci_digest

    config = b"{}"
    notes = {"org.opencontainers.image.title": title}
    manifest = msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": oci_digest(config),
                "size": 2,
            },
            "layers": [
                {
                    "mediaType": "application/octet-stream",
                    "digest": oci_digest(data),
                    "size": len(data),
                    "annotations": notes,
                }
            ],
        }
    )
    with Registry(oci_reference(f"{registry.host}/{repository}"), LOUD) as client:
        for blob in (config, data):
            client.put_blob(oci_digest(blob), len(blob), lambda start, blob=blob: iter((blob[start:],)))
        client.put_manifest(tag, manifest, "application/vnd.oci.image.manifest.v1+json")
    return oci_digest(manifest)


# --- the remote cache of a fleet


@pytest.mark.system
def test_what_one_machine_converts_another_takes_without_the_files(catalog, registry, tmp_path, monkeypatch):
    events = []
    remote = f"oci://{registry.host}/fleet/irs"
    one = Zoo(settings=Settings(cache=tmp_path / "one", catalogs=(catalog,), remote=remote, **FAST))
    made = one.convert("tiny")
    two = Zoo(settings=Settings(cache=tmp_path / "two", catalogs=(catalog,), remote=remote, **FAST))
    from model_zoo.zoo import converter as converting

    monkeypatch.setattr(converting, "convert", lambda *_, **__: pytest.fail("converted again"))
    got = two.convert("tiny", progress=events.append)
    assert got.key == made.key
    assert got.bin.read_bytes() == made.bin.read_bytes()
    assert not list((tmp_path / "two").rglob("m.onnx"))
    assert any(remote in (event.message or "") for event in events)
    assert two.convert_all(two.planner.expand(["tiny"]), Conversion())[0].result.key == made.key


@pytest.mark.system
def test_remote_is_asked_again_once_the_files_are_known(catalog, registry, tmp_path):
    remote = f"oci://{registry.host}/fleet/irs"
    for name in ("one", "two"):
        zoo = Zoo(settings=Settings(cache=tmp_path / name, catalogs=(catalog,), remote=remote, **FAST))
        zoo.convert("third")  # only a sha384 is declared: its files have to be fetched to know the key
    assert len(registry.requests("PATCH")) == 3
    (made,) = (tmp_path / "two").rglob("manifest.json")
    assert b"seconds" not in made.read_bytes()


@pytest.mark.system
def test_tampered_remote_is_said_and_the_model_is_converted_here(catalog, registry, tmp_path):
    remote = f"oci://{registry.host}/fleet/irs"
    zoo = Zoo(settings=Settings(cache=tmp_path / "one", catalogs=(catalog,), remote=remote, **FAST))
    made = zoo.convert("tiny")
    image = build_image([made], "modelpack")
    stored = registry.blob(image.blobs[2].digest)
    stored.write_bytes(stored.read_bytes().replace(b"<?xml", b"<?xmm", 1))
    events = []
    two = Zoo(settings=Settings(cache=tmp_path / "two", catalogs=(catalog,), remote=remote, **FAST))
    assert two.convert("tiny", progress=events.append).bin.read_bytes() == made.bin.read_bytes()
    assert any("was not used: " in (event.message or "") for event in events)
    assert any(event.event == "convert_begin" for event in events)


def test_dead_remote_is_no_obstacle(catalog, tmp_path):
    events = []
    settings = Settings(cache=tmp_path / "c", catalogs=(catalog,), remote="oci://127.0.0.1:9/x", attempts=1)
    assert Zoo(settings=settings).convert("tiny", progress=events.append).xml.is_file()
    said = [event.message for event in events if "remote cache" in (event.message or "")]
    assert len(said) == 1  # what cannot be reached to ask is not asked to take something either
    offline = msgspec.structs.replace(settings, offline=True)
    assert Zoo(settings=offline).convert("tiny").xml.is_file()


# --- logins


@pytest.fixture
def guarded(tmp_path):
    """A registry that wants a password."""
    htpasswd = tmp_path / "htpasswd"
    # bcrypt of "swordfish", cost 4
    htpasswd.write_text("reader:$2y$04$abcdefghijklmnopqrstuugIEnm3ZbWF6xb2GcoE3L1CoGJFMKtu.\n")
    yield from serve_registry(
        tmp_path / "guarded", f"auth: {{htpasswd: {{realm: here, path: {htpasswd}}}}}\n"
    )


@pytest.mark.system
def test_docker_login_is_used_and_never_shown(zoo, catalog, guarded, tmp_path, monkeypatch):
    import base64

    target = oci_reference(f"{guarded.host}/m:1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with pytest.raises(SourceUnavailableError, match="docker login") as caught:
        push(target, image_of(zoo, "tiny"), LOUD)
    assert caught.value.exit_code == 4
    (tmp_path / "docker").mkdir()
    auth = base64.b64encode(b"reader:swordfish").decode()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {guarded.host: {"auth": auth}}}))
    push(target, image_of(zoo, "tiny"), LOUD)
    there = other(tmp_path, catalog)
    assert pull(target, there.cache, there.settings).irs
    for text in (guarded.log.read_text(), str(caught.value)):
        assert "swordfish" not in text
        assert auth not in text


def test_wrong_manifest_for_a_digest(tmp_path, zoo):
    from tests.server import Server

    with Server() as server:
        digest = f"sha256:{'0' * 64}"
        server.add(f"/v2/m/manifests/{digest}", b"{}")
        with pytest.raises(DigestMismatchError, match="different manifest"):
            pull(oci_reference(server.url(f"/m@{digest}")), zoo.cache, LOUD)
