"""The drop-ins on their own: a second run does nothing, a failed one loses nothing, everything is said."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from model_zoo.errors import ConversionError
from model_zoo.omz import converter, data_downloader, downloader, info_dumper
from model_zoo.omz.local import needed_files
from model_zoo.omz.output import Output, in_parallel
from model_zoo.schema import Builder, Model, Recipe
from tests.omz.tree import Tree, representative
from tests.server import Answer, Server, status
from tests.tiny import tiny_onnx

ARGS = ["--input_model=$dl_dir/a"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMZ_ROOT", str(tmp_path / "models"))
    with Server() as server:
        yield Tree(tmp_path / "models", server)


@pytest.fixture
def models(tree):
    return representative(tree.root, tree.server)


@pytest.fixture
def run(capsys):
    def call(command, *arguments):
        with pytest.raises(SystemExit) as ended:
            command.main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_samples_two_calls_twice(models, run, tmp_path):
    """Download a list and convert it; the second time nothing is transferred or converted."""
    (tmp_path / "models.lst").write_text(
        "face-detection-retail-0004\nface-detection-retail-0004\t\ntiny-onnx\n"
    )
    calls = [
        (downloader, "--list", "models.lst", "-o", "out"),
        (converter, "--list", "models.lst", "-o", "out", "-d", "out"),
    ]
    for call in calls:
        code, _, err = run(*call)
        assert (code, err) == (0, "")
    first, asked = files(tmp_path / "out"), len(models.server.seen())
    assert {p for p in first if p.startswith("public")} == {
        "public/tiny-onnx/net/tiny.onnx",
        *(f"public/tiny-onnx/{p}/tiny-onnx{s}" for p in ("FP16", "FP32") for s in (".xml", ".bin")),
    }
    made = {p: p.stat().st_mtime_ns for p in tmp_path.glob("cache/ir-v1/*")}
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    for call in calls:
        code, out, err = run(*call)
        assert (code, err) == (0, "")
        assert "Downloading /" not in out
        assert "... save" not in out
    assert files(tmp_path / "out") == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == stamps
    assert len(models.server.seen()) == asked
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("cache/ir-v1/*")} == made


def test_a_failed_run_loses_nothing(tree, run, tmp_path):
    tree.add("m", {"a": b"abc", "b": b"defg"}, model_optimizer_args=ARGS)
    assert run(downloader, "--all", "-o", "out")[0] == 0
    good = files(tmp_path / "out")
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "models")
    (tmp_path / "out" / "public" / "m" / "b").write_bytes(b"mine")
    tree.add("m", {"a": b"abc", "b": b"defg"}, answers={"b": [status(404)]}, model_optimizer_args=ARGS)
    code, out, err = run(downloader, "--all", "-o", "out")
    assert code == 1
    assert out.endswith("FAILED:\nm\n")
    assert "404" in err
    assert files(tmp_path / "out") == {**good, "public/m/b": b"mine"}


def test_one_broken_model_does_not_stop_the_others(tree, run, tmp_path):
    edit = {"$type": "regex_replace", "file": "a", "pattern": "zzz", "replacement": ""}
    tree.add("a-broken", {"a": b"abc"}, model_optimizer_args=ARGS, postprocessing=[edit])
    tree.add(
        "b-archive",
        {"a.zip": b"no archive"},
        model_optimizer_args=ARGS,
        postprocessing=[{"$type": "unpack_archive", "format": "zip", "file": "a.zip"}],
    )
    tree.add_ir("c-good")
    for jobs in ("1", "3"):
        code, out, err = run(downloader, "--all", "-o", f"out{jobs}", "-j", jobs)
        assert code == 1
        assert out.endswith("FAILED:\na-broken\nb-archive\n")
        assert "the pattern does not match the file" in err
        assert "damaged, or not a zip archive" in err
        assert set(files(tmp_path / f"out{jobs}")) == {
            f"intel/c-good/{p}"
            for p in ("vocab.txt", *(f"FP{n}/c-good.{s}" for n in (16, 32) for s in ("xml", "bin")))
        }


def test_what_is_in_the_output_folder_is_not_downloaded_again(models, run, tmp_path):
    assert run(downloader, "--all", "-o", "out")[0] == 0
    first, asked = files(tmp_path / "out"), len(models.server.seen())
    shutil.rmtree(tmp_path / "cache")
    code, out, _ = run(downloader, "--all", "-o", "out")
    assert code == 0
    assert files(tmp_path / "out") == first
    again = {seen.path for seen in models.server.seen()[asked:]}
    # Archives were unpacked and removed, and edited files have other bytes unless their originals lie there.
    assert again == {"/mobilenet-v1-0.25-128/mobilenet.tgz", "/fastseg-small/model/lib.whl"}
    assert out.count("Downloading ") - out.count("|| Downloading ") == 2


def test_an_old_cache_folder_is_used(tree, run, tmp_path):
    import hashlib

    tree.add("m", {"a": b"abc"}, model_optimizer_args=ARGS)
    digest = hashlib.sha384(b"abc").hexdigest()
    kept = tmp_path / "old" / "1" / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"abc")
    code, out, _ = run(downloader, "--all", "-o", "out", "--cache_dir", "old", "--progress_format", "json")
    assert code == 0
    assert tree.server.seen() == []
    assert [json.loads(line)["$type"] for line in out.splitlines()] == [
        "model_download_begin",
        "model_file_download_begin",
        "model_file_download_end",
        "model_download_end",
    ]
    assert (tmp_path / "out/public/m/a").read_bytes() == b"abc"
    assert (tmp_path / "old" / "blobs-v1").is_dir()
    assert not (tmp_path / "cache").exists()


def test_progress_events_never_go_back_and_files_come_one_after_the_other(tree, run):
    body = bytes(range(256)) * 4000
    slow = Answer(pace=0.03, piece=1 << 17)
    tree.add(
        "m",
        {"a": body, "b": body[::-1], "c": body[1:]},
        answers={"a": [slow], "b": [slow]},
        model_optimizer_args=ARGS,
    )
    code, out, _ = run(downloader, "--all", "-o", "out", "--progress_format", "json")
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    inner = [e for e in events if "model_file" in e]
    assert [e["model_file"] for e in inner] == sorted(e["model_file"] for e in inner)
    for file in "abc":
        mine = [e for e in inner if e["model_file"] == file]
        assert mine[0] == {
            "$type": "model_file_download_begin",
            "model": "m",
            "model_file": file,
            "size": mine[0]["size"],
        }
        assert mine[-1] == {
            "$type": "model_file_download_end",
            "model": "m",
            "model_file": file,
            "successful": True,
        }
        sizes = [e["size"] for e in mine[1:-1]]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == mine[0]["size"]


def test_every_unmatched_pattern_is_named_before_anything_is_downloaded(models, run, tmp_path):
    code, out, err = run(downloader, "--name", "tiny-onnx,gone-1,face*,gone-2,gone-1", "-o", "out")
    assert (code, out, err) == (1, "", 'No matching models: "gone-1", "gone-2"\n')
    code, out, err = run(downloader, "--name", "gone-1,magika-standard-v3")
    expected = (
        'No matching models: "gone-1", "magika-standard-v3"\n  next:     model-zoo fetch magika-standard-v3\n'
    )
    assert (code, out, err) == (1, "", expected)
    assert not (tmp_path / "out").exists()
    assert models.server.seen() == []


def test_lists_that_cannot_be_read(models, run, tmp_path):
    assert run(downloader, "--list", "absent.lst")[0] == 1
    (tmp_path / "l").write_text('"unclosed\n')
    code, _, err = run(downloader, "--list", "l")
    assert code == 1
    assert "closing quotation" in err.lower()


def test_converting_what_somebody_changed(tree, run, tmp_path):
    import openvino as ov

    args = ["--input_model=$dl_dir/net/m.onnx"]
    inputs = [{"name": "x", "shape": [1, 4]}]
    tree.add("m", {"net/m.onnx": tiny_onnx(1.0)}, model_optimizer_args=args, input_info=inputs)
    assert run(downloader, "--all", "-o", "out")[0] == 0
    assert run(converter, "--all", "-d", "out", "--precisions", "FP32")[0] == 0
    (tmp_path / "out/public/m/net/m.onnx").write_bytes(tiny_onnx(5.0))
    assert run(converter, "--all", "-d", "out", "-o", "made", "--precisions", "FP32")[0] == 0
    zeros = np.zeros((1, 4), np.float32)
    found = [
        ov.Core().compile_model(tmp_path / folder / "public/m/FP32/m.xml", "CPU")(zeros)[0][0, 0]
        for folder in ("out", "made")
    ]
    assert found == [1, 5]


def test_conversions_that_fail_are_listed_and_the_rest_is_made(tree, run, tmp_path):
    args, inputs = ["--input_model=$dl_dir/m.onnx"], [{"name": "x", "shape": [1, 4]}]
    tree.add("a-bad", {"m.onnx": tiny_onnx(op="NoSuch")}, model_optimizer_args=args, input_info=inputs)
    tree.add("b-absent", {"m.onnx": tiny_onnx(3.0)}, model_optimizer_args=args, input_info=inputs)
    tree.add("c-good", {"m.onnx": tiny_onnx(4.0)}, model_optimizer_args=args, input_info=inputs)
    tree.add(
        "d-cannot",
        {"m.pb": b"graph"},
        framework="tf",
        model_optimizer_args=[
            "--input_model=$dl_dir/m.pb",
            "--transformations_config=$mo_ext_dir/front/x.json",
        ],
    )
    assert run(downloader, "--all", "-o", "out")[0] == 0
    shutil.rmtree(tmp_path / "out/public/b-absent")
    for jobs in ("1", "auto"):
        code, out, err = run(converter, "--all", "-d", "out", "-o", f"made{jobs}", "-j", jobs)
        assert code == 1
        assert out.endswith("FAILED:\na-bad\nb-absent\nd-cannot\n")
        assert "NoSuch" in err
        assert "m.onnx does not exist" in err
        assert (
            "d-cannot cannot be converted: the Model Optimizer replaced parts of its graph as x.json says"
            in err
        )
        made = {f"public/c-good/{p}/c-good.{s}" for p in ("FP16", "FP32") for s in ("xml", "bin")}
        assert set(files(tmp_path / f"made{jobs}")) == made


def test_flags_without_meaning_are_accepted_and_warned_about(models, run, tmp_path):
    code, out, err = run(
        converter, "--name", "tiny-onnx", "--mo", "mo.py", "--add_mo_arg=--a", "--add-mo-arg=--b", "--dry-run"
    )
    assert code == 0
    assert (
        err == "########## Warning: there is no Model Optimizer any more; --mo and --add_mo_arg are ignored\n"
    )
    assert out.count("(DRY RUN) Converting tiny-onnx to IR") == 2
    assert not (tmp_path / "public").exists()


def test_the_helper_files_for_data_sets_are_refused_clearly(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(data_downloader, "-o", "data")
    assert (code, out) == (1, "")
    assert "does not ship" in err
    assert list(tmp_path.iterdir()) == []


def test_info_of_the_built_in_catalog(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path))
    monkeypatch.delenv("OMZ_ROOT", raising=False)
    code, out, _ = run(info_dumper, "--name", "text-spotting-0005,resnet-50-pytorch,facenet-20180408-102900")
    assert code == 0
    spotting, resnet, facenet = json.loads(out)
    assert [stage["name"] for stage in spotting["model_stages"]] == [
        "text-spotting-0005-detector",
        "text-spotting-0005-recognizer-encoder",
        "text-spotting-0005-recognizer-decoder",
    ]
    assert {stage["composite_model_name"] for stage in spotting["model_stages"]} == {"text-spotting-0005"}
    assert resnet["subdirectory"] == "public/resnet-50-pytorch"
    assert resnet["precisions"] == ["FP16", "FP32"]
    assert (resnet["framework"], facenet["framework"]) == ("pytorch", "tf")
    assert facenet["input_info"][1] == {"name": "phase_train", "shape": [1], "layout": ""}


def test_the_installed_commands_start(tmp_path):
    """As scripts, in a process of their own, from an empty folder."""
    for name in ("downloader", "converter", "info_dumper"):
        code = f"from model_zoo.omz.{name} import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "--print_all"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        names = done.stdout.split()
        assert names == sorted(names)
        assert len(names) == 248
        assert "text-spotting-0005" in names
        assert "text-spotting-0005-detector" not in names


@pytest.mark.parametrize("command", [downloader, converter, info_dumper])
def test_wrong_flags_are_usage_errors(models, run, command):
    for arguments in ([], ["--all", "--name", "x"], ["--bogus"]):
        assert run(command, *arguments)[0] == 2
    if command is not info_dumper:
        for jobs in ("0", "-1", "x", "1.5"):
            code, out, err = run(command, "--all", "-j", jobs)
            assert code == 2
            assert "must be a positive integer" in err
            assert ("usage:" in out) == (command is downloader)


def test_only_the_files_of_the_wanted_precisions(models, run, tmp_path):
    assert run(downloader, "--name", "single*", "--precisions", "FP16,FP16-INT8", "-o", "out")[0] == 0
    name = "single-image-super-resolution-1032"
    wanted = {f"intel/{name}/{p}/{name}.{s}" for p in ("FP16", "FP16-INT8") for s in ("xml", "bin")}
    assert set(files(tmp_path / "out")) == {*wanted, f"intel/{name}/vocab.txt"}
    code, out, _ = run(downloader, "--name", "resnet50*", "--precisions", "FP16,FP32", "-o", "out")
    assert code == 0
    assert (
        "========== Skipping resnet50-binary-0001 (model is unsupported in {'FP16', 'FP32'} precisions)\n"
        in out
    )
    code, _, err = run(downloader, "--all", "--precisions", "FP16,INT4", "-o", "out")
    assert (code, err) == (1, "Unknown precisions specified: INT4.\n")
    code, out, _ = run(converter, "--name", "tiny-onnx,resnet50*", "--precisions", "FP16-INT8", "-d", "out")
    assert code == 0
    assert out == (
        "========== Skipping tiny-onnx (all conversions skipped)\n\n"
        "========== Skipping resnet50-binary-0001 (no conversions defined)\n\n"
    )


def test_an_output_folder_that_cannot_be_written(tree, run, tmp_path):
    tree.add_ir("a")
    (tmp_path / "out").write_text("in the way")
    code, out, err = run(downloader, "--all", "-o", "out", "--progress_format", "json")
    assert code == 1
    assert f"########## Error: {tmp_path / 'out'} is a file, not a folder" in err
    assert json.loads(out.splitlines()[-1]) == {
        "$type": "model_download_end",
        "model": "a",
        "successful": False,
    }


def test_a_tree_that_is_not_there(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path))
    code, out, err = run(info_dumper, "--all", "--models_root", tmp_path / "absent")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "check the path (OMZ_ROOT, --models_root)" in err


def test_a_composite_without_its_stage_is_an_error(run, tmp_path, monkeypatch):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "whole.yaml").write_text(
        "schema: 1\nname: whole\ntask: t\nlicense: MIT\ndescription: x\nstages: [gone]\n"
        "omz: {subdirectory: intel/whole}\n"
    )
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path))
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(tmp_path / "c"))
    code, _, err = run(info_dumper, "--all")
    assert code == 1
    assert "no catalog has a model named 'gone'" in err


@pytest.mark.parametrize(("fault", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError, 1)])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupts_end_at_once_without_a_traceback(models, run, monkeypatch, fault, code, jobs):
    def stop(*_):
        raise fault

    monkeypatch.setattr(downloader.Download, "run", stop)
    if fault is BrokenPipeError:
        monkeypatch.setattr(sys.stderr, "close", lambda: None)
    ended, _, err = run(downloader, "--all", "-o", "out", "-j", jobs)
    assert ended == code
    assert "Traceback" not in err


def test_info_names_the_files_of_a_tree(models, run):
    (models.root / "public" / "tiny-onnx" / "accuracy-check.yml").write_text("{}")
    code, out, _ = run(info_dumper, "--name", "tiny-onnx,face-detection-retail-0004")
    assert code == 0
    tiny, face = json.loads(out)
    assert tiny["accuracy_config"] == str(models.root / "public/tiny-onnx/accuracy-check.yml")
    assert tiny["model_config"] == str(models.root / "public/tiny-onnx/model.yml")
    assert face["accuracy_config"] is None
    assert tiny["input_info"] == [{"name": "x", "shape": [1, 3, 4, 4], "layout": "NCHW"}]


def test_progress_on_a_terminal_stays_on_one_line(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    out = Output()
    out.progress("50%")
    out.progress("100%")
    out.end_progress()
    assert screen.getvalue() == "50%\r100%\r\n"


def test_parallel_work_prints_in_order_and_raises_what_was_raised(capsys):
    import threading

    both = threading.Barrier(2)

    def work(item, out):
        out.line(f"{item} begins")
        if item in "ab":
            both.wait(10)
        out.line(f"{item} ends")
        if item == "c":
            raise LookupError(item)
        return item

    assert in_parallel(2, work, ["a", "b"], Output()) == ["a", "b"]
    assert capsys.readouterr().out == "a begins\na ends\nb begins\nb ends\n"
    with pytest.raises(LookupError):
        in_parallel(3, work, ["a", "b", "c"], Output())


def test_what_a_conversion_reads_of_a_folder(tmp_path):
    for path in (
        "g/net.ckpt.meta",
        "g/net.ckpt.index",
        "g/checkpoint",
        "code/a.py",
        "w.pth",
        "w.pth.orig",
        "FP16/m.xml",
        "code/__pycache__/a.pyc",
        "saved/saved_model.pb",
        "saved/variables/v",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"1")

    def read(framework="tensorflow", **recipe):
        fields = {"name": "m", "task": "t", "license": "MIT", "description": "x", "framework": framework}
        model = Model(schema=1, stages=("a",), recipe=Recipe(precisions=("FP16", "FP32"), **recipe), **fields)
        return needed_files(model, tmp_path)

    assert read(model="g/net.ckpt.meta") == ["g/net.ckpt.index", "g/net.ckpt.meta"]
    assert read(model="saved") == ["saved/saved_model.pb", "saved/variables/v"]
    builder = Builder(module="a", callable="A", weights="w.pth", paths=("code",))
    assert "code/a.py" in read("pytorch", builder=builder)
    assert {"w.pth.orig", "FP16/m.xml", "code/__pycache__/a.pyc"}.isdisjoint(read("pytorch", builder=builder))
    with pytest.raises(ConversionError, match="does not exist"):
        read(model="absent.pb")
    with pytest.raises(ConversionError, match="does not exist"):
        needed_files(
            Model(schema=1, stages=("a",), name="m", task="t", license="MIT", description="x"),
            tmp_path / "no",
        )
