"""Views: IRs as other programs want to find them; copies, and nothing else in the folder is touched."""

from __future__ import annotations

import json

import msgspec
import pytest

from model_zoo.errors import CacheError
from model_zoo.export import ovms, views
from model_zoo.schema import Omz


def irs(zoo, *references):
    return [zoo.convert(reference) for reference in references]


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# What OpenVINO Model Server's src/schema.cpp demands, as far as we write it.
def check_server_schema(config):
    assert set(config) <= {
        *(
            "custom_loader_config_list",
            "model_config_list",
            "pipeline_config_list",
            "custom_node_library_config_list",
        ),
        *("mediapipe_config_list", "monitoring"),
    }
    for one in config["model_config_list"]:
        assert set(one) == {"config"}
        stated = one["config"]
        assert isinstance(stated["name"], str)
        assert isinstance(stated["base_path"], str)
        assert set(stated) <= {
            *(
                "name",
                "base_path",
                "batch_size",
                "model_version_policy",
                "shape",
                "layout",
                "nireq",
                "target_device",
            ),
            *("plugin_config", "stateful", "idle_sequence_cleanup", "low_latency_transformation"),
            *("max_sequence_number", "custom_loader_options", "mean", "scale", "color_format", "precision"),
        }


def test_dir_is_flat(zoo, tmp_path):
    out = views.export_dir(irs(zoo, "tiny", "other"), tmp_path / "out")
    assert names(out) == ["other.bin", "other.xml", "tiny.bin", "tiny.xml"]
    assert (out / "tiny.bin").read_bytes() == zoo.convert("tiny").bin.read_bytes()
    (out / "tiny.bin").write_bytes(b"mine now")
    assert zoo.convert("tiny").bin.read_bytes() != b"mine now"


def test_several_precisions_get_names_of_their_own(zoo, tmp_path):
    out = views.export_dir(irs(zoo, "tiny", "tiny@FP16", "other"), tmp_path / "out")
    assert [n for n in names(out) if n.endswith("xml")] == ["other.xml", "tiny-FP16.xml", "tiny-FP32.xml"]


def test_omz_has_the_old_folders(zoo, tmp_path):
    old = zoo.convert("other")
    known = msgspec.structs.replace(old.model, omz=Omz(subdirectory="intel/other"))
    out = views.export_omz(
        [*irs(zoo, "tiny", "tiny@FP16"), msgspec.structs.replace(old, model=known)], tmp_path
    )
    assert [n for n in names(out) if n.endswith("xml")] == [
        "intel/other/FP32/other.xml",
        "public/tiny/FP16/tiny.xml",
        "public/tiny/FP32/tiny.xml",
    ]


def test_model_server_finds_its_repository(zoo, tmp_path):
    out = ovms.export_ovms(irs(zoo, "tiny", "other"), tmp_path / "models")
    assert names(out) == [
        "config.json",
        *(f"{n}/1/model.{x}" for n in ("other", "tiny") for x in ("bin", "xml")),
    ]
    config = json.loads((out / "config.json").read_text())
    check_server_schema(config)
    for one in config["model_config_list"]:
        assert (out / one["config"]["base_path"] / "1" / "model.xml").is_file()
    ovms.export_ovms(irs(zoo, "tiny"), out, version=2, base_path="/models/")
    config = json.loads((out / "config.json").read_text())
    check_server_schema(config)
    assert {c["config"]["name"]: c["config"]["base_path"] for c in config["model_config_list"]} == {
        "other": "other",
        "tiny": "/models/tiny",
    }
    assert (out / "tiny" / "1" / "model.xml").is_file()
    assert (out / "tiny" / "2" / "model.xml").is_file()


def test_what_others_wrote_in_the_configuration_stays(zoo, tmp_path):
    mine = {"config": {"name": "mine", "base_path": "/mine"}}
    tuned = {"config": {"name": "tiny", "base_path": "/old", "nireq": 4}}
    (tmp_path / "config.json").write_text(
        json.dumps({"model_config_list": [mine, tuned], "monitoring": {"metrics": {"enable": True}}})
    )
    ovms.export_ovms(irs(zoo, "tiny"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    check_server_schema(config)
    assert config["monitoring"] == {"metrics": {"enable": True}}
    assert config["model_config_list"] == [
        mine,
        {"config": {"name": "tiny", "base_path": "tiny", "nireq": 4}},
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"models": []}', '{"model_config_list": [{}]}', '{"model_config_list": 3}']
)
def test_somebody_elses_config_is_not_overwritten(zoo, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CacheError, match="not a configuration of OpenVINO Model Server"):
        ovms.export_ovms(irs(zoo, "tiny"), tmp_path)
    assert names(tmp_path) == ["config.json"]
    assert (tmp_path / "config.json").read_text() == text


def test_copy_stays_below_its_folder(zoo, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tiny").symlink_to(tmp_path / "outside")
    with pytest.raises(CacheError, match="is behind a symlink"):
        ovms.export_ovms(irs(zoo, "tiny"), tmp_path / "out")
    assert names(tmp_path / "outside") == []


def test_equal_files_are_left_alone(zoo, tmp_path):
    out = views.export_dir(irs(zoo, "tiny"), tmp_path / "out")
    before = {p.name: p.stat().st_ino for p in out.iterdir()}
    views.export_dir(irs(zoo, "tiny"), tmp_path / "out")
    assert {p.name: p.stat().st_ino for p in out.iterdir()} == before


@pytest.mark.parametrize("form", ["dir", "omz", "ovms", "oci"])
def test_command_exports(command, tmp_path, form):
    done = command("export", "--format", form, "-o", "out", "tiny@FP16", "other")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out'}\n"), done.stderr
    assert names(tmp_path / "out")
    assert command("export", "--format", form, "-o", "x", "tiny", "--with", "files").returncode == 2
    assert command("export", "--format", form, "-o", "x", "nonesuch").returncode == 2
    assert not (tmp_path / "x").exists()
