"""Google Drive's pages, as a loopback server plays them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from model_zoo.download import Download, DownloadTask, download
from model_zoo.errors import SourceUnavailableError
from model_zoo.schema import Artifact
from model_zoo.settings import Settings
from model_zoo.sources import parse_source
from model_zoo.sources.gdrive import GdriveSource
from tests.server import Answer, Server, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.outcome import Outcome

ID = "1AbCdEfGhIjKlMnOpQrStUvWxYz012345"
CONTENT = pattern(200_000)
FORM = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p>Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="{action}" method="get">
<input type="submit" value="Download anyway"/>
<input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="a-b&amp;c">
</form></body></html>"""
OLD = """<html><body>
<a id="uc-download-link" href="/uc?export=download&amp;confirm=Xy&amp;id={id}">go</a></body></html>"""


def page(text: str) -> Answer:
    return Answer(body=text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


def fetch(server: Server, root: Path) -> Outcome[Download]:
    """Fetch through a mirror, so that Google's addresses lead to the loopback server."""
    source = GdriveSource(gdrive=ID)
    digest = hashlib.sha256(CONTENT).hexdigest()

    def publish(result: Download) -> None:
        result.path.replace(root / "blob")

    (outcome,) = download(
        [DownloadTask("m", Artifact(path="m.bin", size=len(CONTENT), sha256=digest, sources=(source,)))],
        settings=Settings(mirrors=(("https://drive.google.com/", server.url("/")),), attempts=1),
        partials=root / "partial",
        locks=root / "locks",
        present=lambda _: False,
        publish=publish,
    )
    return outcome


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody but the mirror answers."""
    monkeypatch.setattr("model_zoo.sources.gdrive.BASE", "https://drive.google.com/uc")
    return tmp_path


def test_small_file(here: Path) -> None:
    with Server() as server:
        server.add(f"/uc?export=download&id={ID}", CONTENT)
        assert fetch(server, here).error is None
        assert len(server.seen()) == 1


def test_page_to_confirm(here: Path) -> None:
    with Server() as server:
        action = server.add("/download", CONTENT, Answer(cut=100_000), Answer())
        server.add(f"/uc?export=download&id={ID}", b"", page(FORM.format(action=action, id=ID)))
        assert fetch(server, here).error, "one attempt, and it is cut"
        assert fetch(server, here).error is None
        asked = server.seen()[-1]
        assert asked.path == f"/download?id={ID}&export=download&confirm=t&uuid=a-b%26c"
        assert asked.range == (100_000, 199_999), "resumed behind the page"


def test_older_page_to_confirm(here: Path) -> None:
    with Server() as server:
        server.add(f"/uc?export=download&id={ID}", b"", page(OLD.format(id=ID)))
        server.add(f"/uc?export=download&confirm=Xy&id={ID}", CONTENT)
        assert fetch(server, here).error is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html><title>Google Drive - Quota exceeded</title>Too many users have viewed this file", "quota"),
        ("<html><title>Sign in - Google Accounts</title></html>", "requires signing in"),
        ("<html><body>You need access. Request access.</body></html>", "requires signing in"),
        ("<html><title>Error 404 (Not Found)!!1</title></html>", "no such file"),
        ("<html><body>Hello</body></html>", "a page instead of the file"),
    ],
)
def test_other_pages_are_failures(here: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceUnavailableError, match=reason):
        GdriveSource(gdrive=ID).onward(text)
    with Server() as server:
        server.add(f"/uc?export=download&id={ID}", b"", page(text))
        outcome = fetch(server, here)
        assert outcome.error
        assert reason in str(outcome.error)


def test_in_a_catalog() -> None:
    source = parse_source({"gdrive": ID})
    assert source == GdriveSource(gdrive=ID)
    assert source.describe() == f"gdrive:{ID}"
    assert source.integrity == "first-use"
    for wrong in ("", "https://drive.google.com/file/d/x", "short", "a/../b"):
        with pytest.raises(ValueError, match="gdrive"):
            parse_source({"gdrive": wrong})
