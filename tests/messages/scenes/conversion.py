"""Models that cannot be converted: exit 7; and what conversions say."""

import importlib.util
import sys

from tests.messages.stage import DATA, Group, after, edits, model, serves, warm, writes
from tests.tiny import tiny_onnx
from tests.tools import missing

scene = Group("conversion")


def other_outputs(stage):
    import re

    path = stage.tmp / "model-zoo.lock"
    text = path.read_text()
    start = text.index("model.bin")
    path.write_text(text[:start] + re.sub(r"[0-9a-f]{64}", "0" * 64, text[start:], count=1))


def adder(stage):
    from tests.stacks import make_index, write_adders

    make_index(stage.tmp / "index").use(stage.monkeypatch)
    stage.env(PIP_FIND_LINKS=stage.tmp / "empty")
    (stage.tmp / "empty").mkdir()
    write_adders(stage.catalog, "adder")


def recipe(**fields):
    return model(recipe=fields)


# declared
scene("declared-not-convertible", "convert probe", model(convertible=False, reason="It is odd."))
scene(
    "all-leaves-out", "export --format dir -o out odd", model("odd", convertible=False, reason="It is odd.")
)
scene("path-not-convertible", "path probe", model(convertible=False, reason="It is odd."))

# what OpenVINO says
scene("unknown-operation", "convert probe", model(data=tiny_onnx(op="Frobnicate")))
scene("not-an-onnx-file", "convert probe", model(data=b"hello"), keep=r"^(error|  (found|on|next))")
scene(
    "not-an-ir",
    "convert probe",
    lambda s: (
        s.file("catalog/m.xml", "<net/>")
        and s.entry("probe", b"<net/>", {"file": "m.xml"}, path="m.xml", framework="openvino")
    ),
    keep=r"^(error|  (on|next))",
)
scene(
    "shape-that-cannot-be",
    "convert probe",
    model(data=tiny_onnx(shape=(1, 4), weights=4), recipe={"inputs": [{"name": "x", "shape": [1, 3]}]}),
    keep=r"^(error|  (on|next))",
)

# the recipe
scene("input-unknown", "convert probe", recipe(inputs=[{"name": "image", "shape": [1, 4]}]))
scene("inputs-too-many", "convert probe", recipe(inputs=[{"name": "x"}, {"name": "y"}]))
scene("output-unknown", "convert probe", recipe(outputs=["prob"]))
scene("cut-unknown", "convert probe", recipe(cut={"outputs": ["inner"]}))
scene("model-absent", "convert probe", recipe(model="net.onnx"))
scene("layout-does-not-fit", "convert probe", recipe(inputs=[{"name": "x", "layout": "NCHW"}]))
scene("layout-is-none", "convert probe", recipe(inputs=[{"name": "x", "layout": "?!"}]))
scene("layout-needed", "convert probe", recipe(inputs=[{"name": "x", "reverse_channels": True}]))
scene(
    "mean-of-other-length",
    "convert probe",
    model(
        data=tiny_onnx(shape=(1, 3, 4, 4)),
        recipe={"inputs": [{"name": "x", "layout": "NCHW", "mean": [1.0, 2.0]}]},
    ),
)
scene("labels-not-in-the-file", "convert probe", model(labels={"artifact": "m.onnx", "key": "names"}))
scene(
    "compress-without-nncf", "convert probe@INT8", lambda s: without("nncf"), model(), keep=r"^(error|  on)"
)


# packages that are not installed
def framework(name, package, path="m.bin", **more):
    """Add a scene of a framework whose package is not installed."""

    def step(stage):
        without(package)
        stage.file("catalog/probe.bin", DATA)
        stage.entry("probe", DATA, {"file": "probe.bin"}, path=path, framework=name, **more)

    scene(f"missing-{name}", "convert probe --trust-code", step)


def without(package):
    """Skip the scene where the package is installed."""
    if importlib.util.find_spec(package) is not None:
        missing(f"{package} is installed")


framework("pytorch", "torch", "m.pth", recipe={"builder": {"torchvision": "resnet18"}})
framework("tensorflow", "tensorflow", "m.pb", recipe={"builder": {"module": "net", "callable": "make"}})
framework("keras", "keras", "m.keras")
framework("jax", "jax", "m.bin", recipe={"builder": {"module": "net", "callable": "make"}})
framework("timm", "timm", "m.pth")
framework("transformers", "transformers", "config.json")


