"""The catalog as a static page: a directory that any browser opens from disk, without server or network.

It consists of ``index.html`` with its style and scripts, ``data/index.js`` with one short row per model for
searching, and ``data/models-NNNN.js`` with the details of ``SHARD`` models each, read when one of them is
opened. The data is JSON in a script, because browsers allow pages on disk to load only scripts.
"""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.files import ELSEWHERE, as_cache_error, write_file
from model_zoo.schema import TASKS, UNSPECIFIED, task_words
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHARD = 50
"""Models whose details share a file: about 150 kB of JSON."""
_STATIC_FILES = ("page.html", "style.css", "theme.js", "dom.js", "search.js", "model.js", "app.js")


def write_site(models: Sequence[dict[str, Any]], directory: Path) -> Path:
    """Write the page to a directory and return its ``index.html``.

    Files of an earlier page are replaced, others in the directory are left alone. No path of this machine is
    written, and equal input gives equal bytes.

    ``models`` is what ``model_zoo.zoo.info`` says about each, in the order to list them.

    Raises:
        CacheError: the directory cannot be written.
    """
    public = [_public(model) for model in models]
    shards = [public[start : start + SHARD] for start in range(0, len(public), SHARD)]
    with as_cache_error(directory, hint=ELSEWHERE):
        data = directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        for old in data.glob("models-[0-9][0-9][0-9][0-9].js"):
            if int(old.stem[-4:]) >= len(shards):
                old.unlink()
        for number, shard in enumerate(shards):
            text = b"modelZooShard(%d,%s);\n" % (number, _json(shard))
            write_file(data / f"models-{number:04}.js", text, durable=False)
        write_file(data / "index.js", b"modelZoo=%s;\n" % _json(_index(public)), durable=False)
        for name in _STATIC_FILES:
            target = "index.html" if name == "page.html" else name
            write_file(directory / target, files(__name__).joinpath(name).read_bytes(), durable=False)
    return directory / "index.html"


def _json(value: object) -> bytes:
    """Return JSON that is also a JavaScript expression in every browser."""
    text = msgspec.json.encode(value)
    return text.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")


def _public(model: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows about a model: no paths of this machine, and nothing that is empty."""
    cached = model["cached"]
    shown = {key: value for key, value in model.items() if key != "catalog" and value not in (None, [], {})}
    irs = [precision for precision, path in cached["ir"].items() if path is not None]
    return shown | {"cached": {"files": cached["files"] is not None, "ir": irs}}


def _index(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows to search in; repeated words are indices into lists next to them."""
    tasks = {model["task"] for model in models}
    tasks |= {task.partition("/")[0] for task in tasks}
    order = [task for task in TASKS if task in tasks]
    order += sorted(tasks - TASKS.keys())
    lists = {
        "tasks": order,
        "frameworks": sorted({model.get("framework", "") for model in models}),
        "licenses": sorted({_terms(model) for model in models}),
        "precisions": sorted({precision for model in models for precision in model.get("precisions", ())}),
        "sources": sorted({source for model in models for source in model.get("sources", ())}),
        "needs": sorted({need for model in models for need in model["needs"]["kinds"]}),
    }
    index_of = {key: {value: index for index, value in enumerate(values)} for key, values in lists.items()}
    sizes = Counter(model["family"] for model in models)
    families = [family for family, size in sizes.items() if size > 1]
    family_of = {family: index for index, family in enumerate(families)}
    stages = {name for model in models for name in model.get("stages", ())}
    rows = [
        [
            model["name"],
            model["description"],
            index_of["tasks"][model["task"]],
            index_of["frameworks"][model.get("framework", "")],
            index_of["licenses"][_terms(model)],
            model.get("size"),
            [index_of["precisions"][precision] for precision in model.get("precisions", ())],
            [index_of["sources"][source] for source in model.get("sources", ())],
            [index_of["needs"][need] for need in model["needs"]["kinds"]],
            int(bool(model["cached"]["files"] or model["cached"]["ir"])),
            int(model["convertible"]),
            family_of.get(model["family"], -1),
            _effort(model) + (model["name"] in stages),
        ]
        for model in models
    ]
    return {
        "version": __version__,
        "shard": SHARD,
        **lists,
        "does": [TASKS[task].does if task in TASKS else "" for task in order],
        "words": [" ".join(dict.fromkeys(task_words(task)[1:])) for task in order],
        "families": families,
        "models": rows,
    }


def _terms(model: dict[str, Any]) -> str:
    """Return a model's licence to filter by: the SPDX expression, or ``unknown``."""
    terms: str = model["license"]
    return "unknown" if terms in {UNSPECIFIED, model.get("license_url")} else terms


def _effort(model: dict[str, Any]) -> int:
    """Return how far a model is from being used, to list the nearest first."""
    needs = int(model["needs"]["kinds"] != ["nothing"])
    unusable = int(not model["convertible"])
    return 8 * unusable + 4 * int("decode" not in model) + 2 * needs
