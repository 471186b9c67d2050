"""Models and IRs put into a cache through its own publishing, without downloading or converting."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from model_zoo.cache import Cache, alias_names, declaration_of, materialise
from model_zoo.cache.environments import KIND, publish_environment
from model_zoo.files.tree import measure
from model_zoo.schema import (
    Artifact,
    ArtifactRecord,
    Digest,
    EnvironmentManifest,
    FileEntry,
    FilesManifest,
    IrManifest,
    Model,
)

if TYPE_CHECKING:
    from pathlib import Path

IR_MANIFEST, ENV_MANIFEST = IrManifest.FILE_NAME, EnvironmentManifest.FILE_NAME
OLD = 1_600_000_000.0
"""A time long before any test, seconds since 1970."""


def artifact(path: str, data: bytes, algorithm: str = "sha256", **more: Any) -> Artifact:
    """Return an artifact with the size and one digest of the data."""
    digest = {algorithm: hashlib.new(algorithm, data).hexdigest()}
    return Artifact(path=path, size=len(data), **digest, **more)


def model(name: str, *artifacts: Artifact, **more: Any) -> Model:
    """Return a catalog entry of these artifacts."""
    facts = {"schema": 1, "task": "t", "framework": "onnx", "license": "MIT", "description": "d"}
    return Model(name=name, artifacts=artifacts, **facts, **more)


def put_blob(cache: Cache, data: bytes, one: Artifact | None = None) -> Path:
    """Publish bytes as a blob."""
    with cache.staging("test") as folder:
        staged = folder / "bytes"
        staged.write_bytes(data)
        return cache.publish_blob(staged, hashlib.sha256(data).hexdigest(), one or artifact("x", data))


def put_model(
    cache: Cache, name: str, files: dict[str, bytes], algorithm: str = "sha256", **more: Any
) -> tuple[Model, Path]:
    """Publish a model's blobs and its folder; return the entry and the folder."""
    made = model(name, *(artifact(path, data, algorithm) for path, data in files.items()), **more)
    blobs = {a.path: put_blob(cache, files[a.path], a) for a in made.artifacts}
    declaration = declaration_of(made, made.artifacts)
    folder = cache.writable.files(name, declaration)
    with cache.staging("files") as staging:
        staged = staging / "tree"
        staged.mkdir()
        entries = materialise(made, made.artifacts, blobs, staged, cache.writable.root)
        manifest = FilesManifest(
            schema=1,
            model=name,
            declaration=declaration,
            precision=None,
            artifacts=tuple(
                ArtifactRecord(
                    path=a.path,
                    size=a.size,
                    sha256=blobs[a.path].name,
                    digests=tuple(str(d) for d in a.digests),
                    unpack=a.unpack,
                    names=tuple(f"{kind}:{digest}" for kind, digest in alias_names(a)),
                )
                for a in made.artifacts
            ),
            files=entries,
            replace=tuple(msgspec.to_builtins(made.replace)),
        )
        cache.publish_directory(staged, folder, manifest)
    return made, folder


def ir_key(name: str, precision: str = "FP32") -> str:
    """Return the key that ``put_ir`` gives."""
    return Digest.of_json({"inputs": [[name, precision]]}).hex


def put_ir(cache: Cache, name: str, precision: str = "FP32", data: bytes = b"weights") -> Path:
    """Publish an IR of a model; return its folder."""
    key = ir_key(name, precision)
    contents = {"model.xml": f"<net name='{name}'/>".encode(), "model.bin": data}
    outputs = entries(*contents.items())
    with cache.staging("ir") as staging:
        staged = staging / "ir"
        staged.mkdir()
        for path, content in contents.items():
            (staged / path).write_bytes(content)
        manifest = IrManifest(
            schema=1,
            key=key,
            model=name,
            precision=precision,
            framework="onnx",
            parts={"inputs": [[name, precision]]},
            inputs=(FileEntry(path="m.onnx", sha256="0" * 64),),
            outputs=outputs,
            request=request_of(name, precision),
            declaration=Digest.of_json(["declaration", name]).hex,
        )
        cache.publish_directory(staged, cache.writable.ir(key), manifest)
    return cache.writable.ir(key)


def put_environment(cache: Cache, stack: str, data: bytes = b"code = 1\n", digest: str = "") -> Path:
    """Publish an environment of one package that runs this interpreter; return its folder."""
    digest = digest or Digest.of_json(["environment", stack]).hex
    row = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    with cache.staging(KIND) as staging:
        packages = staging / "env" / "lib" / "python3" / "site-packages"
        (packages / "code").mkdir(parents=True)
        (packages / "code" / "__init__.py").write_bytes(data)
        info = packages / "code-1.0.dist-info"
        info.mkdir()
        record = f"code/__init__.py,sha256={row},{len(data)}\n../../../bin/code,,\n{info.name}/RECORD,,\n"
        (info / "RECORD").write_text(record)
        (staging / "env" / "bin").mkdir()
        (staging / "env" / "bin" / "python").symlink_to(sys.executable)
        size, count = measure(staging / "env")
        manifest = EnvironmentManifest(
            schema=1,
            digest=digest,
            stack=stack,
            requirements=("code==1.0",),
            packages={"code": "1.0"},
            modules={"code": "code"},
            python="3.1",
            size=size,
            files=count,
        )
        publish_environment(cache, staging / "env", manifest)
    return cache.writable.envs / digest


def request_of(name: str, precision: str = "FP32") -> str:
    """Return the request that an IR of ``put_ir`` answers."""
    return Digest.of_json(["request", name, precision]).hex


def entries(*rows: tuple[str, bytes]) -> tuple[FileEntry, ...]:
    """Return manifest entries."""
    return tuple(
        FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in rows
    )


def age(path: Path, when: float = OLD) -> None:
    """Make a file, or a whole tree, old."""
    for folder, _, files in os.walk(path):
        for file in files:
            os.utime(f"{folder}/{file}", (when, when), follow_symlinks=False)
        os.utime(folder, (when, when))
    if path.is_file():
        os.utime(path, (when, when))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content, links followed."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def rewrite(path: Path, data: bytes) -> None:
    """Change a published file in place, whatever its mode."""
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.truncate(len(data))
        stream.write(data)


def flip(path: Path, position: int = 0) -> None:
    """Flip a bit of a published file in place."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    rewrite(path, bytes(data))