# code of the model's own, run by an interpreter that claims to have TensorFlow
def builds(code, **builder):
    """Let ``probe`` be built by this code; ``--python ./python`` believes that TensorFlow is installed."""

    def step(stage):
        if sys.platform == "win32":
            missing("the interpreter is a shell script")
        stage.file(
            "fake/tensorflow_cpu-2.21.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tensorflow-cpu\nVersion: 2.21.0\n",
        )
        script = f'#!/bin/sh\nPYTHONPATH="{stage.tmp}/fake" exec "{sys.executable}" "$@"\n'
        stage.file("python", script).chmod(0o755)
        text = "import os, pathlib, signal, socket\nhere = pathlib.Path(__file__).parent\n" + code
        stage.file("catalog/net.py", text)
        stage.file("catalog/m.onnx", DATA)
        files = [
            {"path": path, "integrity": "first-use", "sources": [{"file": path}]}
            for path in ("net.py", "m.onnx")
        ]
        made = {"module": "net", "callable": "make", "paths": ["."], **builder}
        stage.entry("probe", DATA, artifacts=files, framework="tensorflow", recipe={"builder": made})

    return step


TRUSTED = "convert probe --python {tmp}/python --trust-code"
scene(
    "code-not-trusted",
    "convert probe --python {tmp}/python",
    builds("def make():\n    return str(here / 'm.onnx')\n"),
)
scene("code-trusted", TRUSTED, builds("def make():\n    return str(here / 'm.onnx')\n"))
scene("code-killed", TRUSTED, builds("def make():\n    os.kill(os.getpid(), signal.SIGKILL)\n"))
scene("code-exits", TRUSTED, builds("def make():\n    os._exit(3)\n"))
scene(
    "code-raises",
    TRUSTED,
    builds("def make():\n    raise RuntimeError('nothing works')\n"),
    keep=r"^(error|  [neo]|probe)",
)
scene("code-has-no-callable", TRUSTED, builds("def other():\n    pass\n"))
scene("code-has-no-module", TRUSTED, builds("", module="absent"))
scene(
    "code-wants-a-file",
    TRUSTED,
    builds("def make(path):\n    return path\n", kwargs={"path": "files:absent.pb"}),
)
scene(
    "code-uses-the-network",
    TRUSTED,
    builds("def make():\n    socket.create_connection(('127.0.0.1', 9))\n"),
    keep=r"^(error|  [neo]|probe)",
)

scene(
    "cached-ir-of-other-tools",
    "convert probe",
    builds("def make():\n    return str(here / 'm.onnx')\n"),
    lambda s: without("tensorflow"),
    after(TRUSTED),
)

# what is said where it works
scene("converted", "convert probe", model())
scene("converted-already", "convert probe", warm)
scene("converted-several", "convert probe --precision FP32,FP16", warm)
scene("converted-with-json-events", "--progress json convert probe@FP16", warm, keep="convert|note|failed")
scene("converted-to-a-folder", "convert probe -o out", warm)
scene("converted-as-json", "convert probe --json", warm)
scene("converted-one-of-two", "convert probe broken", warm, model("broken", tiny_onnx(op="Frobnicate")))
scene("reproducible", "convert probe --check-reproducible", warm)
scene("path", "path probe", warm)
scene("path-json", "path --json probe", warm)
scene("path-absent", "path probe@FP16", warm)
scene("path-never-fetched", "path probe", serves())
scene("path-uri-never-asked", "path hf:org/net/m.onnx")
scene("why-nothing-cached", "why probe", model())
scene("why-same", "why probe", warm)
scene("why-other-precision", "why probe@FP16", warm)
scene(
    "why-other-recipe",
    "why probe",
    warm,
    edits("schema: 1\n", "schema: 1\nrecipe: {inputs: [{name: x, shape: [2, 4]}]}\n"),
)
scene("why-json", "why --json probe", warm)
scene("offline-with-files", "--offline convert twin", warm)
scene("isolate-offline", "--offline convert --isolate --trust-code adder", adder)
scene("isolate-pip-fails", "convert --isolate --trust-code adder", adder, keep=r"^(error|  on|  next|adder)")
scene(
    "dask-not-installed", "convert --dask tcp://127.0.0.1:9 probe", model(), lambda s: without("distributed")
)

# locks
LOCKED = after("--quiet lock probe")
scene("lock", "lock probe", warm)
scene("lock-json", "lock --json probe", warm)
scene(
    "locked-entry-changed",
    "fetch probe --locked model-zoo.lock",
    warm,
    LOCKED,
    writes("catalog/probe.onnx", tiny_onnx(3.0)),
    model(data=tiny_onnx(3.0)),
)
scene(
    "locked-recipe-changed",
    "convert probe --locked model-zoo.lock",
    warm,
    LOCKED,
    edits("schema: 1\n", "schema: 1\nrecipe: {inputs: [{name: x, shape: [2, 4]}]}\n"),
)
scene("locked-outputs-changed", "convert probe --locked model-zoo.lock", warm, LOCKED, other_outputs)
scene("locked-fine", "convert probe --locked model-zoo.lock", warm, LOCKED)
