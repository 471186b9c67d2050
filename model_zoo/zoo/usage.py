"""How a model is used: what to install, and the lines to type, for ``info`` and the catalog page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.key import optional, packages
from model_zoo.conversion.stacks import stack_of
from model_zoo.conversion.trust import untrusted
from model_zoo.schema import opening_line
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from model_zoo.schema import Model

    class Needs(TypedDict):
        """What has to be there before a model can be converted and opened.

        packages: what converts it, beside this package; size: of an environment with them, in bytes;
        opener: the package that opens a folder model; install: the command that installs them, with this
        package's extras; isolate: whether the packages cannot be installed beside this one, so that
        ``--isolate`` has to make an environment of them; trust_code: what runs code of others; gated:
        whether terms must be accepted first.
        """

        packages: list[str]
        size: int | None
        opener: str | None
        install: str
        isolate: bool
        trust_code: list[str]
        gated: bool


_EXTRAS = ("torch", "tensorflow", "nncf")
"""Stacks that are extras of this package."""
_OPENERS = {"openvino_genai": "openvino-genai", "optimum": "optimum-intel"}
"""Packages that open folder models, by the first part of the module."""


def needs_of(parts: Sequence[Model], opens: str | None = None) -> Needs:
    """Return what converting a model in its default precision and opening it needs.

    ``parts`` are the model, or the stages of a composite one; ``opens`` is the class that opens a folder.
    """
    names: dict[str, None] = {}
    extras: dict[str, None] = {}
    more: dict[str, None] = {}
    size = 0
    isolate = False
    for model in parts:
        if not (model.artifacts and model.convertible):
            continue
        precision = model.precisions[0]
        spare = optional(model)
        needed = [name for name in packages(model, precision) if name != "openvino" and name not in spare]
        needed = [name for name in needed if not name.startswith("module:")]
        stack = stack_of(model, precision) if needed else None
        names |= dict.fromkeys(needed)
        if stack is not None:
            size, isolate = max(size, stack.size), isolate or stack.exclusive
            if stack.name in _EXTRAS:
                extras[stack.name] = None
            elif not stack.exclusive:
                more |= dict.fromkeys(needed)
        builder = model.recipe.builder
        more |= dict.fromkeys(builder.requirements if builder else ())
        if model.decode is not None or any(port.kind == "image" for port in model.feeds):
            extras["vision"] = None
    if opener := _OPENERS.get((opens or "").partition(".")[0]):
        more[opener] = None
    here = f'"model-zoo[{",".join(extras)}]"' if extras else "model-zoo"
    return {
        "packages": list(names),
        "size": size or None,
        "opener": opener,
        "install": " ".join(["pip install", here, *more]),
        "isolate": isolate,
        "trust_code": list(dict.fromkeys(reason for model in parts for reason in untrusted(model))),
        "gated": any(model.license.gated for model in parts),
    }


def needs_in_words(needs: Needs) -> str:
    """Return what a model needs in a sentence: ``torch, about 1.4 GB; --trust-code, as it …``."""
    said = []
    if needs["packages"]:
        size = f", about {human_size(needs['size'])}" if needs["size"] else ""
        isolate = ", in an environment of its own (--isolate)" if needs["isolate"] else ""
        said.append(f"{', '.join(needs['packages'])} to convert it{size}{isolate}")
    if needs["opener"]:
        said.append(f"{needs['opener']} to open it")
    if needs["trust_code"]:
        said.append(f"--trust-code ({'; '.join(needs['trust_code'])})")
    if needs["gated"]:
        said.append("its terms accepted, and a token (HF_TOKEN)")
    return "; ".join(said) or "nothing beside Model Zoo"


def shell_lines(model: Model, needs: Needs) -> list[str]:
    """Return the commands to type for a model."""
    options = (" --trust-code" if needs["trust_code"] else "") + (" --isolate" if needs["isolate"] else "")
    if not model.convertible:
        return [f"model-zoo fetch {model.name}"]
    lines = [f"model-zoo convert {model.name}{options}"]
    if model.stages:
        return lines
    if not model.is_folder:
        lines.append(f"model-zoo infer {model.name}{options}")
    return [*lines, f"model-zoo path {model.name}"]


def python_lines(model: Model, needs: Needs, opens: str | None = None) -> list[str]:
    """Return lines of Python that use a model; ``opens`` is the class that opens a folder."""
    options = ", trust_code=True" if needs["trust_code"] else ""
    options += ", isolate=True" if needs["isolate"] else ""
    if not model.convertible:
        return ["import model_zoo", "", f'files = model_zoo.fetch("{model.name}").files', "print(files)"]
    if model.stages:
        stages = [
            f'stage{i} = model_zoo.load("{name}"{options})' for i, name in enumerate(model.stages, start=1)
        ]
        return ["import model_zoo", "", *stages]
    if model.is_folder:
        return _opening(f'model_zoo.convert("{model.name}"{options})', opens)
    return [
        "import model_zoo",
        "",
        f'compiled = model_zoo.load("{model.name}"{options})',
        "print(compiled.inputs, compiled.outputs)",
    ]


def _opening(converted: str, opens: str | None) -> list[str]:
    if opens is None:
        return ["import model_zoo", "", f"directory = {converted}.directory"]
    imports, line = opening_line(opens, f"str({converted}.directory)").split("; ")
    call = _CALLS.get(opens.rpartition(".")[2])
    return ["import model_zoo", imports, "", line, *([f"print({call})"] if call else [])]


_CALLS = {
    "LLMPipeline": 'pipe.generate("What is OpenVINO?", max_new_tokens=100)',
    "TextEmbeddingPipeline": 'pipe.embed_query("What is OpenVINO?")',
    "TextRerankPipeline": 'pipe.rerank("What is OpenVINO?", ["a library", "a fruit"])',
    "VLMPipeline": 'pipe.generate("What is OpenVINO?", max_new_tokens=100)',
    "WhisperPipeline": "pipe.generate([0.0] * 16000)",
}
"""A call of each class of openvino-genai that needs nothing but text; for speech, a second of silence."""
