"""The doctor finds what is really wrong, says how to mend it, and writes and connects to nothing."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from pathlib import Path

import pytest

from model_zoo.cli.checks import machine, network, storage
from model_zoo.cli.checks import settings as settings_checks
from model_zoo.cli.checks.network import url_problem
from model_zoo.cli.commands.doctor import exit_code
from model_zoo.files.lock import lock
from model_zoo.settings import Settings
from model_zoo.systems import system
from tests.server import Server
from tests.tools import require_root, require_tool

ROOT = Path(__file__).resolve().parents[2]
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
QUIET = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No network settings but those of the test."""
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def only(findings, check):
    (found,) = [one for one in findings if one.check == check]
    return found


def problems(findings):
    return {one.check: one for one in findings if one.status == "wrong"}


# --- the command


@pytest.fixture
def healthy(monkeypatch):
    """Machine checks are made once, in the test of the whole; elsewhere they only take time."""
    monkeypatch.setattr("model_zoo.cli.checks.machine.check_machine", lambda: iter(()))


def test_the_whole_on_this_machine(shell, tmp_path):
    done = shell("doctor", "--json")
    found = done.json
    wrong = [one for one in found["checks"] if one["status"] == "wrong"]
    assert (done.code, found["exit_code"], found["ok"], wrong) == (0, 0, True, [])
    checks = {(one["area"], one["check"]): one for one in found["checks"]}
    assert len(checks) == len(found["checks"]), "every check has a name of its own"
    assert checks["openvino", "device CPU"]["status"] == "ok"
    assert "onnx" in checks["openvino", "frontends"]["found"]
    assert checks["python", "pip runs"]["status"] == "ok"
    assert checks["cache", "writable"]["status"] == "ok"
    assert checks["cache", "locks"]["found"] == "work"
    assert set(found["checks"][0]) == {"area", "check", "status", "found", "hint", "exit_code"}
    assert not (tmp_path / "cache").exists(), "looking made the cache"
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_people_get_marks_and_hints(shell, healthy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:notaport")
    monkeypatch.setenv("MODEL_ZOO_CAHCE", "/x")
    done = shell("doctor")
    assert done.code == 4
    assert done.err == ""
    lines = done.out.splitlines()
    assert "secret" not in done.out
    assert re.search(r"^  !!  HTTPS_PROXY +http://proxy:notaport ", done.out, re.MULTILINE)
    assert re.search(r"^ +next: +set HTTPS_PROXY to http://HOST:PORT", done.out, re.MULTILINE)
    assert re.search(r"^ +note: +did you mean MODEL_ZOO_CACHE\?", done.out, re.MULTILINE)
    assert lines[-1] == "1 problem, marked !!"
    monkeypatch.delenv("HTTPS_PROXY")
    assert shell("doctor").out.splitlines()[-1] == "no problems found"


@pytest.mark.parametrize(
    ("codes", "worst"), [([], 0), ([4], 4), ([4, 6], 6), ([7, 8], 8), ([2, 6, 4], 2), ([3, 4], 4)]
)
def test_the_exit_code_is_that_of_the_worst(codes, worst):
    findings = [machine.wrong("x", str(code), "", "", code) for code in codes]
    assert exit_code([machine.ok("x", "fine", ""), *findings]) == worst


def test_no_socket_is_opened(shell, healthy, monkeypatch):
    def refuse(*arguments, **more):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert shell("doctor").code == 0
    assert shell("--offline", "doctor", "--network").code == 0


# --- settings and catalogs


def test_wrong_settings_are_found_and_the_rest_still_examined(shell, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "check_machine", lambda: iter([machine.ok("python", "python", "here")]))
    monkeypatch.setenv("MODEL_ZOO_MAX_SIZE", "much")
    done = shell("doctor", "--json")
    assert done.code == 2
    assert "MODEL_ZOO_MAX_SIZE" in only_json(done, "settings")["found"]
    assert only_json(done, "python")["status"] == "ok"
    monkeypatch.delenv("MODEL_ZOO_MAX_SIZE")
    file = tmp_path / "settings.toml"
    file.write_text("jobs = [")
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(file))
    assert str(file) in only_json(shell("doctor", "--json"), "settings")["found"]
    file.write_text("jobs = 2")
    assert only_json(shell("doctor", "--json"), "settings file")["found"] == str(file)


def only_json(done, check):
    (found,) = [one for one in done.json["checks"] if one["check"] == check]
    return found


def test_every_variable_that_is_read_is_known():
    text = (ROOT / "model_zoo" / "settings.py").read_text(encoding="utf-8")
    assert set(re.findall(r"MODEL_ZOO_[A-Z_]+", text)) <= set(settings_checks.VARIABLES)


