"""What fails half way goes on with the same command, and what the system refuses has its class."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml

from model_zoo.cli.main import cli, run
from tests.server import Answer
from tests.tiny import entry, tiny_onnx, write_entry
from tests.tools import require_tool
from tests.trust.support import Ended, bounded

# --- a command that was stopped goes on


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
def test_a_seed_that_failed_at_any_write_goes_on(catalog, shell, tmp_path, monkeypatch, at):
    """The disk is full at the n-th rename below the seed; the same command then ends well."""
    seed = tmp_path / "seed"
    assert shell("convert", "one").code == 0
    failing(monkeypatch, seed, at)
    first = shell("seed", seed, "one")
    monkeypatch.undo_renames()
    if first.code != 0:
        assert first.code == 6, first.text
    done = shell("seed", seed, "one")
    assert done.code == 0, f"after exit {first.code} at write {at}: {done.text}"


@pytest.mark.parametrize(
    ("out", "at"), [*(("oci", at) for at in (1, 3, 6)), *(("oci.tar", at) for at in (1, 2))]
)
def test_an_image_that_failed_at_any_write_goes_on(catalog, shell, tmp_path, monkeypatch, out, at):
    assert shell("convert", "one").code == 0
    failing(monkeypatch, tmp_path / out, at)
    command = ("export", "--format", "oci", "-o", tmp_path / out, "one")
    first = shell(*command)
    monkeypatch.undo_renames()
    if first.code != 0:
        assert first.code == 6, first.text
    done = shell(*command)
    assert done.code == 0, f"after exit {first.code} at write {at}: {done.text}"


def failing(monkeypatch: pytest.MonkeyPatch, folder: Path, at: int) -> None:
    """Let the n-th rename to a place below a folder find the disk full."""
    count, real, real_os = iter(range(1, 1000)), Path.replace, os.replace

    def full(target: object) -> bool:
        return str(target).startswith(str(folder)) and next(count) == at

    def replace(self: Path, target: object) -> Path:
        if full(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return real(self, target)  # type: ignore[arg-type]

    def os_replace(source: object, target: object, **more: object) -> None:
        if full(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real_os(source, target, **more)  # type: ignore[arg-type]

    Path.replace, os.replace = replace, os_replace  # type: ignore[method-assign, assignment]

    def undo() -> None:
        Path.replace, os.replace = real, real_os  # type: ignore[method-assign, assignment]

    monkeypatch.undo_renames = undo  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _renames(monkeypatch):
    yield
    getattr(monkeypatch, "undo_renames", lambda: None)()


def test_an_image_that_failed_before_its_note_goes_on(catalog, tmp_path):
    assert run(cli, ["convert", "one"]) == 0
    command = ("export", "--format", "oci", "-o", tmp_path / "oci", "one")
    bounded(*command, file_size=100, memory=8 << 30).refused(6)
    done = bounded(*command, memory=8 << 30)
    assert done.code == 0, done.text


# --- what the system refuses


def test_a_full_disk_in_the_worker_is_the_caches_fault(catalog, shell, tmp_path, monkeypatch):
    """The worker may write no file larger than 600 bytes; its model.xml is larger."""
    sitecustomize(
        tmp_path, monkeypatch, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))"
    )
    done = shell("convert", "one").refused(6)
    assert "space" in done.err.lower()


def sitecustomize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run code at the start of every interpreter that the conversion starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_full_folder_for_temporary_files_is_the_caches_fault(catalog):
    code = (
        "import sys, tempfile, errno\n"
        "def full(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "tempfile.mkdtemp = full\n"
        "from model_zoo.cli.main import main\nmain(sys.argv[1:])"
    )
    done = bounded("convert", "one", program=("-c", code), memory=8 << 30).refused(6)
    assert "--python" not in done.err
    assert "standard output" not in done.err


@pytest.mark.parametrize("files", [10, 14, 24])
def test_too_few_open_files_never_end_as_a_bug(catalog, files):
    done = bounded("convert", "one", files=files, memory=8 << 30, seconds=40)
    assert done.code in {0, 6, 7}, done.text
    assert "--python" not in done.err


def test_without_asserts_and_docstrings(catalog):
    done = bounded("convert", "one", memory=8 << 30, seconds=40, PYTHONOPTIMIZE="2")
    assert done.code == 0, done.text


def test_a_seed_out_of_a_cache_that_can_only_be_read(catalog, shell, tmp_path):
    assert shell("convert", "one").code == 0
    folders = [Path(folder) for folder, _, _ in os.walk(tmp_path / "cache")]
    for folder in folders:
        folder.chmod(0o555)
    try:
        done = held_to_modes("seed", tmp_path / "out" / "seed", "one")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.code == 0, done.text


def held_to_modes(*arguments: object) -> Ended:
    """Run a command that the modes of files bind, which root's capabilities would overrule."""
    drop = "--bounding-set=-dac_override,-dac_read_search"
    prefix = (require_tool("setpriv"), drop) if os.geteuid() == 0 else ()
    return bounded(*arguments, memory=8 << 30, prefix=prefix)


