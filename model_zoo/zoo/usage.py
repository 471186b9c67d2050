"""How a model is used: what to install, and the lines to type, for ``info`` and the catalog page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.key import optional, packages
from model_zoo.conversion.stacks import needed, stack_of
from model_zoo.conversion.trust import untrusted
from model_zoo.schema import opening_line
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from model_zoo.schema import Model

    class Needs(TypedDict):
        """What has to be there before a model can be converted and opened.

        kinds: what ``list --needs`` takes; packages: what converts it, beside this package; size: of an
        environment with them, in bytes; opener: the package that opens a folder model; install: the command
        that installs them, with this package's extras; isolate: whether the packages cannot be installed
        beside this one, so that ``--isolate`` has to make an environment of them; trust_code: what runs
        code of others; gated: whether terms must be accepted first.
        """

        kinds: list[str]
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
    kinds = dict.fromkeys(kind for model in parts for kind in needed(model))
    size = 0
    isolate = False
    for model in parts:
        if not (model.artifacts and model.convertible):
            continue
        precision = model.precisions[0]
        spare = optional(model)
        used = [name for name in packages(model, precision) if name != "openvino" and name not in spare]
        used = [name for name in used if not name.startswith("module:")]
        stack = stack_of(model, precision) if used else None
        names |= dict.fromkeys(used)
        if stack is not None:
            size, isolate = max(size, stack.size), isolate or stack.exclusive
            if stack.name in _EXTRAS:
                extras[stack.name] = None
            elif not stack.exclusive:
                more |= dict.fromkeys(used)
        builder = model.recipe.builder
        more |= dict.fromkeys(builder.requirements if builder else ())
        if (model.decode is not None and model.decode.by_model_api) or any(
            port.kind == "image" for port in model.feeds
        ):
            extras["vision"] = None
    if opener := _OPENERS.get((opens or "").partition(".")[0]):
        more[opener] = None
    here = f'"model-zoo[{",".join(extras)}]"' if extras else "model-zoo"
    return {
        "kinds": [kind for kind in kinds if kind != "nothing"] or ["nothing"],
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
        code = "; ".join(reason.partition(": ")[2] for reason in needs["trust_code"])
        said.append(f"--trust-code ({code})")
    if needs["gated"]:
        said.append("its terms accepted, and a token (HF_TOKEN)")
    return "; ".join(said) or "nothing beside Model Zoo"


def shell_lines(model: Model, needs: Needs, parts: Sequence[Model]) -> list[str]:
    """Return the commands to type for a model; ``parts`` are itself, or its stages."""
    options = (" --trust-code" if needs["trust_code"] else "") + (" --isolate" if needs["isolate"] else "")
    if not model.convertible:
        return [f"model-zoo fetch {model.name}"]
    lines = [f"model-zoo convert {model.name}{options}"]
    source = _input_of(model, parts)
    if source is not None:
        lines.append(f"model-zoo infer {model.name}{options}{source and f' {source}'}")
    return lines if model.stages else [*lines, f"model-zoo path {model.name}"]


def python_lines(model: Model, needs: Needs, parts: Sequence[Model], opens: str | None = None) -> list[str]:
    """Return lines of Python that use a model.

    ``parts`` are itself, or its stages; ``opens`` is the class that opens a folder.
    """
    options = ", trust_code=True" if needs["trust_code"] else ""
    options += ", isolate=True" if needs["isolate"] else ""
    head = ["import model_zoo", ""]
    if not model.convertible:
        return [*head, f'files = model_zoo.fetch("{model.name}").files', "print(files)"]
    if model.artifacts and model.is_folder:
        return _opening(f'model_zoo.convert("{model.name}"{options})', opens)
    source = _input_of(model, parts)
    if source is not None:
        given = source and f', "{source}"'
        drawn = ['found.save("found.png")'] if source == _PICTURE and _is_drawn(parts[0]) else []
        return [*head, f'found = model_zoo.infer("{model.name}"{given}{options})', "print(found)", *drawn]
    if model.stages:
        stages = enumerate(model.stages, start=1)
        return [*head, *(f'stage{i} = model_zoo.load("{name}"{options})' for i, name in stages)]
    loaded = f'compiled = model_zoo.load("{model.name}"{options})'
    return [*head, loaded, "print(compiled.inputs, compiled.outputs)"]


_PICTURE, _SOUND = "picture.jpg", "sound.wav"
_DRAWN = {"detections", "boxes", "keypoints", "mask"}


def _input_of(model: Model, parts: Sequence[Model]) -> str | None:
    """Return the file to run a model on; empty where zeros are all that can be said, None for nothing."""
    if (model.stages and model.chain is None) or (model.artifacts and model.is_folder):
        return None
    ports = parts[0].feeds
    kinds = [port.kind for port in ports]
    if kinds == ["image"]:
        return _PICTURE
    if kinds.count("audio") == 1 and (len(kinds) == 1 or parts[0].decode is not None):
        return _SOUND
    closed = all(port.shape and all(isinstance(dim, int) and dim > 0 for dim in port.shape) for port in ports)
    return "" if ports and closed else None


def _is_drawn(model: Model) -> bool:
    """Whether a picture can be saved with what a model found on it."""
    return model.decode is not None and any(port.kind in _DRAWN for port in model.outputs)


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
