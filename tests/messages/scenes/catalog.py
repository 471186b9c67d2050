"""Wrong catalogs: exit 3."""

from tests.messages.stage import DATA, Group, edits, model, serves, warm, writes
from tests.server import Answer, redirect, status

scene = Group("catalog")
DIGEST = "0" * 64
OMZ = "description: A.\ntask_type: classification\nlicense: https://example.org\n"


def wrong(name, old, new, *more):
    """Add a scene of ``probe`` with one change to its entry."""
    scene(name, "info probe", model(), edits(old, new), *more)


def moves(stage):
    stage.server.add("/m.onnx", b"", redirect(stage.server.url("/new/m.onnx"), 301))
    stage.server.add("/new/m.onnx", DATA)


def floats(stage):
    commit = stage.hub.commit("org/net", {"m.onnx": DATA}, lfs={"m.onnx"})
    stage.hub.branch("org/net", "main", commit)
    source = {"hf": "org/net", "file": "m.onnx"}
    artifacts = [{"path": "m.onnx", "integrity": "first-use", "sources": [source]}]
    stage.entry("probe", b"", artifacts=artifacts)


# one field
wrong("unknown-field", "license: MIT", "licence: MIT")
wrong("unknown-field-nothing-near", "task: test", "task: test\nzzz: 3")
wrong("field-missing", "license: MIT\n", "")
wrong("type-of-text", "task: test", "task: [1]")
wrong("type-of-number", f"size: {len(DATA)}", "size: big")
wrong("negative-size", f"size: {len(DATA)}", "size: -1")
wrong("schema-of-the-future", "schema: 1", "schema: 2")
wrong("unknown-framework", "framework: onnx", "framework: torch")
wrong("name-is-not-the-stem", "name: probe", "name: prob")
wrong("name-with-space", "name: probe", "name: pro be")
wrong("digest-too-short", "sha256: ", "sha256: abc #")
wrong("digest-upper-case", "sha256: ", "sha256: ABCDEF #")
wrong("digest-missing", "sha256: ", "#sha256: ")
wrong("path-leads-out", "path: m.onnx", "path: ../m.onnx")
wrong("path-absolute", "path: m.onnx", "path: /m.onnx")
wrong("path-backslash", "path: m.onnx", "path: a\\m.onnx")
wrong("source-unknown-kind", "file: probe.onnx", "ftp: probe.onnx")
wrong("source-near-kind", "file: probe.onnx", "ulr: probe.onnx")
wrong("source-two-kinds", "file: probe.onnx", "file: probe.onnx\n    url: https://example.org/m")
wrong("source-unknown-field", "file: probe.onnx", "url: https://example.org/m\n    revision: x")
wrong("source-is-text", "- file: probe.onnx", "- probe.onnx")
wrong("source-url-scheme", "file: probe.onnx", "url: ftp://example.org/m")
wrong("source-wheel-no-version", "file: probe.onnx", "wheel: numpy\n    member: a/m.onnx")
wrong("source-hf-repo", "file: probe.onnx", "hf: a/b/c\n    revision: main\n    file: m.onnx")
wrong("source-hf-revision", "file: probe.onnx", "hf: org/net\n    revision: a b\n    file: m.onnx")
wrong("source-gdrive", "file: probe.onnx", "gdrive: x/y")
wrong("source-tfhub", "file: probe.onnx", "tfhub: 'a b'")
wrong("source-torchvision", "file: probe.onnx", "torchvision: resnet18")
wrong("source-oci", "file: probe.onnx", "oci: UPPER")
wrong("no-source", "  sources:\n  - file: probe.onnx\n", "")

