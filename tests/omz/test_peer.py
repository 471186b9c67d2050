"""Our commands beside the real old ones: one server, one tree, the same arguments; what differs is named."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.omz.peer import peer_python, run_ours, run_peer
from tests.omz.tree import Tree, representative
from tests.server import Server, status

pytestmark = [pytest.mark.omz_peer, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    peer_python()
    root = tmp_path_factory.mktemp("omz") / "models"
    with Server() as server:
        yield representative(root, server)


@pytest.fixture
def both(models: Tree, tmp_path):
    """Run a command both ways, each in a folder that is ``out`` while it runs; return the two of them."""

    def run(command: str, *arguments: object, root: Path = models.root):
        done = []
        for who in ("peer", "ours"):
            out = tmp_path / "out"
            out.mkdir()
            if who == "peer":
                result = run_peer(command, root, *arguments, cwd=out)
            else:
                result = run_ours(command, root, *arguments, cwd=out, cache=tmp_path / "cache")
            shutil.rmtree(tmp_path / who, ignore_errors=True)
            out.rename(tmp_path / who)
            done.append(result)
        return done

    return run


_PROGRESS = re.compile(
    r'(\.\.\. (?=\d+%)|\{"\$type": "model_file_download_progress".*?"model_file": "[^"]*")'
)


def same_shape(text: str) -> str:
    """Leave out what no two runs have in common: speeds, seconds, how far a file was when they looked.

    Of the progress of one file only the last is left: how many there are is a matter of time.
    """
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        mark = _PROGRESS.match(line)
        last = _PROGRESS.match(lines[-1]) if lines else None
        if mark and last and mark[1] == last[1]:
            lines.pop()
        lines.append(line)
    text = "".join(lines)
    text = re.sub(r"(\d+|\?) KB/s", "N KB/s", text)
    return re.sub(r"\d+ seconds", "N seconds", text)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--all"],
        ["--all", "--progress_format", "json"],
        ["--all", "--precisions", "FP16"],
        ["--all", "--precisions", "FP16-INT8,FP32-INT1", "--progress_format", "json"],
        ["--name", "face*,mobilenet*,text-spotting-0005-recognizer"],
        ["--name", "*-retail-*,text*,face*,resnet50*", "-j", "4"],
        ["--name", "tiny-onnx", "-o", "elsewhere", "--cache_dir", "kept", "--num_attempts", "2"],
    ],
)
def test_downloads_look_the_same(both, tmp_path, arguments):
    peer, ours = both("omz_downloader", *arguments)
    assert ours.returncode == peer.returncode == 0
    assert same_shape(ours.stdout) == same_shape(peer.stdout)
    assert ours.stderr == peer.stderr == ""
    mine, theirs = files(tmp_path / "ours"), files(tmp_path / "peer")
    if "--cache_dir" in arguments:
        mine, theirs = (
            {k: v for k, v in tree.items() if not k.startswith("kept")} for tree in (mine, theirs)
        )
    assert mine == theirs
    assert mine


def test_a_list_file(both, tmp_path):
    names = tmp_path / "models.lst"
    names.write_text(
        "# the samples' models\n\nface-detection-retail-0004\nface-detection-retail-0004\t\n"
        '  text-spotting-0005-detector  # a stage\n"tiny-onnx" and more words\nmobile*\n'
    )
    peer, ours = both("omz_downloader", "--list", names)
    assert ours.returncode == peer.returncode == 0
    assert same_shape(ours.stdout) == same_shape(peer.stdout)
    assert files(tmp_path / "ours") == files(tmp_path / "peer")


@pytest.mark.parametrize("form", ["text", "json"])
def test_failures_look_the_same(both, tmp_path, form):
    args = ["--input_model=$dl_dir/a"]
    with Server() as server:
        tree = Tree(tmp_path / "models", server)
        tree.add(
            "broken-404", {"a": b"abc", "b": b"def"}, answers={"b": [status(404)]}, model_optimizer_args=args
        )
        tree.add("broken-hash", {"a": b"ghi", "b": b"jkl"}, wrong=("b",), model_optimizer_args=args)
        tree.add_ir("face-detection-retail-0004")
        peer, ours = both("omz_downloader", "--all", "--progress_format", form, root=tree.root)
    assert ours.returncode == peer.returncode == 1
    failed = {"broken-404", "broken-hash"}  # the old command printed them in no order
    if form == "text":
        assert set(ours.stdout.partition("FAILED:\n")[2].split()) == failed
        assert set(peer.stdout.partition("FAILED:\n")[2].split()) == failed
    assert same_shape(ours.stdout.partition("FAILED:")[0]) == same_shape(peer.stdout.partition("FAILED:")[0])
    assert files(tmp_path / "ours") == files(tmp_path / "peer")
    for result in (peer, ours):
        assert len(re.findall(r"^########## Error: ", result.stderr, re.MULTILINE)) == 2
    assert "Traceback" not in ours.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("omz_downloader", ["--print_all"], 0),
        ("omz_downloader", ["--name", "nothing*"], 1),
        ("omz_downloader", ["--name", "tiny-onnx", "--precisions", "INT4,FP8"], 1),
        ("omz_info_dumper", ["--print_all"], 0),
        ("omz_info_dumper", ["--all"], 0),
        ("omz_info_dumper", ["--name", "text-spotting-0005,text-spotting-0005-*"], 0),
        ("omz_info_dumper", ["--name", "nothing"], 1),
        ("omz_converter", ["--print_all"], 0),
        ("omz_converter", ["--name", "nothing"], 1),
        ("omz_converter", ["--name", "face-detection-retail-0004"], 0),
        ("omz_converter", ["--name", "tiny-onnx", "--precisions", "FP16-INT8"], 0),
        ("omz_converter", ["--name", "tiny-onnx", "--precisions", "FP8"], 1),
    ],
)
def test_answers_are_the_same(both, command, arguments, code):
    peer, ours = both(command, *arguments)
    assert (ours.returncode, ours.stdout, ours.stderr) == (peer.returncode, peer.stdout, peer.stderr)
    assert ours.returncode == code


@pytest.mark.parametrize("command", ["omz_downloader", "omz_info_dumper", "omz_converter"])
@pytest.mark.parametrize("arguments", [[], ["--name", "a", "--all"], ["--bogus"], ["-j", "0", "--all"]])
def test_wrong_flags_end_alike(both, command, arguments):
    peer, ours = both(command, *arguments)
    assert ours.returncode == peer.returncode == 2
    assert ours.stderr.splitlines()[-1].partition(" (")[0] == peer.stderr.splitlines()[-1].partition(" (")[0]
    assert bool(ours.stdout) == bool(peer.stdout)


def test_conversions(both, tmp_path):
    import openvino as ov

    both("omz_downloader", "--name", "tiny-onnx,face-detection-retail-0004")
    shutil.copytree(tmp_path / "peer", tmp_path / "downloaded")
    names = "face-detection-retail-0004,tiny-onnx"
    peer, ours = both("omz_converter", "--name", names, "-d", tmp_path / "downloaded", "-o", "made")
    assert ours.returncode == peer.returncode == 0, ours.stderr
    assert set(files(tmp_path / "ours")) == set(files(tmp_path / "peer"))
    headings = [[line for line in r.stdout.splitlines() if line.startswith("=====")] for r in (peer, ours)]
    assert headings[0] == headings[1]
    picture = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    for precision in ("FP16", "FP32"):
        path = f"made/public/tiny-onnx/{precision}/tiny-onnx.xml"
        models = [ov.Core().read_model(tmp_path / who / path) for who in ("peer", "ours")]
        first, second = (ov.Core().compile_model(one, "CPU")(picture)[0] for one in models)
        assert np.allclose(first, second, atol=1e-2 if precision == "FP16" else 1e-5)
        assert not np.allclose(second, picture)
        for key in ("model_type", "confidence_threshold", "labels"):
            texts = [one.get_rt_info(["model_info", key]).astype(str) for one in models]
            assert texts[0] == texts[1]


def test_everything_said_about_the_real_models_is_the_same(tmp_path):
    """All 264 models and 12 composites of the old command's own tree, field by field."""
    peer_python()
    theirs = json.loads(run_peer("omz_info_dumper", None, "--all", cwd=tmp_path).stdout)
    ours = json.loads(run_ours("omz_info_dumper", None, "--all", cwd=tmp_path, cache=tmp_path / "c").stdout)
    compared = 0

    def compare(mine, other):
        nonlocal compared
        compared += 1
        assert list(mine) == list(other)
        assert (mine["model_config"] is None) == (other["model_config"] is None)
        for one in (mine, other):
            # Ours are written anew, and the files of the old tree are not shipped.
            for key in ("description", "accuracy_config", "model_config"):
                del one[key]
        stages = (mine.pop("model_stages"), other.pop("model_stages"))
        assert mine == other
        assert len(stages[0]) == len(stages[1])
        for pair in zip(*stages, strict=True):
            compare(*pair)

    assert len(ours) == len(theirs)
    for pair in zip(ours, theirs, strict=True):
        compare(*pair)
    assert compared == 264 + 12


