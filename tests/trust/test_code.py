# ruff: noqa: E501 - tables of hostile cases read best one a line
"""No code of others runs unless it is trusted by name, asked before anything is downloaded, built or loaded.

No framework is needed: a refusal comes before one would be imported. Where an attack can run here, it would leave
a file behind.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from model_zoo.conversion.folder_model import pipeline_class
from model_zoo.errors import CacheDamagedError
from model_zoo.export.ovms import NODES, graph_text
from model_zoo.formats.hf_config import classes_named, config_files, pooling_of
from tests.stacks import OPENVINO, make_index
from tests.tiny import entry, tiny_onnx, write_entry
from tests.trust.support import bounded

if TYPE_CHECKING:
    from pathlib import Path

HINT = "--trust-code"


@pytest.fixture
def victim(tmp_path, monkeypatch, server):
    """Return a function that writes an entry whose files a server has, and the server."""
    folder = tmp_path / "hostile"
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(folder))
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))

    def write(recipe: dict[str, Any], files: dict[str, bytes] | None = None, **more: Any) -> Path:
        files = files or {"m.onnx": tiny_onnx()}
        described = entry("victim", b"", {}, **{"recipe": recipe, **more})
        described["artifacts"] = [
            entry("x", data, {"url": server.add(f"/{path}", data)}, path=path)["artifacts"][0]
            for path, data in files.items()
        ]
        write_entry(folder, described)
        return tmp_path / "marker"

    return write


def builder(module: str, name: str, **more: Any) -> dict[str, Any]:
    kwargs = more.pop("kwargs", {})
    return {
        "builder": {"module": module, "callable": name, "kwargs": kwargs, **more},
        "inputs": [{"shape": [1, 4]}],
    }


def python(*artifacts: str) -> dict[str, bytes]:
    """Return a model's files whose code leaves the marker."""
    code = b"import os, pathlib\npathlib.Path(os.environ['MARKER']).touch()\ndef make(**_): return None\n"
    return {"m.pth": b"PK", **dict.fromkeys(artifacts, code)}


