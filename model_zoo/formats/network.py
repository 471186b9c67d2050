"""Which of a model's files is the network that a framework's reader takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.errors import ModelZooError
    from model_zoo.schema import Model

SUFFIXES: dict[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "tflite": (".tflite",),
    "paddle": (".pdmodel",),
    "openvino": (".xml",),
    "tensorflow": (".pb", ".meta", ".pbtxt"),
    "keras": (".keras", ".h5", ".hdf5"),
    "pytorch": (".jit", ".pt", ".pt2", ".pth", ".ts", ".torchscript"),
    "jax": (),
    "transformers": (),
    "diffusers": (),
    "sentence-transformers": (),
    "timm": (),
}


def choose_network(model: Model, precision: str | None, files: Path, error: type[ModelZooError]) -> Path:
    """Return the file or folder to read: the recipe's, or the only one of the framework's formats.

    Args:
        model: the catalog entry.
        precision: of several ready-made ones, the one of this precision.
        files: the folder of the model's files.
        error: the class to raise.

    Raises:
        ModelZooError: of the class given: there is no such file, or several and the recipe does not choose.
    """
    framework = model.framework or "openvino"
    artifacts = [artifact.path for artifact in model.files_of(precision)]
    name = model.recipe.model
    if name is not None:
        if (files / name).exists():
            return files / name
        what = f"{model.name}: recipe.model names {name!r}, and the model has no such file"
        raise error(what, found=", ".join(sorted(artifacts)), hint="correct recipe.model")
    found = network_files(files, framework, artifacts)
    if len(found) == 1:
        return found[0]
    shown = ", ".join(path.relative_to(files).as_posix() for path in found)
    raise error(
        f"{model.name}: {len(found) or 'none'} of its files could be the {framework} network",
        expected=f"one file that ends in {', '.join(SUFFIXES[framework]) or '(no format of its own)'}",
        found=shown or ", ".join(sorted(artifacts)),
        hint="name the file or folder in recipe.model",
    )


def network_files(files: Path, framework: str, artifacts: list[str]) -> list[Path]:
    """Return every declared file, or folder of a SavedModel, that could be the network, sorted."""
    found: set[Path] = set()
    for artifact in artifacts:
        found |= {one for one in _tree(files / artifact) if one.suffix.lower() in SUFFIXES[framework]}
    if framework == "tensorflow":
        saved = {path.parent for path in found if path.stem == "saved_model"}
        found = {path for path in found if not saved.intersection(path.parents)} | saved
    return sorted(found)


def _tree(path: Path) -> list[Path]:
    return [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
