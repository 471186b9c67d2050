"""Parcels: what one cache hands to another, and how the other takes it in.

A parcel is a set of files under the names of a layer (``blobs-v1/…``, ``files-v1/…``, ``ir-v1/…``), or an IR
in any folder: ``manifest.json`` beside ``model.xml`` and ``model.bin``, or beside what a folder model has.
Nothing in it is believed: every digest is computed again, and only when all of them are right is anything
published.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_zoo.cache.layout import NOTES, TAG_NAME
from model_zoo.cache.manifest import IR_MANIFEST, Manifest, encode, entries_of, read_manifest
from model_zoo.cache.unpack import MAX_MEMBERS, MAX_RATIO, SLACK
from model_zoo.errors import CacheFullError, IntegrityError
from model_zoo.files import CHUNK, as_cache_error, hash_file, link_file, set_mode
from model_zoo.files.lock import lock
from model_zoo.files.tar import Member, read_tar, refused
from model_zoo.schema import EXPORTED, FOLDER, MANIFEST_NAME, NAME, Artifact, Digest, check_relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from model_zoo.cache.store import Cache

XML, BIN = "model.xml", "model.bin"
SEED_NOTE = "seed.json"
_OF_ONE_RUN = ("seconds", "peak_memory", "sources")
"""What a manifest says about the run or the machine that made it, and not about what was made."""
_BLOB = re.compile(r"blobs-v1/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_FILES = re.compile(r"files-v1/([0-9A-Za-z._-]+)/([0-9a-f]{64})/(.+)")
_FOLDERS = ("openvino", *EXPORTED)
"""Converters that make folder models."""
_NOTE = re.compile(rf"{TAG_NAME}|state-v1/({'|'.join(NOTES)})/.+|state-v1/{SEED_NOTE}")


def portable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without what differs between two runs or two machines that made the same thing."""
    found = {key: value for key, value in manifest.items() if key not in _OF_ONE_RUN}
    if "artifacts" in found:
        found["artifacts"] = [portable(artifact) for artifact in found["artifacts"]]
    return found


def ir_members(folder: Path, manifest: Mapping[str, Any], prefix: str) -> list[Member]:
    """Return the files of an IR of the cache, to be written below ``prefix``; the manifest comes first."""
    files = [
        Member(f"{prefix}/{entry['path']}", folder / entry["path"], entry["size"], sha256=entry["sha256"])
        for entry in entries_of(manifest, IR_MANIFEST)
    ]
    return [Member(f"{prefix}/{IR_MANIFEST}", encode(portable(manifest))), *files]


@dataclass
class Taken:
    """What was taken in: keys of IRs, ``(model, declaration)`` of folders, digests of blobs."""

    irs: list[str] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Staged:
    path: Path
    size: int
    sha256: str


