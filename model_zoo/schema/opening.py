"""Folder models: what opens which of them, and the line of Python that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "folder"
"""What a manifest says of its ``layout`` where the whole folder is the model."""
_GENAI = "openvino_genai."
_OPTIMUM = "optimum.intel."
PIPELINES = {
    "image_text_to_text": f"{_GENAI}VLMPipeline",
    "image_to_image": f"{_GENAI}Image2ImagePipeline",
    "speech_recognition": f"{_GENAI}WhisperPipeline",
    "text_embedding": f"{_GENAI}TextEmbeddingPipeline",
    "text_generation": f"{_GENAI}LLMPipeline",
    "text_ranking": f"{_GENAI}TextRerankPipeline",
    "text_to_image": f"{_GENAI}Text2ImagePipeline",
    "text_to_speech": f"{_GENAI}Text2SpeechPipeline",
    "text_to_video": f"{_GENAI}Text2VideoPipeline",
}
"""By a catalog's task, what opens a folder model that was never looked into."""


def opening_line(opens: str | None, folder: str, options: Mapping[str, Any] | None = None) -> str:
    """Return a line of Python that opens a model.

    Args:
        opens: the class that does, with its module; None for OpenVINO itself.
        folder: an expression for its folder, or for the file where it is one IR.
        options: more arguments of the class, as a manifest states them.
    """
    if opens is None:
        return f"import openvino; model = openvino.Core().compile_model({folder})"
    module, _, name = opens.rpartition(".")
    if opens.startswith(_OPTIMUM):
        return f"from {module} import {name}; model = {name}.from_pretrained({folder})"
    more = "".join(f", {key}={_value(opens, key, value)}" for key, value in (options or {}).items())
    return f'import {module}; pipe = {opens}({folder}, "CPU"{more})'


def _value(opens: str, key: str, value: object) -> str:
    return f"{opens}.PoolingType.{value}" if key == "pooling_type" else repr(value)
