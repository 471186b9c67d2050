"""Models on a Hugging Face Hub: the real client's metadata, our transfers, one commit, checked bytes."""

from __future__ import annotations

import hashlib

import pytest

from model_zoo import errors
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.hub import Hub, blob_id
from tests.tiny import tiny_onnx, write_entry

FAST = {"attempts": 3, "connect_timeout": 5.0, "stall_timeout": 5.0}
REPO = "org/net"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url(""))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


@pytest.fixture
def make_zoo(tmp_path):
    def make(**more):
        settings = {"cache": tmp_path / "cache", "catalogs": (tmp_path / "catalog",), **FAST, **more}
        return Zoo(settings=Settings(**settings))

    (tmp_path / "catalog").mkdir()
    return make


def entry(*artifacts, **more):
    base = {
        "schema": 1,
        "name": "net",
        "task": "test",
        "framework": "onnx",
        "license": "MIT",
        "description": "-",
    }
    return {**base, "artifacts": list(artifacts), **more}


def artifact(path, revision, file=None, **more):
    named = {"file": path if file is None else file} if file != "" else {}
    return {"path": path, "sources": [{"hf": REPO, "revision": revision, **named}], **more}


def publish(hub, files=None, lfs=("model.onnx",)):
    files = files or {"model.onnx": tiny_onnx(), "labels.txt": b"cat\ndog\n"}
    sha = hub.commit(REPO, files, lfs)
    hub.branch(REPO, "main", sha)
    return sha, files


def test_a_file_in_lfs_and_one_outside_at_a_commit(hub, make_zoo, tmp_path):
    sha, files = publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha), artifact("labels.txt", sha)))
    fetched = make_zoo().fetch("net")
    assert {path: p.read_bytes() for path, p in fetched.files.items()} == files
    assert fetched.manifest["integrity"] == {"model.onnx": "revision", "labels.txt": "revision"}
    assert [seen.method for seen in hub.asked("labels.txt")] == ["HEAD", "GET"]
    assert make_zoo(offline=True).fetch("net").directory == fetched.directory


def test_a_branch_is_resolved_once_for_all_files_and_stays(hub, make_zoo, tmp_path):
    old = {"model.onnx": tiny_onnx(1.0), "b.txt": b"old"}
    new = {"model.onnx": tiny_onnx(2.0), "b.txt": b"new"}
    first, second = hub.commit(REPO, old), hub.commit(REPO, new)
    hub.branch(REPO, "main", first, second)  # it moves right after the first question
    both = [artifact(path, "main", integrity="first-use") for path in old]
    write_entry(tmp_path / "catalog", entry(*both))
    fetched = make_zoo().fetch("net")
    assert {path: p.read_bytes() for path, p in fetched.files.items()} == old
    assert len(hub.asked("/resolve/main/")) == 1
    assert fetched.manifest["resolution"]["artifacts"][0]["sources"][0]["revision"] == first
    hub.branch(REPO, "main", second)
    asked = len(hub.seen())
    again = make_zoo().fetch("net")
    assert (again.directory, len(hub.seen())) == (fetched.directory, asked)


def test_a_branch_known_once_needs_no_network_even_without_notes(hub, make_zoo, tmp_path):
    publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", "main", integrity="first-use")))
    zoo = make_zoo()
    fetched, converted = zoo.fetch("net"), zoo.convert("net")
    offline = make_zoo(offline=True)
    assert offline.convert("net").xml == converted.xml
    import shutil

    shutil.rmtree(tmp_path / "cache" / "state-v1")
    assert make_zoo(offline=True).fetch("net").directory == fetched.directory
    assert make_zoo(offline=True).convert("net").xml == converted.xml


def test_offline_says_what_was_never_asked(make_zoo, tmp_path):
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", "main", integrity="first-use")))
    with pytest.raises(errors.OfflineError) as caught:
        make_zoo(offline=True).fetch("net")
    assert "hf:org/net@main/model.onnx" in str(caught.value)
    assert "model-zoo fetch net" in str(caught.value.hint)


def test_the_client_s_own_offline_variable_counts(hub, make_zoo, tmp_path, monkeypatch):
    sha, _ = publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(errors.DownloadError, match="offline"):
        make_zoo().fetch("net")
    assert not hub.seen()


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize(("pattern", "wanted"), [
    ("onnx/*", {"onnx/model.onnx", "onnx/model.onnx_data"}),
    ("onnx/", {"onnx/model.onnx", "onnx/model.onnx_data"}),
    ("*.txt", {"labels.txt", "onnx-notes.txt"}),
    ("", {"labels.txt", "onnx-notes.txt", "onnx/model.onnx", "onnx/model.onnx_data"}),
])  # fmt: skip
def test_patterns_and_whole_repositories(hub, make_zoo, tmp_path, pattern, wanted, sizes):
    hub.sizes = sizes
    files = {
        "onnx/model.onnx": tiny_onnx(),
        "onnx/model.onnx_data": b"\1\2",
        "labels.txt": b"cat",
        "onnx-notes.txt": b"-",
        ".gitattributes": b"*.onnx filter=lfs",
    }
    publish(hub, files, lfs={"onnx/model.onnx"})
    write_entry(tmp_path / "catalog", entry(artifact(".", "main", pattern, integrity="first-use")))
    fetched = make_zoo().fetch("net")
    assert set(fetched.files) == wanted
    assert all(path.read_bytes() == files[name] for name, path in fetched.files.items())
    assert make_zoo(offline=True).fetch("net").files.keys() == wanted