# rules between fields
for name, text in {
    "nothing-to-convert-without-reason": "convertible: false",
    "precisions-empty": "recipe: {precisions: []}",
    "precision-unknown": "recipe: {precisions: [FP61]}",
    "precision-lower-case": "recipe: {precisions: [fp32]}",
    "precision-twice": "recipe: {precisions: [FP32, FP32]}",
    "precision-not-made": "recipe: {precisions: [BF16]}",
    "input-twice": "recipe: {inputs: [{name: a}, {name: a}]}",
    "input-type": "recipe: {inputs: [{name: a, type: float}]}",
    "input-shape": "recipe: {inputs: [{name: a, shape: [1, x]}]}",
    "preprocess": "recipe: {preprocess: imbed}",
    "recipe-unknown-field": "recipe: {input: []}",
    "recipe-model-leads-out": "recipe: {model: ../m}",
    "builder-empty": "recipe: {builder: {}}",
    "builder-half": "recipe: {builder: {module: m}}",
    "labels-two-ways": "labels: {artifact: m.onnx, file: b}",
    "labels-absent": "labels: {file: absent.txt}",
    "replace-pattern": "replace: [{file: m.onnx, pattern: '(', replacement: ''}]",
    "stages-and-artifacts": "stages: [part]",
}.items():
    scene(name, "info probe", model(), edits("schema: 1\n", f"schema: 1\n{text}\n"))
scene(
    "labels-not-there-by-key",
    "catalog validate catalog",
    model(),
    writes("catalog/l.json", '{"a": 1}'),
    edits("schema: 1\n", "schema: 1\nlabels: {file: l.json, key: b}\n"),
)
scene("artifacts-empty", "info probe", model(artifacts=[]))
scene("framework-missing", "info probe", model(framework=None))
scene(
    "artifact-twice",
    "info probe",
    model(
        artifacts=[
            {"path": path, "sha256": DIGEST, "sources": [{"file": "x"}]} for path in ("a.onnx", "A.onnx")
        ]
    ),
)
scene(
    "artifact-is-also-a-folder",
    "info probe",
    model(artifacts=[{"path": path, "sha256": DIGEST, "sources": [{"file": "x"}]} for path in ("a", "a/b")]),
)

# the file itself
scene("yaml-syntax", "info probe", writes("catalog/probe.yaml", "schema: 1\nname: [\n"))
scene("yaml-tab", "info probe", writes("catalog/probe.yaml", "schema: 1\n\tname: probe\n"))
scene("yaml-twice", "info probe", writes("catalog/probe.yaml", "schema: 1\nschema: 1\n"))
scene("yaml-python", "info probe", writes("catalog/probe.yaml", "!!python/object/apply:os.system [true]"))
scene("yaml-colon", "info probe", model(), edits("description: Adds", "description: One: two: Adds"))
scene("yaml-list", "info probe", writes("catalog/probe.yaml", "- 1\n"))
scene("empty", "info probe", writes("catalog/probe.yaml", ""))
scene("only-comments", "info probe", writes("catalog/probe.yaml", "# nothing\n"))
scene("not-utf8", "info probe", writes("catalog/probe.yaml", b"schema: 1\nname: \xff\n"))
scene("too-large", "info probe", writes("catalog/probe.yaml", b"#" * ((4 << 20) + 1)))

