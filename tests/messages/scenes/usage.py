"""Wrong arguments and settings: exit 2."""

from tests.messages.stage import DATA, Group, after, hides, model, sets, warm, writes

scene = Group("usage")


def ready(stage):
    stage.file("catalog/FP32/m.xml", "<net/>")
    stage.file("catalog/FP32/m.bin", "x")
    stage.entry("ready", b"<net/>", framework="openvino")
    files = [
        {
            "path": f"FP32/m.{end}",
            "precision": "FP32",
            "integrity": "first-use",
            "sources": [{"file": f"FP32/m.{end}"}],
        }
        for end in ("xml", "bin")
    ]
    stage.entry("ready", b"", framework="openvino", artifacts=files)


def composite(stage):
    stage.entry("both", b"", stages=["part"], artifacts=None, framework=None)


def interpreter(stage, code):
    stage.file("false", f"#!/bin/sh\n{code}\n").chmod(0o755)


# what click finds
scene("unknown-command", "fecth probe")
scene("command-of-others", "download probe")
scene("unknown-subcommand", "cache clean")
scene("unknown-option", "fetch --forse probe")
scene("option-for-names", "fetch --name probe")
scene("missing-argument", "info")
scene("missing-option", "export probe --format dir")
scene("too-many-arguments", "info probe other")
scene("wrong-choice", "export --format zip -o out probe")
scene("wrong-number", "fetch -j 0 probe")
scene("not-a-number", "bench -t long probe")
scene("option-needs-value", "convert probe --precision")
scene("wrong-shell", "completion tcsh")
scene("wrong-progress", "--progress fancy list")

# names
scene("nothing-named", "fetch")
scene("names-and-all", "fetch --all probe")
scene("unknown-model", "info zebra-finder-2", model("zebra-finder-1"))
scene("unknown-model-nothing-near", "info qqqqqqqq")
scene("unknown-model-like-a-file", "info absent-model.onnx")
scene("unknown-path", "convert ./absent/m.onnx")
scene("file-empty", "info m.onnx", writes("m.onnx", b""))
scene("not-a-reference", "info 'two words'")
scene("unknown-precision", "convert probe@FP61", model())
scene("precision-empty", "convert probe@", model())
scene("precision-ready-made-only", "convert ready@INT8", ready)
scene("several-models-some-wrong", "fetch probe zzyzx prob", model())
scene("composite-path", "path both", model("part"), composite)
scene("composite-infer", "infer both", model("part"), composite)

# URIs
scene("uri-unknown-kind", "fetch s3:bucket/m.onnx")
scene("uri-hf-incomplete", "fetch hf:only-a-name")
scene("uri-wheel-incomplete", "fetch wheel:numpy")
scene(
    "uri-torchvision-unknown",
    "info torchvision:resnet51",
    hides((r"torchvision \d[\d.]+", "torchvision <version>")),
)
scene("uri-tfhub", "info tfhub:one-word")
scene("uri-no-file-name", "fetch https://example.org/")
scene("uri-credentials", "info https://user:secret@/m.onnx")
scene("uri-unknown-suffix", "fetch {server}/m.bin")
scene("uri-archive", "info {server}/m.zip")
scene("path-unknown-suffix", "info notes.txt", writes("notes.txt", "hello"))
scene(
    "path-is-a-folder-of-several", "info folder", writes("folder/a.onnx", "a"), writes("folder/b.onnx", "b")
)

# filters of list
scene("list-unknown-task", "list --task zebra-countin", model(task="zebra-counting"))
scene("list-near-framework", "list --framework onx", model())
scene("list-near-source", "list --source ulr", model())
scene("list-no-match", "list zebrra", model("zebra-finder-1"))
scene("list-nothing-of-filter", "list --framework paddle --task test", model())

