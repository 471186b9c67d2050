"""Every command and every line of Python in README.md and docs/ is run, in the order of its page.

A block runs unless a comment above it says why it cannot, as in ``<!-- not run: needs a GPU -->``. Those
are listed among the skipped tests, with the reason. All pages share one cache; each has a folder of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_zoo.catalog import parse_model

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LANGUAGES = {"sh", "console", "python", "yaml"}
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PATIENCE = 300


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str
    why: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: m.start("code")].count("\n"), m["language"], m["code"], m["why"])
        for m in FENCE.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A new home and a cache for all pages; pip keeps the index and the cache that it has here."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODEL_ZOO_", "XDG_"))}
    for folder in (".config/pip/pip.conf", ".pip/pip.conf"):
        if (Path("~").expanduser() / folder).is_file():
            kept.setdefault("PIP_CONFIG_FILE", str(Path("~").expanduser() / folder))
    programs = home / "bin"
    programs.mkdir()
    for name, target in (("model-zoo", "model_zoo.cli.main:main"), *omz_programs()):
        module, _, function = target.partition(":")
        (programs / name).write_text(f"#!{sys.executable}\nfrom {module} import {function}\n{function}()\n")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {
        "HOME": str(home),
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "PIP_CACHE_DIR": str(Path("~/.cache/model-zoo-tests/pip").expanduser()),
        "MODEL_ZOO_CACHE": str(tmp_path_factory.mktemp("cache")),
    }


def omz_programs() -> list[tuple[str, str]]:
    """Return the other programs that the package installs."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'^(omz_\w+) = "([\w.:]+)"$', text, re.MULTILINE)


def command_of(block: Block) -> list[str]:
    if block.language == "python":
        return [sys.executable, "-c", block.code]
    code = block.code
    if block.language == "console":
        code = "".join(f"{line[2:]}\n" for line in code.splitlines() if line.startswith("$ "))
    trap = "trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR"
    return ["bash", "-euo", "pipefail", "-c", f"{trap}\n{code}"]


@pytest.mark.wheels
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES if any(
    b.page == p and b.language in LANGUAGES - {"yaml"} and not b.why for b in BLOCKS
)])  # fmt: skip
def test_page_does_what_it_says(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    for block in blocks(page):
        if block.why or block.language not in LANGUAGES - {"yaml"}:
            continue
        done = subprocess.run(
            command_of(block), cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8",
            errors="replace", timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = f"{block.place} ended with {done.returncode}\n{block.code}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said[-4000:]


@pytest.mark.parametrize("block", [pytest.param(b, id=b.place) for b in BLOCKS if b.why])
def test_block_that_is_not_run(block: Block) -> None:
    pytest.skip(f"{block.place} is not run: {block.why}")


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=b.place) for b in BLOCKS if b.code.startswith("schema: 1")]
)
def test_example_of_an_entry_is_valid(block: Block) -> None:
    parse_model(block.code, block.place)


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    hidden = [
        f"{block.place}: {line}"
        for block in BLOCKS
        if not block.why and block.language not in LANGUAGES | {"Dockerfile", "toml", "json"}
        for line in block.code.splitlines()
        if re.match(r"\s*(\$ )?(model-zoo|omz_\w+|python3? -m|pip) ", line)
    ]
    assert hidden == []


def test_pages_are_found() -> None:
    assert len(PAGES) > 5
    assert sum(block.language in {"sh", "python"} for block in BLOCKS) > 10
    for page in PAGES:
        fences = len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks(page)), f"{page}: a fence is not closed, or not seen"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
