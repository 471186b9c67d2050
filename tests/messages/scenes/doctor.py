"""What ``doctor`` finds; only the lines about the finding, as others tell of the machine."""

from tests.messages.stage import Group, model, sets, warm, writes

scene = Group("doctor")
LINES = "(next|note):"


def linked(stage):
    (stage.cache / "compiled-v1").symlink_to(stage.tmp)


scene("unknown-variable", "doctor", sets(MODEL_ZOO_CAHCE="/x"), keep=r"CAHCE|did you mean MODEL")
scene(
    "settings-wrong",
    "doctor",
    writes("settings.toml", "job = 3\n"),
    keep=r"settings|correct the file|problem",
)
scene("settings-wrong-json", "doctor --json", sets(MODEL_ZOO_OFFLINE="maybe"), keep=r"OFFLINE|exit_code\": 2")
scene(
    "catalog-absent",
    "doctor",
    sets(MODEL_ZOO_CATALOG="{tmp}/absent"),
    keep=r"absent|MODEL_ZOO_CATALOG|problem",
)
scene("cache-is-a-file", "doctor", writes("cache", ""), keep=r"is a file|MODEL_ZOO_CACHE|problem")
scene("cache-new", "doctor", keep=r"  folder|adoption|budget|writable")
scene("cache-there", "doctor", warm, keep=r"  folder|adoption|parts|stale locks")
scene(
    "budget-beyond-the-disk",
    "doctor",
    sets(MODEL_ZOO_MAX_SIZE="900TB"),
    keep=r"  budget|MODEL_ZOO_MAX_SIZE|problem",
)
scene(
    "layer-absent", "doctor", sets(MODEL_ZOO_LAYERS="{tmp}/absent"), keep=r"absent|MODEL_ZOO_LAYERS|problem"
)
scene(
    "layer-empty",
    "doctor",
    writes("layer/x", ""),
    sets(MODEL_ZOO_LAYERS="{tmp}/layer"),
    keep=r"layer|problem",
)
scene(
    "layer-is-the-cache",
    "doctor",
    warm,
    sets(MODEL_ZOO_LAYERS="{tmp}/cache"),
    keep=r"layer|MODEL_ZOO_LAYERS|problem",
)
scene(
    "proxy-wrong",
    "doctor",
    sets(https_proxy="http://user:secret@proxy:notaport"),
    keep=r"PROXY|notaport|problem",
)
scene(
    "certificates-absent",
    "doctor",
    sets(REQUESTS_CA_BUNDLE="{tmp}/absent.pem"),
    keep=r"BUNDLE|absent|problem",
)
scene(
    "certificates-not-any",
    "doctor",
    writes("x.pem", "hello"),
    sets(REQUESTS_CA_BUNDLE="{tmp}/x.pem"),
    keep=r"BUNDLE|x\.pem|problem",
)
scene(
    "mirror-wrong",
    "doctor",
    sets(MODEL_ZOO_MIRRORS="https://example.org=nowhere"),
    keep=r"mirror|nowhere|problem",
)
scene("token-wrong", "doctor", sets(HF_TOKEN="two words"), keep=r"TOKEN|problem")
scene("hub-offline", "doctor", sets(HF_HUB_OFFLINE="1"), keep=r"HF_HUB_OFFLINE")
scene("offline", "doctor", sets(MODEL_ZOO_OFFLINE="1"), keep=r"offline|OFFLINE")
scene("network-unreachable", "doctor --network", model(), keep=r"reach|proxy and the cert|problem")
scene("linked-part", "doctor", warm, linked, keep=r"symbolic link|links inside|problem")
