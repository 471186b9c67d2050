"""Results: what the pipeline reports and hands on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.errors import LoadError
from model_zoo.schema.base import Struct
from model_zoo.schema.manifest import FilesManifest, IrManifest
from model_zoo.schema.model import Model
from model_zoo.schema.opening import opening_line
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable


class FetchedModel(Struct, frozen=True, kw_only=True):
    """A model's files in the cache: the folder, each file by its declared path, and the manifest."""

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
        return _table(f"{self.model.name} files", rows)


class ConvertedModel(Struct, frozen=True, kw_only=True):
    """An IR in the cache: its folder, the IR key it is stored under, and the manifest.

    Most models are one IR, ``xml`` and ``bin``. A folder model (``is_folder``) is several IRs with tokenizers
    and configurations; what opens it takes ``directory``.
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
        """Whether the whole folder is the model."""
        return self.manifest.is_folder

    @property
    def xml(self) -> Path:
        """The network.

        Raises:
            LoadError: it is a folder model; the message says what opens it.
        """
        return self._file("model.xml")

    @property
    def bin(self) -> Path:
        """The weights; raises as ``xml``."""
        return self._file("model.bin")

    @property
    def path(self) -> Path:
        """What people are shown: the ``.xml``, or the folder of a folder model."""
        return self.directory if self.is_folder else self.xml

    @property
    def files(self) -> dict[str, Path]:
        """All files of it but the manifest, by their path in its folder."""
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
            expected=f"{opens} opens the folder as a whole"
            if opens
            else "OpenVINO opens each IR of it by itself",
            found=self.directory,
            hint=self.opening,
        )

    def _repr_html_(self) -> str:
        """Return what it is, where it is and how to open it, as a small table for notebooks."""
        rows = (("folder" if self.is_folder else "IR", str(self.path)), ("open it with", self.opening))
        return _table(f"{self.model.name} {self.precision}", rows)


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a table for notebooks: a head of one bold word and more, titles and texts, all escaped."""
    from html import escape  # not at every start

    name, _, rest = head.partition(" ")
    head = f"<b>{escape(name)}</b> {escape(rest)}"
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(title)}</th>'
        f'<td style="text-align:left"><code>{escape(text)}</code></td></tr>'
        for title, text in rows
    )
    return f'<table><caption style="text-align:left">{head}</caption><tbody>{cells}</tbody></table>'
