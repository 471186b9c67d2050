"""The catalog page: what is written, and what a person meets who opens it in a browser."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from model_zoo.catalog.page import SHARD, write_site
from model_zoo.errors import CacheError
from tests.browser import Browser
from tests.tools import missing, require_root, require_tool


def made(name, **more):
    """Return what ``facts`` would say of a model."""
    return {
        "name": name,
        "task": "object-detection",
        "framework": "onnx",
        "license": "MIT",
        "family": name,
        "license_url": None,
        "gated": False,
        "description": "Finds things.",
        "precisions": ["FP32", "FP16"],
        "sources": ["url"],
        "size": 1234567,
        "stages": [],
        "convertible": True,
        "integrity": "pinned",
        "reason": None,
        "catalog": "/home/someone/catalog/entry.yaml",
        "artifacts": [
            {
                "path": "m.onnx",
                "size": 1234567,
                "digests": [f"sha256:{'0123456789abcdef' * 4}"],
                "integrity": "pinned",
                "precision": None,
                "sources": ["https://example.org/m.onnx"],
            }
        ],
        "inputs": [
            {"name": "image", "shape": [1, 3, -1, -1], "type": "f32", "layout": "NCHW", "mean": [1, 2, 3]}
        ],
        "outputs": [{"name": "found", "shape": [1, -1, 5], "kind": "boxes", "format": "x, y, w, h, score"}],
        "needs": {
            "kinds": ["nothing"],
            "packages": [],
            "size": None,
            "opener": None,
            "install": "pip install model-zoo",
            "isolate": False,
            "trust_code": [],
            "gated": False,
        },
        "in_words": {
            "feeds": ["a picture of any size"],
            "gives": ["boxes (x, y, w, h, score)"],
            "needs": "nothing beside Model Zoo",
            "license": "MIT",
            "metrics": ["mAP 0.5 on COCO"],
            "complexity": "2 GFLOPs",
        },
        "code": {
            "shell": [f"model-zoo convert {name}", f"model-zoo infer {name} picture.jpg"],
            "python": ["import model_zoo", "", f'print(model_zoo.infer("{name}", "picture.jpg"))'],
        },
        "upstream": {"paper": "https://example.org/paper", "card": None},
        "metrics": [],
        "complexity": None,
        "decode": {"type": "SSD", "confidence_threshold": 0.5},
        "notice": None,
        "recipe": {"model": "m.onnx"},
        "model_info": {},
        "cached": {"files": None, "ir": {"FP32": None, "FP16": None}},
    } | more


EVIL = "</script><img src=x onerror=window.evil=1>\u2028"
MODELS = [
    made("alpha-face", description="Finds faces."),
    made("beta-sound", task="audio-classification", framework="tflite", license="Apache-2.0", size=999,
         sources=["wheel"],
         cached={"files": "/home/someone/x", "ir": {"FP32": "/home/someone/y", "FP16": None}}),
    made("both", framework=None, stages=["alpha-face", "beta-sound"], artifacts=[], precisions=[], inputs=[],
         outputs=[], cached={"files": None, "ir": {}}, size=3 * 10**9),
    made("evil", description=EVIL, task="evil_task", license="https://example.org/x/LICENSE", decode=None,
         license_url="https://example.org/x/LICENSE", convertible=False, reason=EVIL, size=None,
         sources=["wheel"]),
    *(made(f"face{first}{second}", decode=None) for first in "abcdefghijkl" for second in "abcdefghij"),
]  # fmt: skip


# --- what is written


def test_the_folder_is_complete_and_says_nothing_of_this_machine(tmp_path):
    page = write_site(MODELS, tmp_path / "site")
    assert page == tmp_path / "site" / "index.html"
    names = sorted(
        str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*") if p.is_file()
    )
    assert names == [
        *(
            "app.js",
            "data/index.js",
            *(f"data/models-{number:04}.js" for number in range(3)),
            "dom.js",
            "index.html",
            "model.js",
            "search.js",
            "style.css",
            "theme.js",
        ),
    ]
    for path in page.parent.rglob("*.js"):
        assert "/home/someone" not in path.read_text(encoding="utf-8")
    text = (page.parent / "data" / "index.js").read_text(encoding="utf-8")
    rows = json.loads(text.removeprefix("modelZoo=").removesuffix(";\n"))["models"]
    assert [row[0] for row in rows] == [model["name"] for model in MODELS]
    assert "\u2028" not in text


def test_equal_catalogs_make_equal_bytes_and_old_parts_go(tmp_path):
    many = [made(f"m-{number:04}") for number in range(SHARD + 1)]
    write_site(many, tmp_path / "a")
    write_site(many, tmp_path / "b")
    first = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in (tmp_path / "a").rglob("*.js")}
    assert first == {p.relative_to(tmp_path / "b"): p.read_bytes() for p in (tmp_path / "b").rglob("*.js")}
    assert (tmp_path / "a" / "data" / "models-0001.js").is_file()
    (tmp_path / "a" / "mine.txt").write_text("kept")
    write_site(many[:2], tmp_path / "a")
    assert not (tmp_path / "a" / "data" / "models-0001.js").exists()
    assert (tmp_path / "a" / "mine.txt").read_text() == "kept"


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    folder = write_site([], tmp_path).parent
    for name in ("index.html", "style.css", "app.js", "dom.js", "search.js", "model.js", "theme.js"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "http://" not in text
        assert "https://" not in text
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " fetch("):
            assert word not in text


@pytest.mark.system
def test_a_folder_that_cannot_be_written(tmp_path):
    require_root()
    with pytest.raises(CacheError, match="cannot use /proc/nowhere"):
        write_site([], tmp_path.__class__("/proc/nowhere"))


# --- what is met

pytest_browser = pytest.mark.system
COUNT = "document.getElementById('count').textContent"
UNFOLD = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
NAMES = "[...document.querySelectorAll('#list h2 a')].map((a) => a.textContent)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(MODELS, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def chromium():
    with Browser() as running:
        yield running


@pytest.fixture
def browser(chromium, site):
    """The page, open; afterwards nothing may have been complained of, or asked for outside its folder."""
    chromium.console.clear()
    chromium.open(site)
    yield chromium
    chromium.run("1")  # whatever was still to be told has been told after this answer
    assert chromium.console == []
    outside = [url for url in chromium.requests if not url.startswith((site.parent.as_uri(), "data:,"))]
    assert outside == []


@pytest_browser
def test_search(browser):
    assert browser.run(COUNT) == "124 models"
    assert browser.run("document.getElementById('count').getAttribute('aria-live')") == "polite"
    browser.press("/", "Slash", 191)
    assert browser.run("document.activeElement.id") == "query", "the slash takes to the search field"
    browser.type("face")
    assert browser.run("document.getElementById('query').value") == "face"
    assert browser.run(COUNT) == "121 of 124 models"
    assert browser.run(NAMES)[0] == "faceaa", "names that begin with the word come first"
    assert browser.run("location.hash") == "#/?q=face"
    browser.type(" finds faces")
    assert browser.run(NAMES) == ["alpha-face"]
    browser.type(" zzz")
    assert "No model matches" in browser.run("document.getElementById('list').textContent")


@pytest_browser
def test_filters_count_combine_and_clear(browser):
    number = "document.querySelector('input[name=framework][value=tflite]').parentElement.querySelector('.number').textContent"  # fmt: skip # noqa: E501
    assert browser.run(number) == "1"
    browser.run(UNFOLD)
    browser.click("input[name=framework][value=tflite]")
    assert browser.run(NAMES) == ["beta-sound"]
    assert browser.run("location.hash") == "#/?framework=tflite"
    hidden = "document.querySelector('input[name=framework][value=onnx]').checkVisibility()"
    assert browser.run(hidden) is True, "another value of the same filter would add models"
    assert browser.run("document.querySelector('input[name=license][value=MIT]').checkVisibility()") is False
    browser.click("input[name=framework][value=composite]")
    assert browser.run(NAMES) == ["both", "beta-sound"], "values of one filter are alternatives"
    browser.click("input[name=size][value='under 1 MB']")
    assert browser.run(NAMES) == ["beta-sound"], "filters narrow each other"
    assert browser.run("document.querySelectorAll('#chips button').length") == 3
    browser.click("#chips button[aria-label^='Remove filter Size']")
    assert browser.run(NAMES) == ["both", "beta-sound"]
    browser.click("#reset")
    assert browser.run(COUNT) == "124 models"
    assert browser.run("location.hash") == "#/"


@pytest_browser
@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("#/?task=evil_task", ["evil"]),
        ("#/?license=Apache-2.0", ["beta-sound"]),
        ("#/?license=unknown", ["evil"]),
        ("#/?source=wheel", ["beta-sound", "evil"]),
        ("#/?cached=cached", ["beta-sound"]),
        ("#/?convertible=files+only", ["evil"]),
        ("#/?size=unknown", ["evil"]),
        ("#/?size=1+GB+and+more", ["both"]),
        ("#/?q=finds&precision=FP16&task=audio-classification", ["beta-sound"]),
        ("#/?sort=large&source=url&framework=composite", ["both"]),
    ],
)
def test_deep_links_to_a_selection(browser, site, place, names):
    browser.open(site, place)
    assert browser.run(NAMES) == names
    assert browser.run("[...document.querySelectorAll('#facets input:checked')].length") >= 1


@pytest_browser
def test_sorting_and_pages(browser, site):
    browser.open(site, "#/?sort=small")
    assert browser.run(NAMES)[0] == "beta-sound"
    browser.open(site, "#/?sort=large&page=3")
    assert browser.run(NAMES)[-1] == "evil", "unknown sizes come last"
    assert browser.run("document.getElementById('page').textContent") == "Page 3 of 3"
    assert browser.run("document.getElementById('next').disabled") is True
    browser.click("#previous")
    assert browser.run("document.getElementById('page').textContent") == "Page 2 of 3"
    assert browser.run("location.hash") == "#/?sort=large&page=2"
    assert browser.run("document.getElementById('announcement').textContent") == "Page 2 of 3"


@pytest_browser
def test_a_model_and_back(browser, site):
    browser.open(site, "#/?sort=name")
    browser.click("#list h2 a")
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'alpha-face'")
    assert browser.run("document.activeElement.tagName") == "H1", "readers of the screen are taken along"
    assert browser.run("document.title") == "alpha-face | Model catalog"
    text = browser.run("document.getElementById('model').innerText")
    parts = [
        *("Finds faces.", "a picture of any size", "boxes (x, y, w, h, score)", "nothing beside Model Zoo"),
        *("MIT", "1.2 MB", "mAP 0.5 on COCO", "2 GFLOPs", "paper", "Object detection", "onnx"),
        *("pip install model-zoo", "model-zoo infer alpha-face picture.jpg", "Decoded as SSD"),
        *("[1, 3, ?, ?]", "mean 1, 2, 3", "NCHW", "1 file, 1.2 MB, pinned"),
    ]
    assert [part for part in parts if part not in text] == []
    assert text.index("Inputs and outputs") < text.index("1 file")
    assert browser.run("document.querySelector('.file').checkVisibility()") is False, "files are folded"
    browser.click(".fold summary")
    text = browser.run("document.querySelector('.file').innerText")
    assert f"sha256:{'0123456789abcdef' * 4}" in text
    assert "https://example.org/m.onnx" in text
    browser.run("history.back()")
    browser.wait_for("!document.getElementById('main').hidden")
    assert browser.run("document.activeElement.textContent") == "alpha-face", (
        "brought back to where they were"
    )


@pytest_browser
def test_deep_link_to_a_model_keeps_to_its_precision(browser, site):
    browser.open(site, "#/model/beta-sound")
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'beta-sound'")
    assert "cached here: files, IR FP32" in browser.run("document.getElementById('model').innerText")
    browser.run("precision.value = 'FP16'; precision.dispatchEvent(new Event('change'))")
    text = browser.run("document.getElementById('model').innerText")
    assert "model-zoo convert beta-sound@FP16\nmodel-zoo infer beta-sound@FP16 picture.jpg" in text
    assert 'model_zoo.infer("beta-sound@FP16", "picture.jpg")' in text


@pytest_browser
def test_the_code_shown_is_the_code_known(browser, site):
    """What ``facts`` has is shown line for line; ``tests/zoo/test_usage.py`` runs these lines."""
    browser.open(site, "#/model/alpha-face")
    browser.wait_for("document.querySelectorAll('.snippet code').length === 3")
    shown = browser.run("[...document.querySelectorAll('.snippet code')].map((code) => code.textContent)")
    code = MODELS[0]["code"]
    assert shown == ["pip install model-zoo", "\n".join(code["python"]), "\n".join(code["shell"])]


TASKS = "[...document.querySelectorAll('.tile .what')].map((one) => one.textContent)"


@pytest_browser
def test_the_first_screen_has_a_tile_for_each_task(browser):
    assert browser.run(TASKS) == ["Object detection", "Audio classification", "Evil task"]
    numbers = "[...document.querySelectorAll('.tile .number')].map((one) => one.textContent)"
    assert browser.run(numbers) == ["122", "1", "1"]
    assert browser.run("document.querySelector('.tiles').getBoundingClientRect().bottom < innerHeight")
    browser.click(".tile[href$='audio-classification']")
    browser.wait_for("document.querySelectorAll('#list > li').length === 1")
    assert browser.run(NAMES) == ["beta-sound"]
    assert browser.run("document.activeElement.id") == "results"
    assert browser.run("document.querySelector('.tiles').checkVisibility()") is False


@pytest_browser
def test_many_tasks_are_folded(chromium, tmp_path):
    page = write_site([made(f"m{letter}", task=f"task-{letter}") for letter in "abcdefghijklmno"], tmp_path)
    chromium.open(page)
    visible = "[...document.querySelectorAll('.tile')].filter((tile) => tile.checkVisibility()).length"
    assert chromium.run(visible) == 12
    chromium.click(".tiles .link")
    assert chromium.run(visible) == 15
    assert chromium.run("document.querySelector('.tiles .link').getAttribute('aria-expanded')") == "true"


SEARCHED = [
    made("mobilenetv2-7", task="image-classification"),
    made("age-gender", task="image-classification/age-gender", description="Guesses the age of a person."),
    made("modnet", task="image-segmentation/matting", license="Apache-2.0", description="Cuts people out."),
    made("wav2vec2", task="automatic-speech-recognition", sources=["hf"]),
    made("scene-imager", task="image-to-image", description="An image."),
]


@pytest_browser
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("age", ["age-gender"]),  # and not "image"
        ("imag", ["scene-imager", "mobilenetv2-7", "age-gender", "modnet"]),
        ("asr", ["wav2vec2"]),
        ("background removal", ["modnet"]),
        ("apache", ["modnet"]),
        ("hf", ["wav2vec2"]),
        ("MobileNet", ["mobilenetv2-7"]),
        ("mobilenetv2-7", ["mobilenetv2-7"]),
    ],
)
def test_words_are_found_from_their_start_and_by_what_they_mean(chromium, tmp_path, query, names):
    chromium.open(write_site(SEARCHED, tmp_path))
    chromium.run(f"query.value = {json.dumps(query)}; query.dispatchEvent(new Event('input')); 1")
    assert sorted(chromium.run(NAMES)) == sorted(names)
    assert chromium.run(NAMES)[0] == names[0]


@pytest_browser
@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("mobilnet", ["mobilenetv2"]),
        ("mobliene", ["mobilenetv2"]),
        ("gneder age", ["gender age"]),
        ("zzzzzz", []),
        ("modnet asr", ["asr", "modnet"]),  # nothing has both
    ],
)
def test_near_words_are_offered(chromium, tmp_path, query, meant):
    chromium.open(write_site(SEARCHED, tmp_path), f"#/?q={query}")
    shown = "[...document.querySelectorAll('.meant button')].map((one) => one.textContent)"
    assert chromium.run(shown) == meant
    if meant:
        chromium.click(".meant button")
        assert chromium.run(f"{NAMES}.length") == 1


@pytest_browser
def test_a_family_is_one_row_with_its_variants(chromium, tmp_path):
    names = ["resnet18", *(f"resnet50-v1-{number}" for number in range(10)), "vgg16"]
    models = [
        made(name, size=number * 10**6, family="vgg" if name == "vgg16" else "resnet")
        for number, name in enumerate(names, start=1)
    ]
    chromium.open(write_site(models, tmp_path), "#/?sort=name")
    assert chromium.run(COUNT) == "12 models"
    titles = "[...document.querySelectorAll('#list h2')].map((one) => one.firstChild.textContent)"
    assert chromium.run(titles) == ["resnet", "vgg16"]
    assert "11 variants" in chromium.run("document.querySelector('.family h2').textContent")
    assert "1.0 MB to 11.0 MB" in chromium.run("document.querySelector('.family .meta').textContent")
    variants = "[...document.querySelectorAll('.variants a')].map((one) => one.textContent)"
    assert chromium.run(variants)[:2] == ["18", "50-v1-0"]
    chromium.click(".variants button")
    assert len(chromium.run(variants)) == 11
    assert chromium.run("document.activeElement.textContent") == "50-v1-5", "where the button was"
    chromium.click(".variants a")
    chromium.wait_for("document.querySelector('#model h1')?.textContent === 'resnet18'")
    related = "[...document.querySelectorAll('#model .related a')].map((a) => a.title || a.textContent)"
    assert chromium.run(related) == [*names[1:-1], "vgg16"]
    chromium.open(tmp_path / "index.html", "#/?q=resnet18")
    assert chromium.run(NAMES) == ["resnet18"], "one alone is a plain row"


@pytest_browser
def test_composites_and_unknown_models(browser, site):
    browser.open(site, "#/model/both")
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'both'")
    titles = "[...document.querySelectorAll('#model h2')].map((one) => one.textContent)"
    assert browser.run(titles)[:3] == ["Use it", "Stages", "More for object detection"]
    links = "[...document.querySelectorAll('#model .related a')].map((a) => a.textContent)"
    assert browser.run(links)[:2] == ["alpha-face", "beta-sound"]
    browser.open(site, "#/model/nothing%20here")
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'No such model'")
    assert "nothing here" in browser.run("document.getElementById('model').innerText")


@pytest_browser
def test_copy(browser, site):
    browser.open(site, "#/model/alpha-face")
    browser.wait_for("document.querySelector('.snippet .copy')")
    browser.click(".snippet .copy")
    browser.wait_for("document.querySelector('.snippet .copy').textContent === 'Copied'")
    assert browser.paste() == "pip install model-zoo"
    assert "Copied the command" in browser.run("document.getElementById('announcement').textContent")
    browser.click(".fold summary")
    browser.click(".digest .copy")
    browser.wait_for("document.querySelector('.digest .copy').textContent === 'Copied'")
    assert browser.paste() == "0123456789abcdef" * 4


@pytest_browser
def test_copy_where_the_clipboard_is_kept_away(browser, site):
    browser.open(site, "#/model/alpha-face")
    browser.wait_for("document.querySelector('.digest .copy')")
    browser.click(".fold summary")
    browser.click(".digest .copy")
    browser.wait_for("document.querySelector('.digest .copy').textContent === 'Copied'")
    browser.run("navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); 1")
    browser.click(".snippet .copy")
    browser.wait_for("document.querySelector('.snippet .copy').textContent === 'Copied'")
    assert browser.paste() == "pip install model-zoo"


@pytest_browser
def test_text_of_a_catalog_is_never_markup(browser, site):
    browser.open(site, "#/?q=evil")
    assert "<img src=x" in browser.run("document.getElementById('list').textContent")
    browser.open(site, "#/model/evil")
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'evil'")
    assert "<img src=x" in browser.run("document.querySelector('.problem').textContent")
    assert browser.run("document.querySelectorAll('img').length + (window.evil || 0)") == 0
    browser.open(site, "#/?q=%3Cimg%20src%3Dx%3E")
    assert browser.run("document.querySelectorAll('img').length") == 0


@pytest_browser
def test_keyboard_alone(browser):
    browser.press("Tab", "Tab", 9)
    assert browser.run("document.activeElement.className") == "skip"
    browser.press("Enter", "Enter", 13)
    assert browser.run("document.activeElement.id") == "results"
    browser.press("Tab", "Tab", 9)
    assert browser.run("document.activeElement.id") == "sort"
    browser.run(UNFOLD)
    browser.run("document.querySelector('input[name=framework][value=tflite]').focus()")
    browser.press(" ", "Space", 32)
    assert browser.run(NAMES) == ["beta-sound"]
    browser.run("document.querySelector('#list a').focus()")
    browser.press("Enter", "Enter", 13)
    browser.wait_for("document.querySelector('#model h1')?.textContent === 'beta-sound'")


@pytest_browser
@pytest.mark.parametrize("place", ["#/", "#/model/alpha-face"])
def test_every_control_has_a_name_and_every_page_its_landmarks(browser, site, place):
    browser.open(site, place)
    browser.wait_for("document.querySelector('#list h2, #model h1')")
    browser.call("Accessibility.enable")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    browser.call("Accessibility.disable")
    seen = [node for node in tree if not node.get("ignored")]
    roles = [node["role"]["value"] for node in seen]
    for node in seen:
        if node["role"]["value"] in {
            "button",
            "link",
            "checkbox",
            "combobox",
            "searchbox",
            "textbox",
            "region",
        }:
            assert node["name"]["value"].strip(), node
    assert roles.count("main") == 1
    assert "banner" in roles
    assert "contentinfo" in roles
    assert browser.run("document.documentElement.lang") == "en"


@pytest_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", ["#/?framework=tflite", "#/model/evil", "#/model/beta-sound"])
def test_text_stands_out_from_its_ground(browser, site, theme, place):
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    browser.open(site, place)
    browser.wait_for("document.querySelector('#list h2, #model h1')")
    worst = browser.run(CONTRAST)
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert worst[0] >= 4.5, worst  # WCAG 2.2, 1.4.3, level AA


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  let worst = [99, ""];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.checkVisibility() || ![...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim())) continue;
    if (node.disabled || node.className === "unseen") continue;
    const a = light(rgb(getComputedStyle(node).color)), b = light(ground(node));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""  # noqa: E501


AXE = "axe-core@4.14.1"
CHECK = """axe.run(document, {preload: false}).then((found) => JSON.stringify(
  [...found.violations, ...found.incomplete].map((rule) => [rule.id, rule.nodes.map((one) => one.html)])))"""


@pytest.fixture(scope="session")
def axe():
    """Return the accessibility checker's script, fetched once with npm."""
    npm = require_tool("npm")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model-zoo-tests" / "npm"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        argv = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", folder, AXE]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100, cwd=folder)
        if done.returncode != 0:
            missing(f"npm cannot install {AXE}")
    return script.read_text(encoding="utf-8")