class Intake:
    """One parcel on its way into the writable layer.

    Args:
        cache: where it goes.
        staging: an empty folder from ``cache.staging``.
        name: what to call the parcel in errors.
    """

    def __init__(self, cache: Cache, staging: Path, name: str) -> None:
        self.cache = cache
        self.name = name
        self._tree = staging / "tree"
        self._staged: dict[str, _Staged] = {}
        self._irs: dict[str, tuple[str, Manifest]] = {}
        self._files: dict[tuple[str, str], Manifest] = {}
        self._blobs: dict[str, str] = {}

    # --- staging

    def add_tar(self, path: Path) -> None:
        """Stage everything in a tar file.

        Raises:
            IntegrityError: it is damaged, or holds what does not belong in a parcel.
            CacheError: it does not fit on the disk, or cannot be read.
        """
        with as_cache_error(path):
            budget = path.stat().st_size * MAX_RATIO + SLACK
            for found in read_tar(path, self.name):
                budget -= found.size
                if budget < 0:
                    raise refused(self.name, "far more than an archive of its size may", found.path)
                if found.link is not None:
                    self._link(found.path, found.link)
                else:
                    self._write(found.path, found.size, found.chunks())

    def add_file(self, path: str, source: Path) -> None:
        """Stage one file under a path of the parcel; raises as ``add_tar``."""
        with as_cache_error(source), source.open("rb") as stream:
            self._write(path, source.stat().st_size, iter(lambda: stream.read(CHUNK), b""))

    def _place(self, path: str) -> Path:
        known = _BLOB.fullmatch(path) or _FILES.fullmatch(path) or _NOTE.fullmatch(path)
        if not known and not self._may_be_of_ir(path):
            raise refused(self.name, "something that is no part of a cache", path)
        if path in self._staged or len(self._staged) >= MAX_MEMBERS:
            raise refused(self.name, "a path twice, or too many of them", path)
        target = self._tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _write(self, path: str, size: int, chunks: Iterator[bytes]) -> None:
        target = self._place(path)
        if shutil.disk_usage(target.parent).free < size:
            what = f"{self.name}: no space to take in {path}"
            raise CacheFullError(what, expected=f"{size} bytes free", hint="free space and run again")
        seen = hashlib.sha256()
        with target.open("xb") as out:
            for data in chunks:
                seen.update(data)
                out.write(data)
        self._staged[path] = _Staged(target, size, seen.hexdigest())

    def _link(self, path: str, earlier: str) -> None:
        target, known = self._place(path), self._staged[earlier]
        link_file(known.path, target, symlink=False)
        self._staged[path] = _Staged(target, known.size, known.sha256)

    # --- checking

    def check(self) -> None:
        """Compare everything that is staged with its name and its manifest.

        Raises:
            IntegrityError: names what is wrong; nothing was published.
        """
        for path, staged in self._staged.items():
            if match := _BLOB.fullmatch(path):
                self._compare(path, staged, match[2])
                self._blobs[match[2]] = path
        for path in self._staged:
            match = _FILES.fullmatch(path)
            if match and match[3] == MANIFEST_NAME:
                self._check_files(match[1], match[2], path.rpartition("/")[0])
        for folder in self._ir_folders():
            self._check_ir(folder)
        self._check_rest()

    def _ir_folders(self) -> list[str]:
        """Return the folders that hold an IR's manifest; one below another is a file of that one's."""
        found: list[str] = []
        for path in sorted(self._staged, key=lambda path: path.count("/")):
            folder, _, name = path.rpartition("/")
            ours = name == IR_MANIFEST and folder and not (_FILES.fullmatch(path) or _NOTE.fullmatch(path))
            if ours and not any(f"{folder}/".startswith(f"{above}/") for above in found):
                found.append(folder)
        return found

    def _may_be_of_ir(self, path: str) -> bool:
        """Whether a path may be a file of an IR: below a folder, and no path that leads out of it.

        Which files an IR has is for its manifest to say.
        """
        try:
            check_relative_path(path)
        except ValueError:
            return False
        return "/" in path

    def _compare(self, path: str, staged: _Staged, sha256: object, size: object = None) -> None:
        if staged.sha256 != sha256 or (size is not None and size != staged.size):
            raise IntegrityError(
                f"{self.name}: {path} is not what it is said to be",
                expected=f"sha256 {sha256}",
                found=f"sha256 {staged.sha256}, {staged.size} bytes",
                left="nothing of it was published",
                hint="get it again from whoever made it",
            )

    def _manifest(self, folder: str, name: str) -> Manifest:
        manifest = read_manifest(self._staged[f"{folder}/{name}"].path, check=True)
        if manifest is None or not manifest.sealed:
            raise refused(self.name, "a manifest that was damaged or changed", f"{folder}/{name}")
        present = {p[len(folder) + 1 :]: s for p, s in self._staged.items() if p.startswith(f"{folder}/")}
        del present[name]
        for entry in entries_of(manifest.data, name):
            staged = present.pop(str(entry.get("path")), None)
            if staged is None:
                raise refused(self.name, "less than its manifest lists", f"{folder}/{entry.get('path')}")
            self._compare(f"{folder}/{entry['path']}", staged, entry.get("sha256"), entry.get("size", -1))
        if present:
            raise refused(self.name, "more than its manifest lists", f"{folder}/{min(present)}")
        return manifest

    def _check_ir(self, folder: str) -> None:
        manifest = self._manifest(folder, IR_MANIFEST)
        data = manifest.data
        key, parts = data.get("key"), data.get("parts")
        named = folder.rpartition("/")[2] if folder.startswith("ir-v1/") else key
        if not isinstance(parts, dict) or key != Digest.of_json(parts).hex or named != key:
            raise refused(self.name, "an IR whose key does not follow from its parts", folder)
        bare = {**parts, "versions": {}}
        plain = {name: value for name, value in bare.items() if name != "calibration"}
        if data.get("request") not in {Digest.of_json(bare).hex, Digest.of_json(plain).hex}:
            raise refused(self.name, "an IR that claims to answer another request", folder)
        whole = data.get("layout") == FOLDER and parts.get("converter") in _FOLDERS
        if not whole and [e.get("path") for e in entries_of(data, IR_MANIFEST)] != [XML, BIN]:
            raise refused(self.name, "an IR of other files", folder)
        self._check_inputs(folder, data.get("declaration"), data.get("inputs"))
        self._irs[str(key)] = (folder, manifest)

    def _check_files(self, model: str, digest: str, folder: str) -> None:
        manifest = self._manifest(folder, MANIFEST_NAME)
        data = manifest.data
        if not NAME.fullmatch(model) or data.get("model") != model or data.get("declaration") != digest:
            raise refused(self.name, "a folder under another name", folder)
        for artifact in data.get("artifacts") or ():
            self._check_names(artifact, folder)
        self._check_inputs(folder, digest, data.get("files"))
        self._files[model, digest] = manifest

    def _check_names(self, artifact: Mapping[str, Any], folder: str) -> None:
        """Check the other digests that a blob is going to be looked up under."""
        blob = self._blobs.get(str(artifact.get("sha256")))
        for name in [*(artifact.get("names") or ()), *(artifact.get("digests") or ())]:
            algorithm, _, digits = str(name).partition(":")
            if blob is None:
                raise refused(self.name, "the name of a blob without the blob", f"{folder}: {name}")
            if algorithm in {"sha384", "sha512"}:
                found = hash_file(self._staged[blob].path, [algorithm])[algorithm]
                if found.hex != digits:
                    raise refused(self.name, "a blob under a wrong digest", f"{folder}: {name}")

    def _check_inputs(self, folder: str, declaration: object, entries: object) -> None:
        """Refuse what contradicts what this cache itself found a declaration to contain."""
        known = self.cache.find_inputs(str(declaration))
        if known is None:
            return
        said = {str(e.get("path")): e.get("sha256") for e in entries} if isinstance(entries, list) else {}
        if said != {entry.path: entry.sha256 for entry in known}:
            raise refused(self.name, "other files of a model than were fetched here", folder)

    def _check_rest(self) -> None:
        folders = tuple(f"{folder}/" for folder, _ in self._irs.values())
        for path in self._staged:
            if match := _FILES.fullmatch(path):
                whole = (match[1], match[2]) in self._files
            else:
                whole = bool(_BLOB.fullmatch(path) or _NOTE.fullmatch(path)) or path.startswith(folders)
            if not whole:
                raise refused(self.name, "a file without its manifest", path)
        if not (self._irs or self._files):
            raise refused(self.name, "no model", self.name)

    # --- publishing

    def publish(self, timeout: float) -> Taken:
        """Publish what was checked, under the cache's locks; what is there already stays.

        Raises:
            CacheError: the layer cannot be written, or a lock was not free in time.
        """
        layer = self.cache.writable
        taken = Taken()
        for sha256, path in self._blobs.items():
            staged = self._staged[path].path
            keep = staged.with_name("kept")  # folders below still need the bytes
            link_file(staged, keep, symlink=False)
            self.cache.publish_blob(keep, sha256, Artifact(path="blob", sha256=sha256))
            taken.blobs.append(sha256)
        for (model, digest), manifest in self._files.items():
            folder = self._tree / "files-v1" / model / digest
            with lock(layer.locks / f"files-{model}-{digest[:16]}.lock", timeout=timeout):
                self._share_blobs(folder, manifest)
                self._publish(folder, layer.files(model, digest), manifest, MANIFEST_NAME)
            taken.files.append((model, digest))
        for key, (path, manifest) in self._irs.items():
            with lock(layer.locks / f"ir-{key[:32]}.lock", timeout=timeout):
                self._publish(self._tree / path, layer.ir(key), manifest, IR_MANIFEST)
            taken.irs.append(key)
        return taken

    def _share_blobs(self, folder: Path, manifest: Manifest) -> None:
        """Replace a staged file by a link to the published blob that has the same bytes."""
        for entry in entries_of(manifest.data, MANIFEST_NAME):
            blob = self.cache.writable.blob(str(entry["sha256"]))
            if entry["sha256"] in self._blobs and blob.is_file():
                (folder / entry["path"]).unlink()
                link_file(blob, folder / entry["path"])

    def _publish(self, folder: Path, target: Path, manifest: Manifest, name: str) -> None:
        with as_cache_error(target):
            (folder / name).unlink()
            for entry in entries_of(manifest.data, name):
                if not (folder / entry["path"]).is_symlink():
                    set_mode(folder / entry["path"], 0o444)
        self.cache.publish_folder(folder, target, manifest.data, name)


def take_in(cache: Cache, sources: Mapping[str, Path], name: str, *, timeout: float) -> Taken:
    """Take in a parcel that came in several pieces.

    Args:
        cache: where it goes.
        sources: files by their path in the parcel; a tar's path is empty or ends in a slash.
        name: what to call the parcel in errors.
        timeout: seconds to wait for a lock.

    Raises:
        IntegrityError: something in it is wrong; nothing was published.
        CacheError: the writable layer cannot be written.
    """
    with cache.use(timeout=timeout), cache.staging("parcel") as staging:
        intake = Intake(cache, staging, name)
        for path, source in sources.items():
            if path.endswith("/") or not path:
                intake.add_tar(source)
            else:
                intake.add_file(path, source)
        intake.check()
        return intake.publish(timeout)
