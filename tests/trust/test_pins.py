# ruff: noqa: E501 - tables of hostile cases read best one a line
"""What pins wins: a digest in an entry, in a lock and in a manifest hold at once, wherever the bytes came from."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.tiny import entry, tiny_onnx, write_entry
from tests.trust.support import digest_of_json, overwrite, sealed, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD, EVIL = tiny_onnx(1.0), tiny_onnx(666.0)
assert len(GOOD) == len(EVIL)


# --- locks


@pytest.fixture
def locked(catalog, shell, tmp_path, server) -> Path:
    """Return the lock of a model whose file a server has, which serves other bytes from now on."""
    write_entry(catalog, entry("one", GOOD, {"url": server.add("/m.onnx", GOOD)}))
    lock = tmp_path / "model-zoo.lock"
    assert shell("lock", "one", "-o", lock).code == 0
    shutil.rmtree(tmp_path / "cache")
    server.add("/m.onnx", EVIL)
    return lock


def change(lock: Path, edit: Callable[[dict], None]) -> None:
    data = json.loads(lock.read_text())
    edit(data["models"]["one"])
    lock.write_text(json.dumps(data, indent=2, sort_keys=True))


def first(**fields: object) -> Callable[[dict], None]:
    def edit(model: dict) -> None:
        artifact = {**model["artifacts"][0], **fields}
        model["artifacts"][0] = {key: value for key, value in artifact.items() if value is not None}
        model["ir"] = {}

    return edit


def extra(model: dict) -> None:
    model["ir"] = {}
    model["artifacts"].append(
        {
            **model["artifacts"][0],
            "path": "evil.py",
            "sha256": sha256(EVIL),
            "sources": [{"url": "http://127.0.0.1:9/x"}],
        }
    )


def weaker(model: dict) -> None:
    first(sha256=None)(model)
    model["artifacts"][0]["integrity"] = "first-use"


EDITS = {
    "another sha256": first(sha256=sha256(EVIL)),
    "no sha256": first(sha256=None),
    "no sha256 and no size": first(sha256=None, size=None),
    "sha512 instead of sha256": first(sha256=None, sha512=hashlib.sha512(EVIL).hexdigest()),
    "another size": first(size=1),
    "a weaker level": weaker,
}


@pytest.mark.parametrize(
    ("edit", "command"),
    [
        *((name, "fetch") for name in EDITS),
        ("another sha256", "convert"),
    ],
)
def test_a_lock_never_weakens_the_entrys_pin(locked, shell, tmp_path, edit, command):
    change(locked, EDITS[edit])
    done = shell(command, "--locked", locked, "one")
    found = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.read_bytes() == EVIL]
    assert not found, f"exit {done.code}: other bytes than the entry pins are in the cache"
    done.refused(5)


def test_a_lock_adds_no_artifact_to_an_entry(locked, shell, server):
    server.add("/m.onnx", GOOD)
    change(locked, extra)
    done = shell("fetch", "--locked", locked, "one").refused(5)
    assert "evil.py" in done.err


def strange(**fields: object) -> Callable[[dict], None]:
    def edit(model: dict) -> None:
        model["ir"]["FP32"].update(fields) if "ir" not in fields else model.update(fields)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        strange(parts={}),
        strange(parts={"inputs": [["m.onnx"]], "versions": {}}),
        strange(parts={"inputs": [["m.onnx", 5]], "versions": {}}),
        strange(parts={"inputs": 5, "versions": {}}),
        strange(parts={"inputs": [], "versions": []}),
        strange(outputs=[{}]),
        strange(key="../../x"),
        strange(ir={"FP32": None}),
        lambda model: model["artifacts"].append(model["artifacts"][0]),
        lambda model: model["artifacts"].append({**model["artifacts"][0], "path": "../x"}),
        lambda model: model["artifacts"][0].update(unpack={"format": "tar"}),
        lambda model: model["artifacts"][0].update(size=10**400),
    ],
)
def test_a_lock_of_a_strange_shape_is_refused(locked, shell, server, edit):
    server.add("/m.onnx", GOOD)
    change(locked, edit)
    for command in ("fetch", "convert"):
        done = shell(command, "--locked", locked, "one")
        assert done.code in {0, 2, 5}, done.text
    assert done.code != 0, "converted"


def test_a_lock_that_contradicts_its_own_declaration(locked, shell):
    def both(model: dict) -> None:
        first(sha256=sha256(EVIL))(model)
        model["declared"]["m.onnx"]["sha256"] = sha256(EVIL)

    change(locked, both)
    shell("fetch", "--locked", locked, "one").refused(5)


def test_locked_and_cached_is_held_to_the_lock(catalog, shell, tmp_path):
    """What is in the cache already is what ``--locked`` speaks about, too."""
    lock = tmp_path / "model-zoo.lock"
    assert shell("lock", "one", "-o", lock).code == 0
    assert shell("fetch", "one").code == 0
    change(lock, first(sha256=sha256(EVIL)))
    shell("fetch", "--locked", lock, "--offline", "one").refused(5)


# --- tars and layers


@pytest.fixture
def declared(catalog, shell, tmp_path) -> str:
    """Return the declaration of the model ``one``; nothing of it is in the cache."""
    assert shell("--cache", tmp_path / "first", "fetch", "one").code == 0
    (folder,) = (tmp_path / "first" / "files-v1" / "one").iterdir()
    return folder.name


def forged(declaration: str, data: bytes = EVIL, *, digests: list[str] | None = None) -> dict[str, bytes]:
    """Return the files of a layer, consistent among themselves, that hold other bytes for a declaration."""
    own = sha256(data)
    manifest = {
        "schema": 1,
        "model": "one",
        "declaration": declaration,
        "precision": None,
        "integrity": {"m.onnx": "pinned"},
        "artifacts": [
            {
                "path": "m.onnx",
                "size": len(data),
                "sha256": own,
                "digests": digests or [f"sha256:{own}"],
                "names": [],
                "sources": [],
            }
        ],
        "files": [{"path": "m.onnx", "size": len(data), "sha256": own}],
    }
    folder = f"files-v1/one/{declaration}"
    return {
        f"blobs-v1/sha256/{own[:2]}/{own}": data,
        f"{folder}/.model-zoo.json": sealed(manifest),
        f"{folder}/m.onnx": data,
    }


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    return folder


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


CLAIMS = {
    "its own digest": None,
    "the entry's digest": [f"sha256:{sha256(GOOD)}"],
    "both": [f"sha256:{sha256(GOOD)}", f"sha256:{sha256(EVIL)}"],
    "none": [],
}


def served(done) -> bytes | None:
    """Return the bytes of the model that a fetch gave."""
    if done.code != 0:
        return None
    from pathlib import Path

    return (Path(done.out.strip().splitlines()[-1]) / "m.onnx").read_bytes()


@pytest.mark.parametrize("flags", [(), ("--require-pinned",), ("--locked",)], ids=" ".join)
@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("way", ["tar", "layer"])
def test_a_forged_folder_is_never_served(declared, shell, tmp_path, monkeypatch, way, claim, flags):
    lock = tmp_path / "model-zoo.lock"
    assert shell("--cache", tmp_path / "first", "lock", "one", "-o", lock).code == 0
    files = forged(declared, digests=CLAIMS[claim])
    if way == "tar":
        shell("import", pack(tmp_path / "x.tar", files))
    else:
        monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", files)))
    flags = ("--locked", lock) if flags == ("--locked",) else flags
    done = shell("fetch", *flags, "one")
    assert served(done) in {None, GOOD}, "other bytes than the entry pins were served"
    assert done.code in {0, 5, 6}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_forged_tar_is_refused(declared, shell, tmp_path, claim):
    done = shell("import", pack(tmp_path / "x.tar", forged(declared, digests=CLAIMS[claim]))).refused(5)
    assert "m.onnx" in done.err
    assert not list((tmp_path / "cache").glob("files-v1/one/*"))


@pytest.mark.parametrize("claim", CLAIMS)
def test_verify_sees_a_forged_layer(declared, shell, tmp_path, monkeypatch, claim):
    monkeypatch.setenv(
        "MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", forged(declared, digests=CLAIMS[claim])))
    )
    assert "m.onnx" in shell("cache", "verify").refused(6).out


@pytest.mark.parametrize("action", ["convert", "load"])
def test_a_forged_folder_is_never_converted(declared, shell, tmp_path, monkeypatch, action):
    import numpy as np

    import model_zoo

    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", forged(declared))))
    if action == "convert":
        done = shell("convert", "one")
        assert done.code in {0, 5, 6}
        biases = [path.read_bytes() for path in (tmp_path / "cache").glob("ir-v1/*/model.bin")]
        assert np.float32(666).tobytes() not in biases
    else:
        try:
            compiled = model_zoo.load("one", device="CPU")
        except model_zoo.ModelZooError as error:
            assert error.exit_code in {5, 6}
        else:
            assert compiled(np.zeros((1, 4), np.float32))[0].tolist() == [[1.0] * 4]


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_forged_note_gives_no_blob_another_digest(catalog, shell, tmp_path, monkeypatch, algorithm):
    """A layer says that its blob has the sha384 that the entry pins; that blob's sha256 is right."""
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    del data["artifacts"][0]["sha256"]
    pin = hashlib.new(algorithm, GOOD).hexdigest()
    data["artifacts"][0][algorithm] = pin
    path.write_text(yaml.safe_dump(data))
    own = sha256(EVIL)
    files = {
        f"blobs-v1/sha256/{own[:2]}/{own}": EVIL,
        f"state-v1/aliases/{algorithm}/{pin[:2]}/{pin}": f"{own}\n".encode(),
    }
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", files)))
    done = shell("fetch", "--require-pinned", "one")
    assert served(done) in {None, GOOD}
    assert done.code in {0, 5, 6}