@pytest_browser
@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser, site, axe, theme, width):
    """The rules of axe-core, on the list, on what is not found, and on models, with everything unfolded."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    found = {}
    for place in ("#/", "#/?framework=tflite&q=sound", "#/?q=fcae", "#/model/beta-sound", "#/model/evil"):
        browser.open(site, place)
        browser.wait_for("document.querySelector('#list li, #model h1')")
        browser.run(UNFOLD)
        browser.run(f"{axe};1")
        found[place] = json.loads(browser.run(CHECK))
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert not any(found.values()), found


@pytest_browser
def test_the_theme_is_chosen_and_kept(browser, site):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert browser.run("document.getElementById('theme').textContent") == "Theme: auto"
    browser.click("#theme")
    light = browser.run(ground)
    browser.click("#theme")
    dark = browser.run(ground)
    assert light != dark
    browser.open(site)
    assert browser.run("document.getElementById('theme').textContent") == "Theme: dark"
    assert browser.run(ground) == dark
    browser.click("#theme")
    assert browser.run("document.getElementById('theme').textContent") == "Theme: auto"


@pytest_browser
@pytest.mark.parametrize(
    "place", ["#/?framework=tflite&size=under+1+MB", "#/model/alpha-face", "#/model/evil"]
)
def test_a_phone_needs_no_sideways_scrolling(browser, site, place):
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=375, height=740, deviceScaleFactor=1, mobile=True
    )
    browser.open(site, place)
    browser.wait_for("document.querySelector('#list h2, #model h1')")
    width = browser.run("document.documentElement.scrollWidth")
    drawer = browser.run("document.getElementById('drawer').open")
    browser.call("Emulation.clearDeviceMetricsOverride")
    assert width <= 375
    assert drawer is False


@pytest_browser
def test_a_part_that_is_missing_is_said(chromium, tmp_path):
    page = write_site(MODELS, tmp_path)
    (tmp_path / "data" / "models-0000.js").unlink()
    chromium.open(page, "#/model/alpha-face")
    chromium.wait_for("document.querySelector('#model .problem')")
    assert "could not be read" in chromium.run("document.getElementById('model').innerText")


@pytest_browser
def test_ten_thousand_models(chromium, tmp_path):
    names = ["model" + "".join(letters) for letters in itertools.product("abcdefghijklmnopqrstuv", repeat=3)]
    models = [
        made(name, task=f"task_{number % 40}", size=number * 1000)
        for number, name in enumerate(names[:10_000])
    ]
    page = write_site(models, tmp_path)
    assert (tmp_path / "data" / "index.js").stat().st_size < 1_200_000
    chromium.console.clear()
    chromium.open(page)
    assert chromium.run(COUNT) == "10,000 models"
    assert chromium.run("document.querySelectorAll('#list > li').length") == 50
    began = time.monotonic()
    chromium.run("query.value = 'modeluo'; query.dispatchEvent(new Event('input')); 1")
    assert chromium.run(COUNT) == "12 of 10,000 models"
    assert time.monotonic() - began < 10, "searching hangs"
    chromium.open(page, "#/model/modeluoa")
    chromium.wait_for("document.querySelector('#model h1')?.textContent === 'modeluoa'")
    assert sum("models-" in url for url in chromium.requests) == 1, "one shard is read, not all"
    assert chromium.console == []
