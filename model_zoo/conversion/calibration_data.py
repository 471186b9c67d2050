"""Calibration data named by the caller, as a digest for the IR key."""

from __future__ import annotations

from pathlib import Path

from model_zoo.errors import UsageError
from model_zoo.files import hash_file
from model_zoo.schema import Digest


def digest_of(calibration: Path | str) -> str:
    """Return the digest of a file, or of a directory's files and their names; ``random`` and ``auto`` as is.

    Raises:
        UsageError: there is no such file or directory.
    """
    if calibration in {"random", "auto"}:
        return str(calibration)
    path = Path(calibration)
    if path.is_file():
        return str(hash_file(path)["sha256"])
    if not path.is_dir():
        what = f"the calibration data {path} does not exist"
        raise UsageError(what, hint="give a folder of images, a .npy or .npz file, or the word 'random'")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return str(Digest.of_json([[f.relative_to(path).as_posix(), hash_file(f)["sha256"].hex] for f in files]))