def test_a_blob_of_a_layer_is_its_digest(catalog, shell, tmp_path, monkeypatch):
    """A blob lies under the digest that the entry pins, and is something else."""
    own = sha256(GOOD)
    layer = lay(tmp_path / "layer", {f"blobs-v1/sha256/{own[:2]}/{own}": EVIL})
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(layer))
    done = shell("fetch", "--require-pinned", "one")
    assert served(done) in {None, GOOD}
    assert done.code in {0, 5, 6}


@pytest.mark.parametrize("inputs", ["wrong", "huge"])
def test_a_forged_note_of_inputs_leads_nowhere(declared, shell, tmp_path, monkeypatch, inputs):
    """A note says that the declaration has other content, and an IR answers for that content."""
    entries = [{"path": "m.onnx", "size": 87, "sha256": sha256(EVIL)}] * (1 if inputs == "wrong" else 10_000)
    files = {
        f"state-v1/inputs/{declared[:2]}/{declared}.json": json.dumps(entries).encode(),
        "state-v1/inputs/complete": b"",
    }
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", files)))
    assert shell("path", "one").code == 6
    assert shell("convert", "one").code == 0


def test_policy_judges_what_is_in_the_cache(catalog, shell, tmp_path):
    """A file that came in at first use is not pinned the second time either."""
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    del data["artifacts"][0]["sha256"]
    data["artifacts"][0]["integrity"] = "first-use"
    path.write_text(yaml.safe_dump(data))
    assert shell("fetch", "one").code == 0
    for command in ("fetch", "convert"):
        shell(command, "--require-pinned", "one").refused(5)