def test_a_missing_catalog_is_found(shell, healthy, monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(tmp_path / "nowhere"))
    done = shell("doctor", "--json")
    assert done.code == 3
    assert "nowhere" in only_json(done, "catalogs")["found"]
    assert only_json(done, "catalogs")["hint"]


# --- the cache


def examine(cache, **more):
    return list(storage.check_storage(Settings(cache=cache, **more)))


def test_a_cache_that_is_there(shell, catalog, tmp_path):
    assert shell("fetch", "zooey-one").code == 0
    findings = examine(tmp_path / "cache")
    assert problems(findings) == {}
    assert only(findings, "parts").found == "all writable"
    assert only(findings, "stale locks").found == "none"
    assert "hard links" in only(findings, "links").found
    assert only(findings, "file system").found
    assert not list((tmp_path / "cache").glob(".model-zoo-doctor-*"))


def test_a_file_where_the_cache_should_be(shell, healthy, tmp_path):
    (tmp_path / "cache").write_text("")
    done = shell("doctor", "--json")
    assert done.code == 6
    assert "is a file" in only_json(done, "folder")["found"]


def test_no_home_and_no_cache(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    findings = examine(None)
    assert problems(findings)["folder"].exit_code == 6
    assert only(findings, "home").status == "note"


@pytest.mark.system
def test_a_cache_of_another_user(tmp_path):
    require_root()
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 12345, 12345)
    cache.chmod(0o755)
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    os.seteuid(54321)
    try:
        found = problems(examine(cache))
    finally:
        os.seteuid(0)
    assert found["writable"].exit_code == 6
    assert "Permission denied" in found["writable"].found


@pytest.mark.system
def test_a_full_disk_and_a_budget_beyond_it(tmp_path):
    require_root()
    mount = require_tool("mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    assert os.spawnl(os.P_WAIT, mount, "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)) == 0
    try:
        found = problems(examine(disk / "cache", max_size=10**9))
        assert only(examine(disk), "file system").found == "tmpfs"
    finally:
        os.spawnl(os.P_WAIT, require_tool("umount"), "umount", str(disk))
    assert "free of" in found["space"].found
    assert "more than the whole disk" in found["budget"].found


def test_a_budget_that_fits(tmp_path):
    assert only(examine(tmp_path, max_size=10**6), "budget").found == "1.0 MB"


def test_parts_that_are_links_or_not_ours(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "blobs-v1").symlink_to(tmp_path)
    found = problems(examine(tmp_path / "cache"))
    assert "symlink" in found["parts"].found
    (tmp_path / "cache" / "blobs-v1").unlink()
    (tmp_path / "cache" / "ir-v1").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = problems(examine(tmp_path / "cache"))
    assert "ir-v1 is not writable" in found["parts"].found


def test_locks_left_behind_and_held_for_long(tmp_path):
    users = tmp_path / "cache" / "locks-v1" / "users"
    users.mkdir(parents=True)
    (users / "1-aa.lock").write_text("999999@elsewhere\n")
    held = tmp_path / "cache" / "locks-v1" / "model.lock"
    with lock(held, timeout=1):
        os.utime(held, (time.time() - 7200, time.time() - 7200))
        findings = examine(tmp_path / "cache")
    assert problems(findings) == {}
    assert only(findings, "stale locks").found == "1 left by processes that have ended"
    assert f"by PID {os.getpid()}" in only(findings, "lock held").found
    assert "2.0 h" in only(findings, "lock held").found
    assert held.read_text().startswith(f"{os.getpid()}@"), "looking changed whose lock it is"


def test_locks_that_do_not_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "lock", lambda descriptor, *, shared: None)
    assert problems(examine(tmp_path))["locks"].found == "two processes can hold the same lock"

    def unsupported(descriptor, *, shared):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(system, "lock", unsupported)
    assert only(examine(tmp_path), "locks").status == "note"


def test_a_disk_without_links_and_with_a_wrong_clock(tmp_path, monkeypatch):
    def refuse(*arguments, **more):
        raise OSError(1, "no")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(storage, "clone", refuse)
    monkeypatch.setattr(storage.time, "time", lambda: 1.0)
    findings = examine(tmp_path)
    assert only(findings, "links").status == "note"
    assert problems(findings)["clock of the disk"].exit_code == 6


