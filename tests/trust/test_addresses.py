"""Passwords and tokens in every setting that is an address, and in what the client libraries say."""

from __future__ import annotations

import pytest

from tests.tiny import entry, tiny_onnx, write_entry
from tests.trust.test_secrets import SECRET, holding

DATA = tiny_onnx()
LOUD = ("-v", "-v")


def everything(shell, tmp_path, reference: str, out, *codes: int) -> None:
    """Run what prints, stores or hands on; look for the secret in all of it."""
    out.mkdir(exist_ok=True)
    for command in (
        ("info", reference),
        ("info", "--json", reference),
        ("fetch", reference),
        ("--progress", "json", "fetch", reference),
        ("convert", reference),
        ("why", reference),
        ("lock", reference, "-o", out / "l.lock"),
        ("export", "--format", "tar", "-o", out / "x.tar", reference),
        ("cache", "ls", "--json"),
        ("cache", "verify", "--json"),
        ("doctor", "--json"),
    ):
        done = shell(*LOUD, *command)
        assert done.code in (codes or (0,)), f"{command}: {done.text[-800:]}"
        assert SECRET not in done.text, f"{command}: {[x for x in done.text.splitlines() if SECRET in x]}"
    assert not holding(out, tmp_path / "cache")


def with_entry(catalog, url: str) -> None:
    write_entry(catalog, entry("net", DATA, {"url": url}))


@pytest.mark.parametrize("place", ["mirror", "mirror of a prefix", "proxy", "entry", "netrc"])
def test_an_address_with_a_password(catalog, server, shell, tmp_path, monkeypatch, place):
    url = server.add("/m.onnx", DATA)
    mine = server.url("/m.onnx", user=f"me:{SECRET}")
    with_entry(catalog, mine if place == "entry" else url)
    if place.startswith("mirror"):
        with_entry(catalog, "https://models.example/m.onnx")
        base = server.url("/", user=f"me:{SECRET}")
        monkeypatch.setenv("MODEL_ZOO_MIRRORS", f"https://models.example/={base}")
    elif place == "proxy":
        with_entry(catalog, "http://models.example/m.onnx")
        server.add("http://models.example/m.onnx", DATA)
        monkeypatch.setenv("HTTP_PROXY", f"http://me:{SECRET}@127.0.0.1:{server.port}")
        monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:{server.port}")
    elif place == "netrc":
        (tmp_path / "home" / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    everything(
        shell, tmp_path, "net", tmp_path / "out", 0, *([3, 4, 6] if place in {"entry", "proxy"} else [])
    )


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"])
@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_a_token_of_the_hub(server, shell, tmp_path, monkeypatch, variable, status):
    from tests.server import Answer

    monkeypatch.setenv("HF_ENDPOINT", server.url("", user=f"me:{SECRET}" if "ENDPOINT" in variable else ""))
    if "TOKEN" in variable:
        monkeypatch.setenv(variable, SECRET)
    odd = Answer(status=status, body=b"{}")
    server.add("/api/models/org/net/revision/main?blobs=True", b"{}", *[odd] * 20)
    server.add("/org/net/resolve/main/m.onnx", DATA, *[odd] * 20)
    for command in (("fetch", "hf:org/net/m.onnx"), ("lock", "hf:org/net/m.onnx", "-o", tmp_path / "l.lock")):
        done = shell(*LOUD, *command)
        assert done.code == 0 or done.code in range(2, 9), done.text
        assert SECRET not in done.text, [line for line in done.text.splitlines() if SECRET in line]
    assert not holding(tmp_path / "cache")


def test_an_error_of_python_has_no_secret(catalog, server):
    import traceback

    import model_zoo

    with_entry(catalog, server.url("/absent.onnx", user=f"me:{SECRET}"))
    with pytest.raises(model_zoo.ModelZooError) as caught:
        model_zoo.fetch("net")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(vars(caught.value))
    assert SECRET not in shown


def test_events_have_no_secret(catalog, server):
    import model_zoo

    server.add("/m.onnx", DATA)
    with_entry(catalog, server.url("/m.onnx", user=f"me:{SECRET}"))
    events: list[object] = []
    fetched = model_zoo.fetch("net", progress=events.append)
    assert events
    assert SECRET not in repr(events)
    assert SECRET not in repr(fetched)
    assert SECRET not in repr(fetched.manifest)
