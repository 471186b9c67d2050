"""The one rule for two paths that some file system takes for the same."""

from __future__ import annotations

import unicodedata


def fold_path(path: str) -> str:
    """Return what a path is where neither case nor the way accents are encoded counts (Windows, macOS)."""
    return path.casefold() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


class UniquePaths:
    """Paths of files, no two of which are the same to any file system."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    @property
    def files(self) -> list[str]:
        """The files, as they were added, sorted."""
        return sorted(self._files.values())

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._files)

    def add(self, path: str) -> None:
        """Add a file.

        Raises:
            ValueError: it is the same as another path, or one of them is the directory of the other.
        """
        folded = fold_path(path)
        if (other := self._files.get(folded)) is not None:
            msg = f"{other!r} and {path!r} are the same path on case-insensitive file systems"
            raise ValueError(msg)
        if (inner := self._directories.get(folded)) is not None:
            msg = f"{path!r} is both a file and the folder of {inner!r}"
            raise ValueError(msg)
        self._add_parents(folded, path)
        self._files[folded] = path

    def add_directory(self, path: str) -> None:
        """Add a directory, once or several times.

        Raises:
            ValueError: it or one of its parents is a file.
        """
        self._add_parents(f"{fold_path(path)}/", path)

    def _add_parents(self, folded: str, path: str) -> None:
        end = folded.rfind("/")
        while end > 0 and (parent := folded[:end]) not in self._directories:
            if (file := self._files.get(parent)) is not None:
                msg = f"{file!r} is both a file and the folder of {path!r}"
                raise ValueError(msg)
            self._directories[parent] = path
            end = folded.rfind("/", 0, end)


def check_unique_paths(paths: list[str]) -> None:
    """Refuse two paths that some file system takes for one, and a file that is also a directory.

    Raises:
        ValueError: names both paths.
    """
    unique = UniquePaths()
    try:
        for path in paths:
            unique.add(path)
    except ValueError as error:
        msg = f"artifacts: {error}"
        raise ValueError(msg) from None