def test_file_systems_are_told_by_their_mounts(tmp_path, monkeypatch):
    (tmp_path / "self").mkdir()
    lines = f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n/dev/b /data\\040two xfs rw 0 0\n"
    (tmp_path / "self" / "mounts").write_text(lines)
    monkeypatch.setattr(storage, "PROC", tmp_path)
    assert storage.file_system(tmp_path / "a") == "nfs4"
    assert storage.file_system(Path("/data two/x")) == "xfs"
    assert storage.file_system(Path("/else")) == "ext4"
    assert only(examine(tmp_path), "file system").status == "note"
    monkeypatch.setattr(storage, "PROC", tmp_path / "nowhere")
    assert storage.file_system(tmp_path) is None


def test_layers(tmp_path, shell, catalog):
    assert shell("fetch", "zooey-one").code == 0
    (tmp_path / "empty").mkdir()
    layers = (tmp_path / "cache", tmp_path / "empty", tmp_path / "absent", tmp_path / "top")
    findings = [one for one in examine(tmp_path / "top", layers=layers) if one.area == "layers"]
    assert [one.status for one in findings] == ["ok", "note", "wrong", "note"]
    assert "cannot read" in findings[2].found
    assert "itself" in findings[3].found


# --- the network


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://proxy:3128", None),
        ("proxy.example.org:3128", None),
        ("socks5h://127.0.0.1:1080", None),
        ("http//proxy:3128", "has no host"),
        ("http://", "has no host"),
        ("htp://proxy", "has the scheme 'htp'"),
        ("htp//proxy", "contains a misplaced //"),
        ("http://proxy:abc", "ort"),
        ("http://proxy:99999", "ort"),
        ("http://proxy:0", "port 0"),
        ("http://pro xy:1", "white space"),
        ("http://[::1", "IPv6"),
    ],
)
def test_urls_of_proxies(text, problem):
    found = url_problem(text, network.PROXY_SCHEMES)
    assert found is None if problem is None else problem in str(found)


def look(env, *, connect=False, **settings):
    return list(network.check_network(Settings(**settings), env, connect=connect))


def test_proxies():
    findings = look(
        {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://u:p@b:2", "HTTP_PROXY": "http://[::1"}
    )
    assert only(findings, "https_proxy").found == "http://b:2"
    assert only(findings, "HTTPS_PROXY twice").status == "note"
    assert problems(findings)["HTTP_PROXY"].exit_code == 4


def test_socks_needs_its_package(monkeypatch):
    monkeypatch.setattr(network, "_importable", lambda module: False)
    assert "pysocks" in problems(look({"ALL_PROXY": "socks5://h:1"}))["ALL_PROXY"].hint
    monkeypatch.undo()
    assert network._importable("json")


def test_certificates(tmp_path):
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    good.write_text(PEM)
    bad.write_text("no")
    assert only(look({"SSL_CERT_FILE": str(good)}), "SSL_CERT_FILE").status == "ok"
    assert "directory of 2" in only(look({"REQUESTS_CA_BUNDLE": str(tmp_path)}), "REQUESTS_CA_BUNDLE").found
    found = problems(look({"REQUESTS_CA_BUNDLE": str(bad), "CURL_CA_BUNDLE": str(tmp_path / "absent")}))
    assert "contains no certificate" in found["REQUESTS_CA_BUNDLE"].found
    assert "No such file" in found["CURL_CA_BUNDLE"].found


@pytest.mark.parametrize(
    ("pair", "status"),
    [
        (("https://a/", "http://b/x/"), "ok"),
        (("https://a/", "http://b"), "note"),
        (("https://a", "b.example.org"), "wrong"),
        (("a", "https://b"), "wrong"),
        (("https://a", "https://u:secret@b:x"), "wrong"),
    ],
)
def test_mirrors(pair, status):
    finding = only(look({}, mirrors=(pair,)), "mirror")
    assert finding.status == status
    assert "secret" not in finding.found


def test_hugging_face():
    findings = look(
        {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "https://u:pw@hub.example.org", "HF_HUB_OFFLINE": "1"}
    )
    assert problems(findings) == {}
    assert only(findings, "HF_TOKEN").found == "set"
    assert only(findings, "HF_ENDPOINT").found == "https://hub.example.org"
    assert only(findings, "HF_HUB_OFFLINE").status == "note"
    findings = look({"HF_TOKEN": "hf_secret\n", "HF_ENDPOINT": "https://u:pw@hub:x"})
    assert set(problems(findings)) == {"HF_TOKEN", "HF_ENDPOINT"}
    assert "secret" not in str(findings)
    assert "pw" not in str(findings)


def test_reaching_out(monkeypatch):
    with Server() as server:
        server.add("/", b"")
        env = {"HF_ENDPOINT": server.url("/")}
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        findings = look(env, connect=True, mirrors=(("https://a/", "http://127.0.0.1:9/"),))
        assert len(server.seen()) == 1
        assert server.seen()[0].method == "HEAD"
    reached = [one for one in findings if one.check == "reachable"]
    assert [one.status for one in reached] == ["ok", "wrong"]
    assert "cannot reach" in reached[1].found
    findings = look(env, connect=True, offline=True)
    assert only(findings, "reachable").status == "note"


def test_a_certificate_nobody_signed_is_explained(monkeypatch):
    import requests

    def refuse(*arguments, **more):
        raise requests.exceptions.SSLError("self-signed")

    monkeypatch.setattr(requests, "head", refuse)
    assert "REQUESTS_CA_BUNDLE" in only(look({}, connect=True), "reachable").hint


# --- Python, OpenVINO and the packages beside it


def make_package(folder, name, version, code, requires=()):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = [f"Requires-Dist: {line}\n" for line in requires]
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{''.join(lines)}"
    )


