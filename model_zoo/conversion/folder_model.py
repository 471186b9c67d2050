"""Folder models: which files the finished folder has, and which class opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.errors import ConversionError
from model_zoo.files import hash_file, link_file, set_mode
from model_zoo.formats.hf_config import pooling_of, read_config
from model_zoo.schema import FOLDER, IrManifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MANIFEST = IrManifest.FILE_NAME
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
"""How class names of transformers end, and those of the optimum-intel classes that run such models."""
_DIFFUSERS = (
    ("Video", "Text2VideoPipeline"),
    ("LTX", "Text2VideoPipeline"),
    ("Inpaint", "InpaintingPipeline"),
    ("Img2Img", "Image2ImagePipeline"),
)
"""Words in the name of a diffusers pipeline, and the OpenVINO GenAI pipeline for it; else text to image."""


def describe(staging: Path, irs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only the manifest of a folder model says: layout, opens, outputs, and options if any.

    The files in ``staging`` are made read-only; ``irs`` has inputs and outputs of each IR that OpenVINO reads
    by itself, by path.

    Raises:
        ConversionError: a file has the name of the manifest.
    """
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    names = [path.relative_to(staging).as_posix() for path in paths]
    if _MANIFEST in names:
        what = f"the folder has a file {_MANIFEST}, which is the name of the cache's own manifest"
        raise ConversionError(what, hint="leave it out of the catalog entry's artifacts")
    outputs = []
    for name, path in zip(names, paths, strict=True):
        if not path.is_symlink() and path.stat().st_nlink == 1:
            set_mode(path, _READ_ONLY)
        outputs.append(describe_file(staging, name))
    opens = pipeline_class(staging, names, irs)
    options = pooling_of(staging) if opens == f"{_GENAI}TextEmbeddingPipeline" else None
    made = {"layout": FOLDER, "opens": opens, "outputs": outputs}
    return made | ({"options": options} if options else {})


def describe_file(directory: Path, name: str) -> dict[str, Any]:
    """Return what a manifest says of one file: path, size in bytes, sha256 (hex)."""
    path = directory / name
    return {"path": name, "size": path.stat().st_size, "sha256": hash_file(path)["sha256"].hex}


def link(source: Path, target: Path, layer: Path | None) -> None:
    """Give ``target`` the content of a file: a hard link, a copy, or, within ``layer``, a symlink."""
    real = source.resolve()
    link_file(real, target, symlink=layer is not None and real.is_relative_to(layer.resolve()))


def pipeline_class(directory: Path, names: Iterable[str], irs: Mapping[str, Any]) -> str | None:
    """Return the class that opens a folder model; None where only OpenVINO itself opens its IRs.

    Its configuration is in ``directory``; ``irs`` is what ``describe`` takes.
    """
    there = set(names)
    if "model_index.json" in there:
        kind = str(read_config(directory / "model_index.json").get("_class_name"))
        return _GENAI + next((name for word, name in _DIFFUSERS if word in kind), "Text2ImagePipeline")
    if "openvino_language_model.xml" in there:
        return f"{_GENAI}VLMPipeline"
    config = read_config(directory / "config.json") if "config.json" in there else {}
    kinds = config.get("architectures")
    kind = str(kinds[0]) if isinstance(kinds, list) and kinds else ""
    if "openvino_vocoder.xml" in there:
        return f"{_GENAI}Text2SpeechPipeline"
    if "openvino_decoder_model.xml" in there:
        return _encoder_decoder_class(kind)
    if "openvino_model.xml" not in there:
        return None
    return _single_ir_class(kind, config, there, irs.get("openvino_model.xml") or {})


def _encoder_decoder_class(kind: str) -> str:
    if kind.startswith("Whisper"):
        return f"{_GENAI}WhisperPipeline"
    if "Speech" in kind:
        return f"{_OPTIMUM}SpeechSeq2Seq"
    if "Vision" in kind or "Pix2Struct" in kind:
        return f"{_OPTIMUM}Vision2Seq"
    return f"{_OPTIMUM}Seq2SeqLM"


def _single_ir_class(
    kind: str, config: Mapping[str, Any], there: set[str], ir: Mapping[str, Any]
) -> str | None:
    tokenizer = "openvino_tokenizer.xml" in there
    outputs = {port["name"] for port in ir.get("outputs", ())}
    if kind.endswith(("ForCausalLM", "LMHeadModel")) and outputs <= {"logits"}:
        return f"{_GENAI}LLMPipeline" if tokenizer else f"{_OPTIMUM}CausalLM"
    if kind.endswith("ForSequenceClassification"):
        labels = config.get("id2label")
        single = (isinstance(labels, dict) and len(labels) == 1) or config.get("num_labels") == 1
        return f"{_GENAI}TextRerankPipeline" if single and tokenizer else f"{_OPTIMUM}SequenceClassification"
    if "sentence_embedding" in outputs:
        return None
    for ending, name in _HEADS.items():
        if kind.endswith(ending):
            return _OPTIMUM + name
    if tokenizer and outputs & {"last_hidden_state", "token_embeddings"}:
        return f"{_GENAI}TextEmbeddingPipeline"
    if "last_hidden_state" in outputs:
        return f"{_OPTIMUM}FeatureExtraction"
    # The configurations of timm have "architecture", those of transformers "architectures".
    return f"{_OPTIMUM}ImageClassification" if "architecture" in config else None