def test_seals_of_ours_are_those_of_the_program(declared, tmp_path):
    (path,) = (tmp_path / "first").glob("files-v1/one/*/.model-zoo.json")
    data = json.loads(path.read_bytes())
    seal = data.pop("seal")
    assert seal == digest_of_json(data)
    overwrite(path, sealed(data))


# --- more of the same classes


def test_bytes_of_a_layer_are_read_before_their_first_use(declared, shell, tmp_path, monkeypatch):
    """Every digest in the layer is the entry's, and the file is another one of the same size."""
    files = forged(declared, GOOD)
    files[f"files-v1/one/{declared}/m.onnx"] = EVIL
    layer = lay(tmp_path / "layer", files)
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(layer))
    assert served(shell("fetch", "one")) == GOOD
    shell("cache", "verify").refused(6)


def test_bytes_of_a_layer_are_read_once(catalog, shell, tmp_path, monkeypatch):
    """The second use goes by sizes and times; a file that was written to is read again."""
    assert shell("--cache", tmp_path / "layer", "fetch", "one").code == 0
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(tmp_path / "layer"))
    read: list[str] = []
    from model_zoo.cache import proof

    real = proof.has_digest
    monkeypatch.setattr(
        proof, "has_digest", lambda path, sha256: read.append(path.name) or real(path, sha256)
    )
    for _ in range(2):
        done = shell("fetch", "one")
        assert served(done) == GOOD
        assert str(tmp_path / "layer") in done.out
    assert read == ["m.onnx"]
    (file,) = (tmp_path / "layer" / "files-v1" / "one").glob("*/m.onnx")
    overwrite(file, EVIL)
    assert served(shell("fetch", "one")) == GOOD


