"""Seeds, exports, imports."""

from tests.messages.stage import Group, after, model, serves, sets, sizes, warm, writes

scene = Group("hand_off", (sizes,))


def cut(stage):
    path = stage.tmp / "out.tar"
    path.write_bytes(path.read_bytes()[:3000])


def flip(stage):
    path = stage.tmp / "out.tar"
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x80\x3f", b"\x00\x00\x80\x40"))


def evil(stage, name="../evil"):
    from tests.messages.scenes.download import tar

    stage.file("out.tar", tar({name: b"x"}))


scene("seed", "seed layer probe", warm)
scene("seed-removes", "seed layer twin", warm, after("--quiet seed layer probe"))
scene("seed-into-the-cache", "seed cache/x probe", warm)
scene("seed-into-a-file", "seed layer probe", warm, writes("layer", ""))
scene("seed-into-something-else", "seed layer probe", warm, writes("layer/notes.txt", "mine"))
scene(
    "seed-one-fails", "seed layer probe gone", warm, lambda s: s.entry("gone", b"x", {"file": "absent.onnx"})
)
scene("seed-unknown", "seed layer probe zzyzx", warm)
scene("seed-device", "seed layer probe --compile NOSUCH", warm, keep=r"^(error|  next)")
scene("export-dir", "export --format dir -o out probe", warm)
scene("export-dir-json", "export --format dir -o out probe --json", warm)
scene("export-omz", "export --format omz -o out probe", warm)
scene("export-ovms", "export --format ovms -o out probe", warm)
scene(
    "export-ovms-config-in-the-way",
    "export --format ovms -o out probe",
    warm,
    writes("out/config.json", "hello"),
)
scene("export-oci", "export --format oci -o out probe", warm)
scene(
    "export-oci-into-something-else",
    "export --format oci -o out probe",
    warm,
    writes("out/notes.txt", "mine"),
)
scene("export-tar", "export --format tar -o out.tar probe", warm)
scene("export-into-a-file", "export --format dir -o out probe", warm, writes("out", ""))
scene(
    "import",
    "import out.tar",
    warm,
    after("--quiet export --format tar -o out.tar probe"),
    sets(MODEL_ZOO_CACHE="{tmp}/new"),
)
scene(
    "import-json",
    "import --json out.tar",
    warm,
    after("--quiet export --format tar -o out.tar probe"),
    sets(MODEL_ZOO_CACHE="{tmp}/new"),
)
scene("import-not-a-tar", "import out.tar", writes("out.tar", "hello"))
scene(
    "import-cut",
    "import out.tar",
    warm,
    after("--quiet export --format tar -o out.tar probe"),
    cut,
    sets(MODEL_ZOO_CACHE="{tmp}/new"),
)
scene(
    "import-damaged",
    "import out.tar",
    warm,
    after("--quiet export --format tar -o out.tar probe"),
    flip,
    sets(MODEL_ZOO_CACHE="{tmp}/new"),
)
scene("import-leads-out", "import out.tar", evil)
scene("import-of-others", "import out.tar", lambda s: evil(s, "notes.txt"))
scene(
    "layer",
    "--offline convert probe",
    warm,
    sets(MODEL_ZOO_LAYERS="{tmp}/cache", MODEL_ZOO_CACHE="{tmp}/top"),
)
scene("completion", "completion fish")
scene("notice-and-licences", "export --format dir -o out probe other twin",
      model(license="CC-BY-NC-4.0", notice="for research only"), model("other", license="https://example.org/terms"),
      model("twin", license="CC-BY-NC-4.0"))  # fmt: skip
scene("notice-of-fetch", "fetch probe", serves(notice="AGPL-3.0 asks for the source of what it serves"))
scene("uri-in-export", "export --format dir -o out absent.onnx", model())
