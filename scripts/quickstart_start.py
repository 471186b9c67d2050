"""Make a virtual environment, install this checkout into it, and run ``quickstart.py``, then again offline.

What ``quickstart`` and ``quickstart.ps1`` share; needs Python 3.10 or later and pip.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("MODEL_ZOO_QUICKSTART_VENV") or ROOT / ".venv-quickstart")
STAMP = VENV / "installed-from"
INSTALLED = ("pyproject.toml", "README.md", "LICENSE", "model_zoo", "catalog", "scripts/quickstart_start.py")
"""What the installation depends on; when it is what it was, the environment is used as it is."""


def main() -> None:
    now = fingerprint()
    python = next((path for path in interpreters() if path.exists()), None)
    if python is not None and STAMP.is_file() and STAMP.read_text("utf-8") == now:
        print(f"== environment: {VENV}, up to date", flush=True)
    else:
        print(f"== environment: installing into {VENV}", flush=True)
        python = make_environment()
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, ROOT, "pillow>=10.1"], check=True)
        STAMP.write_text(now, "utf-8")
    command = [python, ROOT / "scripts" / "quickstart.py"]
    print("== first run: fetch, convert, compile, infer", flush=True)
    subprocess.run(command, check=True)
    print("== second run: a new process, offline, everything from the cache", flush=True)
    subprocess.run([*command, "--offline"], check=True)
    print(f"== your turn: {python.with_name('model-zoo')} list")


def fingerprint() -> str:
    found = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
    for name in INSTALLED:
        path = ROOT / name
        for file in sorted(path.rglob("*") if path.is_dir() else [path]):
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(ROOT)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return found.hexdigest()


def interpreters() -> tuple[Path, Path]:
    """Return where an environment has its interpreter: on POSIX systems, on Windows."""
    return VENV / "bin" / "python", VENV / "Scripts" / "python.exe"


def make_environment() -> Path:
    if VENV.exists() and not (VENV / "pyvenv.cfg").is_file():
        sys.exit(f"{VENV} exists and is not a virtual environment; remove it or name another")
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", VENV], check=False, capture_output=True).returncode:
        # Some systems ship Python without ensurepip: let the pip that is there fill the environment.
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], check=True)
        python = next(path for path in interpreters() if path.exists())
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "pip"], check=True
        )
    return next(path for path in interpreters() if path.exists())


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
