"""Which of a model's files is the network that a framework's reader is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.formats.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_zoo.errors import ModelZooError


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
