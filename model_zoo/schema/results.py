"""Results: what the pipeline returns, and how to open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import LoadError
from model_zoo.schema.base import Struct, html_table
from model_zoo.schema.manifest import FilesManifest, IrManifest
from model_zoo.schema.model import Model
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping


class FetchedModel(Struct, frozen=True, kw_only=True):
    """A model's files in the cache: the directory, each file by its declared path, and the manifest."""

    model: Model
    directory: Path
    files: dict[str, Path]
    manifest: FilesManifest

    def __repr__(self) -> str:
        """Return which model's files these are, and where."""
        return f"<FetchedModel {self.model.name}: {counted(len(self.files), 'file')} in {self.directory}>"

    def _repr_html_(self) -> str:
        """Return the files and their sizes as a small table for notebooks."""
        rows = [("folder", str(self.directory))]
        rows += [(entry.path, f"{entry.size} bytes") for entry in self.manifest.files]
        return html_table(f"<b>{self.model.name}</b> files", rows, code=True)


class ConvertedModel(Struct, frozen=True, kw_only=True):
    """An IR in the cache: its directory, the IR key it is stored under, and the manifest.

    Most models are one IR, ``xml`` and ``bin``. A folder model (``is_folder``) is several IRs with tokenizers
    and configurations, and is opened through ``directory``.
    """

    model: Model
    precision: str
    directory: Path
    key: str
    manifest: IrManifest

    def __repr__(self) -> str:
        """Return which model this is, in which precision, and where."""
        return f"<ConvertedModel {self.model.name}@{self.precision}: {self.path}>"

    @property
    def is_folder(self) -> bool:
        """Whether the whole directory is the model."""
        return self.manifest.is_folder

    @property
    def xml(self) -> Path:
        """The network.

        Raises:
            LoadError: it is a folder model; the message says how to open it.
        """
        return self._file("model.xml")

    @property
    def bin(self) -> Path:
        """The weights; raises as ``xml``."""
        return self._file("model.bin")

    @property
    def path(self) -> Path:
        """What to show people: the ``.xml``, or the directory of a folder model."""
        return self.directory if self.is_folder else self.xml

    @property
    def files(self) -> dict[str, Path]:
        """All its files except the manifest, by their path in its directory."""
        return {entry.path: self.directory / entry.path for entry in self.manifest.outputs}

    @property
    def opening(self) -> str:
        """A line of Python that opens it."""
        opens, options = self.manifest.opens, self.manifest.options
        if opens is None and self.is_folder:
            return opening_line(None, f'r"{self.directory / "openvino_model.xml"}"')
        return opening_line(opens, f'r"{self.path}"', options)

    def _file(self, name: str) -> Path:
        if not self.is_folder:
            return self.directory / name
        opens = self.manifest.opens
        raise LoadError(
            f"{self.model.name}@{self.precision} is a folder of several files, not one IR",
            expected=f"{opens} opens the whole folder"
            if opens
            else "OpenVINO opens each of its IRs separately",
            found=self.directory,
            hint=self.opening,
        )

    def _repr_html_(self) -> str:
        """Return what it is, where it is and how to open it, as a small table for notebooks."""
        rows = (("folder" if self.is_folder else "IR", str(self.path)), ("open it with", self.opening))
        return html_table(f"<b>{self.model.name}</b> {self.precision}", rows, code=True)


_GENAI = "openvino_genai."
_OPTIMUM = "optimum.intel."
PIPELINES = {
    "image-text-to-text": f"{_GENAI}VLMPipeline",
    "image-to-image": f"{_GENAI}Image2ImagePipeline",
    "automatic-speech-recognition": f"{_GENAI}WhisperPipeline",
    "feature-extraction": f"{_GENAI}TextEmbeddingPipeline",
    "text-generation": f"{_GENAI}LLMPipeline",
    "text-ranking": f"{_GENAI}TextRerankPipeline",
    "text-to-image": f"{_GENAI}Text2ImagePipeline",
    "text-to-speech": f"{_GENAI}Text2SpeechPipeline",
    "text-to-video": f"{_GENAI}Text2VideoPipeline",
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