@pytest.fixture
def zipped(catalog, shell, tmp_path) -> Path:
    """Return a layer with the files of ``packed``: an archive with a model and a text that the entry edits."""
    with tarfile.open(catalog / "packed.tar", "w") as archive:
        for name, data in (("m.onnx", GOOD), ("note.txt", b"plain text")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = entry("packed", (catalog / "packed.tar").read_bytes(), {"file": "packed.tar"})
    data["artifacts"][0].update(path="net", unpack={"format": "tar"})
    data["replace"] = [{"file": "net/note.txt", "pattern": "plain", "replacement": "edited"}]
    data["recipe"] = {"model": "net/m.onnx"}
    write_entry(catalog, data)
    assert shell("--cache", tmp_path / "layer", "fetch", "packed").code == 0
    return tmp_path / "layer"


def forge_tree(layer: Path, file: str, data: bytes | None) -> None:
    """Change, add or (None) remove a file of the unpacked tree, with a manifest and a seal that fit."""
    ((folder),) = (layer / "files-v1" / "packed").iterdir()
    manifest = json.loads((folder / ".model-zoo.json").read_bytes())
    manifest["files"] = [one for one in manifest["files"] if one["path"] != file]
    (folder / file).unlink(missing_ok=True)
    if data is not None:
        (folder / file).write_bytes(data)
        manifest["files"].append({"path": file, "size": len(data), "sha256": sha256(data)})
    overwrite(folder / ".model-zoo.json", sealed(manifest))


FORGED_TREES = [
    ("net/m.onnx", EVIL),
    ("net/note.txt", b"forged"),
    ("net/evil.py", b"1"),
    ("net/m.onnx", None),
]


@pytest.mark.parametrize(("file", "data"), FORGED_TREES)
def test_a_forged_tree_of_an_archive_is_never_served(zipped, shell, tmp_path, monkeypatch, file, data):
    forge_tree(zipped, file, data)
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(zipped))
    assert file in shell("cache", "verify").refused(6).out
    done = shell("fetch", "packed")
    folder = tmp_path / "cache" / "files-v1" / "packed"
    assert done.code == 0
    assert str(folder) in done.out, "the layer's tree was served"
    (made,) = folder.iterdir()
    assert (made / "net" / "m.onnx").read_bytes() == GOOD
    assert (made / "net" / "note.txt").read_bytes() == b"edited text"
    assert not (made / "net" / "evil.py").exists()