def test_a_pattern_that_matches_nothing(hub, make_zoo, tmp_path):
    publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("x", "main", "*.tflite", integrity="first-use")))
    with pytest.raises(errors.DownloadError, match="no file of the repository matches"):
        make_zoo().fetch("net")


@pytest.mark.parametrize(("code", "says", "hint"), [
    ("GatedRepo", "gated", "HF_TOKEN"),
    ("RepoNotFound", "has no repository", "check the name"),
    ("RevisionNotFound", "has no revision", "branches"),
    ("EntryNotFound", "no model.onnx at this revision", "files"),
])  # fmt: skip
@pytest.mark.parametrize("revision", ["main", "0" * 40])
def test_each_refusal_says_what_to_do(hub, make_zoo, tmp_path, code, says, hint, revision):
    publish(hub)
    hub.errors[REPO] = code
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", revision, integrity="first-use")))
    with pytest.raises(errors.DownloadError) as caught:
        make_zoo().fetch("net")
    assert says in str(caught.value)
    assert hint in str(caught.value)
    assert len(hub.seen()) == 1, "it was asked again in vain"


def test_same_size_wrong_bytes_are_refused(hub, make_zoo, tmp_path):
    sha, files = publish(hub)
    for name in files:
        hub.lies = {name: bytes(len(files[name]))}
        write_entry(tmp_path / "catalog", entry(artifact(name, sha)))
        with pytest.raises(errors.DigestMismatchError) as caught:
            make_zoo().fetch("net")
        outside = name == "labels.txt"
        good = blob_id(files[name]) if outside else hashlib.sha256(files[name]).hexdigest()
        assert good in str(caught.value)
    assert not list((tmp_path / "cache").glob("blobs-v1/*/*/*"))


def test_a_hub_that_is_busy_is_asked_again(hub, make_zoo, tmp_path):
    sha, _ = publish(hub)
    hub.busy = 2
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha)))
    assert make_zoo().fetch("net").files["model.onnx"].read_bytes() == tiny_onnx()


def test_a_hub_that_stays_busy(hub, make_zoo, tmp_path):
    sha, _ = publish(hub)
    hub.busy = 99
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha)))
    with pytest.raises(errors.DownloadError, match="answered 429"):
        make_zoo().fetch("net")


def test_the_token_goes_to_the_hub_and_not_to_its_cdn(hub, make_zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    sha, _ = publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha)))
    make_zoo().fetch("net")
    assert {seen.headers.get("authorization") for seen in hub.asked("/resolve/")} == {"Bearer hf_secret"}
    assert {seen.headers.get("authorization") for seen in hub.asked("/cdn/")} == {None}


def test_a_place_that_is_no_hub(hub, make_zoo, tmp_path):
    hub.add(f"/{REPO}/resolve/main/model.onnx", b"<html>")
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", "main", integrity="first-use")))
    with pytest.raises(errors.DownloadError, match="not a Hugging Face Hub"):
        make_zoo().fetch("net")


def test_a_hub_that_answers_for_another_commit(hub, make_zoo, tmp_path):
    from tests.server import Answer

    wrong = Answer(headers={"X-Repo-Commit": "1" * 40})
    hub.add(f"/{REPO}/resolve/{'2' * 40}/model.onnx", b"x", wrong)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", "2" * 40)))
    with pytest.raises(errors.DownloadError, match="belongs to a different commit"):
        make_zoo().fetch("net")


def test_a_hub_that_cannot_be_reached(make_zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", "2" * 40)))
    with pytest.raises(errors.DownloadError, match=r"cannot reach http://127.0.0.1:9"):
        make_zoo(attempts=1).fetch("net")


def test_another_source_helps_where_the_branch_is_gone(hub, make_zoo, tmp_path):
    data = tiny_onnx()
    hub.add("/m.onnx", data)
    sources = [{"hf": REPO, "revision": "gone", "file": "m.onnx"}, {"url": hub.url("/m.onnx")}]
    write_entry(tmp_path / "catalog", entry({"path": "m.onnx", "sources": sources, "integrity": "first-use"}))
    assert make_zoo().fetch("net").files["m.onnx"].read_bytes() == data


def test_a_mirror_serves_what_a_digest_pins_where_the_hub_is_out_of_reach(
    hub, make_zoo, tmp_path, monkeypatch
):
    data = tiny_onnx()
    hub.add("/mirror/m.onnx", data)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    pinned = artifact("m.onnx", "2" * 40, sha256=hashlib.sha256(data).hexdigest())
    write_entry(tmp_path / "catalog", entry(pinned))
    place = f"http://127.0.0.1:9/{REPO}/resolve/{'2' * 40}/"
    fetched = make_zoo(mirrors=((place, hub.url("/mirror/")),)).fetch("net")
    assert fetched.files["m.onnx"].read_bytes() == data


def test_require_pinned_refuses_what_only_a_commit_fixes(hub, make_zoo, tmp_path):
    sha, _ = publish(hub)
    write_entry(tmp_path / "catalog", entry(artifact("model.onnx", sha)))
    zoo = make_zoo()
    zoo.require_pinned = True
    with pytest.raises(errors.IntegrityError, match="not pinned") as caught:
        zoo.fetch("net")
    assert caught.value.found == "revision"
    assert not hub.seen()