def test_the_real_tree_is_described_byte_for_byte(tmp_path):
    """Our command on the tree that the old one brings along: descriptions and paths included."""
    where = subprocess.run(
        [peer_python(), "-c", "from omz_tools import _common; print(_common.MODEL_ROOT)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    root = Path(where.stdout.strip())
    theirs = run_peer("omz_info_dumper", None, "--all", cwd=tmp_path).stdout
    assert run_ours("omz_info_dumper", root, "--all", cwd=tmp_path, cache=tmp_path / "c").stdout == theirs
    assert len(theirs) > 10**5


def test_what_counts_as_the_same_shape():
    quick = "a\n... 100%, 68 KB, 5 KB/s, 0 seconds passed\n\nb\n"
    slow = "a\n... 11%, 7 KB, 9 KB/s, 0 seconds passed\n... 100%, 68 KB, 7 KB/s, 3 seconds passed\n\nb\n"
    assert same_shape(quick) == same_shape(slow)
    assert same_shape(quick) != same_shape(slow.replace("100%", "99%"))
    line = '{"$type": "model_file_download_progress", "model": "m", "model_file": "%s", "size": %d}\n'
    assert same_shape(line % ("f", 5) + line % ("f", 9)) == same_shape(line % ("f", 9))
    assert same_shape(line % ("f", 5) + line % ("g", 9)) != same_shape(line % ("g", 9))