# --- what changed must be noticed


def test_an_edited_local_file_is_noticed(catalog, shell):
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    for name in ("sha256", "size"):
        del data["artifacts"][0][name]
    data["artifacts"][0]["integrity"] = "first-use"
    path.write_text(yaml.safe_dump(data))
    assert shell("convert", "one").code == 0
    (catalog / "one.onnx").write_bytes(tiny_onnx(42.0))
    done = shell("why", "one")
    changed = "one.onnx" in done.text or "m.onnx" in done.text
    done = shell("convert", "one")
    assert changed or done.code == 5, "nothing said that the file is another one"


def test_an_edited_local_file_is_refused_until_its_model_is_removed(catalog, shell):
    path = catalog / "one.yaml"
    data = yaml.safe_load(path.read_text())
    for name in ("sha256", "size"):
        del data["artifacts"][0][name]
    data["artifacts"][0]["integrity"] = "first-use"
    path.write_text(yaml.safe_dump(data))
    assert shell("fetch", "one").code == 0
    first, local = (catalog / "one.onnx").read_bytes(), catalog / "one.onnx"
    local.write_bytes(first)  # written to, and the same
    assert shell("fetch", "one").code == 0
    local.write_bytes(first.replace(first[-4:], b"edit"))
    assert "one.onnx was edited" in shell("why", "one").out
    assert "one.onnx" in shell("fetch", "one").refused(5).err
    shell("fetch", "one", "two").refused(5)
    assert shell("cache", "rm", "one").code == 0
    done = shell("fetch", "one")
    assert (Path(done.out.strip()) / "m.onnx").read_bytes() == local.read_bytes()
    local.unlink()
    assert shell("--offline", "fetch", "one").code == 0


@pytest.mark.parametrize("etag", ["", '""', 'W/""'])
def test_an_empty_etag_is_no_validator(catalog, shell, server, etag):
    """A transfer that broke off goes on only where the server's file is provably the same."""
    first, second = os.urandom(200_000), os.urandom(200_000)
    url = server.add("/m.bin", first, Answer(cut=100_000, headers={"Last-Modified": None}), etag=etag)
    described = entry("big", first, {"url": url}, framework="onnx")
    for name in ("sha256", "size"):
        del described["artifacts"][0][name]
    described["artifacts"][0]["integrity"] = "first-use"
    write_entry(catalog, described)
    first_run = shell("fetch", "big")
    server.add("/m.bin", second, Answer(headers={"Last-Modified": None}), etag=etag)
    done = shell("fetch", "big")
    if done.code == 0 and first_run.code != 0:
        data = (Path(done.out.strip()) / "m.onnx").read_bytes()
        assert data == second, "two versions of a file were put together"
    assert not any("if-range" in seen.headers for seen in server.seen("/m.bin"))


def test_an_unreadable_folder_is_named(tmp_path, shell):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "m.onnx").write_bytes(tiny_onnx())
    (folder / "variables" / "part.bin").write_bytes(b"x")
    (folder / "variables").chmod(0)
    try:
        done = held_to_modes("fetch", folder)
        assert done.code in {2, 3, 4, 6}, done.text
        assert "variables" in done.err
    finally:
        (folder / "variables").chmod(0o755)


# --- where messages go, and what killed runs leave beside a file


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_for_messages_costs_the_messages_only(catalog):
    """Standard error is a full device; the result is printed, and the exit code is that of the run."""
    prefix = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    done = bounded("convert", "one", prefix=prefix, memory=8 << 30, seconds=60)
    assert done.code == 0, done.text
    assert done.out.strip().endswith("model.xml")


KILLED = {
    "lock": ("lock", "one", "-o", "out"),
    "catalog add": ("catalog", "add", "catalog/one.onnx", "-o", "out"),
    "tar": ("export", "--format", "tar", "-o", "out", "one"),
    "oci.tar": ("export", "--format", "oci", "-o", "out.oci.tar", "one"),
}


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_leaves_nothing_once_it_is_repeated(catalog, shell, tmp_path, monkeypatch, name):
    """The process is killed as it is about to give the finished file its name."""
    monkeypatch.chdir(tmp_path)
    assert shell("convert", "one").code == 0
    code = (
        "import os, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.rename' and '.out.' in str(arguments):\n"
        "        os.kill(os.getpid(), 9)\n"
        "from model_zoo.cli.main import main\n"
        "sys.addaudithook(hook)\n"
        "main()"
    )
    before = set(tmp_path.iterdir())
    killed = bounded(*KILLED[name], program=("-c", code), cwd=tmp_path, memory=8 << 30, seconds=60)
    assert killed.code == -9
    assert set(tmp_path.iterdir()) - before, "it was killed too early"
    assert shell(*KILLED[name]).code == 0
    out = KILLED[name][KILLED[name].index("-o") + 1]
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {out}
