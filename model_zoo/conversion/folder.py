"""Folder models in the parent process: what the finished folder holds, and what opens it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from model_zoo.conversion import pooling
from model_zoo.errors import ConversionError
from model_zoo.files import hash_file, link_file, set_mode
from model_zoo.schema import FOLDER, IrManifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_OURS = IrManifest.FILE_NAME
_READ_ONLY = 0o444
_GENAI = "openvino_genai."
_OPTIMUM = "optimum.intel.OVModelFor"
_HEADS = {
    "ForAudioClassification": "AudioClassification",
    "ForCTC": "CTC",
    "ForImageClassification": "ImageClassification",
    "ForMaskedLM": "MaskedLM",
    "ForQuestionAnswering": "QuestionAnswering",
    "ForTokenClassification": "TokenClassification",
    "ForAudioFrameClassification": "AudioFrameClassification",
    "ForXVector": "AudioXVector",
}
"""Endings of a network's class in transformers, and of the class of optimum-intel that runs it."""
_DRAWING = (
    ("Video", "Text2VideoPipeline"),
    ("LTX", "Text2VideoPipeline"),
    ("Inpaint", "InpaintingPipeline"),
    ("Img2Img", "Image2ImagePipeline"),
)
"""Words in a diffusers pipeline's class, and the pipeline of OpenVINO GenAI."""


def finish(staging: Path, irs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of a folder model beside what it says of every IR.

    Args:
        staging: the folder; its files are made read-only.
        irs: by path, inputs and outputs of each IR that OpenVINO reads by itself.

    Raises:
        ConversionError: a file is called as our manifest is going to be.
    """
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    names = [path.relative_to(staging).as_posix() for path in paths]
    if _OURS in names:
        what = f"a file of the folder is called {_OURS}, which is the name of the cache's own manifest"
        raise ConversionError(what, hint="leave it out of the entry's artifacts")
    outputs = []
    for name, path in zip(names, paths, strict=True):
        if not path.is_symlink() and path.stat().st_nlink == 1:
            set_mode(path, _READ_ONLY)
        digest = hash_file(path)["sha256"].hex
        outputs.append({"path": name, "size": path.stat().st_size, "sha256": digest})
    opens = opener_of(staging, names, irs)
    options = pooling.pooling_of(staging) if opens == f"{_GENAI}TextEmbeddingPipeline" else None
    made = {"layout": FOLDER, "opens": opens, "outputs": outputs}
    return made | ({"options": options} if options else {})


def link_all(files: Path, paths: Iterable[str], staging: Path, own: Path | None) -> None:
    """Put ready-made files into a folder untouched: hard links, or links within the layer ``own``."""
    for path in paths:
        target = staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        link(files / path, target, own)


def link(source: Path, target: Path, own: Path | None) -> None:
    """Make ``target`` the same content as a file, perhaps a link; a symlink only within ``own``."""
    real = source.resolve()
    link_file(real, target, symlink=own is not None and real.is_relative_to(own.resolve()))


def opener_of(folder: Path, names: Iterable[str], irs: Mapping[str, Any]) -> str | None:
    """Return the class that opens a folder of IRs, told from its files; None where OpenVINO itself must do.

    Args:
        folder: with the configuration beside the IRs.
        names: its files.
        irs: as ``finish`` takes them.
    """
    there = set(names)
    if "model_index.json" in there:
        kind = str(_read(folder / "model_index.json").get("_class_name"))
        return _GENAI + next((name for word, name in _DRAWING if word in kind), "Text2ImagePipeline")
    if "openvino_language_model.xml" in there:
        return f"{_GENAI}VLMPipeline"
    config = _read(folder / "config.json") if "config.json" in there else {}
    kind = str((config.get("architectures") or [""])[0])
    if "openvino_vocoder.xml" in there:
        return f"{_GENAI}Text2SpeechPipeline"
    if "openvino_decoder_model.xml" in there:
        return _of_two(kind)
    if "openvino_model.xml" not in there:
        return None
    return _of_one(kind, config, there, irs.get("openvino_model.xml") or {})


def _of_two(kind: str) -> str:
    """An encoder and a decoder."""
    if kind.startswith("Whisper"):
        return f"{_GENAI}WhisperPipeline"
    if "Speech" in kind:
        return f"{_OPTIMUM}SpeechSeq2Seq"
    if "Vision" in kind or "Pix2Struct" in kind:
        return f"{_OPTIMUM}Vision2Seq"
    return f"{_OPTIMUM}Seq2SeqLM"


def _of_one(kind: str, config: Mapping[str, Any], there: set[str], ir: Mapping[str, Any]) -> str | None:
    tokenizer = "openvino_tokenizer.xml" in there
    outputs = {port["name"] for port in ir.get("outputs", ())}
    if kind.endswith(("ForCausalLM", "LMHeadModel")) and outputs <= {"logits"}:
        return f"{_GENAI}LLMPipeline" if tokenizer else f"{_OPTIMUM}CausalLM"
    if kind.endswith("ForSequenceClassification"):
        one = len(config.get("id2label") or ()) == 1 or config.get("num_labels") == 1
        return f"{_GENAI}TextRerankPipeline" if one and tokenizer else f"{_OPTIMUM}SequenceClassification"
    if "sentence_embedding" in outputs:
        return None
    for ending, name in _HEADS.items():
        if kind.endswith(ending):
            return _OPTIMUM + name
    if tokenizer and outputs & {"last_hidden_state", "token_embeddings"}:
        return f"{_GENAI}TextEmbeddingPipeline"
    if "last_hidden_state" in outputs:
        return f"{_OPTIMUM}FeatureExtraction"
    # timm's own configuration names the architecture, where transformers' names architectures.
    return f"{_OPTIMUM}ImageClassification" if "architecture" in config else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
