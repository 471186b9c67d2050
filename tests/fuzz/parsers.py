"""Every parser of something that others write, in one table: name → function of bytes.

A parser may return or raise a ``ModelZooError``; anything else is a fault of ours. Names in the package move:
this is the only file of the harness that has them. Each function imports what it needs when it is called.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _file(data: bytes, name: str, use: Callable[[Path], object]) -> object:
    with tempfile.TemporaryDirectory(prefix="model-zoo-fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return use(path)


def catalog(data: bytes) -> object:
    from model_zoo.catalog.reader import read_model

    return _file(data, "odd.yaml", read_model)


def catalog_labels(data: bytes) -> object:
    from model_zoo.catalog.reader import read_labels

    with suppress(ValueError):
        return read_labels(_text(data), "a.b"), read_labels(_text(data), None)
    return None


def omz_tree(data: bytes) -> object:
    from model_zoo.catalog.omz.entry import read_omz

    with tempfile.TemporaryDirectory(prefix="model-zoo-fuzz-") as folder:
        path = Path(folder) / "public" / "odd" / "model.yml"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return read_omz(path, Path(folder))


def lock(data: bytes) -> object:
    from model_zoo.catalog.lockfile import Lockfile

    return _file(data, "model-zoo.lock", lambda path: Lockfile(path).model_of_uri("file:x"))


def reference(data: bytes) -> object:
    from model_zoo.catalog.references import parse_reference

    return parse_reference(_text(data))


def uri(data: bytes) -> object:
    from model_zoo.catalog.uri import parse_uri

    text = _text(data)
    return None if text.startswith("file:") else parse_uri(text).name


def registry_target(data: bytes) -> object:
    from model_zoo.sources.oci.reference import oci_reference

    return str(oci_reference(_text(data)))


def settings_toml(data: bytes) -> object:
    from model_zoo.settings import load_settings

    return _file(
        data,
        "config.toml",
        lambda path: load_settings({"MODEL_ZOO_CONFIG": str(path), "MODEL_ZOO_CACHE": "/x"}),
    )


def settings_env(data: bytes) -> object:
    from model_zoo.settings import load_settings

    names = ("LAYERS", "CATALOG", "OFFLINE", "MAX_SIZE", "MIRRORS", "REMOTE", "ISOLATE")
    text, made = _text(data).replace("\0", ""), []
    for name in names:
        with suppress(_ours()):
            made.append(
                load_settings({f"MODEL_ZOO_{name}": text, "MODEL_ZOO_CONFIG": "", "MODEL_ZOO_CACHE": "/x"})
            )
    return made


def _ours() -> type[Exception]:
    from model_zoo.errors import ModelZooError

    return ModelZooError


def manifest(data: bytes) -> object:
    from model_zoo.cache.manifest import is_whole, read_manifest
    from model_zoo.cache.notes import Derived
    from model_zoo.cache.proof import fault_of
    from model_zoo.schema import FilesManifest, IrManifest

    with tempfile.TemporaryDirectory(prefix="model-zoo-fuzz-") as folder:
        derived, found = Derived(), []
        for kind in (FilesManifest, IrManifest):
            (Path(folder) / kind.FILE_NAME).write_bytes(data)
            stored = read_manifest(folder, kind, check=True)
            if stored is None:
                continue
            if isinstance(stored.manifest, FilesManifest):
                derived.add_files(stored.manifest)
                found.append(fault_of(Path(folder), stored.manifest, Path(folder).joinpath))
            else:
                derived.add_ir("0" * 64, stored.manifest, 0.0)
            found.append(is_whole(folder, folder, stored.manifest.entries))
        return found


def notes(data: bytes) -> object:
    from model_zoo.cache import Layer
    from model_zoo.cache.notes import Notes

    with tempfile.TemporaryDirectory(prefix="model-zoo-fuzz-") as folder:
        layer, digest = Layer(Path(folder)), "ab" * 32
        for path in (
            layer.inputs(digest),
            layer.resolution(digest),
            layer.alias("sha384", digest),
            layer.adopted(digest),
        ):
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        found = Notes(layer)
        return (
            found.inputs(digest),
            found.resolution(digest),
            found.alias("sha384", digest),
            found.adopted(digest),
        )


def cache_tar(data: bytes) -> object:
    from model_zoo.files.tar import read_tar

    def use(path: Path) -> int:
        return sum(
            len(piece)
            for found in read_tar(path, "odd")
            for piece in (found.chunks() if found.link is None else ())
        )

    return _file(data, "odd.tar", use)


def _unpacked(kind: str) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        from model_zoo.cache.unpack import unpack
        from model_zoo.schema import Unpack

        def use(path: Path) -> object:
            (path.parent / "out").mkdir()
            return unpack(path, Unpack(format=kind), path.parent / "out", "odd")  # type: ignore[arg-type]

        return _file(data, "odd", use)

    return parse


def onnx(data: bytes) -> object:
    from model_zoo.formats.onnx import external_files

    def use(path: Path) -> object:
        with suppress(ValueError):  # what its caller expects of a file that is no ONNX
            return external_files(path)
        return None

    return _file(data, "m.onnx", use)


def retry_after(data: bytes) -> object:
    from model_zoo.download.failures import parse_retry_after

    found = parse_retry_after(data.decode("latin-1"))
    assert found is None or found >= 0
    return found


def http_headers(data: bytes) -> object:
    """One header line after the other, of an answer to a range request and to a plain one."""
    from model_zoo.download.failures import AttemptError
    from model_zoo.download.response import RangeRequest, check

    made = []
    for status in (200, 206, 416, 503):
        with suppress(AttemptError):
            made.append(
                check(_response(status, data), RangeRequest(first=0, end=10, ranged=status != 200), "odd")
            )  # type: ignore[arg-type]
    return made


def _response(status: int, head: bytes) -> object:
    import io

    import requests
    import urllib3

    pairs = [line.partition(":") for line in head.decode("latin-1").splitlines()]
    response = requests.Response()
    response.status_code = status
    response.url = "http://127.0.0.1/m"
    response.headers.update(
        {name.strip(): value.strip() for name, colon, value in pairs if colon and name.strip()}
    )
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(b"x"), headers=dict(response.headers), status=status, preload_content=False
    )
    return response


def registry_manifest(data: bytes) -> object:
    from model_zoo.registry.remote import OciLayer
    from model_zoo.sources.oci import oci_digest
    from model_zoo.sources.oci.answers import OciManifest
    from model_zoo.sources.oci.reference import parse_oci_reference

    found = OciManifest(data, oci_digest(data)).content()
    target = parse_oci_reference("127.0.0.1:5000/x:1")
    return [OciLayer(layer, target) for layer in found.layers]


def realm(data: bytes) -> object:
    """A challenge of a registry: whom it would send us to; nothing is sent, as the run is offline."""
    from model_zoo.settings import Settings
    from model_zoo.sources.oci.client import Registry
    from model_zoo.sources.oci.reference import parse_oci_reference

    with Registry(
        parse_oci_reference("127.0.0.1:9/x:1"), Settings(connect_timeout=0.01, stall_timeout=0.01, attempts=1)
    ) as client:
        client._session.request = _nothing  # type: ignore[method-assign, assignment]
        return client._authorize(data.decode("latin-1"))


def _nothing(*_: object, **__: object) -> object:
    import requests

    raise requests.ConnectionError


def hub_listing(data: bytes) -> object:
    from model_zoo.schema.base import check_relative_path

    for name in _text(data).splitlines():
        with suppress(ValueError):
            check_relative_path(name)
    from model_zoo.catalog import detect

    return detect.detect_network(_text(data).splitlines() or ["x"], "odd")


def list_file(data: bytes) -> object:
    from model_zoo.omz.selection import read_list

    return _file(data, "models.lst", read_list)


def replacement(data: bytes) -> object:
    """The pattern and the replacement are before and after the first line end."""
    from model_zoo.cache.materialise import edit
    from model_zoo.cache.substitute import Substitution
    from model_zoo.schema import Replacement

    pattern, _, new = _text(data).partition("\n")

    def use(path: Path) -> object:
        try:
            made = Replacement(file="m.txt", pattern=pattern, replacement=new)
        except ValueError:
            return None  # what the catalog's reader makes an error of
        with Substitution(seconds=0.5) as substitution:
            return edit(path.parent, made, "odd", substitution)

    return _file(b"aaaaaaaaaaaaaaaaaaaaaa!\n" * 3, "m.txt", use)


def credentials(data: bytes) -> object:
    import json

    from model_zoo.sources.oci.credentials import _from_config

    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(config, dict):
        config.pop("credsStore", None)
        config.pop("credHelpers", None)
        return _from_config(config, "h.example", "x")
    return None


def _fed(name: str) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        import numpy as np

        from model_zoo.runtime.inference.feeds import make_feed
        from model_zoo.runtime.inference.items import read_item
        from model_zoo.runtime.inference.ports import InputPort

        port = InputPort("x", (1, 3, 8, 8), (1, 3, 8, 8), np.dtype("float32"), "NCHW")
        info = {"range": "0 255"}
        return _file(data, name, lambda path: make_feed(read_item(path), [port], info, None))

    return parse


PARSERS: Mapping[str, Callable[[bytes], object]] = {
    "catalog": catalog,
    "catalog_labels": catalog_labels,
    "omz_tree": omz_tree,
    "lock": lock,
    "reference": reference,
    "uri": uri,
    "registry_target": registry_target,
    "settings_toml": settings_toml,
    "settings_env": settings_env,
    "manifest": manifest,
    "notes": notes,
    "cache_tar": cache_tar,
    "unpack_tar": _unpacked("tar"),
    "unpack_tar_gz": _unpacked("tar.gz"),
    "unpack_zip": _unpacked("zip"),
    "onnx": onnx,
    "retry_after": retry_after,
    "http_headers": http_headers,
    "registry_manifest": registry_manifest,
    "realm": realm,
    "hub_listing": hub_listing,
    "list_file": list_file,
    "replacement": replacement,
    "credentials": credentials,
    "npy": _fed("x.npy"),
    "npz": _fed("x.npz"),
    "wav": _fed("x.wav"),
    "image": _fed("x.png"),
    "raw": _fed("x.bin"),
}
