"""An OCI image layout: a directory, or one tar file, that every container tool reads.

The format is that of the OCI image specification 1.0, ``image-layout.md``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.errors import CacheDamagedError, CacheError
from model_zoo.files import (
    ELSEWHERE,
    as_cache_error,
    has_digest,
    has_link,
    is_begun,
    read_json,
    sweep_staged,
    write_file,
    write_stream,
)
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

    In an existing layout other images stay, and one of the same tag is replaced. CacheError where ``out`` is
    something else, or cannot be written.
    """
    out = out.absolute()
    if out.suffix == ".tar":
        return _write_tar(image, out, tag, mtime)
    if not is_begun(out, "oci-layout"):
        what = f"{out} exists and is not an OCI layout"
        raise CacheError(what, left="it is untouched", hint="choose an empty or new folder")
    with as_cache_error(out, left="blobs written so far are complete", hint=ELSEWHERE):
        blobs = out / "blobs" / "sha256"
        if has_link(out, blobs):
            what = f"{blobs} is behind a symlink, which may lead out of {out}"
            raise CacheError(what, hint="remove the symlink, or choose another folder")
        blobs.mkdir(parents=True, exist_ok=True)
        for name in ("oci-layout", "index.json"):
            sweep_staged(out / name)
        write_file(out / "oci-layout", _LAYOUT)  # first: a layout that was begun is one
        for blob in image.blobs:
            _write_blob(blob, blobs)
        write_file(blobs / image.digest.removeprefix("sha256:"), image.manifest)
        write_file(out / "index.json", _index(image, tag, _others(out, tag)))
    return out


def _write_blob(blob: OciBlob, directory: Path) -> None:
    """Write one blob unless it is there and intact."""
    digits = blob.digest.removeprefix("sha256:")
    target = directory / digits
    sweep_staged(target)
    if target.is_symlink() or not has_digest(target, digits):
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
    index = read_json(out / "index.json", dict[str, Any]) or {}
    found = index.get("manifests")
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    return [entry for entry in entries if _tag_of(entry) != tag]


def _tag_of(entry: dict[str, Any]) -> object:
    annotations = entry.get("annotations")
    return annotations.get(_REF_NAME) if isinstance(annotations, dict) else None


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
