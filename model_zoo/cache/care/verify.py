"""Verify: read everything again and say what is not as its manifest, its name or its notes say.

Offline, and writes nothing. Bytes that several names share are read once.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from model_zoo.cache.environments import KIND, environments, faults_of
from model_zoo.cache.layout import TAG_NAME, Layer, is_link
from model_zoo.cache.manifest import (
    IR_MANIFEST,
    Manifest,
    artifacts_of,
    entries_of,
    is_inside,
    is_whole,
    link_target,
    read_manifest,
)
from model_zoo.cache.notes import Notes
from model_zoo.events import Event
from model_zoo.files import exists, hash_file, is_file
from model_zoo.schema import MANIFEST_NAME, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from model_zoo.cache.care.scan import Inode

    Report = Callable[[Event], None]

Subject = Literal["blob", "files", "ir", "env", "foreign", "state"]
_KNOWN = re.compile(r"[a-z]+-v\d+")  # folders of other versions of the format are not foreign
_HEX = re.compile(r"[0-9a-f]{64}")
_SHELF = re.compile(r"[0-9a-f]{2}")
_SYSTEM = ("lost+found", ".nfs")  # a file system's own


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        subject: what has to be made again, or moved away.
        layer: where.
        path: the file or folder.
        cause: in words.
        model: whose it is; several are joined by commas.
        file: its name in the model, or what else people know it by.
        name: of the subject: a sha256, ``model/declaration``, or an IR key.
        precision: of an IR, or of the files that were fetched for it.
        spare: a good copy of a blob's bytes.
    """

    subject: Subject
    layer: Layer
    path: Path
    cause: str
    model: str | None = None
    file: str | None = None
    name: str = ""
    precision: str | None = None
    spare: Path | None = None