# settings
scene("variable-not-a-flag", "list", sets(MODEL_ZOO_OFFLINE="maybe"))
scene("variable-not-a-size", "cache gc", sets(MODEL_ZOO_MAX_SIZE="lots"))
scene("variable-not-mirrors", "list", sets(MODEL_ZOO_MIRRORS="https://example.org"))
scene("variable-not-a-time", "list", sets(SOURCE_DATE_EPOCH="today"))
scene("settings-syntax", "list", writes("settings.toml", "jobs = \n"))
scene("settings-unknown-field", "list", writes("settings.toml", "job = 3\n"))
scene("settings-wrong-type", "list", writes("settings.toml", 'jobs = "three"\n'))
scene("settings-wrong-size", "list", writes("settings.toml", 'max_size = "big"\n'))
scene("settings-absent", "list", sets(MODEL_ZOO_CONFIG="{tmp}/absent.toml"))

# the policy of the settings
scene(
    "policy-refuses", "fetch probe", model(license="AGPL-3.0-only"), sets(MODEL_ZOO_LICENSES="MIT,Apache-2.0")
)
scene("policy-licence-unknown", "convert probe", model(license="https://example.org/terms"),
      writes("settings.toml", '[policy]\nlicenses = ["Apache-2.0", "BSD-3-Clause"]\n'))  # fmt: skip
scene("policy-file", "convert {tmp}/catalog/probe.onnx", model(), sets(MODEL_ZOO_LICENSES="MIT"))
scene("policy-integrity", "fetch probe",
      model(artifacts=[{"path": "m.onnx", "integrity": "first-use", "sources": [{"file": "probe.onnx"}]}]),
      writes("settings.toml", '[policy]\nintegrity = "pinned"\n'))  # fmt: skip
scene("policy-not-spdx", "list", sets(MODEL_ZOO_LICENSES="Apache2"))
scene("policy-not-single", "list", writes("settings.toml", '[policy]\nlicenses = ["MIT OR ISC"]\n'))
scene("policy-unknown-field", "list", writes("settings.toml", '[policy]\nlicences = ["MIT"]\n'))

# options that contradict
scene("seed-without-models", "seed probe", model())
scene("seed-nothing", "seed layer", model())
scene("seed-compile-files", "seed layer probe --with files --compile CPU", model())
scene("export-files", "export --format dir -o out --with files probe", model())
scene("export-nothing", "export --format dir -o out")
scene("push-to-digest", f"push example.org/team/net@sha256:{'0' * 64} probe", model())
scene("push-not-a-target", "push UPPER probe", model())
scene("pull-not-a-target", "pull registry.example.org")
scene("infer-config", "infer probe --config LATENCY", warm)
scene("infer-absent-input", "infer probe absent.png --device CPU", warm)
scene("python-absent", "convert probe --python /absent/python", model())
scene(
    "python-fails",
    "convert probe --python {tmp}/false",
    model(),
    lambda s: interpreter(s, "echo broken >&2; exit 3"),
)
scene(
    "python-talks-nonsense",
    "convert probe --python {tmp}/false",
    model(),
    lambda s: interpreter(s, "echo hello"),
)
scene("calibrate-absent", "convert probe --calibrate absent", model())
scene("gc-size", "cache gc --max-size plenty")
scene("import-absent", "import absent.tar")
scene("rm-unknown", "cache rm zzyzx")
scene("pin-unknown", "cache pin zzyzx")

# lock files
scene("lock-with-lock", "lock probe --locked other.lock", model())
scene("lock-absent", "fetch probe --locked absent.lock", model())
scene("lock-not-one", "fetch probe --locked x.lock", model(), writes("x.lock", "hello\n"))
scene(
    "lock-of-the-future",
    "fetch probe --locked model-zoo.lock",
    model(),
    after("lock --files-only probe"),
    writes("model-zoo.lock", '{"version": 99, "models": {}}'),
)
scene(
    "lock-lacks-model",
    "fetch other --locked model-zoo.lock",
    model(),
    model("other"),
    after("lock --files-only probe"),
)
scene("lock-lacks-ir", "convert probe --locked model-zoo.lock", model(), after("lock --files-only probe"))

# authoring
scene("add-of-a-name", "catalog add probe", model())
scene(
    "add-to-what-is-there",
    "catalog add m.onnx -o taken.yaml",
    writes("m.onnx", DATA),
    writes("taken.yaml", "x"),
)
scene("add-with-a-wrong-name", "catalog add m.onnx -o 'two words.yaml'", writes("m.onnx", DATA))