SYSTEM = {"command": 'touch "$MARKER"'}
PTH = {"m.pth": b"PK\3\4"}
ATTACKS = {
    "an attribute of numpy": (builder("numpy.f2py.f2py2e", "os.system", kwargs=SYSTEM), PTH),
    "another attribute of numpy": (builder("numpy", "lib._datasource.os.system", kwargs=SYSTEM), PTH),
    "a class's globals": (builder("yaml", "load.__globals__", kwargs={}), PTH),
    "yaml's unsafe loader": (
        builder(
            "yaml", "unsafe_load", kwargs={"stream": "!!python/object/apply:os.system ['touch $MARKER']"}
        ),
        PTH,
    ),
    "numpy unpickling": (builder("numpy", "load", kwargs={"file": "files:m.pth", "allow_pickle": True}), PTH),
    "subprocess": (builder("subprocess", "run", kwargs={"args": "touch $MARKER", "shell": True}), PTH),
    "builtins": (builder("builtins", "exec"), PTH),
    "torch.hub.load of the model's folder": (
        builder("torch.hub", "load", kwargs={"repo_or_dir": "files:.", "source": "local", "model": "make"}),
        python("hubconf.py"),
    ),
    "torch.load that unpickles": (
        builder("torch", "load", kwargs={"f": "files:m.pth", "weights_only": False}),
        PTH,
    ),
    "torch.ops.load_library": (
        builder("torch", "ops.load_library", kwargs={"path": "files:evil.so"}),
        {**PTH, "evil.so": b"\x7fELF"},
    ),
    "a module of the model": (builder("evil", "make", paths=["."]), python("evil.py")),
    "a module of the model below a folder": (builder("evil", "make", paths=["code"]), python("code/evil.py")),
    "transformers with trust_remote_code": (
        builder(
            "transformers",
            "AutoModel.from_pretrained",
            kwargs={"pretrained_model_name_or_path": "files:.", "trust_remote_code": True},
        ),
        python("modeling_evil.py"),
    ),
    "a package and code of the model": (
        {"builder": {"torchvision": "resnet18", "paths": ["."]}},
        python("evil.py"),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("framework", ["pytorch"])
def test_a_builder_of_others_is_refused_before_anything_is_fetched(victim, shell, server, attack, framework):
    recipe, files = ATTACKS[attack]
    marker = victim(recipe, files, framework=framework)
    done = shell("convert", "victim").refused(2, 3, 7)
    assert not marker.exists(), "code of the model ran"
    assert HINT in done.err, done.err
    assert not server.seen(), "files were fetched before trust was asked for"


@pytest.mark.parametrize("framework", ["keras", "jax", "tensorflow"])
def test_each_framework_asks_for_trust_first(victim, shell, server, framework):
    victim(builder("numpy.f2py.f2py2e", "os.system", kwargs=SYSTEM), PTH, framework=framework)
    assert HINT in shell("convert", "victim").refused(2, 3, 7).err
    assert not server.seen()


def test_info_says_that_trust_is_needed(victim, shell):
    victim(builder("evil", "make", paths=["."]), python("evil.py"), framework="pytorch")
    done = shell("info", "victim")
    assert done.code == 0
    assert HINT in done.out


def test_trust_given_goes_on_to_what_is_missing(victim, shell):
    """Trusted, the model is not refused for its code any more; here there is no PyTorch."""
    victim(builder("evil", "make", paths=["."]), python("evil.py"), framework="pytorch")
    done = shell("convert", "--trust-code", "victim").refused(7)
    assert "trusted" not in done.err
    assert "torch" in done.err


def test_code_in_an_environment_of_ours_is_code_too(victim, shell, tmp_path, monkeypatch):
    """The same in a converter environment, where the attack really runs: its framework is there."""
    make_index(tmp_path / "index").use(monkeypatch)
    marker = victim(
        builder("numpy.f2py.f2py2e", "os.system", kwargs=SYSTEM),
        {"m.onnx": tiny_onnx()},
        framework="tensorflow",
    )
    done = shell("convert", "--isolate", "victim")
    assert not marker.exists(), done.text
    assert HINT in done.refused(2, 7).err


# --- libraries and programs


def library(folder: Path) -> bytes:
    """Return a shared library whose constructor leaves the marker; a broken one without a compiler."""
    if shutil.which("cc") is None:
        return b"\x7fELF"
    source = folder / "evil.c"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        '__attribute__((constructor)) static void run(void) { FILE *f = fopen(getenv("MARKER"), "w"); if (f) fclose(f); }\n'
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", str(folder / "evil.so"), str(source)], check=True, timeout=60
    )
    return (folder / "evil.so").read_bytes()


@pytest.mark.parametrize("where", ["the model", "an absolute path", "a path out of the model"])
def test_extensions_need_trust(victim, shell, server, tmp_path, where):
    data = library(tmp_path)
    named = {"the model": "evil.so", "an absolute path": str(tmp_path / "evil.so")}.get(where)
    named = named or "../" * 12 + str(tmp_path / "evil.so").lstrip("/")
    marker = victim({"model": "m.onnx", "extensions": [named]}, {"m.onnx": tiny_onnx(), "evil.so": data})
    done = shell("convert", "victim").refused(2, 3, 7)
    assert not marker.exists(), "the library was loaded"
    assert HINT in done.err or done.code == 3, done.err
    assert not server.seen()


def test_an_exported_program_needs_trust(victim, shell, server):
    victim({"model": "m.pt2"}, {"m.pt2": b"PK\3\4"}, framework="pytorch")
    assert HINT in shell("convert", "victim").refused(2, 3, 7).err
    assert not server.seen()


@pytest.mark.parametrize("name", ["m.PT2", "m.pth"])
def test_an_exported_program_under_another_name(victim, shell, tmp_path, monkeypatch, name):
    """What a file is, its content says: an exported program is a zip that has ``archive_format`` in it."""
    index = make_index(tmp_path / "index").use(monkeypatch)
    index.add("torch", "2.13.0")
    index.stack("torch", f"openvino=={OPENVINO}", "torch==2.13.0")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/data/sample_inputs/model.pt", b"\x80\x04cos\nsystem\n.")
    victim({"model": name}, {name: out.getvalue()}, framework="pytorch")
    assert HINT in shell("convert", "--isolate", "victim").refused(7).err


# --- what pip would run


def sdist(folder: Path, name: str = "evilpkg") -> None:
    """Write a source distribution whose build leaves the marker; it needs nothing to build."""
    backend = b"""
import os, pathlib
def _run():
    pathlib.Path(os.environ["MARKER"]).touch()
    raise SystemExit("built")
def get_requires_for_build_wheel(config_settings=None): _run()
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None): _run()
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None): _run()
"""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
    }
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_an_environment_is_made_of_wheels_only(victim, shell, server, tmp_path, monkeypatch):
    index = make_index(tmp_path / "index").use(monkeypatch)
    sdist(index.wheels)
    recipe = builder(
        "addernet", "make", kwargs={"path": "files:m.onnx"}, requirements=["addernet==1.0", "evilpkg==1.0"]
    )
    marker = victim(recipe, framework="tensorflow")
    done = shell("convert", "--isolate", "victim").refused(2, 4, 7)
    assert not marker.exists(), f"pip built a source distribution\n{done.err}"
    assert HINT in done.err
    assert not server.seen()


