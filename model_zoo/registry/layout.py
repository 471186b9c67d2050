"""An OCI image layout: a directory, or one tar file, that every container tool reads.

The format is that of the OCI image specification 1.0, ``image-layout.md``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.errors import CacheDamagedError, CacheError
from model_zoo.files import ELSEWHERE, as_cache_error, has_digest, write_file, write_stream
from model_zoo.files.tar import Member, Tar
from model_zoo.sources.oci import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_zoo.registry.image import OciBlob, OciImage

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_REF_NAME = "org.opencontainers.image.ref.name"


def write_layout(image: OciImage, out: Path, tag: str, *, mtime: int = 0) -> Path:
    """Write an image; as one file if the name ends in ``.tar``.

    In an existing layout other images stay, and one of the same tag is replaced.

    Raises:
        CacheError: ``out`` is something else, or cannot be written.
    """
    out = out.absolute()
    if out.suffix == ".tar":
        return _write_tar(image, out, tag, mtime)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "oci-layout").is_file())):
        what = f"{out} exists and is not an OCI layout"
        raise CacheError(what, left="it is untouched", hint="choose an empty or new folder")
    with as_cache_error(out, left="blobs written so far are complete", hint=ELSEWHERE):
        blobs = out / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for blob in image.blobs:
            _write_blob(blob, blobs)
        write_file(blobs / image.digest.removeprefix("sha256:"), image.manifest)
        write_file(out / "index.json", _index(image, tag, _others(out, tag)))
        write_file(out / "oci-layout", _LAYOUT)
    return out


def _write_blob(blob: OciBlob, directory: Path) -> None:
    """Write one blob unless it is there and intact."""
    digits = blob.digest.removeprefix("sha256:")
    target = directory / digits
    if not has_digest(target, digits):
        write_stream(_verified(blob), target)


def _verified(blob: OciBlob) -> Iterator[bytes]:
    """Yield the bytes of a blob; raise at the end unless they have its digest."""
    seen = hashlib.sha256()
    for data in blob.chunks(0):
        seen.update(data)
        yield data
    if f"sha256:{seen.hexdigest()}" != blob.digest:
        what = "a file in the cache changed while it was exported"
        raise CacheDamagedError(what, hint="run 'model-zoo cache verify', then export again")


def _others(out: Path, tag: str) -> list[dict[str, Any]]:
    """Return the descriptors in a layout of images with other tags."""
    try:
        found = msgspec.json.decode((out / "index.json").read_bytes())["manifests"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return []
    return [entry for entry in found if (entry.get("annotations") or {}).get(_REF_NAME) != tag]


def _index(image: OciImage, tag: str, others: list[dict[str, Any]]) -> bytes:
    own: dict[str, Any] = {
        "mediaType": OCI_MANIFEST,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {_REF_NAME: tag},
    }
    if artifact := msgspec.json.decode(image.manifest).get("artifactType"):
        own["artifactType"] = artifact
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, own]}
    return msgspec.json.encode(index, order="sorted")


def _write_tar(image: OciImage, out: Path, tag: str, mtime: int) -> Path:
    """Write the layout as one tar; blobs are read twice and never copied aside."""
    members = [
        Member("oci-layout", _LAYOUT),
        Member("index.json", _index(image, tag, [])),
        Member(_path(image.digest), image.manifest),
    ]
    members += [
        Member(_path(b.digest), b.chunks, b.size) for b in {b.digest: b for b in image.blobs}.values()
    ]
    return write_stream(Tar(members, mtime).chunks(), out)


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
