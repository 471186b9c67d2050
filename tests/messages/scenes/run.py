"""Compiling and running: exit 8."""

from tests.messages.stage import Group, model, warm, writes

scene = Group("run")


def array(stage):
    import numpy as np

    np.save(stage.tmp / "a.npy", np.zeros((3, 5), np.float32))


def picture(stage):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(stage.tmp / "a.png")


def damaged(stage):
    (xml,) = stage.cache.glob("ir-v1/*/model.xml")
    xml.chmod(0o644)
    xml.write_text("<net/>")


scene("device-unknown", "infer probe --device NOSUCH", warm, keep=r"^(error|  next)")
scene("device-unknown-bench", "bench probe --device NOSUCH -t 1", warm, keep=r"^(error|  next)")
scene(
    "config-unknown",
    "infer probe --device CPU --config NO_SUCH_PROPERTY=1",
    warm,
    keep=r"^(error|  (next|expected|on))",
)
scene(
    "config-wrong",
    "infer probe --device CPU --config NUM_STREAMS=many",
    warm,
    keep=r"^(error|  (next|expected|on))",
)
scene("zeros", "infer probe --device CPU", warm)
scene("zeros-json", "infer probe --device CPU --json", warm, keep=r'"(input|device|name|shape|type)"')
scene("input-is-text", "infer probe notes.txt --device CPU", warm, writes("notes.txt", "hello"))
scene("input-of-wrong-size", "infer probe raw.bin --device CPU", warm, writes("raw.bin", b"123"))
scene("input-not-an-array", "infer probe a.npy --device CPU", warm, writes("a.npy", b"hello"))
scene("input-of-other-shape", "infer probe a.npy --device CPU", warm, array)
scene("input-raw", "infer probe raw.bin --device CPU", warm, writes("raw.bin", bytes(16)))
scene("input-picture-for-a-vector", "infer probe a.png --device CPU", warm, picture)
scene("damaged-ir", "infer probe --device CPU", warm, damaged)
scene("saved", "infer probe --device CPU --save out", warm)
scene(
    "offline-nothing-cached",
    "--offline infer probe",
    lambda s: s.entry("probe", b"x", {"url": "https://example.org/m"}),
)
scene("not-convertible", "infer probe", model(convertible=False, reason="It is odd."))
