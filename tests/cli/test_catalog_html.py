"""``catalog html``: from a catalog to a page; the page itself is tested in a browser elsewhere."""

from __future__ import annotations


def test_the_command(shell, catalog, tmp_path):
    done = shell("catalog", "html", "-o", tmp_path / "site", "zooey")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path / 'site' / 'index.html'}\n"
    text = (tmp_path / "site" / "data" / "index.js").read_text()
    assert '"zooey-both"' in text
    (catalog / "zooey-two.yaml").write_text("schema: 1\nname: zooey-two\n")
    done = shell("catalog", "html", "-o", tmp_path / "site", "zooey")
    assert done.code == 3, "one broken entry stops no other, and is not hidden"
    assert "zooey-one" in (tmp_path / "site" / "data" / "index.js").read_text()
