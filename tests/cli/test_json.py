"""``--json`` of the commands that work on several models."""

from __future__ import annotations


def test_results_and_failures_are_told_in_one_array(shell, catalog):
    (catalog / "zooey-two.onnx").write_bytes(b"wrong")
    done = shell("fetch", "zooey-one", "zooey-two", "--json")
    assert done.code in {4, 5}
    one, two = done.json
    assert one["name"] == "zooey-one"
    assert one["error"] is None
    assert one["path"] == shell("fetch", "zooey-one").out.strip()
    assert two["path"] is None
    assert two["error"]["exit_code"] == done.code
    assert two["error"]["message"] in done.err


def test_conversions_tell_their_precision(shell, catalog):
    done = shell("convert", "zooey-one", "--precision", "FP32,FP16", "--json")
    assert done.code == 0
    assert [row["precision"] for row in done.json] == ["FP32", "FP16"]
    assert [row["path"] for row in done.json] == shell(
        "convert", "zooey-one", "--precision", "FP32,FP16"
    ).out.split()
    assert shell("why", "zooey-one", "--json").json == shell("why", "zooey-one").out.splitlines()


def test_one_result_is_one_object(shell, catalog, tmp_path):
    ir = shell("convert", "zooey-one").out.strip()
    found = shell("path", "zooey-one", "--json").json
    assert found == {"name": "zooey-one", "precision": "FP32", "path": ir, "key": ir.split("/")[-2]}
    lock = tmp_path / "zoo.lock"
    assert shell("lock", "zooey-one", "-o", str(lock), "--json").json == {
        "path": str(lock),
        "models": [{"name": "zooey-one", "precisions": ["FP32"]}],
    }
    seed = shell("seed", str(tmp_path / "layer"), "zooey-one", "--json").json
    assert seed["models"] == ["zooey-one"]
    assert seed["files"] == seed["written"] > 0
    tar = tmp_path / "zoo.tar"
    done = shell("export", "--format", "tar", "-o", str(tar), "zooey-one", "--json")
    assert done.json == {"format": "tar", "path": str(tar), "models": ["zooey-one"]}
    taken = shell("--cache", str(tmp_path / "other"), "import", str(tar), "--json").json
    assert [(row["name"], row["precision"]) for row in taken] == [("zooey-one", "FP32"), ("zooey-one", None)]
    assert all(row["path"].startswith(str(tmp_path / "other")) for row in taken)


def test_catalogs_tell_what_is_wrong(shell, catalog, tmp_path):
    entries = len(list(catalog.glob("*.yaml")))
    assert shell("catalog", "validate", str(catalog), "--json").json == {"entries": entries, "errors": []}
    page = shell("catalog", "html", "-o", str(tmp_path / "page"), "zooey-*", "--json").json
    assert page["path"].startswith(str(tmp_path / "page"))
    assert page["models"] == len(shell("list", "zooey-*").out.split())
    entry = shell(
        "catalog", "add", str(catalog / "zooey-one.onnx"), "-o", str(tmp_path / "m.yaml"), "--json"
    ).json
    assert entry == {"name": "m", "path": str(tmp_path / "m.yaml")}
    (catalog / "zooey-odd.yaml").write_text("schema: 1\nname: zooey-odd\nframework: tea\n")
    done = shell("catalog", "validate", str(catalog), "--json")
    assert f"1 error in {entries + 1} entries" in done.err
    one = shell("catalog", "validate", str(catalog / "zooey-two.yaml"))
    assert one.out == "1 entry, no errors\n"
    assert done.code == 3
    (wrong,) = done.json["errors"]
    assert done.json["entries"] == entries + 1
    assert wrong["path"].endswith("zooey-odd.yaml")
    assert "framework" in wrong["message"]
