"""Settings of any shape, and what a shell may hand over: each ends with a class, and quickly."""

from __future__ import annotations

import pytest

from tests.trust.support import bounded

TOMLS = {
    "a BOM": b"\xef\xbb\xbfoffline = true\n",
    "CRLF": b"offline = true\r\njobs = 1\r\n",
    "CR alone": b"offline = true\rjobs = 1\r",
    "a NUL": b"offline = true\0\n",
    "a NUL in a path": b'layers = ["a\\u0000b"]\n',
    "UTF-16": "offline = true\n".encode("utf-16"),
    "an unknown key": b"oflline = true\n",
    "an unknown table": b"[polcy]\nlicenses = []\n",
    "an unknown policy": b"[policy]\nlicences = []\n",
    "a key twice": b"jobs = 1\njobs = 2\n",
    "a table twice": b"[policy]\n[policy]\n",
    "policy is a list": b"policy = []\n",
    "trust is a text": b'[policy]\ntrust_code = "one"\n',
    "trust is true": b"[policy]\ntrust_code = true\n",
    "licences of numbers": b"[policy]\nlicenses = [1]\n",
    "an odd level": b'[policy]\nintegrity = "none"\n',
    "mirrors as a text": b'mirrors = "a=b"\n',
    "mirrors of odd shape": b'mirrors = [["a"]]\n',
    "negative jobs": b"jobs = -1\n",
    "no jobs": b"jobs = 0\n",
    "endless jobs": b"jobs = 99999999999999999999\n",
    "infinite size": b"max_size = inf\n",
    "1e999": b"max_size = 1e999\n",
    "1e999GB": b'max_size = "1e999GB"\n',
    "a negative size": b"max_size = -1\n",
    "attempts 0": b"attempts = 0\n",
    "attempts": b"attempts = 9223372036854775808\n",
    "connections": b"connections = 0\n",
    "a time": b"lock_timeout = nan\n",
    "an endless time": b"stall_timeout = inf\n",
    "a huge time": b"connect_timeout = 1e300\n",
    "a date": b"jobs = 1979-05-27\n",
    "true for a number": b"jobs = true\n",
    "a number for true": b"offline = 1\n",
    "deep tables": b"[" + b"a." * 20_000 + b"a]\n",
    "deep lists": b"jobs = " + b"[" * 5_000 + b"]" * 5_000,
    "many keys": b"".join(b"k%d = 1\n" % number for number in range(50_000)),
    "an endless line": b'remote = "' + b"x" * 5_000_000 + b'"\n',
    "no end of a text": b'remote = """' + b"x" * 1_000,
    "a line end in a remote": b'remote = "oci://a/b\\r\\nHost: x"\n',
    "an escape": b'remote = "\\u001b[31m"\n',
    "Latin-1": b'cache = "\xe9"\n',
    "a cache that is a list": b"cache = []\n",
    "dots": b'cache = "../../../../../../../../../../dev/null/x"\n',
}


@pytest.mark.parametrize("name", TOMLS)
def test_settings_of_any_shape_end(catalog, shell, monkeypatch, tmp_path, name):
    config = tmp_path / "config.toml"
    config.write_bytes(TOMLS[name])
    monkeypatch.setenv("MODEL_ZOO_CONFIG", str(config))
    monkeypatch.chdir(tmp_path)
    for command in (("fetch", "one"), ("cache", "gc", "--dry-run")):
        done = shell(*command)
        assert done.code == 0 or done.code in range(2, 9), f"{command}: {done.err[-600:]}"
        assert "\x1b[31m" not in done.text
        assert len(done.err) < 20_000, "the message is the file"
    if done.code == 2:
        assert "config.toml" in done.err


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full", "a folder", "a loop"])
def test_a_settings_file_that_is_none(tmp_path, catalog, place):
    path = tmp_path / "config.toml"
    if place == "a folder":
        path.mkdir()
    elif place == "a loop":
        path.symlink_to(path)
    else:
        path.symlink_to(place)
    bounded("fetch", "one", MODEL_ZOO_CONFIG=str(path)).refused(2)


ODD = ["\udcff", "\udc80/\udcff", "a\nb", "\t", "\x7f", "\u202e", "-9", "1e999", "0x10", "\uff11"]
VARIABLES = [
    "MODEL_ZOO_LICENSES",
    "MODEL_ZOO_MAX_SIZE",
    "MODEL_ZOO_MIRRORS",
    "MODEL_ZOO_REMOTE",
    "SOURCE_DATE_EPOCH",
    "HF_ENDPOINT",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "NO_COLOR",
    "COLUMNS",
    "TERM",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "NETRC",
]


@pytest.mark.parametrize("variable", VARIABLES)
def test_variables_of_any_bytes_end(catalog, shell, monkeypatch, tmp_path, variable):
    ends = []
    for value in ODD:
        monkeypatch.setenv(variable, value)
        for command in (("fetch", "one"), ("export", "--format", "dir", "-o", tmp_path / "out", "one")):
            done = shell(*command)
            if not (done.code == 0 or done.code in range(2, 9)):
                ends.append(f"{value!r} {command[0]}: exit {done.code}: {done.err[:200]}")
    assert not ends, "\n".join(ends)


OPTIONS = [
    ("fetch", "-j", "{}", "one"),
    ("convert", "-j", "{}", "one"),
    ("convert", "--precision", "{}", "one"),
    ("fetch", "-o", "{}", "one"),
    ("list", "--task", "{}"),
    ("list", "--license", "{}"),
    ("list", "{}"),
    ("infer", "one", "{}"),
    ("infer", "one", "--save", "{}"),
    ("cache", "gc", "--max-size", "{}"),
    ("cache", "pin", "{}"),
    ("cache", "rm", "{}"),
    ("export", "--format", "{}", "-o", "out", "one"),
    ("export", "--format", "tar", "-o", "{}", "one"),
    ("import", "{}"),
    ("push", "{}", "one"),
    ("pull", "{}"),
    ("catalog", "add", "{}"),
    ("catalog", "validate", "{}"),
    ("catalog", "import-omz", "{}"),
    ("seed", "{}", "one"),
    ("--progress", "{}", "list"),
    ("--catalog", "{}", "list"),
    ("--cache", "{}", "cache", "info"),
    ("lock", "one", "-o", "{}"),
    ("fetch", "--locked", "{}", "one"),
    ("completion", "{}"),
]


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_arguments_of_any_bytes_end(catalog, shell, monkeypatch, tmp_path, option):
    monkeypatch.chdir(tmp_path)
    ends = []
    for value in ["\udcff", "a\nb", "\u202e", "", "-1", "9" * 400, "nan", "/dev/null"]:
        done = shell(*(part.format(value) for part in option))
        if not (done.code == 0 or done.code in range(2, 9)):
            ends.append(f"{value[:20]!r}: exit {done.code}: {done.err[:200]}")
    assert not ends, "\n".join(ends)


PATHS = [
    ("import", "{}"),
    ("catalog", "import-omz", "{}"),
    ("seed", "{}", "one"),
    ("infer", "one", "{}"),
    ("convert", "one", "--calibrate", "{}"),
    ("cache", "rm", "{}"),
    ("fetch", "--list", "{}"),
    ("lock", "one", "-o", "{}"),
]


@pytest.mark.parametrize("command", PATHS, ids=" ".join)
def test_a_path_that_no_file_system_has_is_refused(catalog, shell, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    done = shell(*(part.format("x" * 300) for part in command)).refused(2, 6)
    assert len(done.err) < 1000
