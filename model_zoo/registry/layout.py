"""An OCI image layout: a folder, or one tar file, that every container tool reads.

The format is that of the OCI image specification 1.0, ``image-layout.md``.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.errors import CacheDamagedError, CacheError
from model_zoo.files import ELSEWHERE, as_cache_error, hash_file, write_file, write_stream
from model_zoo.files.tar import Member, Tar
from model_zoo.registry.image import MANIFEST_TYPE

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.registry.image import OciBlob, OciImage

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_REF_NAME = "org.opencontainers.image.ref.name"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def write_layout(image: OciImage, out: Path, tag: str, *, mtime: int = 0) -> Path:
    """Write an image; a name that ends in ``.tar`` makes it one file.

    In a folder that is a layout already, other images stay and one of the same tag is replaced.

    Raises:
        CacheError: ``out`` is something else, or cannot be written.
    """
    out = out.absolute()
    if out.suffix == ".tar":
        return _write_tar(image, out, tag, mtime)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "oci-layout").is_file())):
        what = f"{out} holds something that is no OCI layout"
        raise CacheError(what, left="it is untouched", hint="choose an empty or absent folder")
    with as_cache_error(out, left="blobs written so far are whole", hint=ELSEWHERE):
        blobs = out / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for blob in image.blobs:
            _put(blob, blobs)
        write_file(blobs / image.digest.removeprefix("sha256:"), image.manifest)
        write_file(out / "index.json", _index(image, tag, _others(out, tag)))
        write_file(out / "oci-layout", _LAYOUT)
    return out


def _put(blob: OciBlob, folder: Path) -> None:
    """Write one blob, unless it is there and whole; what is written is proven to have its digest."""
    digits = blob.digest.removeprefix("sha256:")
    target = folder / digits
    if target.is_file() and hash_file(target)["sha256"].hex == digits:
        return
    staged = folder / f".{digits[:16]}.{os.getpid()}.{os.urandom(4).hex()}"
    seen = hashlib.sha256()
    try:
        with staged.open("xb") as stream:
            for data in blob.chunks(0):
                seen.update(data)
                stream.write(data)
        if seen.hexdigest() != digits:
            what = "a file of the cache changed while it was exported"
            raise CacheDamagedError(what, hint="run 'model-zoo cache verify', then export again")
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _others(out: Path, tag: str) -> list[dict[str, Any]]:
    try:
        found = msgspec.json.decode((out / "index.json").read_bytes())["manifests"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return []
    return [one for one in found if (one.get("annotations") or {}).get(_REF_NAME) != tag]


def _index(image: OciImage, tag: str, others: list[dict[str, Any]]) -> bytes:
    own: dict[str, Any] = {
        "mediaType": MANIFEST_TYPE,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {_REF_NAME: tag},
    }
    if artifact := msgspec.json.decode(image.manifest).get("artifactType"):
        own["artifactType"] = artifact
    found = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [*others, own]}
    return msgspec.json.encode(found, order="sorted")


def _write_tar(image: OciImage, out: Path, tag: str, mtime: int) -> Path:
    """Write the layout as one tar; blobs are read twice and never copied aside."""
    blobs = {blob.digest: blob for blob in image.blobs}
    small = {image.digest: image.manifest}
    members = [Member("oci-layout", _LAYOUT), Member("index.json", _index(image, tag, []))]
    members += [Member(_path(digest), data) for digest, data in small.items()]
    members += [Member(_path(b.digest), b.chunks, b.size) for b in blobs.values()]
    return write_stream(Tar(members, mtime).chunks(), out)


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