@pytest.mark.parametrize(("file", "data"), FORGED_TREES)
def test_a_forged_tree_of_an_archive_is_not_imported(zipped, shell, tmp_path, file, data):
    forge_tree(zipped, file, data)
    files = {
        path.relative_to(zipped).as_posix(): path.read_bytes()
        for top in ("blobs-v1", "files-v1")
        for path in (zipped / top).rglob("*")
        if path.is_file()
    }
    done = shell("import", pack(tmp_path / "x.tar", files)).refused(5)
    assert file in done.err
    assert not list((tmp_path / "cache").glob("files-v1/packed/*"))


def test_a_true_tree_of_an_archive_is_served_where_it_is(zipped, shell, tmp_path, monkeypatch):
    tar = tmp_path / "x.tar"
    assert (
        shell("--cache", zipped, "export", "--format", "tar", "--with", "files", "-o", tar, "packed").code
        == 0
    )
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(zipped))
    assert str(zipped) in shell("--offline", "fetch", "packed").out
    monkeypatch.delenv("MODEL_ZOO_LAYERS")
    assert shell("import", tar).code == 0
    assert shell("cache", "verify").code == 0


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_note_of_a_layer_renames_no_blob_of_ours(catalog, shell, tmp_path, monkeypatch, algorithm):
    """The blob lies in the writable layer, rightly; a layer's note says that it has another digest."""
    (catalog / "evil.onnx").write_bytes(EVIL)
    write_entry(catalog, entry("evil", EVIL, {"file": "evil.onnx"}))
    assert shell("fetch", "evil").code == 0
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    del data["artifacts"][0]["sha256"]
    pin = data["artifacts"][0][algorithm] = hashlib.new(algorithm, GOOD).hexdigest()
    path.write_text(yaml.safe_dump(data))
    note = {f"state-v1/aliases/{algorithm}/{pin[:2]}/{pin}": f"{sha256(EVIL)}\n".encode()}
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(lay(tmp_path / "layer", note)))
    assert served(shell("fetch", "--require-pinned", "one")) == GOOD


@pytest.mark.parametrize("part", ["bytes", "inputs"])
def test_a_locked_ir_is_what_is_locked(catalog, shell, tmp_path, monkeypatch, part):
    lock = tmp_path / "model-zoo.lock"
    assert shell("--cache", tmp_path / "layer", "lock", "one", "-o", lock).code == 0
    monkeypatch.setenv("MODEL_ZOO_LAYERS", str(tmp_path / "layer"))
    if part == "bytes":
        (file,) = (tmp_path / "layer" / "ir-v1").glob("*/model.bin")
        overwrite(file, bytes(byte ^ 1 for byte in file.read_bytes()))
    else:

        def other(model: dict) -> None:
            for ir in model["ir"].values():
                ir["parts"]["inputs"] = [["m.onnx", sha256(EVIL)]]

        change(lock, other)
    shell("--offline", "convert", "--locked", lock, "one").refused(5)


def test_policy_judges_an_ir_in_the_cache(catalog, shell):
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    del data["artifacts"][0]["sha256"]
    data["artifacts"][0]["integrity"] = "first-use"
    path.write_text(yaml.safe_dump(data))
    assert shell("convert", "one").code == 0
    shell("convert", "--require-pinned", "one").refused(5)
    shell("convert", "--require-pinned", "one", "two").refused(5)


def test_repair_makes_a_forged_folder_again(declared, shell, tmp_path):
    """It came into the writable layer by other means than import."""
    lay(tmp_path / "cache", forged(declared))
    assert "m.onnx" in shell("cache", "verify").refused(6).out
    assert shell("cache", "repair").code == 0
    assert shell("cache", "verify").code == 0
    assert served(shell("fetch", "one")) == GOOD