TORCH = "__version__ = '2.13.0+cpu'\ndef zeros(*shape): return shape\n"
GOOD = "__version__ = '0.28.0'\nclass ops:\n    nms = staticmethod(lambda *a: None)\n"


@pytest.mark.parametrize(
    ("torch", "torchvision", "status", "text"),
    [
        (TORCH, GOOD, "ok", "torch 2.13.0+cpu, torchvision 0.28.0"),
        (TORCH, None, "ok", "torch 2.13.0+cpu"),
        (
            TORCH,
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "wrong",
            "(which requires torch>=2.14) do not work together: RuntimeError: operator torchvision::nms",
        ),
        (
            "raise OSError('libtorch_cuda.so: cannot open')",
            GOOD,
            "wrong",
            "cannot be imported: OSError: libtorch",
        ),
        ("import os; os._exit(3)", GOOD, "wrong", "exit code 3"),
    ],
)
def test_torch_and_torchvision(tmp_path, monkeypatch, torch, torchvision, status, text):
    make_package(tmp_path, "torch", "2.13.0", torch)
    if torchvision is not None:
        make_package(tmp_path, "torchvision", "0.28.0", torchvision, ["numpy", "torch>=2.14"])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = [machine.torch_finding(machine._query(machine._TORCH))]
    assert "torch" not in sys.modules, "frameworks are asked in a process of their own"
    assert [one.status for one in findings] == [status]
    assert text in findings[0].found
    assert findings[0].exit_code == (7 if status == "wrong" else 0)
    assert status == "ok" or "--force-reinstall" in findings[0].hint


def test_torch_is_asked_where_it_is_installed(tmp_path, monkeypatch):
    make_package(tmp_path, "torch", "2.13.0", TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = list(machine.check_machine())
    assert only(findings, "torch works").found == "torch 2.13.0+cpu"
    assert "torchvision" in only(findings, "torch").found


def test_openvino_that_is_broken_or_sees_nothing():
    (found,) = machine.openvino_findings({"problem": "ImportError: libopenvino.so"})
    assert (found.exit_code, found.check) == (8, "import")
    answer = {"version": "1", "devices": {}, "frontends": ["ir"]}
    findings = list(machine.openvino_findings(answer))
    assert problems(findings)["devices"].exit_code == 8
    assert "onnx" in only(findings, "frontends").hint
    answer = {"version": "1", "devices": {"GPU.0": "does not respond: driver"}, "frontends": []}
    assert "driver" in problems(machine.openvino_findings(answer))["device GPU.0"].hint


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setattr(machine, "_version", lambda name: None)
    found = problems(machine._packages())
    assert found["openvino"].exit_code == 8
    assert found["click"].hint == "pip install click"
    assert all(one.status == "note" for one in machine._extras())
    monkeypatch.setattr(machine, "_version", lambda name: "1")
    assert all(one.status == "ok" for one in machine._extras())
    monkeypatch.setattr(machine, "DISTRIBUTION", "no-such-distribution-here")
    assert list(machine._packages()) == []


def test_pip_and_the_clock():
    assert machine.pip_finding(0, "pip 25.1 from /x (python 3.11)\n", "").found == "25.1"
    missing = machine.pip_finding(1, "", "No module named pip")
    assert (missing.exit_code, missing.found) == (4, "No module named pip")
    assert "ensurepip" in missing.hint
    assert machine.clock_finding(0).exit_code == 4
    assert machine.clock_finding(time.time()).status == "ok"


def test_a_question_without_an_answer_is_a_problem(monkeypatch):
    assert "exit code 0" in machine._query("pass")["problem"]
    monkeypatch.setattr(machine.sys, "executable", "/no/such/python")
    assert machine._query("pass")["problem"]
