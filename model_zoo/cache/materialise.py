"""Blobs → a model's directory as declared: linked, unpacked, edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.cache.substitute import MAX_TEXT, Substitution
from model_zoo.cache.unpack import unpack
from model_zoo.errors import CacheError, CatalogError
from model_zoo.files import READ_ONLY, as_cache_error, hash_file, link_file, set_mode
from model_zoo.files.read import read_bounded
from model_zoo.schema import FileEntry, check_unique_paths
from model_zoo.text import counted, plain_reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.schema import Artifact, Model, Replacement


def materialise(
    model: Model, artifacts: tuple[Artifact, ...], blobs: Mapping[str, Path], directory: Path, own: Path
) -> tuple[FileEntry, ...]:
    """Fill an empty staging directory with some artifacts of a model and return the files, sorted by path.

    The directory is as deep below the layer as the final one: relative links stay valid. A symlink never
    leads to a blob of another layer than that at ``own``, because layers are moved independently.

    Raises:
        IntegrityError: an archive must not or cannot be unpacked.
        CatalogError: a replacement does not match, or unpacked paths clash with declared ones.
        CacheError: a file cannot be written.
    """
    try:
        with as_cache_error(directory):
            return _fill(model, artifacts, blobs, directory, own)
    except CacheError as error:
        cause = error.__cause__
        if isinstance(cause, (FileExistsError, NotADirectoryError, IsADirectoryError)):
            what = f"{model.name}: {cause.filename} is needed both as a file and as a folder, or twice"
            raise CatalogError(what, hint="change path, into or strip") from error
        raise


def _fill(
    model: Model, artifacts: tuple[Artifact, ...], blobs: Mapping[str, Path], directory: Path, own: Path
) -> tuple[FileEntry, ...]:
    entries: dict[str, FileEntry] = {}
    for artifact in artifacts:
        blob = blobs[artifact.path]
        if artifact.unpack is None:
            target = directory / artifact.path
            target.parent.mkdir(parents=True, exist_ok=True)
            link_file(blob, target, symlink=blob.is_relative_to(own))
            entries[artifact.path] = FileEntry(path=artifact.path, size=blob.stat().st_size, sha256=blob.name)
            continue
        into = artifact.unpack.into or artifact.path
        root = directory / into
        root.mkdir(parents=True, exist_ok=True)
        for path in unpack(blob, artifact.unpack, root, f"{model.name}: {artifact.title}"):
            name = path if into == "." else f"{into}/{path}"
            entries[name] = _entry(directory, name)
    try:
        check_unique_paths(sorted(entries))
    except ValueError as error:
        raise CatalogError(f"{model.name}: after unpacking, {error}", hint="change path or strip") from error
    of_other_precisions = {a.path for a in model.artifacts} - {a.path for a in artifacts}
    with Substitution() as substitution:
        for replacement in model.replace:
            if replacement.file in entries or replacement.file not in of_other_precisions:
                for path in edit(directory, replacement, model.name, substitution):
                    entries[path] = _entry(directory, path)
    return tuple(entries[path] for path in sorted(entries))


def _entry(directory: Path, path: str) -> FileEntry:
    file = directory / path
    set_mode(file, READ_ONLY)
    return FileEntry(path=path, size=file.stat().st_size, sha256=hash_file(file)["sha256"].hex)


def edit(directory: Path, replacement: Replacement, name: str, substitution: Substitution) -> list[str]:
    """Apply one replacement to a file of the staging directory, as a new file: the shared blob is kept.

    Returns the paths written: the file, and with ``omz`` its original unless an earlier edit kept it.

    Raises:
        CatalogError: the file is not there or not text, the pattern is not found as often as declared, or
            the edit takes too long.
    """
    path = directory / replacement.file
    where = f"{name}: replace in {replacement.file}"
    try:
        text = read_bounded(path, MAX_TEXT)[0].decode("utf-8")
    except (OSError, ValueError) as error:
        what = f"{where}: cannot edit the file: {plain_reason(error)}"
        raise CatalogError(what, hint="correct replace.file") from error
    if replacement.omz:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    edited, count = substitution.apply(replacement, text, where)
    if count == 0 or (replacement.count and count != replacement.count):
        matches = counted(replacement.count, "match", "matches") if replacement.count else "at least 1 match"
        raise CatalogError(
            f"{where}: the pattern does not match the file as declared",
            expected=f"{matches} of {replacement.pattern!r}",
            found=count,
            hint="correct the pattern or the count",
        )
    kept = path.with_name(f"{path.name}.orig")
    written = [replacement.file]
    if replacement.omz and not kept.exists():
        path.rename(kept)
        written.append(f"{replacement.file}.orig")
    else:
        path.unlink()
    path.write_bytes(edited)
    return written
