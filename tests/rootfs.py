"""A root file system out of the Python that runs the tests: a base image where none can be pulled.

It has the interpreter, the standard library, what this package depends on, /bin/sh, and the shared libraries
all of these need. Nothing else: the package itself is installed by the image's own recipe.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

_SKIP = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo"),
    *("config-*", "ensurepip", "lib2to3", "*.a"),
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONPATH": "/usr/local/lib/packages",
    "LD_LIBRARY_PATH": "/usr/local/lib",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def make_rootfs(root: Path) -> None:
    """Fill an empty folder."""
    local = root / "usr/local"
    packages = local / "lib/packages"
    for name in ("bin", "etc", "dev", "proc", "sys", "usr/local/bin", "usr/local/lib/packages", "var/cache"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for name in ("null", "urandom"):
        (root / "dev" / name).touch()
    python = Path(sys.executable).resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copy(python, local / "bin" / "python3")
    shutil.copytree(stdlib, local / "lib" / stdlib.name, ignore=_SKIP)
    shutil.copy(Path("/bin/sh").resolve(), root / "bin/sh")
    for name in _needed("model-zoo") - {"model-zoo"}:
        _copy_distribution(name, packages)
    _script(local / "bin/pip", "import sys; from pip._internal.cli.main import main; sys.exit(main())")
    _copy_libraries(root)


def _script(path: Path, code: str) -> None:
    path.write_text(f"#!/usr/local/bin/python3\n{code}\n")
    path.chmod(0o755)


def _needed(name: str, seen: set[str] | None = None) -> set[str]:
    """Return a distribution and everything it depends on, as far as it is installed."""
    seen = set() if seen is None else seen
    try:
        requires = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return seen
    seen.add(name)
    for line in requires:
        requirement, _, marker = line.partition(";")
        other = re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower().replace("_", "-")
        if "extra" not in marker and other not in seen:
            _needed(other, seen)
    return seen


def _copy_distribution(name: str, target: Path) -> None:
    files = metadata.files(name) or []
    for file in files:
        source = Path(str(file.locate()))
        if ".." in file.parts or file.suffix in {".pyc", ".pth"} or not source.is_file():
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


def _copy_libraries(root: Path) -> None:
    """Copy what ``ldd`` says, to the same place where that is the system's, else to /usr/local/lib."""
    binaries = [p for p in root.rglob("*") if p.is_file() and _is_elf(p)]
    found: set[Path] = set()
    env = os.environ | {"LD_LIBRARY_PATH": f"{sysconfig.get_config_var('LIBDIR') or ''}"}
    for start in range(0, len(binaries), 50):
        some = [str(p) for p in binaries[start : start + 50]]
        done = subprocess.run(["ldd", *some], capture_output=True, text=True, check=False, env=env)
        found |= {Path(m) for m in re.findall(r"(?:=> |^\s)(/\S+) \(0x", done.stdout, re.MULTILINE)}
    for library in sorted(found):
        if library.is_relative_to(root):
            continue
        system = str(library).startswith(("/lib", "/usr/lib"))
        place = root / str(library).lstrip("/") if system else root / "usr/local/lib" / library.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(library.resolve(), place)


def _is_elf(path: Path) -> bool:
    if path.is_symlink():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