# catalogs
scene("absent", "--catalog absent list")
scene("a-file-that-is-none", "--catalog notes.txt info notes", writes("notes.txt", "hello"))
scene("same-name-twice", "info probe", model(), writes("catalog/more/probe.yaml", "schema: 1\n"))
scene("validate-ok", "catalog validate catalog", model(), model("other"))
scene("validate-one", "catalog validate catalog", model())
scene("validate-json", "catalog validate --json catalog", model(), edits("task: test", "task: [1]"))
scene("validate-wrong", "catalog validate catalog", model(), edits("task: test", "task: [1]"), model("other"))
scene(
    "validate-stage",
    "catalog validate catalog",
    model(),
    lambda s: s.entry("both", b"", stages=["probe", "absent"], artifacts=None, framework=None),
)
scene("validate-absent", "catalog validate absent")
scene("validate-online", "catalog validate --online catalog", serves())
scene("validate-online-file", "catalog validate --online catalog", model())
scene("validate-online-missing", "catalog validate --online catalog", serves(status(404)))
scene("validate-online-changed", "catalog validate --online catalog", serves(Answer(content=b"other")))
scene("validate-online-moved", "catalog validate --online catalog", serves(), moves)
scene("validate-online-refused", "catalog validate --online catalog", serves(status(403)))
scene("validate-online-offline", "--offline catalog validate --online", serves())
scene("refresh", "catalog refresh catalog", floats)
scene("refresh-dry-run", "catalog refresh --dry-run catalog", floats)
scene("refresh-nothing", "catalog refresh catalog", model())
scene("refresh-missing", "catalog refresh catalog", floats, edits("file: m.onnx", "file: n.onnx"))
scene("refresh-offline", "--offline catalog refresh catalog", floats)
scene(
    "composite-lacks-stage",
    "fetch both",
    lambda s: s.entry("both", b"", stages=["zzyzx"], artifacts=None, framework=None),
)

# Open Model Zoo's
scene("omz-nothing-there", "catalog import-omz empty", lambda s: (s.tmp / "empty").mkdir())
scene("omz-absent", "catalog import-omz absent")
scene("omz-not-a-description", "catalog import-omz omz", writes("omz/models/public/net/model.yml", "hello"))
scene(
    "omz-field-missing",
    "catalog import-omz omz",
    writes("omz/models/public/net/model.yml", "framework: onnx\n"),
)
scene(
    "omz-checksum-is-a-number",
    "catalog import-omz omz",
    writes(
        "omz/models/public/net/model.yml",
        f"{OMZ}framework: onnx\n"
        "files:\n- {name: m.onnx, size: 3, checksum: 123, source: 'https://example.org/m.onnx'}\n"
        "model_optimizer_args: [--input_model=$dl_dir/m.onnx]\n",
    ),
)
scene(
    "omz-framework",
    "catalog import-omz omz",
    writes(
        "omz/models/public/net/model.yml",
        f"{OMZ}framework: theano\nfiles: []\n",
    ),
)
scene(
    "omz-stages",
    "catalog import-omz omz",
    writes(
        "omz/models/public/net/composite-model.yml",
        f"{OMZ}composite_type: x\nstages_order: [absent]\n",
    ),
    writes("omz/models/public/net/part/model.yml", "hello"),
)
scene(
    "omz-imported",
    "catalog import-omz omz -o new",
    writes(
        "omz/models/public/net/model.yml",
        f"{OMZ}framework: onnx\n"
        f"files:\n- {{name: m.onnx, size: 3, checksum: {'a' * 96}, source: 'https://example.org/m.onnx'}}\n"
        "model_optimizer_args: [--input_model=$dl_dir/m.onnx]\n",
    ),
)

# writing and showing
scene("schema", "catalog schema", keep=r'"(\$schema|title)"')
scene("html", "catalog html -o site probe", model())
scene("add", "catalog add m.onnx", writes("m.onnx", DATA))
scene("add-shown", "catalog add m.onnx -o -", writes("m.onnx", DATA))
scene("add-shown-json", "catalog add m.onnx --json", writes("m.onnx", DATA))
scene("list", "list probe twin", warm)
scene("list-long", "list --long probe twin", warm)
scene("list-cached", "list --cached", warm)
scene("list-json", "list --json probe", warm)
scene("info", "info probe", warm)
scene("info-json", "info --json probe", warm)
scene("info-not-convertible", "info probe", model(convertible=False, reason="It is odd."))
scene(
    "info-composite",
    "info both",
    model("part"),
    lambda s: s.entry("both", b"", stages=["part"], artifacts=None, framework=None),
)
scene(
    "info-inputs",
    "info probe",
    model(recipe={"inputs": [{"name": "x", "shape": [1, 4], "type": "f32", "mean": [1.5]}]}),
)
