"""IRs as an OCI image, and its layout on disk: one uncompressed tar layer each, always with the same digests.

Two flavours exist. ``image`` is an ordinary container image with ``/models/NAME/1/model.xml``, as KServe's
modelcars and OpenVINO Model Server expect it; a folder model is at ``/models/NAME/``. ``modelpack`` is an
artifact of the CNCF ModelPack specification: weights as a tar, with the manifest as a raw configuration file
next to them. Both include the IR's manifest, so that ``pull`` can put the IR into a cache.

The layout is that of the OCI image specification 1.0, ``image-layout.md``: a directory, or one tar file, that
every container tool reads.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from model_zoo.cache.intake import ir_members
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
from model_zoo.sources.oci import OCI_INDEX, OCI_MANIFEST, oci_digest
from model_zoo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import ConvertedModel

Flavor = Literal["image", "modelpack"]

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# https://github.com/modelpack/model-spec: docs/spec.md, docs/config.md, specs-go/v1/mediatype.go
PACK_TYPE = "application/vnd.cncf.model.manifest.v1+json"
PACK_CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
PACK_WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.tar"
PACK_FILE_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
PACK_PATH = "org.cncf.model.filepath"
LICENSES_ANNOTATION = "org.opencontainers.image.licenses"
"""Of an image: the SPDX expression of everything in it."""
KEY_ANNOTATION = "io.model-zoo.ir.key"
MODEL_ANNOTATION = "io.model-zoo.model"
PRECISION_ANNOTATION = "io.model-zoo.precision"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class OciBlob:
    """Bytes of an image; ``chunks`` yields them from an offset on."""

    media_type: str
    digest: str
    size: int
    chunks: Callable[[int], Iterator[bytes]]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> dict[str, object]:
        """What a manifest says about it."""
        required = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return required | ({"annotations": dict(self.annotations)} if self.annotations else {})


@dataclass(frozen=True)
class OciImage:
    """A manifest and the blobs it refers to, the configuration first."""

    manifest: bytes
    blobs: tuple[OciBlob, ...]

    @property
    def digest(self) -> str:
        """``sha256:…`` of the manifest, which identifies the image for ever."""
        return oci_digest(self.manifest)


def export_names(irs: Sequence[ConvertedModel]) -> list[str]:
    """Return the name each IR is exported under: the model's, with the precision if it has several."""
    count = Counter(ir.model.name for ir in irs)
    return [f"{m.name}-{ir.precision}" if count[(m := ir.model).name] > 1 else m.name for ir in irs]


def build_image(
    irs: Sequence[ConvertedModel], flavor: Flavor, *, mtime: int = 0, architecture: str = "amd64"
) -> OciImage:
    """Describe an image of IRs. Nothing is written, and each file is read once for its digest.

    ``mtime``, in seconds since 1970, is stamped on files and on the image; ``architecture`` is that of the
    machines that pull the ``image`` flavour, and the files do not depend on it.
    """
    layers = [
        layer
        for ir, name in zip(irs, export_names(irs), strict=True)
        for layer in (_image_layers if flavor == "image" else _pack_layers)(ir, name, mtime)
    ]
    when = dt.datetime.fromtimestamp(mtime, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    diff_ids = [layer.digest for layer in layers]
    annotations = {
        "org.opencontainers.image.created": when,
        "org.opencontainers.image.title": ", ".join(export_names(irs)),
        LICENSES_ANNOTATION: " AND ".join(sorted({_operand(str(ir.model.license)) for ir in irs})),
    }
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if flavor == "image":
        config_type, config_data = CONFIG_TYPE, _image_config(irs, diff_ids, when, architecture)
    else:
        manifest["artifactType"] = PACK_TYPE
        config_type, config_data = PACK_CONFIG_TYPE, _pack_config(irs, diff_ids, when)
    config = _bytes_blob(config_type, _encode(config_data), {})
    manifest |= {"config": config.descriptor, "layers": [layer.descriptor for layer in layers]}
    return OciImage(_encode(manifest | {"annotations": annotations}), (config, *layers))


def _annotations(ir: ConvertedModel) -> dict[str, str]:
    return {KEY_ANNOTATION: ir.key, MODEL_ANNOTATION: ir.model.name, PRECISION_ANNOTATION: ir.precision}


def _image_layers(ir: ConvertedModel, name: str, mtime: int) -> list[OciBlob]:
    directory = f"models/{name}" if ir.is_folder else f"models/{name}/1"
    tar = Tar(ir_members(ir.directory, ir.manifest, directory), mtime)
    return [_tar_blob(LAYER_TYPE, tar, _annotations(ir))]


def _pack_layers(ir: ConvertedModel, name: str, mtime: int) -> list[OciBlob]:
    members = ir_members(ir.directory, ir.manifest, name)
    manifest = next(m for m in members if m.path == f"{name}/{ir.manifest.FILE_NAME}")
    assert isinstance(manifest.source, bytes)  # noqa: S101 - it is made in memory
    weights = Tar([m for m in members if m is not manifest], mtime)
    annotations = _annotations(ir)
    return [
        _bytes_blob(PACK_FILE_TYPE, manifest.source, {**annotations, PACK_PATH: manifest.path}),
        _tar_blob(PACK_WEIGHT_TYPE, weights, {**annotations, PACK_PATH: name}),
    ]


def _image_config(
    irs: Sequence[ConvertedModel], diff_ids: list[str], when: str, architecture: str
) -> dict[str, Any]:
    history = [{"created": when, "created_by": f"model-zoo {__version__}: {ir.model.name}"} for ir in irs]
    return {
        "created": when,
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }


def _operand(expression: str) -> str:
    """Return an SPDX expression as one side of AND."""
    return f"({expression})" if " OR " in expression else expression


def _pack_config(irs: Sequence[ConvertedModel], diff_ids: list[str], when: str) -> dict[str, Any]:
    precisions = sorted({ir.precision for ir in irs})
    return {
        "descriptor": {
            "createdAt": when,
            "name": "+".join(export_names(irs)),
            "licenses": sorted({str(ir.model.license) for ir in irs}),
        },
        "config": {
            "format": "openvino-ir",
            "precision": precisions[0].lower() if len(precisions) == 1 else "mixed",
        },
        "modelfs": {"type": "layers", "diffIds": diff_ids},
    }


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _bytes_blob(media_type: str, data: bytes, annotations: Mapping[str, str]) -> OciBlob:
    return OciBlob(media_type, oci_digest(data), len(data), lambda start: iter((data[start:],)), annotations)


def _tar_blob(media_type: str, tar: Tar, annotations: Mapping[str, str]) -> OciBlob:
    return OciBlob(media_type, f"sha256:{tar.sha256}", tar.size, tar.chunks, annotations)


# --- its layout on disk


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
    return _encode(index)


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
