"""Folder models: which class opens each kind, and the line of Python that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = "folder"
"""The ``layout`` in a manifest where the whole directory is the model."""
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
"""By a catalog's task, what opens a folder model whose files nobody has looked at yet."""


def opening_line(opens: str | None, folder: str, options: Mapping[str, object] | None = None) -> str:
    """Return a line of Python that opens a model.

    ``opens`` is the class with its module, None for OpenVINO itself; ``folder`` a Python expression for its
    directory, or for the file of a single IR; ``options`` are more arguments, from a manifest.
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
