"""Compiling and running: exit 8."""

from tests.messages.stage import Group, model, warm, writes

scene = Group("run")


def array(stage):
    import numpy as np

    np.save(stage.tmp / "a.npy", np.zeros((3, 5), np.float32))


def picture(stage):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(stage.tmp / "a.png")


def large_picture(stage):
    """Write the header of a photograph of 100 megapixels: no more of it is looked at."""
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 12_000, 9_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", b"")):
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (stage.tmp / "large.png").write_bytes(data)


def spoken(stage):
    import wave

    with wave.open(str(stage.tmp / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(3200))


def network_of_six_numbers(stage):
    """Save an IR that takes any vector, and fails while it runs on one that has not six numbers."""
    import numpy as np
    import openvino
    from openvino import opset13 as op

    numbers = op.parameter([-1], np.float32, "x")
    numbers.output(0).set_names({"x"})
    table = op.reshape(numbers, np.array([2, 3]), special_zero=False)
    openvino.save_model(openvino.Model([table], [numbers], "six"), stage.tmp / "six.xml")
    np.save(stage.tmp / "a.npy", np.zeros(5, np.float32))


IMAGE = {"inputs": [{"kind": "image", "layout": "NC"}]}


def damaged(stage):
    (xml,) = stage.cache.glob("ir-v1/*/model.xml")
    xml.chmod(0o644)
    xml.write_text("<net/>")


def unreadable(stage):
    """Change an IR without changing its size, which is all that is looked at before every use."""
    (xml,) = stage.cache.glob("ir-v1/*/model.xml")
    size = xml.stat().st_size
    xml.chmod(0o644)
    xml.write_bytes(b"x" * size)


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
scene(
    "input-that-fails-in-the-network",
    "infer six.xml a.npy --device CPU",
    network_of_six_numbers,
    keep=r"^(error|  (next|expected|on))",
)
scene("input-raw", "infer probe raw.bin --device CPU", warm, writes("raw.bin", bytes(16)))
scene("input-picture-for-a-vector", "infer probe a.png --device CPU", warm, picture)
scene("input-broken-picture", "infer probe a.png --device CPU", model(), writes("a.png", b"broken"))
scene("input-empty-wav", "infer probe a.wav --device CPU", model(), writes("a.wav", b""))
scene("input-large-picture", "infer probe large.png --device CPU", model(), large_picture)
scene("input-folder", "infer probe . --device CPU", model())
scene("input-sound-for-a-picture", "infer probe a.wav --device CPU", model(**IMAGE), spoken)
scene("input-for-tokens", "infer probe a.png --device CPU", model(inputs=[{"kind": "tokens"}]), picture)
scene("device-before-anything", "infer probe --device NOSUCH", model(), keep=r"^(error|  next)")
scene("shape-not-a-shape", "infer probe --shape x", model())
scene("shape-of-no-input", "infer probe --device CPU --shape z=1,4", warm)
scene("damaged-ir", "infer probe --device CPU", warm, damaged)
scene("unreadable-ir", "infer probe --device CPU", warm, unreadable, keep=r"^(error|  (next|expected|on))")
scene("saved", "infer probe --device CPU --save out", warm)
scene(
    "offline-nothing-cached",
    "--offline infer probe",
    lambda s: s.entry("probe", b"x", {"url": "https://example.org/m"}),
)
scene("not-convertible", "infer probe", model(convertible=False, reason="It is odd."))
