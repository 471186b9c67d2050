"""The table of frameworks: one row each, and everything that the parts of the pipeline ask about it.

A new framework is one row here, and one module in ``model_zoo/conversion/worker/frameworks`` with a
``read(job) -> openvino.Model``. Standard library only: the catalog, the conversion and its worker process all
read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from model_zoo.errors import ModelZooError


@dataclass(frozen=True)
class Framework:
    """One framework, or one file format that OpenVINO reads by itself.

    Attributes:
        name: what catalog entries call it.
        reader: the module in ``conversion/worker/frameworks`` that reads its models; default: its name.
        suffixes: endings of the file that a reader is given, in lower case.
        weights: the ending of the weights file that belongs to such a file, in the same directory.
        needs_weights: a file with one of the suffixes is a network only if its weights are there.
        directory_marker: a file of this stem makes its whole directory the network.
        packages: distributions that a conversion uses, apart from OpenVINO.
        fallback_packages: distributions that are used only for models OpenVINO cannot read by itself.
        stack: the file in ``conversion/stacks`` that pins all of these.
        direct: whether OpenVINO also reads the original files without conversion.
        exported: whether optimum-intel exports its models, each as a directory of several IRs.
        memory: MiB that a worker needs before it has read a model; measured.
    """

    name: str
    reader: str = ""
    suffixes: tuple[str, ...] = ()
    weights: str | None = None
    needs_weights: bool = False
    directory_marker: str | None = None
    packages: tuple[str, ...] = ()
    fallback_packages: tuple[str, ...] = ()
    stack: str | None = None
    direct: bool = False
    exported: bool = False
    memory: int = 80

    @property
    def module(self) -> str:
        """The full name of the module that reads its models, in the worker process."""
        return f"model_zoo.conversion.worker.frameworks.{self.reader or self.name}"

    def networks(self, paths: Iterable[str]) -> list[str]:
        """Return those of the relative POSIX paths that can be a network of this framework, sorted.

        Where a directory can be one, single files are not offered.
        """
        files = [path for path in map(PurePosixPath, paths) if path.suffix.lower() in self.suffixes]
        directories = [path.parent for path in files if path.stem == self.directory_marker]
        return sorted({path.as_posix() for path in directories or files})


def _exported(name: str, *packages: str) -> Framework:
    common = ("torch", "transformers", "optimum", "optimum-intel", "nncf", "openvino-tokenizers")
    return Framework(
        name, reader="optimum", packages=(*common, *packages), stack="transformers", exported=True, memory=650
    )


# Where a directory holds one model in several formats, the first row that fits is taken: those that are
# easiest to convert come first.
_ROWS = (
    Framework("openvino", suffixes=(".xml",), weights=".bin", needs_weights=True, direct=True),
    Framework("onnx", reader="frontend", suffixes=(".onnx",), direct=True),
    Framework(
        "tensorflow",
        suffixes=(".pb", ".meta", ".pbtxt"),
        directory_marker="saved_model",
        fallback_packages=("tensorflow-cpu",),
        stack="tensorflow",
        direct=True,
    ),
    Framework("tflite", reader="frontend", suffixes=(".tflite",), direct=True),
    Framework("paddle", reader="frontend", suffixes=(".pdmodel",), weights=".pdiparams", direct=True),
    Framework(
        "keras",
        suffixes=(".keras", ".h5", ".hdf5"),
        packages=("tensorflow-cpu", "keras"),
        stack="tensorflow",
        memory=900,
    ),
    Framework(
        "pytorch",
        suffixes=(".jit", ".pt", ".pt2", ".pth", ".ts", ".torchscript"),
        packages=("torch",),
        stack="torch",
        memory=600,
    ),
    Framework("jax", packages=("jax", "jaxlib"), stack="jax", memory=600),
    _exported("transformers"),
    _exported("diffusers", "diffusers"),
    _exported("sentence-transformers", "sentence-transformers"),
    _exported("timm", "timm"),
)
FRAMEWORKS = {row.name: row for row in _ROWS}
EXPORTED = tuple(row.name for row in _ROWS if row.exported)
SUFFIXES = frozenset(suffix for row in _ROWS for suffix in row.suffixes)
"""Endings of all files that can be a network."""


def choose_network(
    directory: Path,
    artifacts: Sequence[str],
    *,
    framework: str,
    recipe_model: str | None,
    model: str,
    error: type[ModelZooError],
) -> Path:
    """Return the file or directory to read: the recipe's, or the only one of the framework's formats.

    ``artifacts`` are the declared files and directories below ``directory``, ``recipe_model`` is the entry's
    ``recipe.model``, ``model`` the name for messages.

    Raises:
        ModelZooError: of the class given: there is no such file, or several and the recipe does not choose.
    """
    listed = ", ".join(sorted(artifacts))
    if recipe_model is not None:
        if (directory / recipe_model).exists():
            return directory / recipe_model
        what = f"{model}: recipe.model names {recipe_model!r}, but the model has no such file"
        raise error(what, found=listed, hint="correct recipe.model")
    row = FRAMEWORKS[framework]
    found = row.networks(path for artifact in artifacts for path in _files_of(directory, artifact))
    if len(found) == 1:
        return directory / found[0]
    raise error(
        f"{model}: {len(found) or 'none'} of its files could be the {framework} network",
        expected=f"one file that ends in {', '.join(row.suffixes) or '(no format of its own)'}",
        found=", ".join(found) or listed,
        hint="name the file or folder in recipe.model",
    )


def _files_of(directory: Path, artifact: str) -> list[str]:
    """Return an artifact, or the files of one that was unpacked into a directory."""
    path = directory / artifact
    if not path.is_dir():
        return [artifact]
    return [one.relative_to(directory).as_posix() for one in path.rglob("*") if one.is_file()]