# --- exporters


@pytest.mark.parametrize(
    "options",
    [
        {"model_kwargs": {"trust_remote_code": True}},
        {"model_kwargs": {"code_revision": "x", "trust_remote_code": 1}},
        {"model_kwargs": {"custom_export_configs": {}, "library_name": "evil"}},
    ],
)
def test_an_export_that_runs_the_repositorys_code_needs_trust(victim, shell, server, options):
    files = {
        "config.json": b'{"model_type": "evil", "auto_map": {"AutoModel": "modeling.Evil"}}',
        "modeling.py": b"",
    }
    victim({"export": options}, files, framework="transformers")
    assert HINT in shell("convert", "victim").refused(2, 3, 7).err
    assert not server.seen()


# --- paths that leave the model

SECRET = "the-secret-of-this-host"


@pytest.fixture
def secret(tmp_path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(f"{SECRET}\n{SECRET}\n")
    return path


def out_of(path: Path) -> str:
    return "../" * 30 + str(path).lstrip("/")


LEAVING = {
    "labels.artifact": lambda path: {"labels": {"artifact": path}},
    "recipe.quantize.dataset": lambda path: {
        "recipe": {"quantize": {"dataset": path}, "precisions": ["FP32-INT8"]}
    },
    "recipe.compress.dataset": lambda path: {
        "recipe": {"compress": {"dataset": path}, "precisions": ["INT4"]}
    },
    "recipe.builder.weights": lambda path: {
        "framework": "pytorch",
        "recipe": {"builder": {"torchvision": "resnet18", "weights": path}},
    },
    "recipe.builder.kwargs": lambda path: {
        "framework": "pytorch",
        "recipe": {"builder": {"torchvision": "resnet18", "kwargs": {"x": f"files:{path}"}}},
    },
    "recipe.builder.paths": lambda path: {
        "framework": "pytorch",
        "recipe": {"builder": {"module": "a", "callable": "b", "paths": [path]}},
    },
    "recipe.extensions": lambda path: {"recipe": {"extensions": [path]}},
    "recipe.model": lambda path: {"recipe": {"model": path}},
    "replace.file": lambda path: {"replace": [{"file": path, "pattern": "a", "replacement": "b"}]},
    "unpack.into": lambda path: {"unpack": path},
    "omz.subdirectory": lambda path: {"omz": {"subdirectory": path}},
}


@pytest.mark.parametrize("field", LEAVING)
@pytest.mark.parametrize("how", ["absolute", "relative"])
def test_a_path_out_of_the_model_is_refused_in_the_catalog(catalog, shell, secret, field, how):
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    change = LEAVING[field](str(secret) if how == "absolute" else out_of(secret))
    if "unpack" in change:
        data["artifacts"][0]["unpack"] = {"format": "zip", "into": change["unpack"]}
    else:
        data |= change
    path.write_text(yaml.safe_dump(data))
    shell("catalog", "validate", path).refused(3)
    assert shell("list", "one").code in {0, 3}


@pytest.mark.parametrize("how", ["absolute", "relative"])
def test_text_of_the_host_stays_out_of_the_ir(catalog, shell, secret, tmp_path, how):
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    data["labels"] = {"artifact": str(secret) if how == "absolute" else out_of(secret)}
    path.write_text(yaml.safe_dump(data))
    shell("convert", "one").refused(3, 7)
    holding = [
        one
        for one in (tmp_path / "cache").rglob("*")
        if one.is_file() and SECRET.encode() in one.read_bytes()
    ]
    assert not holding


@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_labels_beside_the_entry_stay_beside_it(catalog, shell, secret, how):
    (catalog / "link.txt").symlink_to(secret)
    named = {"absolute": str(secret), "relative": out_of(secret), "link": "link.txt"}[how]
    path = catalog / "one.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "labels": {"file": named}}))
    done = shell("catalog", "validate", path).refused(3)
    assert SECRET not in done.text
    assert SECRET not in shell("info", "one", "--json").text


# --- files that are something else than their name says


def test_an_archive_of_pytorch_under_another_name_is_refused(victim, shell):
    """OpenVINO's converter would hand it to PyTorch, which unpickles it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/data.pkl", b"\x80\x04cos\nsystem\n.")
    victim({"model": "m.onnx"}, {"m.onnx": out.getvalue()})
    assert "ZIP archive" in shell("convert", "victim").refused(7).err


def test_an_archive_behind_a_model_is_not_looked_at(victim, shell):
    """TensorFlow Lite keeps labels in an archive behind the model; PyTorch would find its own there, too."""
    out = io.BytesIO(b"\x1c\0\0\0TFL3" + b"\0" * 64)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/data.pkl", b"\x80\x04cos\nsystem\n.")
    victim({"model": "m.tflite"}, {"m.tflite": out.getvalue()}, framework="tflite")
    done = shell("convert", "victim").refused(7)
    assert "ZIP archive" not in done.err
    assert "torch" not in done.err.lower()


def test_a_picture_that_is_postscript_starts_no_program(tmp_path, monkeypatch):
    from PIL import Image, UnidentifiedImageError

    from model_zoo.formats.ports import open_image

    bin_, marker = tmp_path / "bin", tmp_path / "marker"
    bin_.mkdir()
    (bin_ / "gs").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (bin_ / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with Image.open(path) as opened:
        assert opened.format == "EPS"  # what pillow makes of it by itself
    with pytest.raises(UnidentifiedImageError):
        open_image(path)
    assert not marker.exists()


# --- configurations that name classes and paths


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_classes_that_configurations_name_are_all_seen(tmp_path):
    write_json(
        tmp_path / "modules.json", [{"type": "os.system"}, 3, {"type": "sentence_transformers.models.X"}]
    )
    write_json(tmp_path / "1_Router" / "router_config.json", {"types": {"a": "evil.Module"}})
    write_json(tmp_path / "2_Dense" / "config.json", {"activation_function": "torch.hub.load"})
    write_json(tmp_path / "model_index.json", {"unet": ["subprocess", "Popen"], "x": [None, None]})
    (tmp_path / "deep_config.json").write_text("[" * 100_000)
    found = classes_named(tmp_path, "sentence-transformers")
    assert {"os.system", "evil.Module", "torch.hub.load"} <= set(found)
    assert classes_named(tmp_path, "diffusers") == ["subprocess.Popen"]
    assert classes_named(tmp_path, "transformers") == []


@pytest.mark.parametrize("where", ["..", "../..", "a/../..", "/"])
def test_configurations_name_no_file_out_of_the_model(tmp_path, where):
    """What they name is copied into the IR, below the same name."""
    model = tmp_path / "a" / "model"
    for folder in (tmp_path, tmp_path / "a"):
        write_json(folder / "config.json", {"pooling_mode": "mean"})
    write_json(
        model / "modules.json",
        [
            {"type": "x.Transformer", "path": ""},
            {"type": "x.Pooling", "path": where if where != "/" else str(tmp_path)},
        ],
    )
    assert config_files(model) == ["modules.json"]
    assert pooling_of(model) is None


ODD = [
    {"architectures": {"a": 1}},
    {"architectures": 3},
    {"architectures": [[]], "id2label": 5},
    {"architectures": ["BertForSequenceClassification"], "id2label": 3},
    [],
    "x",
    7,
]


@pytest.mark.parametrize("config", ODD, ids=json.dumps)
def test_an_odd_configuration_is_no_bug(tmp_path, config):
    write_json(tmp_path / "config.json", config)
    names = ["config.json", "openvino_model.xml", "openvino_tokenizer.xml"]
    pipeline_class(tmp_path, names, {"openvino_model.xml": {"outputs": [{"name": "logits"}]}})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooling_type": "CLS"},
        {"pooling_type": ["CLS"], "normalize": True},
        {"pooling_type": 'CLS" } node { calculator: "X', "normalize": True},
        {"pooling_type": "CLS", "normalize": "true } x {"},
    ],
    ids=str,
)
def test_options_of_a_manifest_add_nothing_to_a_graph(options):
    with pytest.raises(CacheDamagedError, match="not those of an embedding model"):
        graph_text(NODES["openvino_genai.TextEmbeddingPipeline"], "CPU", options)


# --- a lock is somebody else's too


def test_a_lock_cannot_bring_code(catalog, shell, tmp_path, monkeypatch):
    uri = f"file:{catalog / 'one.onnx'}"
    lock = tmp_path / "model-zoo.lock"
    assert shell("lock", uri, "-o", lock).code == 0
    data = json.loads(lock.read_text())
    (model,) = data["models"].values()
    model["entry"]["recipe"] = {"model": "m.pt2"}
    model["entry"]["framework"] = "pytorch"
    model["ir"] = {}
    lock.write_text(json.dumps(data))
    done = shell("convert", "--locked", lock, uri).refused(2, 5, 7)
    assert HINT in done.err


# --- Open Model Zoo


def foreign(folder: Path, code: bytes) -> Path:
    """Write a tree of Open Model Zoo with one PyTorch model whose code is among its files."""
    model = folder / "public" / "evil-net"
    model.mkdir(parents=True)
    source = folder / "evil.py"
    source.write_bytes(code)
    import hashlib

    (model / "model.yml").write_text(
        yaml.safe_dump(
            {
                "description": "x",
                "task_type": "classification",
                "license": "https://example.org",
                "framework": "pytorch",
                "files": [
                    {
                        "name": "evil.py",
                        "size": len(code),
                        "checksum": hashlib.sha384(code).hexdigest(),
                        "source": "https://127.0.0.1:9/evil.py",
                    }
                ],
                "input_info": [{"name": "x", "shape": [1, 4], "layout": "NC"}],
                "conversion_to_onnx_args": [
                    "--model-path=$dl_dir",
                    "--model-name=make",
                    "--import-module=evil",
                    "--input-shapes=[1,4]",
                    "--input-names=x",
                    "--output-names=y",
                    "--output-file=$conv_dir/x.onnx",
                ],
                "model_optimizer_args": ["--input_model=$conv_dir/x.onnx", "--output=y"],
            }
        )
    )
    return folder


@pytest.mark.parametrize("how", ["--models_root", "OMZ_ROOT"])
def test_omz_converter_asks_before_it_runs_a_foreign_trees_code(tmp_path, monkeypatch, how):
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    tree = foreign(tmp_path / "tree", python("evil.py")["evil.py"])
    downloaded = tmp_path / "out" / "public" / "evil-net"
    downloaded.mkdir(parents=True)
    shutil.copy(tree / "evil.py", downloaded)
    arguments = ["--name", "evil-net", "-d", str(tmp_path / "out")]
    root, env = (
        (["--models_root", str(tree)], {}) if how == "--models_root" else ([], {"OMZ_ROOT": str(tree)})
    )
    program = ("-c", "from model_zoo.omz.converter import main; main()")
    done = bounded(*root, *arguments, program=program, cwd=tmp_path, seconds=40, **env)
    assert done.code != 0
    assert not (tmp_path / "marker").exists()
    assert "MODEL_ZOO_TRUST_CODE" in done.text, done.text