@dataclass
class Checked:
    """What was looked at and what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    blobs: int = 0
    models: int = 0
    irs: int = 0
    environments: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _Wanted:
    """A blob as manifests want it."""

    size: int | None
    model: str
    file: str
    precision: str | None


def check(layers: Iterable[Layer], report: Report) -> Checked:
    """Read every blob, folder, IR and note of the layers again."""
    checked, everything = Checked(), tuple(layers)
    for layer in everything:
        _Check(layer, everything, checked, report).run()
    return checked


class _Check:
    def __init__(self, layer: Layer, layers: tuple[Layer, ...], checked: Checked, report: Report) -> None:
        self.layer = layer
        self.others = [other for other in layers if other != layer]
        self.checked = checked
        self.report = report
        self.root = str(layer.root)
        self.wanted: dict[str, list[_Wanted]] = {}
        self.read: dict[Inode, tuple[str, int]] = {}  # digest and size, by the file the bytes are in
        self.spares: dict[str, Path] = {}

    def run(self) -> None:
        self._check_root()
        folders = [*self._folders(self.layer.models, depth=2)]
        irs = [*self._folders(self.layer.irs, depth=1)]
        manifests = [(folder, read_manifest(folder / MANIFEST_NAME, check=True)) for folder in folders]
        for folder, manifest in manifests:
            self._want(folder, manifest)
        blobs = self._blobs()
        self._read([*blobs.values()])
        for folder, manifest in manifests:
            self._check_folder(folder, manifest)
        for folder in irs:
            self._check_ir(folder)
        self._check_environments()
        self._check_blobs(blobs)
        self._check_notes()
        self.checked.blobs += len(blobs)
        self.checked.models += len({folder.parent for folder in folders})
        self.checked.irs += len(irs)
        self.checked.bytes += sum(size for _, size in self.read.values())

    def _add(self, subject: Subject, path: Path, cause: str, **facts: Any) -> None:  # noqa: ANN401
        self.checked.problems.append(Problem(subject, self.layer, path, cause, **facts))

    def _foreign(self, path: Path, *, link: bool = False) -> None:
        if not path.name.startswith(_SYSTEM):
            cause = (
                "a link, which the cache has none of here" if link else "not the cache's: nothing put it here"
            )
            self._add("foreign", path, cause, file=path.name)

    # --- what is there

    def _check_root(self) -> None:
        for entry in _scan(self.layer.root):
            folder = entry.is_dir(follow_symlinks=False)
            if not (folder and _KNOWN.fullmatch(entry.name)) and entry.name != TAG_NAME:
                self._foreign(self.layer.root / entry.name, link=entry.is_symlink())
        for root in (self.layer.state, self.layer.locks, self.layer.pins, self.layer.partials):
            for place in (root, *(root / entry.name for entry in _scan(root) if not entry.is_symlink())):
                if self.layer.owns(place):
                    self._links_in(place)
        for entry in _scan(self.layer.blobs.parent):
            if entry.name != "sha256" or not entry.is_dir(follow_symlinks=False):
                self._foreign(self.layer.blobs.parent / entry.name, link=entry.is_symlink())

    def _links_in(self, folder: Path) -> None:
        for entry in _scan(folder):
            if entry.is_symlink():
                self._foreign(folder / entry.name, link=True)

    def _folders(self, root: Path, *, depth: int) -> Iterable[Path]:
        """Yield the folders that many levels below ``root``; whatever else is above them is foreign."""
        if self.layer.owns(root):
            for entry in _scan(root):
                path = root / entry.name
                if not entry.is_dir(follow_symlinks=False):
                    self._foreign(path, link=entry.is_symlink())
                elif depth == 1:
                    yield path
                else:
                    yield from self._folders(path, depth=depth - 1)

    def _blobs(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for shelf in self._folders(self.layer.blobs, depth=1):
            if not _SHELF.fullmatch(shelf.name):
                self._foreign(shelf)
                continue
            for entry in _scan(shelf):
                good = _HEX.fullmatch(entry.name) and entry.name.startswith(shelf.name)
                if good and entry.is_file(follow_symlinks=False):
                    found[entry.name] = shelf / entry.name
                else:
                    self._foreign(shelf / entry.name, link=entry.is_symlink())
        return found

    def _want(self, folder: Path, manifest: Manifest | None) -> None:
        if manifest is None:
            return
        precision = _string(manifest.data.get("precision"))
        for artifact in artifacts_of(manifest.data):
            if _HEX.fullmatch(str(artifact.get("sha256"))):
                wanted = _Wanted(
                    artifact.get("size"), folder.parent.name, str(artifact.get("path")), precision
                )
                self.wanted.setdefault(artifact["sha256"], []).append(wanted)

    # --- reading

    def _read(self, paths: list[Path]) -> None:
        """Hash files, as many at once as there are processors; hashing leaves Python's lock alone."""
        sizes = [_size(path) for path in paths]
        done, total = 0, sum(sizes)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, size, _ in zip(paths, sizes, pool.map(self._digest, paths), strict=True):
                done += size
                self.report(Event(event="verify", file=path.name, bytes=done, total=total))

    def _digest(self, path: Path) -> str:
        """Return the sha256 of a file, or why it cannot be read."""
        try:
            found = path.stat()
            inode = (found.st_dev, found.st_ino)
            if found.st_ino == 0 or inode not in self.read:
                self.read[inode] = hash_file(path)["sha256"].hex, found.st_size
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return self.read[inode][0]

    def _check_blobs(self, blobs: Mapping[str, Path]) -> None:
        for sha256, path in blobs.items():
            digest = self._digest(path)
            if digest != sha256:
                size = next((w.size for w in self.wanted.get(sha256, ()) if w.size is not None), None)
                self._bad_blob(sha256, path, _cause(digest, _size(path), size))
        for sha256 in sorted(self.wanted.keys() - blobs.keys()):
            if not any(is_file(other.blob(sha256)) for other in self.others):  # a layer may stand on another
                self._bad_blob(sha256, self.layer.blob(sha256), "deleted: the file is not there")

    def _bad_blob(self, sha256: str, path: Path, cause: str) -> None:
        wanted = self.wanted.get(sha256, [])
        models = ", ".join(sorted({w.model for w in wanted})) or None
        self._add(
            "blob",
            path,
            cause,
            model=models,
            file=wanted[0].file if wanted else sha256,
            name=sha256,
            precision=wanted[0].precision if wanted else None,
            spare=self.spares.get(sha256),
        )

    # --- folders

    def _check_folder(self, folder: Path, manifest: Manifest | None) -> None:
        model, name = folder.parent.name, f"{folder.parent.name}/{folder.name}"
        if manifest is None or not manifest.sealed:
            cause = _manifest_cause(folder / MANIFEST_NAME)
            self._add("files", folder / MANIFEST_NAME, cause, model=model, file=MANIFEST_NAME, name=name)
            return
        facts = {"model": model, "name": name, "precision": _string(manifest.data.get("precision"))}
        self._check_files("files", folder, entries_of(manifest.data, MANIFEST_NAME), MANIFEST_NAME, facts)

    def _check_ir(self, folder: Path) -> None:
        manifest = read_manifest(folder / IR_MANIFEST, check=True)
        facts = {"name": folder.name, "model": None, "precision": None}
        if manifest is not None:
            facts |= {name: _string(manifest.data.get(name)) for name in ("model", "precision")}
        if manifest is None or not manifest.sealed:
            cause = _manifest_cause(folder / IR_MANIFEST)
            self._add("ir", folder / IR_MANIFEST, cause, file=IR_MANIFEST, **facts)
            return
        parts = manifest.data.get("parts")
        if parts is not None and Digest.of_json(parts).hex != folder.name:
            cause = "the folder's name is not the key of what the manifest says it was made of"
            self._add("ir", folder, cause, file=IR_MANIFEST, **facts)
        self._check_files("ir", folder, entries_of(manifest.data, IR_MANIFEST), IR_MANIFEST, facts)

    def _check_environments(self) -> None:
        for _ in self._folders(self.layer.envs, depth=1):  # what is none of them is foreign
            self.checked.environments += 1
        for one in environments(self.layer):
            self.checked.bytes += one.size
            for path, cause in faults_of(one):
                self._add("env", path, cause, model=f"{KIND}:{one.stack}", file=path.name, name=one.digest)

    def _check_files(
        self,
        subject: Subject,
        folder: Path,
        entries: Iterable[Mapping[str, Any]],
        name: str,
        facts: dict[str, Any],
    ) -> None:
        listed = {name}
        for entry in entries:
            file = entry.get("path")
            if not is_inside(file):
                escape = f"its manifest names {file!r}, which is no path inside its folder"
                self._add(subject, folder / name, escape, file=name, **facts)
                continue
            listed.add(str(file))
            cause = self._file_cause(folder, str(file), entry.get("size"), entry.get("sha256"))
            if cause and not (subject == "files" and self._is_blobs_fault(folder, entry)):
                self._add(subject, folder / str(file), cause, file=file, **facts)
        for path, link in _tree(folder):
            if path.relative_to(folder).as_posix() not in listed:
                self._foreign(path, link=link)

    def _file_cause(self, folder: Path, file: str, size: object, sha256: object) -> str | None:
        """Return what is wrong with a file that a manifest lists."""
        path = folder / file
        try:
            found = path.lstat()
        except OSError:
            return "deleted: the file is not there"
        if is_link(found):
            target = link_target(self.root, str(path))
            if target is None:
                return "its link leads out of the cache"
            if not os.path.isfile(target):  # noqa: PTH113
                return "its link leads to nothing"
            return None if os.path.basename(target) == sha256 else "its link leads to other bytes"  # noqa: PTH119
        digest = self._digest(path)
        if digest == sha256:
            self.spares.setdefault(str(sha256), path)
            return None
        return _cause(digest, found.st_size, size)

    def _is_blobs_fault(self, folder: Path, entry: Mapping[str, Any]) -> bool:
        """Whether a file is the blob itself under another name: then what is wrong is said of the blob."""
        sha256 = str(entry.get("sha256"))
        return _HEX.fullmatch(sha256) is not None and _same(
            folder / str(entry.get("path")), self.layer.blob(sha256)
        )

    # --- notes

    def _check_notes(self) -> None:
        """Compare the notes on disk with what the manifests say they must be; more of them do no harm."""
        notes = Notes(self.layer)
        if not all(is_file(self.layer.complete(kind)) for kind in ("aliases", "requests", "inputs")):
            return  # nobody relies on them: they are derived when they are needed
        derived = notes.derive()
        for (kind, digest), sha256 in derived.aliases.items():
            path = self.layer.alias(kind, digest)
            if _text(path) != sha256:
                self._add("state", path, "the note of a blob's other name is missing or wrong", file=digest)
        for request, keys in derived.requests.items():
            for key in keys:
                path = self.layer.request(request) / key
                if not exists(path):
                    self._add("state", path, "the note of what an IR answers is missing", file=key)
        for declaration in derived.inputs:
            path = self.layer.inputs(declaration)
            if notes.stored_inputs(declaration) is None:
                self._add("state", path, "the note of a declaration's content is missing", file=declaration)


