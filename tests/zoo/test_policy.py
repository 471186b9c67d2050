"""What the policy of the settings refuses, and that nothing was transferred before it did."""

from __future__ import annotations

import json

import pytest

from model_zoo.cli.main import cli, run
from model_zoo.errors import IntegrityError, PolicyError, UntrustedCodeError, UsageError
from model_zoo.settings import Policy, Settings, load_settings
from model_zoo.zoo import Conversion, Zoo
from tests.server import Server
from tests.tiny import entry, tiny_onnx, write_entry

DATA = tiny_onnx()


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def make_zoo(tmp_path, server):
    """Return a function that makes a zoo with a policy; its catalog has one model for each licence."""
    (tmp_path / "catalog").mkdir()
    licenses = {"free": "Apache-2.0", "either": "MIT OR GPL-3.0-only", "both": "MIT AND GPL-3.0-only"}
    licenses |= {"own": "https://example.org/terms", "copyleft": "AGPL-3.0-or-later"}
    for name, license_ in licenses.items():
        server.add(f"/{name}.onnx", DATA)
        source = {"url": server.url(f"/{name}.onnx")}
        write_entry(tmp_path / "catalog", entry(name, DATA, source) | {"license": license_})

    def make(**policy):
        catalogs = (tmp_path / "catalog",)
        return Zoo(settings=Settings(cache=tmp_path / "cache", catalogs=catalogs, policy=Policy(**policy)))

    return make


@pytest.mark.parametrize("name", ["free", "either"])
def test_an_allowed_licence(make_zoo, name):
    zoo = make_zoo(licenses=("mit", "Apache-2.0"))
    assert zoo.fetch(name).files["m.onnx"].read_bytes() == DATA


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("both", "MIT AND GPL-3.0-only"),
        ("own", "https://example.org/terms"),
        ("copyleft", "AGPL-3.0-or-later"),
    ],
)
@pytest.mark.parametrize("use", ["fetch", "convert", "load", "read"])
def test_any_other_is_refused_before_anything_is_transferred(make_zoo, server, tmp_path, name, found, use):
    zoo = make_zoo(licenses=("MIT", "Apache-2.0"))
    with pytest.raises(PolicyError, match=name) as caught:
        getattr(zoo, use)(name)
    assert caught.value.exit_code == 2
    assert found in str(caught.value.found)
    assert caught.value.expected == "MIT, Apache-2.0"
    assert server.seen(f"/{name}.onnx") == []
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_what_is_cached_is_refused_too(make_zoo):
    make_zoo().load("own", device="CPU")
    zoo = make_zoo(licenses=("MIT",))
    for use in (zoo.fetch, zoo.convert, zoo.load):
        with pytest.raises(PolicyError, match="own"):
            use("own")
    with pytest.raises(PolicyError, match="own"):
        zoo.read("own", convert=False)


def test_an_address_or_a_path_has_no_licence_that_is_known(make_zoo, tmp_path):
    (tmp_path / "net.onnx").write_bytes(DATA)
    with pytest.raises(PolicyError, match="licence is unknown"):
        make_zoo(licenses=("MIT",)).convert(str(tmp_path / "net.onnx"))


def test_of_several_only_the_refused_one_fails(make_zoo):
    zoo = make_zoo(licenses=("MIT", "Apache-2.0"))
    requests = zoo.planner.expand(["free", "own"])
    assert [type(o.error) for o in zoo.fetch_all(requests)] == [type(None), PolicyError]
    assert [type(o.error) for o in zoo.convert_all(requests, Conversion())] == [type(None), PolicyError]


def test_the_weakest_level(make_zoo, server, tmp_path):
    entry_ = entry("loose", DATA, {"url": server.url("/free.onnx")})
    del entry_["artifacts"][0]["sha256"]
    entry_["artifacts"][0]["integrity"] = "first-use"
    write_entry(tmp_path / "catalog", entry_)
    assert make_zoo(integrity="prefix").fetch("free")
    for level in ("pinned", "revision", "prefix"):
        with pytest.raises(IntegrityError, match="policy of the settings demands it") as caught:
            make_zoo(integrity=level).fetch("loose")
        assert caught.value.found == "first-use"
        assert str(caught.value.expected).startswith(("at least ", "pinned"))
    assert make_zoo().fetch("loose")


def test_code_is_trusted_by_the_name_in_the_catalog(make_zoo, tmp_path):
    code = "import openvino as ov\n\ndef make():\n    raise RuntimeError('it ran')\n"
    (tmp_path / "catalog" / "code.py").write_text(code)
    one = entry("coded", code.encode(), {"file": "code.py"}, path="code.py")
    builder = {"module": "code", "callable": "make", "paths": ["."]}
    write_entry(tmp_path / "catalog", one | {"framework": "jax", "recipe": {"builder": builder}})
    request = make_zoo().planner.request("coded")
    for names, trusted in (((), False), (("other",), False), (("coded",), True)):
        pipeline = make_zoo(trust_code=names).pipeline()
        if trusted:
            pipeline.require_trust(request, Conversion())
        else:
            with pytest.raises(UntrustedCodeError):
                pipeline.require_trust(request, Conversion())


def test_settings_file_and_variable(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        '[policy]\nlicenses = ["apache-2.0", "gpl-3.0"]\nintegrity = "revision"\ntrust_code = ["crepe"]\n'
    )
    env = {"MODEL_ZOO_CONFIG": str(config)}
    policy = load_settings(env).policy
    assert policy == Policy(
        licenses=("Apache-2.0", "GPL-3.0-only"), integrity="revision", trust_code=("crepe",)
    )
    policy = load_settings(env | {"MODEL_ZOO_LICENSES": "MIT, BSD-3-Clause"}).policy
    assert policy.licenses == ("MIT", "BSD-3-Clause")
    assert policy.integrity == "revision"
    assert (
        load_settings({"MODEL_ZOO_CONFIG": str(config), "MODEL_ZOO_LICENSES": ""}).policy.licenses is not None
    )
    assert load_settings({}).policy == Policy()


@pytest.mark.parametrize("text", ["Apache 2", "MIT OR Apache-2.0", "MIT; BSD-3-Clause"])
def test_a_policy_of_no_licences_is_an_error_of_the_settings(text, tmp_path):
    with pytest.raises(UsageError, match="MODEL_ZOO_LICENSES"):
        load_settings({"MODEL_ZOO_LICENSES": text})
    config = tmp_path / "config.toml"
    config.write_text(f"[policy]\nlicenses = {json.dumps([text])}\n")
    with pytest.raises(UsageError, match=r"policy.*licen"):
        load_settings({"MODEL_ZOO_CONFIG": str(config)})


@pytest.mark.parametrize(
    "command",
    [
        "fetch own",
        "convert own",
        "infer own",
        "seed layer own",
        "export --format tar -o out.tar own",
        "export --format dir -o out own",
        "push localhost:1/net own",
    ],
)
def test_every_command_exits_with_2(make_zoo, server, tmp_path, monkeypatch, capsys, command):
    make_zoo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_ZOO_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("MODEL_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODEL_ZOO_LICENSES", "Apache-2.0")
    assert run(cli, command.split()) == 2
    assert "https://example.org/terms" in capsys.readouterr().err
    assert server.seen("/own.onnx") == []
    assert not any(tmp_path.glob("out*"))
    assert not (tmp_path / "layer").exists()
