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