def is_sound(layer: Layer, folder: Path, name: str) -> bool:
    """Whether a published folder is all that its manifest says, bytes included."""
    manifest = read_manifest(folder / name, check=True)
    if manifest is None or not manifest.sealed or not layer.owns(folder):
        return False
    parts = manifest.data.get("parts") if name == IR_MANIFEST else None
    if parts is not None and Digest.of_json(parts).hex != folder.name:
        return False
    entries = entries_of(manifest.data, name)
    if not is_whole(str(layer.root), str(folder), entries):
        return False
    return all(hash_file(folder / e["path"])["sha256"].hex == e.get("sha256") for e in entries)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _tree(folder: Path) -> Iterable[tuple[Path, bool]]:
    """Yield everything but folders below a folder, and whether it is a link."""
    for entry in _scan(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(folder / entry.name)
        else:
            yield folder / entry.name, entry.is_symlink()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _cause(digest: str, size: int, expected: object) -> str:
    if digest.startswith("cannot"):
        return digest
    if isinstance(expected, int) and size < expected:
        return f"truncated: {size} of {expected} bytes"
    if isinstance(expected, int) and size > expected:
        return f"too long: {size} bytes instead of {expected}"
    return f"damaged: its bytes have changed (sha256 {digest[:16]}…)"


def _manifest_cause(path: Path) -> str:
    if not is_file(path):
        return "its manifest is missing"
    return "its manifest is damaged"
