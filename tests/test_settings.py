"""Settings: environment over file over default, and every wrong value is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.errors import CacheError, UsageError
from model_zoo.settings import load_settings, parse_mirrors, parse_size, require_cache, settings_file


def test_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = load_settings({})
    assert settings.cache == tmp_path / "cache" / "model-zoo"
    assert settings.layers == ()
    assert settings.offline is False
    assert require_cache(settings) == settings.cache


def test_environment(tmp_path):
    env = {
        "MODEL_ZOO_CACHE": str(tmp_path / "c"),
        "MODEL_ZOO_LAYERS": os.pathsep.join(["/a", "/b"]),
        "MODEL_ZOO_CATALOG": "/x",
        "MODEL_ZOO_OFFLINE": "1",
        "MODEL_ZOO_ISOLATE": "yes",
        "MODEL_ZOO_MAX_SIZE": "20GB",
        "MODEL_ZOO_MIRRORS": "https://a/=http://b/?q=1, https://c=https://d",
        "SOURCE_DATE_EPOCH": "12",
        "MODEL_ZOO_CONFIG": "",
    }
    settings = load_settings(env)
    assert settings.cache == tmp_path / "c"
    assert settings.layers == (Path("/a"), Path("/b"))
    assert settings.catalogs == (Path("/x"),)
    assert settings.offline
    assert settings.isolate
    assert settings.max_size == 20 * 10**9
    assert settings.mirrors == (("https://a/", "http://b/?q=1"), ("https://c", "https://d"))
    assert settings.source_date_epoch == 12


def test_file_under_environment_under_arguments(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        'max_size = "1.5GiB"\njobs = 3\noffline = true\ncache = "here"\nlayers = ["l1"]\n'
        'catalogs = ["/abs"]\n[mirrors]\n"https://a/" = "http://b/"\n'
    )
    env = {"MODEL_ZOO_CONFIG": str(config)}
    settings = load_settings(env)
    assert settings.max_size == 1.5 * 2**30
    assert settings.jobs == 3
    assert settings.offline
    assert settings.mirrors == (("https://a/", "http://b/"),)
    assert settings.cache == tmp_path / "here"
    assert settings.layers == (tmp_path / "l1",)
    assert settings.catalogs == (Path("/abs"),)
    assert load_settings(env | {"MODEL_ZOO_OFFLINE": "0"}).offline is False
    assert load_settings(env | {"MODEL_ZOO_OFFLINE": "0"}, offline=True).offline
    assert load_settings(env, jobs=None).jobs == 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL_ZOO_OFFLINE", "maybe"),
        ("MODEL_ZOO_MAX_SIZE", "big"),
        ("MODEL_ZOO_MIRRORS", "https://a"),
        ("SOURCE_DATE_EPOCH", "today"),
    ],
)
def test_wrong_variable_is_named(variable, value):
    with pytest.raises(UsageError, match=variable) as caught:
        load_settings({variable: value, "MODEL_ZOO_CACHE": "/c"})
    assert caught.value.found == value


@pytest.mark.parametrize(
    "text", ["colour = 1", "jobs = 'many'", "max_size = 'huge'", "mirrors = 3", "[", "cache = [1]"]
)
def test_wrong_file_is_named(tmp_path, text):
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(UsageError, match="config.toml"):
        load_settings({"MODEL_ZOO_CONFIG": str(config)})


def test_named_file_must_exist(tmp_path):
    with pytest.raises(UsageError, match="absent.toml"):
        load_settings({"MODEL_ZOO_CONFIG": str(tmp_path / "absent.toml")})


def test_no_home_is_no_cache(monkeypatch):
    import platformdirs

    def no_home(*args, **kwargs):
        msg = "Could not determine home directory"
        raise RuntimeError(msg)

    monkeypatch.setattr(platformdirs, "user_cache_path", no_home)
    monkeypatch.setattr(platformdirs, "user_config_path", no_home)
    assert settings_file({}) is None
    settings = load_settings({})
    assert settings.cache is None
    with pytest.raises(CacheError, match="no home"):
        require_cache(settings)


def test_unexpanded_home_is_no_cache(monkeypatch):
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *a, **k: Path("~/.cache/model-zoo"))
    assert load_settings({"MODEL_ZOO_CONFIG": ""}).cache is None


@given(st.integers(min_value=0, max_value=10**15))
def test_plain_sizes(size):
    assert parse_size(str(size)) == size
    assert parse_size(f" {size} B ") == size


@given(st.text(max_size=12))
def test_sizes_and_mirrors_never_crash(text):
    for parse in (parse_size, parse_mirrors):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)
